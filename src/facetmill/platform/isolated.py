"""Functions in processes of their own: what one does there can neither hurt nor hold up the process that asks.

Each process is forked from a parent that has imported what models need and done nothing else (multiprocessing's
forkserver), so the seconds of importing are spent once; after `warm_up` they pass on another core while work goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from facetmill.errors import PlatformError
from facetmill.terminal import visible

#: What loads a package, the encoders of texts and pictures, and that of transformers on which published ones are built:
#: its import is most of the time that loading such a model would take. Nobody else waits for it, since the asking
#: process imports none of it.
_PRELOADED = [
    *("facetmill.serving.child", "facetmill.encoders.text", "facetmill.encoders.vision"),
    *("transformers.modeling_utils", "transformers.models.auto"),
]
_ERROR_LINES, _ERROR_CHARACTERS = 5, 2000  # of what it said last


def warm_up() -> None:
    """Have the parent of all isolated processes started; returns at once. Its environment is that of now."""
    fork_context()
    forkserver.ensure_running()


def run_isolated(function: Callable[..., None], *args: Any, what: str, timeout: float) -> None:
    """Call a function of a module in a fresh process. Arguments must be plain values.

    Raises `PlatformError` that begins with `what` when it raises, dies, or has not ended after `timeout` seconds. It
    and all that it has started are killed then, and also when this process is told to stop meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = fork_context().Process(target=_call, args=(function, args, str(log)), daemon=True)
        process.start()
        try:
            process.join(timeout)
            ended = process.exitcode
        finally:
            _kill(process)
        if ended is None:
            raise PlatformError(f"{what}: not done in {timeout:g} s")
        if ended != 0:
            how = f"signal {-ended}" if ended < 0 else f"exit code {ended}"
            raise PlatformError("\n  ".join([f"{what}: failed ({how})", *_last_words(log)]))


def _last_words(log: Path) -> list[str]:
    """The last lines of a log that may hold anything, and as much of it."""
    if not log.exists():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _ERROR_CHARACTERS))
        return visible(stream.read().decode(errors="replace").strip()).split("\n")[-_ERROR_LINES:]


def _kill(process: BaseProcess) -> None:
    """End a process and the session that it leads, whatever is left of them."""
    assert process.pid is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # fails while it has not come to lead a session, or when none is left
    process.kill()
    process.join()


def fork_context() -> ForkServerContext:
    """Whose processes are forked from the parent that has imported what models need."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _call(function: Callable[..., None], args: tuple[Any, ...], log: str) -> None:
    """In the new process: what is printed goes to the log, of which the caller shows the end."""
    os.setsid()  # so that what it starts can be found and ended with it
    target = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        function(*args)
    except BaseException:  # whatever it was, the caller is told
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
