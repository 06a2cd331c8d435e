"""Trials that are RUNNING while their process is gone: how they are told, and how they are ended.

Apart from the study, since whoever only cleans up need not wait for the models that a study trains.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from facetmill.platform.processes import Process
from facetmill.training.search.storage import open_storage, turn

MAX_TRIES = 2  # of one set of parameters whose process dies: perhaps it is these that kill it
ABANDONED_AFTER = timedelta(days=1)  # for trials of other hosts, whose processes cannot be looked up


def end_lost_trials(storage: str | Path) -> list[str]:
    """End the trials of dead processes of this host in every study, as the next worker of each would; returns a line
    for each. A study that no `Study` has made is left alone."""
    if "://" not in str(storage) and not Path(storage).exists():
        return []
    ended = []
    with turn(storage):
        opened = open_storage(storage)
        for name in optuna.get_all_study_names(opened):
            study = optuna.load_study(study_name=name, storage=opened)
            if "origin" not in study.user_attrs:
                continue
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if is_gone(trial):
                    queued = ", queued once more" if requeue(study, trial) else ""
                    ended.append(f"closed: trial {trial.number} of study {name}, whose process is gone{queued}")
    return ended


def requeue(study: optuna.Study, trial: FrozenTrial) -> bool:
    """End a trial that was stopped from outside, and queue its parameters unless they had their last try; whether they
    are queued."""
    tries = trial.user_attrs.get("tries", 1)
    if tries >= MAX_TRIES:
        error = f"stopped from outside at each of {tries} tries"
        study._storage.set_trial_user_attr(trial._trial_id, "error", error)
    # A trial may have been stopped before it asked for every parameter that was chosen for it.
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    if tries < MAX_TRIES:
        study.enqueue_trial(params, user_attrs={"tries": tries + 1, "again": trial.number})
    return bool(tries < MAX_TRIES)


def is_gone(trial: FrozenTrial) -> bool:
    """Whether the process of a RUNNING trial is gone. One that died in its turn, before it said who it is, is."""
    owner = _owner(trial)
    return owner is None or owner.is_gone


def is_abandoned(trial: FrozenTrial) -> bool:
    """Whether a RUNNING trial of another host, whose process cannot be looked up, is taken for lost: after a day."""
    owner = _owner(trial)
    if owner is None or owner.is_here:
        return False
    return trial.datetime_start is None or datetime.now() - trial.datetime_start > ABANDONED_AFTER


def _owner(trial: FrozenTrial) -> Process | None:
    return Process(*trial.user_attrs["owner"]) if "owner" in trial.user_attrs else None
