"""An embedded server that dies while a command works is started again, on the port on which its clients wait for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from facetmill.errors import PlatformError
from facetmill.platform import servers
from facetmill.platform.layout import Layout

LOOK_SECONDS = 1.0
MAX_RESTARTS = 3  # one that dies again and again has a reason, which its log tells


@contextmanager
def kept_up(layout: Layout, max_restarts: float = MAX_RESTARTS) -> Iterator[None]:
    """Start the servers of a project again when they die, during the block. One that `down` stops stays down."""
    ended = threading.Event()

    def watch() -> None:
        left = max_restarts
        while left > 0 and not ended.wait(LOOK_SECONDS):
            try:
                for name in servers.start_lost(layout):
                    left -= 1
                    print(f"the {name} server died, and is started again", file=sys.stderr)
            except (PlatformError, OSError) as error:
                print(f"a server died, and cannot be started again: {error}", file=sys.stderr)
                return

    watcher = threading.Thread(target=watch, name="keeping", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
