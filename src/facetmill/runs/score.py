"""A model by reference, over many products: score them, or write what it finds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import tee
from pathlib import Path
from typing import Any

import orjson

from facetmill.compute.device import compute_settings
from facetmill.dataset.store.readers import as_read_by
from facetmill.dataset.store.reading import reading_data
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import workspace_dir
from facetmill.errors import DataError
from facetmill.files import replace_file
from facetmill.models.base import Model
from facetmill.project import Project
from facetmill.records import SPLITS, Product
from facetmill.registry import versions
from facetmill.serving.answer import answer
from facetmill.training.checkpoint import load_model
from facetmill.training.evaluate import BATCH, evaluate
from facetmill.training.predict import answer_all


@contextmanager
def open_model(project: Project, ref: str) -> Iterator[Model]:
    """Load the model that a reference names, its hash checked against the registry's; it computes as in training."""
    with tempfile.TemporaryDirectory() as folder, compute_settings(project.params.training.threads):
        yield load_model(versions.fetch(project.tracker, versions.resolve(project.tracker, ref), Path(folder)))


def evaluate_reference(project: Project, ref: str, split: str | None) -> dict[str, Any]:
    """Scores of a model on the project's data: all of it, or one frozen split of the dataset built from it."""
    with open_model(project, ref) as model, _reading(project, split, model) as (products, dropped):
        started = time.perf_counter()
        scores = evaluate(model, products, bootstrap=project.params.promotion.bootstrap)
        seconds = time.perf_counter() - started
    return {"ref": ref, **scores.to_json(), "dropped": dropped, "seconds": round(seconds, 3)}


def extract_to_file(project: Project, ref: str, out: Path) -> dict[str, Any]:
    """One JSON line per product, in the order of the data. Nothing is written when too many rows are bad."""
    num_products = num_facets = 0
    with (
        open_model(project, ref) as model,
        _reading(project, None, model) as (products, dropped),
        replace_file(out) as temporary,
        temporary.open("wb") as lines,
    ):
        asked, kept = tee(products)
        for product, found in zip(kept, answer_all(model, asked, BATCH), strict=True):
            line = answer(product, found.facets, found.attributes)
            lines.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            num_products += 1
            num_facets += len(line["facets"])
    return {"ref": ref, "out": str(out), "products": num_products, "facets": num_facets, "dropped": dropped}


@contextmanager
def _reading(project: Project, split: str | None, model: Model) -> Iterator[tuple[Iterable[Product], dict[str, int]]]:
    """All products of the project's data, or those of a frozen split, with the words and boxes that the model sees; and
    how many rows were dropped, by reason."""
    params, cache_dir = project.params, project.layout.state_dir
    if split is None:
        with reading_data(params, model.reader, cache_dir) as (products, report):
            yield products, dict(report.dropped)
        return
    if split not in SPLITS:
        raise DataError(f"--split {split!r}: one of {', '.join(SPLITS)}")
    dataset = Dataset.open(workspace_dir(project.layout.root, params))
    dataset.require_intact()
    yield as_read_by(model.reader, dataset, dataset.read(split), cache_dir, params.dataset.workers), {}
