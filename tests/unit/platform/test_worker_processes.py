"""Several processes on one study, one of them killed in mid-trial: nothing is lost and nothing is done too often."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from facetmill.errors import FacetmillError
from facetmill.params import load_params
from facetmill.platform.worker_processes import supervise
from facetmill.training.search.study import Study

WORKER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from facetmill.params import load_params
    from facetmill.training.search.study import Study
    from facetmill.platform.worker_processes import follow_supervisor

    follow_supervisor()
    root, storage, trials, mark, slow = sys.argv[1:]
    params = load_params(Path(root) / "params.yaml")

    def objective(candidate):
        for step in range(1, 4):
            candidate.report(step, 1 - (candidate.params["min_reliability"] - 0.6) ** 2)
            time.sleep(0.02)
        if candidate.number >= int(slow) and not Path(mark).exists():
            with open(mark, "x") as file:  # of two at once, one fails and so is not slow
                import os
                file.write(f"{os.getpid()} {candidate.number}")
            time.sleep(600)
        return 1 - (candidate.params["min_reliability"] - 0.6) ** 2

    study = Study(name="toy", storage=storage, key="dictionary", config=params.models.dictionary,
                  training=params.training, seed=0)
    study.run(int(trials), objective, failed_before=0)
""")


def open_study(root: Path, storage: str) -> Study:
    params = load_params(root / "params.yaml")
    return Study(
        name="toy",
        storage=storage,
        key="dictionary",
        config=params.models.dictionary,
        training=params.training,
        seed=0,
    )


def command(root: Path, storage: str, trials: int, mark: Path, slow: int) -> list[str]:
    return [sys.executable, "-c", WORKER, str(root), storage, str(trials), str(mark), str(slow)]


def kill_marked(mark: Path, killed: list[int]) -> None:
    """SIGKILL to the worker that wrote the mark, once it has."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        words = mark.read_text().split() if mark.exists() else []
        if len(words) == 2:
            os.kill(int(words[0]), signal.SIGKILL)
            killed.append(int(words[1]))
            return
        time.sleep(0.05)


@pytest.mark.parametrize(("kind", "trials", "workers"), [("postgres", 12, 3), ("journal", 8, 2)])
def test_a_killed_workers_trial_is_tried_again_by_the_others_and_no_trial_is_too_many(
    kind: str, trials: int, workers: int, root: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    storage = request.getfixturevalue("postgres") if kind == "postgres" else str(tmp_path / "studies.journal")
    mark, killed, deaths = tmp_path / "mark", [], []
    killer = threading.Thread(target=kill_marked, args=(mark, killed))
    killer.start()
    supervise(workers, command(root, storage, trials, mark, 3), lambda: deaths.append(1))
    killer.join()
    study = open_study(root, storage)
    records = study.records()
    states = Counter(record.state for record in records)
    assert states["COMPLETE"] + states["PRUNED"] == trials == study.num_finished()
    assert len(deaths) == 1
    assert [record.number for record in records if record.state == "FAIL"] == killed
    assert len(records) == trials + 1
    lost = records[killed[0]].params
    assert sum(record.params == lost for record in records) == 2
    assert states["PRUNED"] > 0  # by medians over the trials of all workers


def test_when_every_worker_dies_that_is_told_and_none_is_started_for_ever() -> None:
    deaths: list[int] = []
    with pytest.raises(FacetmillError, match="every worker of the sweep died"):
        supervise(1, [sys.executable, "-c", "raise SystemExit(3)"], lambda: deaths.append(1))
    assert len(deaths) == 3


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_supervisor(sent: int, root: Path, tmp_path: Path) -> None:
    """However the supervisor ends; and the trial is queued again at once."""
    storage, mark = str(tmp_path / "studies.journal"), tmp_path / "mark"
    code = f"""
        import signal, sys
        from facetmill.platform.worker_processes import supervise
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        supervise(1, {command(root, storage, 2, mark, 0)!r}, lambda: None)
    """
    supervisor = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.DEVNULL)
    try:
        while not mark.exists() or not mark.read_text():
            assert supervisor.poll() is None
            time.sleep(0.05)
        worker = psutil.Process(int(mark.read_text().split()[0]))
        supervisor.send_signal(sent)
        supervisor.wait(60)
        psutil.wait_procs([worker], timeout=60)
        assert not worker.is_running()
    finally:
        supervisor.kill()
        supervisor.wait()
    assert [record.state for record in open_study(root, storage).records()] == ["FAIL", "WAITING"]
