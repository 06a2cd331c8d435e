"""What a second worker is worth: one sweep's trials by one process and by two, on the same kind of storage.

Trials are a fixed amount of processor work instead of a training, so what is measured is how much the workers wait for
the storage and for each other. The clock runs from the first trial's start to the last one's end, as the study itself
has noted them: a real sweep takes minutes, and starting Python is not part of its throughput.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = 1.6  # two idle cores; a trial takes about 0.3 s, so waiting for a turn weighs more than in real ones
TRIALS = 12
WORK = 20_000_000  # additions in one trial
POSTGRES = "127.0.0.1:5432"


def rows(rounds: int = 3) -> list[dict[str, Any]]:
    """Medians of interleaved rounds, on a journal file and, where it answers, on PostgreSQL."""
    bare: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for processes, seconds in bare.items():
            seconds.append(bare_seconds(processes))
    possible = statistics.median(bare[1]) / statistics.median(bare[2])
    results = []
    for kind, storages in (("a journal file", journals), ("PostgreSQL", databases)):
        rates: dict[int, list[float]] = {1: [], 2: []}
        try:
            for _ in range(rounds):
                for workers, measured in rates.items():
                    with storages() as storage:
                        measured.append(trials_per_second(storage, workers))
        except ConnectionError as error:
            results.append(_row(kind, None, None, f"not measured: {error}"))
            continue
        one, two = (statistics.median(rates[workers]) for workers in (1, 2))
        note = (
            f"trials per second with 2 workers against 1; the same work without a study: {possible:.2f}; "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        results.append(_row(kind, two, one, note))
    return results


def _row(kind: str, ours: float | None, peer: float | None, note: str) -> dict[str, Any]:
    ratio = None if ours is None or peer is None else ours / peer
    return {
        "name": f"sweep: 2 workers against 1 on {kind}",
        "ours": None if ours is None else round(ours, 2),
        "peer": None if peer is None else round(peer, 2),
        "ratio": None if ratio is None else round(ratio, 2),
        "target": f">= {TARGET}",
        "met": None if ratio is None else ratio >= TARGET,
        "note": note,
    }


def trials_per_second(storage: str, workers: int) -> float:
    from facetmill.platform.worker_processes import supervise

    supervise(workers, [sys.executable, str(Path(__file__)), storage], lambda: None)
    trials = open_study(storage)._study.get_trials(deepcopy=False)  # our records have no times of day
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    assert len(ends) == len(trials) == TRIALS
    return TRIALS / (max(ends) - min(starts)).total_seconds()


def bare_seconds(processes: int) -> float:
    """The same work shared out among processes without a study: what this machine, as busy as it is, makes possible."""
    code = f"for _ in range({TRIALS // processes}): sum(range({WORK}))"
    started = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    for process in running:
        process.wait()
    return time.perf_counter() - started


def open_study(storage: str) -> Any:
    import optuna

    from facetmill.params import load_params
    from facetmill.training.search.study import Study

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    params = load_params(ROOT / "params.yaml")
    config, training = params.models.dictionary, params.training
    return Study(name="bench", storage=storage, key="dictionary", config=config, training=training, seed=0)


def work(storage: str) -> None:
    """One worker. Three reports a trial, all alike, so that nothing is pruned."""
    from facetmill.platform.worker_processes import follow_supervisor
    from facetmill.training.search.study import Candidate

    def objective(candidate: Candidate) -> float:
        for step in range(1, 4):
            sum(range(WORK // 3))
            candidate.report(step, 0.5)
        return 0.5

    follow_supervisor()
    open_study(storage).run(TRIALS, objective, failed_before=0)


@contextmanager
def journals() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "studies.journal")


@contextmanager
def databases() -> Iterator[str]:
    """A database of its own, dropped again. Raises `ConnectionError` where no PostgreSQL answers."""
    try:
        import psycopg
    except ImportError as error:
        raise ConnectionError(f"no PostgreSQL driver: {error}") from error
    try:
        server = psycopg.connect(f"postgresql://postgres@{POSTGRES}/test", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        raise ConnectionError(f"no PostgreSQL at {POSTGRES} ({type(error).__name__})") from error
    name = f"facetmill_bench_{uuid.uuid4().hex}"
    with server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql://postgres@{POSTGRES}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    work(sys.argv[1])
