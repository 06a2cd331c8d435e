"""Studies with real Optuna: they find, prune, survive failures and kills, and always know what they tried."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest

from facetmill.errors import FacetmillError, PlatformError
from facetmill.params import Params, load_params
from facetmill.training.search.lost import end_lost_trials
from facetmill.training.search.storage import open_storage
from facetmill.training.search.study import (
    Candidate,
    Study,
    TrialRecord,
    best_trial,
)
from tests.damage import restart_postgres


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "studies.journal")


@pytest.fixture(params=["journal", "postgres"])
def storage(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return str(request.getfixturevalue(name))


def open_study(params: Params, storage: str, **changes: Any) -> Study:
    about = {"name": "toy", "key": "dictionary", "config": params.models.dictionary, "training": params.training}
    return Study(**{**about, "storage": storage, "seed": 0, **changes})


def quadratic(candidate: Candidate) -> float:
    """Best at min_reliability = 0.6."""
    return 1 - (candidate.params["min_reliability"] - 0.6) ** 2


def states(study: Study) -> Counter[str]:
    return Counter(record.state for record in study.records())


def test_finds_and_resumes_by_name(params: Params, storage: str) -> None:
    seen: list[TrialRecord] = []
    first = open_study(params, storage)
    assert first.run(4, quadratic, seen.append) == seen
    assert [record.number for record in seen] == [0, 1, 2, 3]
    assert {record.state for record in seen} == {"COMPLETE"}
    assert all(record.seconds is not None and record.seconds >= 0 for record in seen)
    again = open_study(params, storage)
    assert again.run(4, quadratic) == []  # nothing left to do
    assert (again.records(), again.best()) == (seen, first.best())
    again.run(20, quadratic)
    assert again.records()[:4] == seen
    assert again.num_finished() == 20
    best = again.best()
    assert seen[0].value is not None
    assert best.value > seen[0].value  # params.yaml says 0.3
    assert best.config.min_reliability == best.params["min_reliability"]
    assert best.config.match == best.params["match"]
    assert best.training == params.training


def test_first_trial_is_params_yaml(params: Params, journal: str) -> None:
    tried: list[Candidate] = []
    study = open_study(params, journal)
    study.run(2, lambda candidate: tried.append(candidate) or 0.5)
    assert (tried[0].config, tried[0].training) == (params.models.dictionary, params.training)
    assert tried[1].config != params.models.dictionary


def test_resumed_study_draws_new_values(params: Params, journal: str) -> None:
    """A sampler that is seeded alike in every process would try the same values again and again."""
    for trials in (3, 6, 9):
        open_study(params, journal).run(trials, quadratic)
    drawn = [record.params["min_reliability"] for record in open_study(params, journal).records()]
    assert len(set(drawn)) == 9


def test_seed_decides_what_is_drawn(params: Params, tmp_path: Path) -> None:
    def drawn(file: str, seed: int) -> list[dict[str, Any]]:
        study = open_study(params, str(tmp_path / file), seed=seed)
        return [dict(record.params) for record in study.run(8, quadratic)]

    assert drawn("a", 1) == drawn("b", 1)
    assert drawn("a2", 1) != drawn("c", 2)


def test_hopeless_trials_are_pruned(params: Params, journal: str) -> None:
    """Two good trials finish; then a bad one may have its first step, and is stopped at its second."""
    steps: Counter[int] = Counter()
    closed: list[str] = []

    def objective(candidate: Candidate) -> float:
        level = 0.9 if candidate.number < 2 else 0.1
        try:
            for step in range(1, 5):
                steps[candidate.number] += 1
                candidate.report(step, level + step / 100)
        except optuna.TrialPruned:
            closed.append("KILLED")  # a caller sees the pruning pass through
            raise
        return level

    study = open_study(params, journal)
    study.run(4, objective)
    assert [record.state for record in study.records()] == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert steps == {0: 4, 1: 4, 2: 2, 3: 2}
    assert study.records()[2].value == pytest.approx(0.12)
    assert closed == ["KILLED", "KILLED"]
    assert study.num_finished() == 4
    assert study.best().number == 0


def test_a_failed_trial_does_not_end_the_study(params: Params, journal: str) -> None:
    def objective(candidate: Candidate) -> float:
        match candidate.number:
            case 0:
                raise RuntimeError("out of memory")
            case 1:
                return math.nan
            case 2:
                return math.inf
        return 0.5

    study = open_study(params, journal)
    study.run(4, objective)
    assert states(study) == {"FAIL": 3, "COMPLETE": 1}
    assert study.best().number == 3
    assert study.num_finished() == 1
    study.run(4, objective)
    assert states(study) == {"FAIL": 3, "COMPLETE": 4}


def test_when_all_fail_the_last_error_is_raised(params: Params, journal: str) -> None:
    def objective(candidate: Candidate) -> float:
        raise RuntimeError(f"trial {candidate.number} has no disk")

    study = open_study(params, journal)
    with pytest.raises(RuntimeError, match="trial 2 has no disk"):
        study.run(3, objective)
    assert states(study) == {"FAIL": 3}
    with pytest.raises(FacetmillError, match=r"study 'toy': no trial is complete.*0 FAIL, 1 FAIL, 2 FAIL"):
        study.best()


def test_an_interrupted_trial_is_tried_again_once(params: Params, journal: str) -> None:
    tried: list[float] = []

    def interrupted(candidate: Candidate) -> float:
        tried.append(candidate.config.min_reliability)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            open_study(params, journal).run(2, interrupted)
    study = open_study(params, journal)
    study.run(2, lambda candidate: tried.append(candidate.config.min_reliability) or 0.5)
    assert tried[:2] == [0.3, 0.3]
    assert 0.3 not in tried[2:]  # stopped twice: given up
    assert [record.state for record in study.records()] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]


KILLED = """
    import sys, time
    from pathlib import Path
    from facetmill.params import load_params
    from facetmill.training.search.study import Study

    root, storage, mark = sys.argv[1:]
    params = load_params(Path(root) / "params.yaml")

    def objective(candidate):
        if candidate.number == 2:
            Path(mark).write_text(str(candidate.params["min_reliability"]))
            time.sleep(600)
        return 0.5

    study = Study(name="toy", storage=storage, key="dictionary", config=params.models.dictionary,
                  training=params.training, seed=0)
    study.run(5, objective)
"""


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not condition():
        assert process.poll() is None, "the study ended before it could be killed"
        time.sleep(0.05)


def test_killed_study_goes_on(params: Params, storage: str, root: Path, tmp_path: Path) -> None:
    """SIGKILL in the third of five trials: nothing is lost, and only the lost trial runs again, once."""
    mark = tmp_path / "mark"
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(root), storage, str(mark)]
    process = subprocess.Popen(arguments)
    try:
        wait_for(lambda: mark.exists() and mark.read_text() != "", process)
        study = open_study(params, storage)
        before = study.records()
        assert [record.state for record in before] == ["COMPLETE", "COMPLETE", "RUNNING"]
        study.run(2, quadratic)  # its process lives, so it is not taken for lost
        assert study.records() == before
        os.kill(process.pid, signal.SIGKILL)  # not waited for yet: a zombie is dead too
        wait_for_death(process)
        tried = study.run(5, lambda candidate: 0.7)
    finally:
        process.kill()
        process.wait()
    assert [record.state for record in study.records()] == ["COMPLETE", "COMPLETE", "FAIL", *["COMPLETE"] * 3]
    lost = float(mark.read_text())
    assert [record.params["min_reliability"] == lost for record in tried] == [True, False, False]
    assert study.best().number == tried[0].number
    assert study.run(5, quadratic) == []


def test_trials_of_dead_processes_are_ended_without_a_worker(
    params: Params, storage: str, root: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(root), storage, str(mark)]
    process = subprocess.Popen(arguments)
    try:
        wait_for(lambda: mark.exists() and mark.read_text() != "", process)
        foreign = optuna.create_study(study_name="not ours", storage=open_storage(storage))
        foreign.ask()
        assert end_lost_trials(storage) == []
        os.kill(process.pid, signal.SIGKILL)
        wait_for_death(process)
        assert end_lost_trials(storage) == [
            "closed: trial 2 of study toy, whose process is gone, queued once more",
        ]
    finally:
        process.kill()
        process.wait()
    records = open_study(params, storage).records()
    assert [record.state for record in records] == ["COMPLETE", "COMPLETE", "FAIL", "WAITING"]
    assert end_lost_trials(storage) == []
    assert [trial.state.name for trial in foreign.get_trials()] == ["RUNNING"]


def test_where_nothing_was_ever_tried_nothing_is_made(tmp_path: Path) -> None:
    assert end_lost_trials(tmp_path / "studies.journal") == []
    assert list(tmp_path.iterdir()) == []


def wait_for_death(process: subprocess.Popen[bytes]) -> None:
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def test_torn_journal_is_mended(params: Params, journal: str) -> None:
    """A crash in mid-write leaves half a line, on which Optuna alone fails at every later start."""
    open_study(params, journal).run(2, quadratic)
    with Path(journal).open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"1-')
    open_study(params, journal).run(3, quadratic)
    assert states(open_study(params, journal)) == {"COMPLETE": 3}


def test_other_parameters_under_the_same_name_are_refused(params: Params, journal: str) -> None:
    open_study(params, journal)
    with pytest.raises(FacetmillError, match="study 'toy' was begun with other parameters"):
        open_study(params, journal, key="jave", config=params.models.jave)
    open_study(params, journal, name="other", key="jave", config=params.models.jave)


def test_unknown_storage_is_refused_without_telling_the_password() -> None:
    with pytest.raises(FacetmillError, match="mysql") as caught:
        open_storage("mysql://me:secret@host/db")
    assert "secret" not in str(caught.value)


def record(number: int, value: float | None, state: str = "COMPLETE") -> TrialRecord:
    return TrialRecord(number, state, value, {}, 1.0)


@pytest.mark.parametrize(
    ("records", "best"),
    [
        ([record(0, 0.5), record(1, 0.6)], 1),  # better
        ([record(0, 0.5), record(1, 0.4)], 0),  # worse
        ([record(1, 0.5), record(0, 0.5)], 0),  # equal: the first
        ([record(0, math.nan), record(1, 0.1)], 1),
        ([record(0, 0.1), record(1, math.nan)], 0),
        ([record(0, 0.9, "PRUNED"), record(1, 0.1)], 1),
        ([record(0, None, "FAIL"), record(1, 0.0), record(2, None, "RUNNING")], 1),
        ([record(0, -2.0), record(1, -1.0)], 1),
    ],
)
def test_best_trial(records: list[TrialRecord], best: int) -> None:
    assert best_trial(records).number == best


def test_the_first_trial_stays_unless_it_is_beaten_by_more_than_noise() -> None:
    records = [record(0, 0.50), record(1, 0.515), record(2, 0.51)]
    assert best_trial(records, min_gain=0.02).number == 0
    assert best_trial([*records, record(3, 0.53)], min_gain=0.02).number == 3
    assert best_trial([record(0, 0.9, "PRUNED"), *records[1:]], min_gain=0.02).number == 1


@pytest.mark.parametrize("records", [[], [record(0, 0.9, "PRUNED")], [record(0, None, "FAIL")], [record(0, math.nan)]])
def test_no_best_trial(records: list[TrialRecord]) -> None:
    with pytest.raises(FacetmillError, match="no trial is complete"):
        best_trial(records)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b'{"op_code":4,"wor', r"'\{\"op_code\":4,\"wor'"),
        (b"", "''"),
        (b"\0\0", r"'\\x00\\x00'"),
        (b"\xff", r"'\\\\xff'"),
        (b"[1]", r"'\[1\]'"),
        (b'{"a":1}', r"'\{\"a\":1\}'"),
    ],
)
def test_a_bad_line_inside_a_journal_is_named_by_its_number(
    params: Params, journal: str, line: bytes, shown: str
) -> None:
    open_study(params, journal).run(1, quadratic)
    path = Path(journal)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]))
    spoiled = path.read_bytes()
    for use in (lambda: open_study(params, journal), lambda: end_lost_trials(journal)):
        with pytest.raises(
            PlatformError, match=rf"{path}, line 3: no line of Optuna's journal: {shown}; .*restore DIR"
        ):
            use()
    assert path.read_bytes() == spoiled


def test_a_journal_whose_lines_do_not_follow_is_named(params: Params, journal: str) -> None:
    open_study(params, journal).run(1, quadratic)
    path = Path(journal)
    operations = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    for operation in operations:
        operation.pop("study_id", None)
    path.write_text("".join(json.dumps(operation) + "\n" for operation in operations))
    with pytest.raises(PlatformError, match=rf"{path}: its lines do not follow from one another"):
        open_storage(journal)


def test_a_restart_of_postgresql_in_the_midst_of_trials_loses_none(params: Params, postgres: str) -> None:
    restarts = []

    def restarting(candidate: Candidate) -> float:
        candidate.report(1, 0.5)
        if candidate.number in (1, 2):
            restarts.append(restart_postgres(postgres))
        candidate.report(2, 0.6)
        return quadratic(candidate)

    study = open_study(params, postgres)
    study.run(4, restarting)
    for restart in restarts:
        restart.join()
    assert [(record.number, record.state) for record in study.records()] == [(n, "COMPLETE") for n in range(4)]


def test_a_trial_for_which_a_part_was_lost_did_not_fail(params: Params, journal: str) -> None:
    def no_room(candidate: Candidate) -> float:
        if len(study.records()) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return quadratic(candidate)

    study = open_study(params, journal)
    with pytest.raises(OSError, match="No space left"):
        study.run(3, no_room)
    assert (study.num_failed(), states(study)["WAITING"]) == (0, 1)
    study.run(3, quadratic)
    assert (study.num_failed(), states(study)["COMPLETE"]) == (0, 3)
