"""Scoring a model on products: a frozen split of a dataset, or any labelled data in a known format."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import tee
from pathlib import Path

from facetmill.dataset.corrections import read_corrections
from facetmill.dataset.ingest import IngestReport, ingest
from facetmill.dataset.match import match_shards
from facetmill.metrics.score import Scorer, Scores
from facetmill.models.base import Model
from facetmill.params import Params
from facetmill.records import AttributeSchema, Product, read_products
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions
from facetmill.training.predict import predict

BATCH = 64


def seen_values(schema: AttributeSchema) -> Mapping[str, Mapping[str, int]]:
    """Values seen in training by attribute, which splits recall into seen and unseen."""
    return {attribute.name: attribute.values for attribute in schema.attributes}


def evaluate(model: Model, products: Iterable[Product], *, bootstrap: int = 0, seed: int = 0) -> Scores:
    """Predict and score in one pass; memory does not grow with the products but for one count row each."""
    scorer = Scorer(seen=seen_values(model.schema))
    gold, asked = tee(products)
    for product, facets in zip(gold, predict(model, asked, BATCH), strict=True):
        scorer.add(product, facets)
    return scorer.result(bootstrap=bootstrap, seed=seed)


@contextmanager
def reading_data(params: Params) -> Iterator[tuple[Iterator[Product], IngestReport]]:
    """The products that `params.dataset` names, ingested and matched as a dataset's are, in their order; and what was
    dropped on the way.

    Raises `DataError`, before there is a first product, when more rows are bad than `dataset.max_bad_share` allows.
    """
    dataset = params.dataset
    options = SourceOptions(
        demo=params.demo,
        images=Path(dataset.images) if dataset.images else None,
        columns=dataset.columns,
        ignore=dataset.ignore,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = ingest(
            SOURCES[dataset.format],
            Path(dataset.path),
            options,
            folder / "ingested",
            folder / "report.json",
            max_bad_share=dataset.max_bad_share,
            corrections=read_corrections(Path(dataset.corrections)) if dataset.corrections else None,
            workers=dataset.workers,
        )
        match_shards(folder / "ingested", folder / "matched", params.match)
        products = read_products(folder / "matched")
        yield (replace(p, images=tuple(str(folder / image) for image in p.images)) for p in products), report
