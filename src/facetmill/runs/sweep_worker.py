"""One worker of a sweep: a process of this module's `main`, or `work` alone in a Prefect worker (`sweep.pool`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facetmill.errors import FacetmillError, PlatformError
from facetmill.platform.outages import as_outage
from facetmill.platform.worker_processes import follow_supervisor
from facetmill.terminal import guard


def main(job: str) -> None:
    """Work on one sweep in a process that `supervise` has started; `job` is JSON."""
    guard()
    follow_supervisor()
    try:
        work(json.loads(job))
    except Exception as error:
        known = error if isinstance(error, FacetmillError) else as_outage(error)
        if known is None:
            raise
        raise SystemExit(f"worker of a sweep: {known}") from None


def work(job: Mapping[str, Any]) -> None:
    """Try candidates of one sweep's study until it is complete; `job` is what `facetmill.runs.sweep` says of it.

    Raises `PlatformError` on a host with other code or another storage, where it would begin a study of its own.
    """
    import optuna

    from facetmill.dataset.store.version import Dataset
    from facetmill.params import parse_params
    from facetmill.platform.layout import Layout
    from facetmill.project import Project
    from facetmill.runs.sweep import Trial, open_study, study_name
    from facetmill.training.search.storage import open_storage

    project = Project(Layout(Path(job["root"])), parse_params(job["params"], "params of the sweep"), job["catalogue"])
    dataset = Dataset.open(Path(job["dataset"]))
    if study_name(project, dataset, job["model"]) != job["study"]:
        raise PlatformError("the Facetmill of this worker's host is not that of the sweep; install the same code there")
    if job["study"] not in optuna.get_all_study_names(open_storage(project.layout.study_storage)):
        raise PlatformError("the sweep's study is not in this worker's storage; give it the sweep's FACETMILL_STORAGE")
    name, study = open_study(project, dataset, job["model"])
    trial = Trial(project, dataset, job["model"], name, job["run"])
    study.run(project.params.sweep.trials, trial, failed_before=job["failed_before"])


if __name__ == "__main__":
    main(sys.argv[1])
