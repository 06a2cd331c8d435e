"""PostgreSQL may be restarted at any moment: whoever connects waits for it, and what was cut off is done once more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine, event

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.5
CONNECT_TIMEOUT = 10  # seconds, where nobody answers at all

#: What a server says that will soon be there; else, what it answers is final: a wrong password stays wrong.
_NOT_YET = ("starting up", "shutting down", "recovery", "not currently accepting", "too many clients", "slots")

R = TypeVar("R")

_log = logging.getLogger(__name__)


def patient(engine: Engine) -> Engine:
    """From now on every new connection of an engine waits for the server, and says so, for `WAIT_SECONDS` at most."""
    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_connect", _connect)
    return engine


def again(call: Callable[[], R]) -> R:
    """What `call` gives; where its connection was cut off in the midst of it, it is called once more.

    The database may have done already what it was asked then, so `call` must do no harm twice.
    """
    try:
        return call()
    except Exception as error:
        if not was_cut_off(error):
            raise
        return call()


def was_cut_off(error: BaseException) -> bool:
    """Whether a connection that stood was lost."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "connection_invalidated", False):
            return True
        cause = cause.__cause__
    return False


def _connect(dialect: Any, record: Any, args: Any, options: dict[str, Any]) -> Any:
    """Instead of what SQLAlchemy does to connect."""
    options.setdefault("connect_timeout", CONNECT_TIMEOUT)
    deadline = time.monotonic() + WAIT_SECONDS
    has_said_so = False
    while True:
        try:
            return dialect.connect(*args, **options)
        except dialect.dbapi.OperationalError as error:
            said = str(error)
            if time.monotonic() > deadline or ("FATAL" in said and not any(words in said for words in _NOT_YET)):
                raise
            if not has_said_so:
                _log.warning("PostgreSQL: %s; waiting for it, at most %.0f s", said.partition("\n")[0], WAIT_SECONDS)
                has_said_so = True
            time.sleep(POLL_SECONDS)
