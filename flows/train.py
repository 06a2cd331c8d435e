"""Train one model on the fixed seeds, with the parameters as they stand in params.yaml, and register the best."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.store.storage import push
from facetmill.dataset.store.workspace import build
from facetmill.imports import imported_meanwhile
from facetmill.platform.steps import step
from facetmill.platform.told import run_name
from facetmill.project import open_project


@flow(name="train", flow_run_name=run_name, log_prints=True)
def train(
    data: str | None = None, catalogue: str | None = None, model: str | None = None, changes: list[str] | None = None
) -> dict[str, Any]:
    """One MLflow run per seed and one new candidate of the catalogue; nothing live changes."""
    project = open_project(data, model, changes, catalogue=catalogue)
    with imported_meanwhile("facetmill.judging.judge"):  # while DVC works in processes of its own
        dataset = step(build)(project.layout.root, project.params, log=print).dataset
    from facetmill.judging.judge import register_candidate
    from facetmill.runs.train import recipe_of, train_dictionary, train_seeds

    step(dataset.require_passed)()
    step(push)(project.layout.root, dataset, log=print)
    dictionary = step(train_dictionary)(project, dataset)
    runs = step(train_seeds)(project, dataset, recipe_of(project.params, project.params.model))
    candidate = step(register_candidate)(project, dataset, runs, dictionary)
    return candidate.to_json()
