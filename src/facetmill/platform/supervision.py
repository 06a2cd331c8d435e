"""Several workers on one piece of work: each is started again where it dies, and none is left however this ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from facetmill.errors import FacetmillError

MAX_RESTARTS = 2  # of each worker

W = TypeVar("W")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How a worker ended. One that ended `well` found all of the work done; `restart` is asked of the others."""

    well: bool
    how: str = ""
    restart: bool = True


class Crew(Protocol[W]):
    """Workers of one kind: processes of this host, or flow runs in a pool."""

    def start(self) -> W: ...

    def ending(self, worker: W) -> Ending | None:
        """None while it works."""

    def stop(self, workers: Sequence[W]) -> None:
        """End those that have not ended, and wait for it."""

    def pause(self) -> None:
        """Between two looks at them."""


def supervise(num_workers: int, crew: Crew[W], on_death: Callable[[], None]) -> None:
    """Have `num_workers` work until all have ended.

    One that dies is started again, at most twice; `on_death` is called first. However this ends, no worker is left.
    Raises `FacetmillError` when none ended well.
    """
    workers: dict[int, W] = {}
    restarts = dict.fromkeys(range(num_workers), 0)
    is_done = False
    try:
        for place in range(num_workers):
            workers[place] = crew.start()
        while workers:
            for place, worker in list(workers.items()):
                ending = crew.ending(worker)
                if ending is None:
                    continue
                del workers[place]
                if ending.well:
                    is_done = True
                    continue
                _log.warning("worker %d of the sweep died (%s)", place, ending.how)
                on_death()
                if ending.restart and restarts[place] < MAX_RESTARTS:
                    restarts[place] += 1
                    workers[place] = crew.start()
            if workers:
                crew.pause()
    finally:
        crew.stop(list(workers.values()))
    if not is_done:
        raise FacetmillError("every worker of the sweep died; what they printed says why. Run it again to go on")
