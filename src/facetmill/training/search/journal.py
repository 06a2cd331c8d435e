"""A journal of studies looked at before Optuna replays it, which fails on a bad line without saying where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from facetmill.errors import PlatformError

MEND = (
    "put it back from a back-up (facetmill restore DIR), or move it away: sweeps then begin anew, and what they found "
    "before is in MLflow"
)

_SHOWN = 60  # characters of a bad line


@contextmanager
def replaying(path: Path) -> Iterator[None]:
    """Have a journal replayed in the block. Raises `PlatformError` that names a line which is no operation of Optuna's,
    or says that the operations do not follow from one another."""
    if wrong := bad_line(path):
        raise PlatformError(f"{wrong}; {MEND}")
    try:
        yield
    except Exception as error:  # whatever Optuna trips over: what it was given is not what it wrote
        raise PlatformError(
            f"{path}: its lines do not follow from one another, so some are lost ({error!r}); {MEND}"
        ) from error


def bad_line(path: Path) -> str | None:
    """The first line that Optuna has not written, by its place; None where there is none."""
    for number, line in _lines(path):
        if not _is_operation(line):
            return f"{path}, line {number}: no line of Optuna's journal: {_shown(line)!r}"
    return None


def _shown(line: bytes) -> str:
    return line[:_SHOWN].decode(errors="backslashreplace")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line that has an end, by its number; the last may be in the middle of being written."""
    if path.exists():
        with path.open("rb") as journal:
            for number, line in enumerate(journal, start=1):
                if line.endswith(b"\n"):
                    yield number, line[:-1]


def _is_operation(line: bytes) -> bool:
    try:
        said: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and type(said.get("op_code")) is int and "worker_id" in said
