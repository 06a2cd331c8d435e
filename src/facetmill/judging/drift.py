"""A batch of products beside what a registered model was trained on."""

from __future__ import annotations

from itertools import chain
from typing import Any

from facetmill.dataset.store import workspace
from facetmill.dataset.store.reading import reading_data
from facetmill.gates.drift import Profile, drift
from facetmill.project import Project
from facetmill.registry.lineage import bring_back, dataset_version_of


def batch_drift(project: Project, ref: str) -> dict[str, Any]:
    """Whether the data of `project.params` has drifted from what `ref` was trained on, and by which claims.

    Raises `PlatformError` where the model's dataset is not known, `DataError` where it cannot be brought back.
    """
    dataset = bring_back(project.tracker, project.layout.root, dataset_version_of(project.tracker, ref))
    with workspace.reading(dataset.dir) as current:
        trained = Profile.of(current.read("train"))
        held_out = Profile.of(chain(current.read("validation"), current.read("test")))
    with reading_data(project.params) as (products, report):
        verdict = drift(trained, held_out, Profile.of(products), project.params.drift)
    return {
        "model": ref,
        "trained_on": dataset.version,
        "rows_dropped": report.num_dropped,
        "drifted": not verdict.passed,
        **verdict.to_json(),
    }
