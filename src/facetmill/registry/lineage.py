"""Where a model comes from, and what became of a dataset: every link both ways, read from what the runs have kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facetmill.dataset.store import storage, workspace
from facetmill.dataset.store.checkout import checkout
from facetmill.dataset.store.version import Dataset
from facetmill.errors import PlatformError
from facetmill.registry import versions
from facetmill.registry.ledger import Ledger
from facetmill.tracking.names import Names
from facetmill.tracking.tags import DATASET, DATASET_VERSION, GIT_DIRTY, KIND, MODEL, RUN, STUDY
from facetmill.tracking.tracker import RunInfo, Tracker


def dataset_version_of(tracker: Tracker, ref: str) -> str:
    """The version of the dataset that a model was trained on. Raises `PlatformError` where that is not known."""
    tags = versions.resolve(tracker, ref).tags
    if DATASET_VERSION not in tags:
        raise PlatformError(f"{ref}: what it was trained on is not known; say --data")
    return tags[DATASET_VERSION]


def of_model(tracker: Tracker, ledger: Ledger, root: Path, ref: str) -> dict[str, Any]:
    """From a model to its run, code, parameters, sweep, dataset and that dataset's gate, and when it was live."""
    resolved = versions.resolve(tracker, ref)
    if resolved.run_id is None:
        raise PlatformError(f"{ref}: no run is known of it")
    run = tracker.run_info(resolved.run_id)
    dataset_version = run.tags[DATASET_VERSION]
    verdict = tracker.read_json(run.run_id, "dataset/checked/verdict.json")
    return {
        "ref": ref,
        "model": run.tags[MODEL],
        "run": run.run_id,
        "commit": run.tags.get("mlflow.source.git.commit"),
        "uncommitted_changes": run.tags.get(GIT_DIRTY) == "true",
        "recipe": tracker.read_json(run.run_id, "recipe.json"),
        "study": run.tags.get(STUDY),
        "dataset": {
            "name": run.tags[DATASET],
            "version": dataset_version,
            "gate_passed": verdict.get("passed"),
            "here": str(found.dir) if (found := workspace.find(root, dataset_version)) else None,
        },
        "versions": _versions_of(tracker, ledger, run.run_id),
    }


def of_dataset(tracker: Tracker, ledger: Ledger, version: str) -> dict[str, Any]:
    """From a dataset to everything that was trained on it. `version` may be its first digits."""
    runs, full = _runs_on(tracker, version)
    catalogues = versions.catalogues(tracker)
    return {
        "version": full,
        "names": sorted({run.tags[DATASET] for run in runs}),
        "runs": [
            {
                "run": run.run_id,
                "name": run.name,
                "status": run.status,
                "test_pair_f1": run.metrics.get("test/pair_f1"),
                "test_value_f1": run.metrics.get("test/value_f1"),
                "versions": _versions_of(tracker, ledger, run.run_id, catalogues),
            }
            for run in runs
        ],
    }


def bring_back(tracker: Tracker, root: Path, version: str) -> Dataset:
    """The dataset of a version (or its first digits), from here or from DVC's cache as the runs on it noted it; its
    bytes are held against the version.

    Raises `PlatformError` when neither is known, and `DataError` when the cache has lost it, or a file or picture was
    changed.
    """
    found = workspace.find(root, version)
    if found is not None:
        found.require_intact()
    else:
        runs, full = _runs_on(tracker, version)
        found = checkout(root, full, _dvc_files(tracker, runs[0].run_id), _say)
    if not found.lists_pictures:
        _say(f"dataset {found.version[:12]} was built before pictures were listed: whether they changed is not known")
    return found


def collect_datasets(tracker: Tracker, root: Path, *, remote: bool, dry_run: bool) -> storage.Collected:
    """Forget every dataset that neither lies in data/ nor belongs to a registered model, champion or candidate.

    Raises `PlatformError`, and removes nothing, when the data of a registered model is not known.
    """
    keep, unknown = registered_datasets(tracker)
    if unknown:
        raise PlatformError(f"{unknown[0]}: what it was trained on is not known; nothing was removed")
    return storage.collect(root, keep, _say, remote=remote, dry_run=dry_run)


def registered_datasets(tracker: Tracker) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The datasets of all registered models by version, as the texts of their `DVC_FILES`; and the models of which it
    is not known."""
    found: dict[str, dict[str, str]] = {}
    unknown = []
    for model in versions.registered(tracker):
        run_id = model.tags.get(RUN)
        dataset_version = tracker.run_info(run_id).tags.get(DATASET_VERSION) if run_id else None
        if run_id is None or dataset_version is None:
            unknown.append(f"{model.name}/{model.version}")
        elif dataset_version not in found:
            try:
                found[dataset_version] = _dvc_files(tracker, run_id)
            except PlatformError:
                unknown.append(f"{model.name}/{model.version}")
    return found, unknown


def _dvc_files(tracker: Tracker, run_id: str) -> dict[str, str]:
    return {name: tracker.read_text(run_id, f"dataset/{name}") for name in workspace.DVC_FILES}


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # stdout may be JSON that another program reads


def _runs_on(tracker: Tracker, version: str) -> tuple[list[RunInfo], str]:
    """The trainings on the dataset whose version begins so, newest first, and that version in full.

    Raises `PlatformError` when there is none, or more than one.
    """
    if not version.isalnum():
        raise PlatformError(f"dataset {version!r}: a version is 64 hexadecimal digits, or the first of them")
    runs = tracker.search({KIND: "training"}, like={DATASET_VERSION: f"{version}%"})
    found = sorted({run.tags[DATASET_VERSION] for run in runs})
    if len(found) != 1:
        what = f"{', '.join(found)} begin so; give more digits" if found else "nothing was trained on it"
        raise PlatformError(f"dataset {version!r}: {what}")
    return runs, found[0]


def _versions_of(
    tracker: Tracker, ledger: Ledger, run_id: str, catalogues: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The candidates of a run, in whichever catalogues, and the champions that were copied from them with the time they
    went live."""
    found: list[dict[str, Any]] = []
    for catalogue in versions.catalogues(tracker) if catalogues is None else catalogues:
        names, candidate = Names(catalogue), versions.version_of_run(tracker.of(catalogue), run_id)
        if candidate is None:
            continue
        rows = [row for row in ledger.of(catalogue).history() if row.state == "done"]
        lives = [
            {"version": f"{names.live}/{row.to_version}", "since": row.when.isoformat()}
            for row in rows
            if row.candidate_version == candidate
        ]
        found += [{"version": f"{names.candidates}/{candidate}"}, *lives]
    return found
