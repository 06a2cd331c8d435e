"""One study: trials of one model over its search space, which can be stopped at any moment and goes on where it was.

Optuna decides what to try and what to prune; the caller's `objective` trains. A study is known by its name, and its
first trial is what params.yaml says, so the winner is never worse than that on the same seed.

Any number of processes, on any number of hosts, may work on one study. A process takes its turn (one lock for each
storage) to begin a trial: it ends the trials of dead processes, queues their parameters again, and then begins one
only while finished + running + failed trials leave room. So exactly as many finish as were asked for.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from facetmill.errors import FacetmillError
from facetmill.models import model_class
from facetmill.params import ModelConfig, TrainingParams, to_mapping
from facetmill.platform.outages import as_outage
from facetmill.platform.postgres import again, was_cut_off
from facetmill.platform.processes import this_process
from facetmill.training.search.lost import is_abandoned, is_gone, requeue
from facetmill.training.search.storage import open_storage, turn

STARTUP_TRIALS = 5  # drawn at random before TPE has enough to learn from
MIN_COMPLETE_TO_PRUNE = 2
MIN_COMPLETE_FOR_IMPORTANCES = 10
TOP_SHARE = 0.25  # of the complete trials, which a parameter is important for getting among
FIRST_STEP_TO_PRUNE = 2  # epochs count from 1, and the first says little while the learning rate still warms up

POLL_SECONDS = 0.5  # between two looks of a process that waits for the trials of others

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
        again(lambda: self._trial.report(value, step))
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"trial {self.number} pruned at step {step}: {value:.4f} is below the median")


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands. `state` is COMPLETE, PRUNED, FAIL, RUNNING or WAITING; a pruned one has its last value.

    `error` says why a trial failed; one that was stopped from outside and is tried again has none.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, Any]
    seconds: float | None
    error: str | None = None


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
        self._space, self._config, self._training, self._seed = model_class(key).space, config, training, seed
        self._storage = storage
        origin = {"model": key, "config": to_mapping(config), "training": to_mapping(training)}
        with turn(storage):
            self._study = optuna.create_study(
                study_name=name,
                storage=open_storage(storage),
                pruner=optuna.pruners.MedianPruner(MIN_COMPLETE_TO_PRUNE, FIRST_STEP_TO_PRUNE),
                direction="maximize",
                load_if_exists=True,
            )
            known = self._study.user_attrs.get("origin")
            if known is None:
                self._study.set_user_attr("origin", origin)
        if known is not None and known != origin:
            raise FacetmillError(f"study {name!r} was begun with other parameters than these of {key}")

    def records(self) -> list[TrialRecord]:
        """Every trial by number."""
        return [_record(trial) for trial in self._trials()]

    def num_finished(self) -> int:
        """Trials that are COMPLETE or PRUNED."""
        return len(self._trials(TrialState.COMPLETE, TrialState.PRUNED))

    def num_failed(self) -> int:
        """Trials that failed by themselves, or whose process was stopped at every try."""
        return sum("error" in trial.user_attrs for trial in self._trials(TrialState.FAIL))

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

    def importances(self) -> dict[str, float] | None:
        """How much each parameter decides whether a trial gets among the best quarter (PED-ANOVA), most first.

        Shares (0..1) of the complete trials' differences; a pruned trial has no final score and is not counted. None
        when there are fewer than `MIN_COMPLETE_FOR_IMPORTANCES`, or when nothing tells them apart.
        """
        if len(self._trials(TrialState.COMPLETE)) < MIN_COMPLETE_FOR_IMPORTANCES:
            return None
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # which import scikit-learn

        evaluator = PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns of what is None here
            found = get_param_importances(self._study, evaluator=evaluator, normalize=False)
        total = sum(found.values())
        # Nothing to share out, where Optuna would call all parameters equally important.
        return {name: value / total for name, value in found.items()} if total > 0 else None

    def run(
        self,
        trials: int,
        objective: Objective,
        on_trial: Callable[[TrialRecord], None] | None = None,
        failed_before: int | None = None,
    ) -> list[TrialRecord]:
        """Try until `trials` are finished, and return what was tried here; finished trials of other runs count.

        `objective` trains one candidate and returns its score, higher is better. What it raises decides the trial:
        `optuna.TrialPruned` makes it PRUNED, any other exception, and a score that is not finite, make it FAIL, and the
        study goes on. Parameters of trials that were stopped from outside, now or in a process that is gone, are tried
        once more; so are those of a trial for which a server or a disk was lost, which ends this run. `on_trial` hears
        of each trial that has ended. Trials that other processes are working on are waited for, since they may have to
        be tried again.

        A failed trial is not tried again in this run. `failed_before` is the `num_failed()` at which the run began,
        the same for all its workers; without it, that of now.

        Raises the last error if every trial of the study failed.
        """
        allowed = trials + (self.num_failed() if failed_before is None else failed_before)
        tried: list[TrialRecord] = []
        last_error: Exception | None = None
        while self.num_finished() + self.num_failed() < allowed:
            trial = again(lambda: self._begin(allowed))
            if trial is None:
                time.sleep(POLL_SECONDS)
                continue
            last_error = self._attempt(trial, objective) or last_error
            tried.append(_record(self._trials()[trial.number]))
            if on_trial is not None:
                on_trial(tried[-1])
        if last_error is not None and not self._trials(TrialState.COMPLETE):
            raise last_error
        return tried

    def _begin(self, allowed: int) -> optuna.Trial | None:
        """A new trial, or None while those that run may be all that is still allowed."""
        with turn(self._storage):
            for trial in self._trials(TrialState.RUNNING):
                if is_gone(trial) or is_abandoned(trial):
                    requeue(self._study, trial)
            num_running = len(self._trials(TrialState.RUNNING))
            if self.num_finished() + self.num_failed() + num_running >= allowed:
                return None
            if not self._trials():
                self._study.enqueue_trial(self._space.defaults(self._config, self._training))
            # A sampler begins anew in each process: with one seed, each would draw the same trials again.
            seed = self._seed + len(self._trials())
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
            begun = self._study.ask()
            begun.set_user_attr("owner", list(asdict(this_process()).values()))
            return begun

    def _attempt(self, trial: optuna.Trial, objective: Objective) -> Exception | None:
        try:
            config, training = self._space.suggest(trial, self._config, self._training)
            value = objective(Candidate(trial.number, trial.params, config, training, trial))
            if not math.isfinite(value):
                raise FacetmillError(f"trial {trial.number}: its score is {value}")
        except optuna.TrialPruned:
            self._tell(trial, TrialState.PRUNED)
        except Exception as error:
            if as_outage(error):  # the trial did nothing wrong
                requeue(self._study, self._trials()[trial.number])
                if was_cut_off(error):
                    return None
                raise
            said = f"{type(error).__name__}: {error}"
            _log.warning("trial %d failed with %s", trial.number, trial.params, exc_info=error)
            with suppress(UpdateFinishedTrialError):  # another host took this process for dead
                again(lambda: trial.set_user_attr("error", said))
            self._tell(trial, TrialState.FAIL)
            return error
        except BaseException:  # Ctrl-C, or a cancelled flow
            requeue(self._study, self._trials()[trial.number])
            raise
        else:
            self._tell(trial, TrialState.COMPLETE, value)
        return None

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        """End a trial, unless another host took this process for dead and has ended it."""
        with suppress(UpdateFinishedTrialError):
            again(lambda: self._study.tell(trial, value, state, skip_if_finished=True))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return again(lambda: self._study.get_trials(deepcopy=False, states=states or None))


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


def _record(trial: FrozenTrial) -> TrialRecord:
    seconds = trial.duration.total_seconds() if trial.duration is not None else None
    error = trial.user_attrs.get("error")
    return TrialRecord(trial.number, trial.state.name, trial.value, trial.params, seconds, error)
