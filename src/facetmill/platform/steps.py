"""A plain function as a Prefect task, the same way in every flow, and a flow of this project by its name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.context import TagsContext, refresh_global_settings_context
from prefect.flows import load_flow_from_entrypoint
from prefect.logging import get_logger

from facetmill.errors import FacetmillError, PlatformError
from facetmill.platform.outages import AGAIN, as_outage

P = ParamSpec("P")
R = TypeVar("R")


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` as a task: seen, timed and logged by Prefect, never cached by it.

    DVC, the study and the tracker know what is already done; a second cache would only be a second opinion.
    Results stay in memory, since Prefect's default serializer is pickle. A task run carries none of its flow run's
    tags: for each Prefect would ask whether it has a concurrency limit, and that often waits two seconds for SQLite.
    A server or a disk that is lost meanwhile is a `PlatformError` that names it and the step.
    """

    @wraps(function)
    def work(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if outage := as_outage(error):
                raise PlatformError(f"step {function.__name__}: {outage}{AGAIN}") from error
            raise

    as_task: Callable[[Callable[P, R]], Task[P, R]] = task(cache_policy=NO_CACHE, persist_result=False, log_prints=True)
    prefect_task = as_task(work)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with TagsContext(current_tags=set()):
            return prefect_task(*args, **kwargs)

    return run


def load_flow(root: Path, name: str) -> Flow[..., Any]:
    """`flows/<name>.py` of a project.

    An error that a user can mend is logged as its message, without a traceback; on the terminal not at all, since the
    command that runs the flow ends with it.
    """
    for logger in ("flow_runs", "task_runs"):
        for handler in get_logger(logger).handlers:
            handler.addFilter(_without_known_tracebacks)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_said_only_here)
    flow: Flow[..., Any] = load_flow_from_entrypoint(f"{root / 'flows' / name}.py:{name}")
    return flow


def connect_prefect() -> None:
    """Take the environment's server URL, which may be another one than at the import of Prefect."""
    refresh_global_settings_context()


def _without_known_tracebacks(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and (isinstance(error, FacetmillError) or as_outage(error)):
        record.exc_info = None
        record.is_known_error = True
    return True


def _is_said_only_here(record: logging.LogRecord) -> bool:
    """Of the terminal, which hears of a record last."""
    known = getattr(record, "is_known_error", False)
    return not known and not record.getMessage().startswith("Finished in state Failed(")
