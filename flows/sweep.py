"""Search one model's hyper-parameters on one dataset."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.storage import push
from facetmill.dataset.workspace import build
from facetmill.imports import imported_meanwhile
from facetmill.platform.steps import step
from facetmill.workbench import open_workbench


@flow(name="sweep", log_prints=True)
def sweep(data: str | None = None, model: str | None = None) -> dict[str, Any]:
    """Run or resume the study. Registers nothing: `train` does, with the winner on fixed seeds."""
    bench = open_workbench(data, model)
    with imported_meanwhile("facetmill.training.sweep"):  # while DVC works in processes of its own
        dataset = step(build)(bench.layout.root, bench.params, on_line=print).dataset
    from facetmill.training import sweep as search

    step(dataset.require_passed)()
    step(push)(bench.layout.root, dataset, on_line=print)
    return step(search.sweep)(bench, dataset, bench.params.model).to_json()
