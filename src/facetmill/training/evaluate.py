"""Scoring a model on products that carry the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import tee

from facetmill.metrics.score import Scorer, Scores
from facetmill.models.base import Model
from facetmill.records import AttributeSchema, Product
from facetmill.training.predict import answer_all

BATCH = 64


def seen_values(schema: AttributeSchema) -> Mapping[str, Mapping[str, int]]:
    """Values seen in training by attribute, which splits recall into seen and unseen."""
    return {attribute.name: attribute.values for attribute in schema.attributes}


def evaluate(
    model: Model, products: Iterable[Product], *, batch_size: int = BATCH, bootstrap: int = 0, seed: int = 0
) -> Scores:
    """Predict and score in one pass; memory does not grow with the products but for one count row each."""
    scorer = Scorer(seen=seen_values(model.schema))
    gold, asked = tee(products)
    for product, answer in zip(gold, answer_all(model, asked, batch_size), strict=True):
        scorer.add(product, answer.facets, answer.attributes)
    return scorer.result(bootstrap=bootstrap, seed=seed)
