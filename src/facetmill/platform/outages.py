"""What was lost in the middle of work, a server, the shared database or a disk: told by its name, with what to do.

Every tool tells of it in an error of its own. These are known here by the names of their classes: importing all the
tools takes seconds, and an error of one can only come where that one is imported.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from facetmill.errors import PlatformError
from facetmill.platform.folders import MENDS, cannot_write, unwritable
from facetmill.platform.layout import Layout, find_root
from facetmill.platform.servers import MLFLOW, PREFECT, Kind, log_path, named_url, without_login

AGAIN = ", and give the same command again: what was done is kept"

_NOT_REACHED = {
    "httpx.TransportError": PREFECT,
    "requests.ConnectionError": MLFLOW,
    "requests.Timeout": MLFLOW,
    "requests.RetryError": MLFLOW,
    "requests.ChunkedEncodingError": MLFLOW,
}
_ANSWERED = {"httpx.HTTPStatusError": PREFECT, "requests.HTTPError": MLFLOW}
_MLFLOW_NOT_REACHED = re.compile(r"API request to .* failed with (exception|error code 5)", re.DOTALL)
_DATABASE = {"psycopg.OperationalError", "psycopg.InterfaceError"}
_SQLITE_CANNOT_WRITE = re.compile(r"disk is full|readonly database|unable to open|disk I/O")


def as_outage(error: BaseException) -> PlatformError | None:
    """The same error as one that names what was lost and ends with what mends it; None for an error of any other kind.

    The folders are those of the project at or above the working directory.
    """
    root = Path.cwd()
    with suppress(PlatformError):
        root = find_root(root)
    layout = Layout(root)
    for cause in _causes(error):
        if lost := _lost(cause, layout):
            return lost
    return None


def of_database(url: str, error: BaseException) -> PlatformError:
    """That the database of FACETMILL_STORAGE was lost, or was never there."""
    return PlatformError(
        f"the database of FACETMILL_STORAGE, {without_login(url)}, was lost ({reason(error)}); start it"
    )


def reason(error: BaseException) -> str:
    """Why, in a few words: as the system said it, or else the first line of the error."""
    said = str(error).strip().partition("\n")[0]
    for cause in _causes(error, all_of_them=True):
        if isinstance(cause, OSError) and cause.strerror:
            said = cause.strerror
    if many := re.search(r"too many \d+ error responses", said):
        return many[0]
    return re.sub(r"^\[Errno \d+\] ", "", said) or type(error).__name__


def _lost(error: BaseException, layout: Layout) -> PlatformError | None:
    if isinstance(error, OSError) and error.errno in MENDS:
        return unwritable(layout) or cannot_write(error.filename or "a file", error)
    if isinstance(error, sqlite3.OperationalError) and _SQLITE_CANNOT_WRITE.search(str(error)):
        return unwritable(layout) or PlatformError(f"a database of this project cannot be written: {error}; see to it")
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    if names & _DATABASE:
        return of_database(layout.ledger_url, error)
    for name in names & _NOT_REACHED.keys():
        return _of_server(_NOT_REACHED[name], "was lost", error, layout)
    for name in names & _ANSWERED.keys():
        if error.response.status_code >= 500:  # type: ignore[attr-defined]
            return _of_server(_ANSWERED[name], "fails", error, layout)
    if "mlflow.MlflowException" in names and _MLFLOW_NOT_REACHED.match(str(error)):
        return _of_server(MLFLOW, "was lost", error, layout)
    if "mlflow.RestException" in names and error.get_http_status_code() >= 500:  # type: ignore[attr-defined]
        return _of_server(MLFLOW, "fails", error, layout)
    return None


def _of_server(kind: Kind, how: str, error: BaseException, layout: Layout) -> PlatformError:
    """An embedded server may have nowhere to write, of which its clients hear only that it fails."""
    if named_url(kind):
        mend = f"start it again ({kind.variable} names it)"
    elif full := unwritable(layout):
        return full
    else:
        mend = f"facetmill up starts it again (the end of {log_path(layout, kind)} may say why it died)"
    url = without_login(os.environ.get(kind.variable, ""))
    return PlatformError(f"the {kind.name} server at {url} {how} ({reason(error)}); {mend}")


def _causes(error: BaseException, *, all_of_them: bool = False) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on; with `all_of_them` also what it was raised in the midst of."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is earlier for earlier in seen):
        seen.append(cause)
        yield cause
        following = cause.__cause__
        if following is None and all_of_them and not cause.__suppress_context__:
            following = cause.__context__
        cause = following
