"""A plain function as a Prefect task, the same way in every flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
R = TypeVar("R")


def step(function: Callable[P, R]) -> Task[P, R]:
    """Run `function` as a task: seen, timed and logged by Prefect, never cached by it.

    DVC, the study and the tracker know what is already done; a second cache would only be a second opinion.
    Results stay in memory, since Prefect's default serializer is pickle.
    """
    as_task: Callable[[Callable[P, R]], Task[P, R]] = task(cache_policy=NO_CACHE, persist_result=False, log_prints=True)
    return as_task(function)
