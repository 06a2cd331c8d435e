"""The whole loop: dataset, data gate, baseline, sweep, final trainings, candidate, judgement, promotion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.storage import push
from facetmill.dataset.workspace import build
from facetmill.imports import imported_meanwhile
from facetmill.platform.steps import step
from facetmill.workbench import open_workbench


@flow(name="retrain", log_prints=True)
def retrain(data: str | None = None, model: str | None = None, who: str = "", why: str = "retrain") -> dict[str, Any]:
    """Offer the champion a challenger trained on today's data; one that is not better changes nothing live."""
    bench = open_workbench(data, model)
    with imported_meanwhile(
        "facetmill.registry.judging", "facetmill.training.sweep"
    ):  # while DVC works in processes of its own
        built = step(build)(bench.layout.root, bench.params, on_line=print)
    from facetmill.registry.judging import register_candidate, settle
    from facetmill.training.final import train_dictionary, train_seeds
    from facetmill.training.sweep import sweep

    dataset = built.dataset
    step(dataset.require_passed)()
    step(push)(bench.layout.root, dataset, on_line=print)
    dictionary = step(train_dictionary)(bench, dataset)
    winner = step(sweep)(bench, dataset, bench.params.model)
    runs = step(train_seeds)(bench, dataset, winner.recipe, winner.study)
    candidate = step(register_candidate)(bench, dataset, runs, dictionary)
    outcome = step(settle)(bench, candidate.version, who=who, why=why)
    return {
        "dataset": built.to_json(),
        "sweep": winner.to_json(),
        "candidate": candidate.to_json(),
        "outcome": outcome.to_json(),
    }
