"""A bar on the terminal while products are gone through."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facetmill.terminal import unguarded


@contextmanager
def progress_bar(what: str, num_items: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the number of products that are done; without `shown` it does nothing."""
    speed = TextColumn("{task.fields[speed]:.0f} products/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    started = time.perf_counter()
    # On stderr, since stdout may be JSON that another program reads. What others print meanwhile stays guarded.
    console = Console(file=unguarded(sys.stderr))
    with Progress(
        *columns, console=console, disable=not shown, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(what, total=num_items, speed=0.0)

        def advance(count: int) -> None:
            done = bar.tasks[0].completed + count
            bar.update(task, advance=count, speed=done / (time.perf_counter() - started))

        yield advance
