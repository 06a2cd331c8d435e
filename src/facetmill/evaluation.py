"""Scoring a model on products: a frozen split of a dataset, or any labelled data in a known format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, tee
from pathlib import Path

from facetmill.dataset.match import match_batch
from facetmill.errors import DataError
from facetmill.metrics.score import Scorer, Scores
from facetmill.models.base import Model
from facetmill.params import Params
from facetmill.records import AttributeSchema, Product, from_batch, to_batch
from facetmill.sources import SOURCES
from facetmill.sources.base import BadRow, SourceOptions
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


def read_data(params: Params) -> Iterator[Product]:
    """Stream the products that `params.dataset` names, their values matched to spans as the match stage does.

    Raises `DataError` at the end of the stream when more rows were bad than `dataset.max_bad_share` allows.
    """
    dataset = params.dataset
    options = SourceOptions(
        demo=params.demo, images=Path(dataset.images) if dataset.images else None, columns=dataset.columns
    )
    bad: list[BadRow] = []
    reasons: Counter[str] = Counter()
    total = 0

    def good() -> Iterator[Product]:
        nonlocal total
        for row in SOURCES[dataset.format].read(Path(dataset.path), options):
            total += 1
            if isinstance(row, Product):
                yield row
            else:
                reasons[row.reason] += 1
                if len(bad) < 5:
                    bad.append(row)

    rows = good()
    while chunk := list(islice(rows, 1024)):
        matched, _ = match_batch(to_batch(chunk), params.match)
        yield from from_batch(matched)
    num_bad = sum(reasons.values())
    if total == 0 or num_bad > dataset.max_bad_share * total:
        shown = "\n  ".join(str(row) for row in bad)
        raise DataError(
            f"{dataset.format}:{dataset.path}: {num_bad} of {total} rows are bad "
            f"(dataset.max_bad_share is {dataset.max_bad_share})\n  {shown}"
        )
