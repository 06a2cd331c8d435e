"""One study: trials of one model over its search space, which can be stopped at any moment and goes on where it was.

Optuna decides what to try and what to prune; the caller's `objective` trains. A study is known by its name, and its
first trial is what params.yaml says, so the winner is never worse than that on the same seed.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from facetmill.errors import FacetmillError
from facetmill.params import ModelConfig, TrainingParams, to_mapping
from facetmill.training.search.spaces import SPACES

MAX_TRIES = 2  # of one set of parameters whose process dies: perhaps it is these that kill it
STARTUP_TRIALS = 5  # drawn at random before TPE has enough to learn from
MIN_COMPLETE_TO_PRUNE = 2
FIRST_STEP_TO_PRUNE = 2  # epochs count from 1, and the first says little while the learning rate still warms up
ABANDONED_AFTER = timedelta(days=1)  # for trials of other hosts, whose processes cannot be looked up

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """What one trial is to train: `params` are the values drawn, `config` and `training` hold them."""

    number: int
    params: Mapping[str, Any]
    config: ModelConfig
    training: TrainingParams
    _trial: optuna.Trial = field(repr=False)

    def report(self, step: int, value: float) -> None:
        """Tell the score after a step (an epoch, from 1). Raises `optuna.TrialPruned` where going on is hopeless."""
        self._trial.report(value, step)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"trial {self.number} pruned at step {step}: {value:.4f} is below the median")


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands. `state` is COMPLETE, PRUNED, FAIL, RUNNING or WAITING; a pruned one has its last value."""

    number: int
    state: str
    value: float | None
    params: Mapping[str, Any]
    seconds: float | None


@dataclass(frozen=True)
class Best:
    """The winner, ready to be trained again."""

    number: int
    value: float
    params: Mapping[str, Any]
    config: ModelConfig
    training: TrainingParams


Objective = Callable[[Candidate], float]


class Study:
    """A study by name, created if it is new.

    `storage` is the path of a journal file, enough for one host, or a postgresql:// URL. `config` and `training` are
    those of params.yaml. Raises `FacetmillError` if the study of this name was begun with others.
    """

    def __init__(
        self, *, name: str, storage: str | Path, key: str, config: ModelConfig, training: TrainingParams, seed: int
    ) -> None:
        self._space, self._config, self._training, self._seed = SPACES[key], config, training, seed
        self._study = optuna.create_study(
            study_name=name,
            storage=open_storage(storage),
            pruner=optuna.pruners.MedianPruner(MIN_COMPLETE_TO_PRUNE, FIRST_STEP_TO_PRUNE),
            direction="maximize",
            load_if_exists=True,
        )
        origin = {"model": key, "config": to_mapping(config), "training": to_mapping(training)}
        known = self._study.user_attrs.get("origin")
        if known is None:
            self._study.set_user_attr("origin", origin)
        elif known != origin:
            raise FacetmillError(f"study {name!r} was begun with other parameters than these of {key}")

    def records(self) -> list[TrialRecord]:
        """Every trial by number."""
        return [_record(trial) for trial in self._trials()]

    def num_finished(self) -> int:
        """Trials that are COMPLETE or PRUNED."""
        return len(self._trials(TrialState.COMPLETE, TrialState.PRUNED))

    def best(self, min_gain: float = 0.0) -> Best:
        """The best trial so far, or the first one, that of params.yaml, unless it is beaten by more than `min_gain`.

        Raises `FacetmillError` when none is COMPLETE.
        """
        try:
            record = best_trial(self.records(), min_gain)
        except FacetmillError as error:
            raise FacetmillError(f"study {self._study.study_name!r}: {error}") from None
        assert record.value is not None
        config, training = self._space.suggest(
            optuna.trial.FixedTrial(dict(record.params)), self._config, self._training
        )
        return Best(record.number, record.value, record.params, config, training)

    def run(
        self, trials: int, objective: Objective, on_trial: Callable[[TrialRecord], None] | None = None
    ) -> list[TrialRecord]:
        """Try until `trials` are finished, and return what was tried now; finished trials of earlier runs count.

        `objective` trains one candidate and returns its score, higher is better. What it raises decides the trial:
        `optuna.TrialPruned` makes it PRUNED, any other exception, and a score that is not finite, make it FAIL, and the
        study goes on. A failed trial is not tried again in this run. Parameters of trials that were stopped from
        outside, now or in a process that is gone, are tried once more. `on_trial` hears of each trial that has ended.

        Raises the last error if every trial of the study failed.
        """
        self._requeue_lost()
        if not self._trials():
            self._study.enqueue_trial(self._space.defaults(self._config, self._training))
        tried: list[TrialRecord] = []
        last_error: Exception | None = None
        for _ in range(trials - self.num_finished()):
            number, error = self._attempt(objective)
            last_error = error or last_error
            tried.append(_record(self._trials()[number]))
            if on_trial is not None:
                on_trial(tried[-1])
        if last_error is not None and not self._trials(TrialState.COMPLETE):
            raise last_error
        return tried

    def _attempt(self, objective: Objective) -> tuple[int, Exception | None]:
        # A sampler begins anew in each process, so with one seed a resumed study would draw its first trials again.
        seed = self._seed + len(self._trials())
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        trial = self._study.ask()
        trial.set_user_attr("owner", _this_process())
        try:
            config, training = self._space.suggest(trial, self._config, self._training)
            value = objective(Candidate(trial.number, trial.params, config, training, trial))
            if not math.isfinite(value):
                raise FacetmillError(f"trial {trial.number}: its score is {value}")
        except optuna.TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        except Exception as error:
            _log.warning("trial %d failed with %s", trial.number, trial.params, exc_info=error)
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            return trial.number, error
        except BaseException:  # Ctrl-C, or a cancelled flow
            self._requeue(self._trials()[trial.number])
            raise
        else:
            self._study.tell(trial, value, skip_if_finished=True)
        return trial.number, None

    def _requeue_lost(self) -> None:
        for trial in self._trials(TrialState.RUNNING):
            if _is_lost(trial):
                self._requeue(trial)

    def _requeue(self, trial: FrozenTrial) -> None:
        """End a trial that was stopped from outside, and queue its parameters unless they had their last try."""
        tries = trial.user_attrs.get("tries", 1)
        # A trial may have been stopped before it asked for every parameter that was chosen for it.
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        if tries < MAX_TRIES:
            self._study.enqueue_trial(params, user_attrs={"tries": tries + 1, "again": trial.number})

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)


def best_trial(records: Sequence[TrialRecord], min_gain: float = 0.0) -> TrialRecord:
    """The COMPLETE trial of the highest value, the first of equals; number 0 unless beaten by more than `min_gain`.

    Raises `FacetmillError` if there is none.
    """
    scored = [(r.value, -r.number, r) for r in records if r.state == "COMPLETE" and r.value is not None]
    comparable = [entry for entry in scored if not math.isnan(entry[0])]
    if not comparable:
        states = ", ".join(f"{record.number} {record.state}" for record in records) or "there is none"
        raise FacetmillError(f"no trial is complete, so none is best (trials: {states})")
    value, _, best = max(comparable, key=lambda entry: entry[:2])
    first = next((entry for entry in comparable if entry[2].number == 0), None)
    return first[2] if first is not None and value <= first[0] + min_gain else best


def open_storage(storage: str | Path) -> BaseStorage:
    """A journal file by its path, or PostgreSQL by its URL.

    Tables are made on first use, which two processes must not do at once: make the study before workers start. The
    database may not be MLflow's or Prefect's, since each of the three keeps its own `alembic_version` table.
    """
    scheme, found, rest = str(storage).partition("://")
    if found:
        if scheme not in ("postgresql", "postgresql+psycopg"):
            raise FacetmillError(f"study storage: {scheme}: is not supported; give a postgresql:// URL or a file")
        return RDBStorage(f"postgresql+psycopg://{rest}", engine_kwargs={"pool_pre_ping": True})
    path = Path(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without an end, left by a crash in mid-write; Optuna would fail on it for ever."""
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    finally:
        lock.release()


def _record(trial: FrozenTrial) -> TrialRecord:
    seconds = trial.duration.total_seconds() if trial.duration is not None else None
    return TrialRecord(trial.number, trial.state.name, trial.value, trial.params, seconds)


def _this_process() -> list[Any]:
    process = psutil.Process()
    return [socket.gethostname(), process.pid, process.create_time()]


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether the process of a RUNNING trial is gone. Of another host that is only assumed, and only after a day."""
    if "owner" not in trial.user_attrs:
        return True
    host, pid, started = trial.user_attrs["owner"]
    if host != socket.gethostname():
        return trial.datetime_start is None or datetime.now() - trial.datetime_start > ABANDONED_AFTER
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 60  # else the id was given to a new process
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
