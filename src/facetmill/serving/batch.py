"""A model by reference, over many products: score them, or write what it finds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import tee
from pathlib import Path
from typing import Any

import orjson

from facetmill.dataset.version import Dataset
from facetmill.dataset.workspace import workspace_dir
from facetmill.errors import DataError
from facetmill.evaluation import BATCH, evaluate, reading_data
from facetmill.files import replace_file
from facetmill.models.base import Model
from facetmill.records import SPLITS, Product
from facetmill.registry import versions
from facetmill.serving.answer import answer
from facetmill.training.checkpoint import load_model
from facetmill.training.device import compute_settings
from facetmill.training.predict import predict
from facetmill.workbench import Workbench


@contextmanager
def open_model(bench: Workbench, ref: str) -> Iterator[Model]:
    """Load the model that a reference names, its hash checked against the registry's; it computes as in training."""
    with tempfile.TemporaryDirectory() as folder, compute_settings(bench.params.training.threads):
        yield load_model(versions.fetch(bench.tracker, versions.resolve(bench.tracker, ref), Path(folder)))


def evaluate_reference(bench: Workbench, ref: str, split: str | None) -> dict[str, Any]:
    """Scores of a model on the workbench's data: all of it, or one frozen split of the dataset built from it."""
    with open_model(bench, ref) as model, _reading(bench, split) as (products, dropped):
        started = time.perf_counter()
        scores = evaluate(model, products, bootstrap=bench.params.promotion.bootstrap)
        seconds = time.perf_counter() - started
    return {"ref": ref, **scores.to_json(), "dropped": dropped, "seconds": round(seconds, 3)}


def extract_to_file(bench: Workbench, ref: str, out: Path) -> dict[str, Any]:
    """One JSON line per product, in the order of the data. Nothing is written when too many rows are bad."""
    num_products = num_facets = 0
    with (
        open_model(bench, ref) as model,
        _reading(bench, None) as (products, dropped),
        replace_file(out) as temporary,
        temporary.open("wb") as lines,
    ):
        asked, kept = tee(products)
        for product, facets in zip(kept, predict(model, asked, BATCH), strict=True):
            line = answer(product, facets)
            lines.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            num_products += 1
            num_facets += len(line["facets"])
    return {"ref": ref, "out": str(out), "products": num_products, "facets": num_facets, "dropped": dropped}


@contextmanager
def _reading(bench: Workbench, split: str | None) -> Iterator[tuple[Iterator[Product], dict[str, int]]]:
    """All products of the workbench's data, or those of a frozen split; and how many rows were dropped, by reason."""
    if split is None:
        with reading_data(bench.params) as (products, report):
            yield products, dict(report.dropped)
        return
    if split not in SPLITS:
        raise DataError(f"--split {split!r}: one of {', '.join(SPLITS)}")
    yield Dataset.open(workspace_dir(bench.layout.root, bench.params)).read(split), {}
