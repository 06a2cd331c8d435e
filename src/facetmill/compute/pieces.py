"""Where the work of a stage is done: in processes of this machine, or on a Dask cluster.

A stage hands over a pure function and what to call it with: pieces, which say what to read and which file to write, or
paths. So the output is the same wherever, and in whatever order, the work is done. Dask schedules and never carries
rows: its workers see the same folders as this process, under the same paths, and have the same Facetmill installed.

`DASK_SCHEDULER_ADDRESS`, Dask's own variable, names the cluster; without it work stays on this machine.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from facetmill.errors import PlatformError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class _Piece(DataclassInstance, Protocol):
        @property
        def target(self) -> Path: ...


SCHEDULER = "DASK_SCHEDULER_ADDRESS"
SECONDS_TO_ANSWER = 30
TRIES_ELSEWHERE = 3  # of a piece whose worker died

P = TypeVar("P", bound="_Piece")
R = TypeVar("R")


def map_pieces(work: Callable[[P], R], pieces: Sequence[P], workers: int) -> list[R]:
    """What `work` returns for each piece, in their order. `work` and pieces must be importable and small: they are sent
    to other processes. `workers` counts processes of this machine; a cluster has its own.

    A piece is a dataclass; its `target` does not exist before. What `work` raises passes through, and no further piece
    is begun then. Raises `PlatformError` when the cluster does not answer, or lost a piece with every worker it tried.
    """
    if address := os.environ.get(SCHEDULER):
        with _cluster(address) as call:
            return list(call(partial(_whole, work), pieces))
    workers = min(workers, len(pieces))
    if workers <= 1:
        return [work(piece) for piece in pieces]
    with _processes(workers - 1) as pool:
        others = [pool.submit(_work_unclaimed, work, pieces) for _ in range(workers - 1)]
        done = _work_unclaimed(work, pieces)  # meanwhile: the others take half a second to start
        for other in others:
            done |= other.result()
    return [done[number] for number in range(len(pieces))]


def _work_unclaimed(work: Callable[[P], R], pieces: Sequence[P]) -> dict[int, R]:
    """Do every piece that no other process has begun: where one has, the target exists."""
    done = {}
    try:
        for number, piece in enumerate(pieces):
            if _claim(piece.target):
                done[number] = work(piece)
    except BaseException:
        for piece in pieces:  # so that the others stop as well
            _claim(piece.target)
        raise
    return done


def _claim(target: Path) -> bool:
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


Call = Callable[[Callable[[Any], R], Iterable[Any]], Iterable[R]]


@contextmanager
def caller(workers: int) -> Iterator[Call[Any]]:
    """A `map` for work that writes no file of its own: results in the order of what it is given.

    Nothing is started before it is used. Raises as `map_pieces` does.
    """
    if address := os.environ.get(SCHEDULER):
        with _cluster(address) as call:
            yield call
    elif workers == 1:
        yield map
    else:
        with _processes(workers) as pool:
            try:
                yield pool.map
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _processes(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its processes: they would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _cluster(address: str) -> Iterator[Call[Any]]:
    """`map` on the cluster. What a dead worker had begun is tried elsewhere."""
    from distributed import Client, KilledWorker

    try:
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise PlatformError(f"{SCHEDULER}={address}: no Dask scheduler answers there: {error}") from error

    def call(work: Callable[[Any], R], items: Iterable[Any]) -> list[R]:
        # Names of our own: Dask would take work of the same name from an earlier build for done.
        run = uuid.uuid4().hex
        keyed = {f"facetmill-{run}-{number}": item for number, item in enumerate(items)}
        calls = client.map(work, keyed.values(), key=list(keyed), pure=False, retries=TRIES_ELSEWHERE)
        try:
            results: list[R] = client.gather(calls)
        except KilledWorker as error:
            raise PlatformError(f"{address}: {error}") from error
        return results

    with client:
        yield call


def _whole(work: Callable[[Any], R], piece: Any) -> R:
    """`work`, its target moved into place when done: a worker that was given up may still be at the same piece."""
    target: Path = piece.target
    temporary = target.with_name(f".{uuid.uuid4().hex}-{target.name}")
    try:
        result = work(replace(piece, target=temporary))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return result
