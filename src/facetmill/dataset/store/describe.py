"""A dataset in numbers: what it holds, what each stage dropped, and what the gate said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import workspace_dir
from facetmill.files import read_json
from facetmill.params import Params


def describe(root: Path, params: Params) -> dict[str, Any]:
    """Raises `DataError` when the dataset of these parameters was not built yet."""
    return described(Dataset.open(workspace_dir(root, params)))


def described(dataset: Dataset) -> dict[str, Any]:
    """The numbers of a dataset at hand."""
    reports = {path.stem: read_json(path) for path in sorted((dataset.dir / "reports").glob("*.json"))}
    return {
        "name": dataset.name,
        "version": dataset.version,
        "folder": str(dataset.dir),
        "splits": dataset.manifest["splits"],
        "attributes": {
            attribute.name: {"values": len(attribute.values), "products": sum(attribute.values.values())}
            for attribute in dataset.schema.attributes
        },
        "stages": reports,
        "verdict": dataset.verdict,
        "gate_page": str(dataset.dir / "checked" / "report.html"),
    }
