"""How far a labeller agrees with people, on products of which both can say a value.

MuJo-SF, Table VI: its distant labels agree with the values annotated in the text in 52 to 96 of 100 cases.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from facetmill.dataset.distant.annotate import main_picture
from facetmill.dataset.distant.labeller import Labeller, LearnedAttribute
from facetmill.dataset.distant.quality import Quality, quality
from facetmill.records import Product

_BATCH = 256


@dataclass(frozen=True)
class Judgement:
    """One attribute. Of `num_manual` products with a value by hand and a picture, `num_answered` are told a value;
    `num_learnable` have a value that the labeller knows at all. `answered` says how far it agrees where it answers,
    `learnable` where it answers and could be right, `forced` where it must answer all; None without a product.
    `confusion[manual][told]` counts the answers."""

    num_manual: int
    num_learnable: int
    num_answered: int
    coverage: float
    answered: Quality | None
    learnable: Quality | None
    forced: Quality | None
    confusion: dict[str, dict[str, int]]


@dataclass(frozen=True)
class _Answer:
    manual: str
    predicted: str
    confidence: float
    group: str


def judge(labeller: Labeller, products: Iterable[Product], min_confidence: float) -> dict[str, Any]:
    """The judgement of each attribute, as JSON, on products with a manual value of it, a category that may have it, and
    a picture. One that is annotated nowhere is judged in every category, to see whether it should be. Pictures are
    absolute paths. A product with two manual values of an attribute counts by the first."""
    answers: defaultdict[str, list[_Answer]] = defaultdict(list)
    stream = iter(products)
    while batch := list(islice(stream, _BATCH)):
        for name, answer in _answers(labeller, batch):
            answers[name].append(answer)
    return {
        attribute.name: asdict(_judgement(attribute, answers[attribute.name], min_confidence))
        for attribute in labeller.attributes
    }


def _answers(labeller: Labeller, products: list[Product]) -> Iterator[tuple[str, _Answer]]:
    asked: list[tuple[Product, dict[str, str]]] = []
    pixels = []
    for product in products:
        manual = _manual(labeller, product)
        picture = main_picture(product, labeller.size, Path()) if manual else None
        if picture is not None:
            asked.append((product, manual))
            pixels.append(picture)
    if not asked:
        return
    predicted = labeller.tell(np.stack(pixels))
    for row, (product, manual) in enumerate(asked):
        for attribute in labeller.attributes:
            if attribute.name in manual:
                confidence, place = (found.item() for found in predicted[attribute.name][row].max(0))
                value = attribute.values[int(place)]
                yield attribute.name, _Answer(manual[attribute.name], value, confidence, product.group_id)


def _manual(labeller: Labeller, product: Product) -> dict[str, str]:
    """The values by hand of the attributes that the labeller may be judged by here."""
    names = {each.name for each in labeller.attributes if each.categories == () or each.suits(product.category)}
    found: dict[str, str] = {}
    for facet in product.facets:
        if facet.attribute in names and facet.provenance in ("annotated", "matched"):
            found.setdefault(facet.attribute, facet.value)
    return found


def _judgement(attribute: LearnedAttribute, answers: list[_Answer], min_confidence: float) -> Judgement:
    sure = [answer for answer in answers if answer.confidence >= min_confidence]
    confusion: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for answer in sure:
        confusion[answer.manual][answer.predicted] += 1
    return Judgement(
        num_manual=len(answers),
        num_learnable=sum(answer.manual in attribute.values for answer in answers),
        num_answered=len(sure),
        coverage=len(sure) / len(answers) if answers else 0.0,
        answered=_quality(sure),
        learnable=_quality([answer for answer in sure if answer.manual in attribute.values]),
        forced=_quality(answers),
        confusion={manual: dict(sorted(predicted.items())) for manual, predicted in sorted(confusion.items())},
    )


def _quality(answers: list[_Answer]) -> Quality | None:
    _, groups = np.unique(np.array([answer.group for answer in answers], str), return_inverse=True)
    return quality([answer.predicted for answer in answers], [answer.manual for answer in answers], groups)
