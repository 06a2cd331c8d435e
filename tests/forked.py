"""Processes of their own that need not import what they need: forked, as those that load packages are, from a parent
that has imported it. They can be killed like any other."""

from __future__ import annotations

import os
from multiprocessing.process import BaseProcess

from facetmill.platform.isolated import fork_context


def run_forked(code: str, **names: object) -> BaseProcess:
    """Start a process that runs `code`, which knows the values of `names`."""
    process: BaseProcess = fork_context().Process(target=_run, args=(code, names, dict(os.environ)))
    process.start()
    return process


def _run(code: str, names: dict[str, object], environment: dict[str, str]) -> None:
    """The parent that is forked may have begun for an earlier test, and have the environment of then."""
    os.environ.clear()
    os.environ.update(environment)
    exec(code, names)


def ended(process: BaseProcess) -> int | None:
    """Wait for its end: its exit code, or the signal that it died of below zero."""
    process.join()
    return process.exitcode
