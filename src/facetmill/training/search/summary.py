"""What a sweep leaves for its reviewer: every trial, what won and why, and which parameters mattered, as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from facetmill.errors import FacetmillError
from facetmill.training.search.study import MIN_COMPLETE_FOR_IMPORTANCES, Study, TrialRecord


def summarize(study: Study, min_gain: float) -> dict[str, Any]:
    """All trials of a study, whoever tried them and in whichever run, as `sweep.json` and the page `sweep.html` show.

    `best` is the number of the highest trial and `winner` of the one that is trained in earnest, which is 0 (the values
    of params.yaml) unless beaten by more than `min_gain`; both are None while no trial is complete. `importances` are
    shares (0..1) by parameter, or None, and then `no_importances` says why.
    """
    records = study.records()
    importances = study.importances()
    return {
        "min_gain": min_gain,
        "trials": [_trial(record) for record in records],
        "best": _best(study, 0.0),
        "winner": _best(study, min_gain),
        "importances": importances,
        "no_importances": None if importances else _why_none(records),
    }


def best_so_far(summary: Mapping[str, Any]) -> dict[int, float]:
    """The highest value up to each complete trial, by trial number."""
    highest, found = -math.inf, {}
    for trial in summary["trials"]:
        if trial["state"] == "COMPLETE" and trial["value"] is not None:
            highest = max(highest, trial["value"])
            found[int(trial["number"])] = highest
    return found


def _trial(record: TrialRecord) -> dict[str, Any]:
    """A pruned trial may have reported what is no number, and JSON has none such."""
    finite = record.value is not None and math.isfinite(record.value)
    return {**asdict(record), "params": dict(record.params), "value": record.value if finite else None}


def _best(study: Study, min_gain: float) -> int | None:
    try:
        return study.best(min_gain).number
    except FacetmillError:
        return None


def _why_none(records: list[TrialRecord]) -> str:
    complete = sum(record.state == "COMPLETE" for record in records)
    if complete < MIN_COMPLETE_FOR_IMPORTANCES:
        return f"{complete} complete trials say too little about it; at least {MIN_COMPLETE_FOR_IMPORTANCES} are needed"
    return f"the {complete} complete trials scored too much alike, or were tried with too much the same values"
