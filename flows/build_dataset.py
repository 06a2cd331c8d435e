"""Build one dataset and judge it."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.dataset.workspace import build
from facetmill.platform.steps import step
from facetmill.workbench import open_workbench


@flow(name="build_dataset", log_prints=True)
def build_dataset(data: str | None = None) -> dict[str, Any]:
    """Run the stale DVC stages. Fails when the data gate says no; the dataset and its verdict stay to be looked at."""
    bench = open_workbench(data)
    built = step(build)(bench.layout.root, bench.params, on_line=print)
    step(built.dataset.require_passed)()
    return built.to_json()
