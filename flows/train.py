"""Train one model on the fixed seeds, with the parameters as they stand in params.yaml, and register the best."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.storage import push
from facetmill.dataset.workspace import build
from facetmill.imports import imported_meanwhile
from facetmill.platform.steps import step
from facetmill.workbench import open_workbench


@flow(name="train", log_prints=True)
def train(data: str | None = None, model: str | None = None) -> dict[str, Any]:
    """One MLflow run per seed and one new version of `facets-candidates`; nothing live changes."""
    bench = open_workbench(data, model)
    with imported_meanwhile("facetmill.registry.judging"):  # while DVC works in processes of its own
        dataset = step(build)(bench.layout.root, bench.params, on_line=print).dataset
    from facetmill.registry.judging import register_candidate
    from facetmill.training.final import recipe_of, train_dictionary, train_seeds

    step(dataset.require_passed)()
    step(push)(bench.layout.root, dataset, on_line=print)
    dictionary = step(train_dictionary)(bench, dataset)
    runs = step(train_seeds)(bench, dataset, recipe_of(bench.params, bench.params.model))
    candidate = step(register_candidate)(bench, dataset, runs, dictionary)
    return candidate.to_json()
