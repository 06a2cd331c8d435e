"""Two models on the same products: who is better, by how much, how sure that is, and where.

A pure function of what both answered. The gates decide by it, it is kept as JSON beside the candidate's run, and the
review page is written from it. `first` is always the challenger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from facetmill.gates.verdict import Verdict
from facetmill.metrics.awareness import Awareness
from facetmill.metrics.counted import METRICS, Metric
from facetmill.metrics.paired import PairedResult, paired_rows, paired_slices
from facetmill.metrics.resampling import LEVEL
from facetmill.metrics.score import Scorer, Scores
from facetmill.metrics.single import single_f1
from facetmill.metrics.slices import SliceKind, count_slices
from facetmill.records import Facet, Product
from facetmill.serving.answer import to_entries

NUM_EXAMPLES = 12  # each way

#: Metric -> (epoch, value) of a training.
Curves = Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a model took for one request (median and 95th percentile over products), and to load."""

    p50: float
    p95: float
    load: float

    @classmethod
    def of(cls, requests: Sequence[float], load: float) -> Latency:
        p50, p95 = np.quantile(requests, [0.5, 0.95])
        return cls(float(p50), float(p95), load)


@dataclass(frozen=True)
class Answered:
    """What one model answered for the test products, in their order, and what it is called. `attributes` are those that
    it predicts as such, None where it predicts none."""

    ref: str
    model: str
    version: int | None
    run_id: str | None
    facets: Sequence[Sequence[Facet]]
    latency: Latency
    curves: Curves = field(default_factory=dict)
    awareness: Awareness | None = None
    attributes: Sequence[Mapping[str, float] | None] | None = None

    def at(self, places: Sequence[int]) -> Answered:
        """What it answered for the products at some places."""
        attributes = None if self.attributes is None else [self.attributes[place] for place in places]
        return replace(self, facets=[self.facets[place] for place in places], attributes=attributes)

    @property
    def attributes_of_each(self) -> Sequence[Mapping[str, float] | None]:
        return [None] * len(self.facets) if self.attributes is None else self.attributes


@dataclass(frozen=True)
class Side:
    """One of the two models; `awareness` is None for one that looks at no picture."""

    ref: str
    model: str
    version: int | None
    run_id: str | None
    scores: Scores
    latency: Latency
    awareness: Awareness | None


@dataclass(frozen=True)
class Slice(PairedResult):
    """F1 by the metric of the comparison (recall for `values`) of both models in one slice.

    Interval and `p_value` are made for looking at all slices at once, see `metrics.paired.paired_slices`. `support`
    counts gold items.
    """

    kind: SliceKind
    name: str
    num_products: int
    support: int


@dataclass(frozen=True)
class Example:
    """A product on which the two models differ, with single-product F1; `change` is first less second.

    The attributes are those that a model predicts as such, with their probability (0..1); None where it predicts none.
    `gates`, `covered` and `chances` are what the first model made of it, as `serving.child.write_looks` has them;
    None of a model that has no such thing.
    """

    product: Product
    first: Sequence[Facet]
    second: Sequence[Facet]
    first_f1: float
    second_f1: float
    first_attributes: Mapping[str, float] | None = None
    second_attributes: Mapping[str, float] | None = None
    gates: Mapping[str, Any] | None = None
    covered: Sequence[Mapping[str, Any]] | None = None
    chances: Mapping[str, Sequence[tuple[str, float]]] | None = None

    @property
    def change(self) -> float:
        return self.first_f1 - self.second_f1


@dataclass(frozen=True)
class LeftOut:
    """Test products that a model was trained on, and that decide nothing. `first` and `second` count those that each
    knew, by the sign that told them (`group`, `title`, `picture`); None where it is not known what it was trained on.
    `paired` compares the models on all that are left out, by metric; empty where none is."""

    num_products: int
    first: Mapping[str, int] | None
    second: Mapping[str, int] | None
    paired: Mapping[Metric, PairedResult]


@dataclass(frozen=True)
class Comparison:
    """Two models on one frozen split. `metric` is the one to decide by: slices and examples go by it. `paired` is by
    metric; `examples` are the worst regressions, worst first, then the best improvements, best first; `dataset_diff`
    says how the data they were trained on differ, if it does; nothing here is about what is `left_out`."""

    metric: Metric
    dataset: str
    dataset_version: str
    split: str
    num_products: int
    first: Side
    second: Side
    paired: Mapping[Metric, PairedResult]
    slices: tuple[Slice, ...]
    examples: tuple[Example, ...]
    curves: Mapping[str, Curves] = field(default_factory=dict)
    dataset_diff: Mapping[str, Any] | None = None
    left_out: LeftOut | None = None
    verdicts: tuple[Verdict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "metric": self.metric,
            "dataset": {"name": self.dataset, "version": self.dataset_version},
            "split": self.split,
            "num_products": self.num_products,
            "first": _side_json(self.first),
            "second": _side_json(self.second),
            "paired": {metric: asdict(result) for metric, result in self.paired.items()},
            "left_out": None if self.left_out is None else asdict(self.left_out),
            "slices": [asdict(each) for each in self.slices],
            "verdicts": [asdict(verdict) | {"examples": list(verdict.examples)} for verdict in self.verdicts],
            "examples": [_example_json(example) for example in self.examples],
            "curves": {
                side: {metric: [list(point) for point in points] for metric, points in curves.items()}
                for side, curves in self.curves.items()
            },
            "dataset_diff": self.dataset_diff,
        }


def compare(
    products: Sequence[Product],
    first: Answered,
    second: Answered,
    *,
    metric: Metric,
    dataset: str,
    dataset_version: str,
    split: str = "test",
    seen: Mapping[str, Collection[str]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = LEVEL,
    dataset_diff: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare two models' answers for the same gold products. `metric` is the one that slices are compared and examples
    chosen by; `seen` are the values of training, by attribute, of the
    data at hand. `level` (0..1) is that of all intervals.

    Raises `ValueError` for no products, or as many answers as there are not products.
    """
    if not len(products) == len(first.facets) == len(second.facets) > 0:
        raise ValueError(
            f"{len(products)} products, but {len(first.facets)} answers of {first.ref} and {len(second.facets)} of "
            f"{second.ref}"
        )
    scorers = [_scored(products, model, seen) for model in (first, second)]
    return Comparison(
        metric=metric,
        dataset=dataset,
        dataset_version=dataset_version,
        split=split,
        num_products=len(products),
        first=_side(first, scorers[0].result(bootstrap=resamples, seed=seed)),
        second=_side(second, scorers[1].result(bootstrap=resamples, seed=seed)),
        paired=_paired(scorers, resamples, seed, level),
        slices=_slices(products, first, second, metric, seen, resamples, seed, level),
        examples=_examples(products, first, second, metric),
        curves={"first": first.curves, "second": second.curves},
        dataset_diff=dataset_diff,
    )


def compare_left_out(
    products: Sequence[Product],
    first: Answered,
    second: Answered,
    known: Sequence[Mapping[str, int] | None],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = LEVEL,
) -> LeftOut:
    """Compare two models' answers for products that one of them was trained on; `known` counts those of each."""
    scorers = [_scored(products, model, None) for model in (first, second)]
    return LeftOut(len(products), known[0], known[1], _paired(scorers, resamples, seed, level) if products else {})


def _paired(scorers: Sequence[Scorer], resamples: int, seed: int, level: float) -> dict[Metric, PairedResult]:
    first, second = scorers
    return {
        each: paired_rows(first.rows(each), second.rows(each), resamples=resamples, seed=seed, level=level)
        for each in METRICS
    }


def _scored(products: Sequence[Product], model: Answered, seen: Mapping[str, Collection[str]] | None) -> Scorer:
    scorer = Scorer(seen)
    for product, facets, attributes in zip(products, model.facets, model.attributes_of_each, strict=True):
        scorer.add(product, facets, attributes)
    return scorer


def _side(model: Answered, scores: Scores) -> Side:
    return Side(model.ref, model.model, model.version, model.run_id, scores, model.latency, model.awareness)


def _slices(
    products: Sequence[Product],
    first: Answered,
    second: Answered,
    metric: Metric,
    seen: Mapping[str, Collection[str]] | None,
    resamples: int,
    seed: int,
    level: float,
) -> tuple[Slice, ...]:
    counts = count_slices(products, first.facets, second.facets, seen, metric=metric)
    results = paired_slices(counts, resamples=resamples, seed=seed, level=level)
    return tuple(
        Slice(**asdict(result), kind=kind, name=name, num_products=num_products, support=support)
        for (kind, name), num_products, support, result in zip(
            counts.names, counts.num_products, counts.support, results, strict=True
        )
    )


def _examples(products: Sequence[Product], first: Answered, second: Answered, metric: Metric) -> tuple[Example, ...]:
    """The products that differ most; of equal ones, the first by product id."""
    attributes = zip(first.attributes_of_each, second.attributes_of_each, strict=True)
    found = [
        Example(product, one, other, single_f1(product, one, metric), single_f1(product, other, metric), *predicted)
        for product, one, other, predicted in zip(products, first.facets, second.facets, attributes, strict=True)
    ]
    worse = sorted((e for e in found if e.change < 0), key=lambda e: (e.change, e.product.product_id))
    better = sorted((e for e in found if e.change > 0), key=lambda e: (-e.change, e.product.product_id))
    return (*worse[:NUM_EXAMPLES], *better[:NUM_EXAMPLES])


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "ref": side.ref,
        "model": side.model,
        "version": side.version,
        "run_id": side.run_id,
        "scores": side.scores.to_json(),
        "latency": asdict(side.latency),
        "awareness": None if side.awareness is None else asdict(side.awareness),
    }


def _example_json(example: Example) -> dict[str, Any]:
    product = example.product
    return {
        "product": {
            "product_id": product.product_id,
            "title": product.title,
            "text": product.text,
            "category": product.category,
            "image": product.images[0] if product.images else None,
        },
        "truth": _entries(product.facets),
        "first": _entries(example.first),
        "second": _entries(example.second),
        "first_f1": example.first_f1,
        "second_f1": example.second_f1,
        "change": example.change,
        "first_attributes": example.first_attributes,
        "second_attributes": example.second_attributes,
        "gates": example.gates,
        "covered": example.covered,
        "chances": example.chances,
    }


def _entries(facets: Sequence[Facet]) -> list[dict[str, Any]]:
    return [entry for facet in facets for entry in to_entries(facet)]
