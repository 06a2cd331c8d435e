"""Predicted facets against gold ones: every number that a run, a gate or a report shows comes from here."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from facetmill.metrics.chunks import fold, units
from facetmill.metrics.na_aware import tally_slots
from facetmill.metrics.pair_accuracy import tally_pairs
from facetmill.metrics.resampling import Rows, interval
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

NO_CATEGORY = "(none)"

#: Metrics that a bootstrap can be asked about, each from three columns of counts (correct, predicted, gold).
RESAMPLED = ("value_f1", "attribute_f1", "na_f1")


@dataclass(frozen=True)
class SliceScores:
    """Value scores (0..1) of one attribute or category; `support` is its number of gold units."""

    value_f1: float
    value_precision: float
    value_recall: float
    support: int


@dataclass(frozen=True)
class Scores:
    """All scores are 0..1, and 0 where nothing is there to divide by; every `support` counts gold units.

    `recall_seen` and `recall_unseen` are None when nothing is known of training. `intervals` are 95 % percentile
    bootstrap intervals over products, empty unless asked for.
    """

    products: int
    value_f1: float
    value_precision: float
    value_recall: float
    macro_value_f1: float
    attribute_f1: float
    attribute_precision: float
    attribute_recall: float
    na_f1: float
    na_precision: float
    na_recall: float
    pair_accuracy: float
    recall_explicit: float
    support_explicit: int
    recall_implicit: float
    support_implicit: int
    recall_seen: float | None = None
    support_seen: int | None = None
    recall_unseen: float | None = None
    support_unseen: int | None = None
    per_attribute: Mapping[str, SliceScores] = field(default_factory=dict)
    per_category: Mapping[str, SliceScores] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The same names as plain JSON values; `intervals` are lists [low, high]."""
        return {**asdict(self), "intervals": {name: list(bounds) for name, bounds in self.intervals.items()}}

    def flat(self) -> dict[str, float]:
        """Every number under a name that MLflow takes, e.g. `value_f1`, `attribute/value_f1/Color`.

        MLflow shows one group of charts for all names that are alike up to the last slash: intervals are a group of
        their own, and so is each metric over all attributes.
        """
        flat = {name: float(value) for name, value in vars(self).items() if isinstance(value, int | float)}
        flat["products"] = flat.pop("products")  # not first: MLflow's comparisons begin with the first name
        for name, (low, high) in self.intervals.items():
            flat |= {f"interval/{name}_low": low, f"interval/{name}_high": high}
        for kind, slices in (("attribute", self.per_attribute), ("category", self.per_category)):
            for name, scores in slices.items():
                flat |= {f"{kind}/{metric}/{metric_part(name)}": float(v) for metric, v in vars(scores).items()}
        return flat


def metric_part(name: str) -> str:
    """A name as one part of an MLflow metric name; whatever had to change ends in a hash, so no two names collide."""
    safe = re.sub(r"[^\w\-. ]", "_", name)[:100]
    if safe == name and name.strip("."):
        return name
    return f"{safe.strip('.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Scorer:
    """Scores products one at a time; of each it keeps a few small numbers, so a catalogue need not fit in memory.

    `seen` maps an attribute to its values in training (compared without case); it splits recall into values seen and
    not seen there.
    """

    def __init__(self, seen: Mapping[str, Collection[str]] | None = None) -> None:
        self._seen = None if seen is None else {name: frozenset(map(fold, values)) for name, values in seen.items()}
        self._products = 0
        self._rows = array("I")
        self._groups: dict[int, int] = {}  # hash of the group's id -> its row in `rows`
        self._group_of = array("L")
        self._value, self._attribute, self._slots, self._pairs = Tally(), Tally(), Tally(), Tally()
        self._by_category: defaultdict[str, Tally] = defaultdict(Tally)
        # Units by attribute, and gold units by kind: explicit, implicit, seen, unseen.
        self._correct: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._gold: Counter[str] = Counter()
        self._kinds_found: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()

    def add(self, product: Product, facets: Sequence[Facet]) -> None:
        """Count one product and the facets predicted for it."""
        gold, predicted = units(product.facets), units(facets)
        correct = gold.keys() & predicted.keys()
        value = Tally(len(correct), len(predicted), len(gold))
        attribute = Tally.of({unit[0] for unit in gold}, {unit[0] for unit in predicted})
        slots = tally_slots(product, facets)

        self._products += 1
        self._group_of.append(self._groups.setdefault(hash(product.group_id), len(self._groups)))
        for tally in (value, attribute, slots):  # as in RESAMPLED
            self._rows.extend((tally.correct, tally.predicted, tally.gold))
        self._value += value
        self._attribute += attribute
        self._slots += slots
        self._pairs += tally_pairs(product, facets)
        self._by_category[product.category or NO_CATEGORY] += value
        self._correct.update(unit[0] for unit in correct)
        self._predicted.update(unit[0] for unit in predicted)
        self._gold.update(unit[0] for unit in gold)
        for unit, facet in gold.items():
            kinds = self._kinds_of(facet)
            self._kinds.update(kinds)
            if unit in correct:
                self._kinds_found.update(kinds)

    def _kinds_of(self, facet: Facet) -> list[str]:
        kinds = ["explicit" if facet.explicit else "implicit"]
        if self._seen is not None:
            kinds.append("seen" if fold(facet.value) in self._seen.get(facet.attribute, ()) else "unseen")
        return kinds

    def _kind(self, kind: str) -> Tally:
        return Tally(correct=self._kinds_found[kind], gold=self._kinds[kind])

    def rows(self, metric: str) -> Rows:
        """Counts [groups, 3] (correct, predicted, gold) of one metric of `RESAMPLED`, summed over the listings of each
        group: they stand and fall together, so they are one draw of the bootstrap."""
        place = RESAMPLED.index(metric)
        rows = np.zeros((len(self._groups), 3), np.int64)
        counts = np.array(self._rows, dtype=np.int64).reshape(-1, len(RESAMPLED), 3)[:, place]
        np.add.at(rows, np.array(self._group_of, dtype=np.int64), counts)
        return rows

    def result(self, *, bootstrap: int = 0, seed: int = 0) -> Scores:
        """The scores of all products so far, with intervals from `bootstrap` resamples if that is not 0."""
        intervals = {metric: interval(self.rows(metric), bootstrap, seed) for metric in RESAMPLED if bootstrap}
        per_attribute = {
            name: _slice(Tally(self._correct[name], self._predicted[name], self._gold[name]))
            for name in sorted(self._gold.keys() | self._predicted.keys())
        }
        annotated = [scores.value_f1 for scores in per_attribute.values() if scores.support]
        explicit, implicit = self._kind("explicit"), self._kind("implicit")
        seen, unseen = self._kind("seen"), self._kind("unseen")
        known = self._seen is not None
        return Scores(
            products=self._products,
            value_f1=self._value.f1,
            value_precision=self._value.precision,
            value_recall=self._value.recall,
            macro_value_f1=sum(annotated) / len(annotated) if annotated else 0.0,
            attribute_f1=self._attribute.f1,
            attribute_precision=self._attribute.precision,
            attribute_recall=self._attribute.recall,
            na_f1=self._slots.f1,
            na_precision=self._slots.precision,
            na_recall=self._slots.recall,
            pair_accuracy=self._pairs.recall,
            recall_explicit=explicit.recall,
            support_explicit=explicit.gold,
            recall_implicit=implicit.recall,
            support_implicit=implicit.gold,
            recall_seen=seen.recall if known else None,
            support_seen=seen.gold if known else None,
            recall_unseen=unseen.recall if known else None,
            support_unseen=unseen.gold if known else None,
            per_attribute=per_attribute,
            per_category={name: _slice(tally) for name, tally in sorted(self._by_category.items())},
            intervals=intervals,
        )


def _slice(tally: Tally) -> SliceScores:
    return SliceScores(tally.f1, tally.precision, tally.recall, tally.gold)


def score(
    gold: Sequence[Product],
    predicted: Sequence[Sequence[Facet]],
    *,
    seen: Mapping[str, Collection[str]] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
) -> Scores:
    """Score the facets predicted for each gold product, in the same order. `ValueError` if the lengths differ.

    - `value_f1`: micro F1 over units, compared as sets per product. A facet with spans is one unit (attribute, field,
      start, end) per span, an implicit one is one unit (attribute, value without case). Where every facet has
      spans this is the chunk F1 of conlleval, M-JAVE's "Value" and ULS-DRAM's "TAG-F1".
    - `macro_value_f1`: mean of `value_f1` over the attributes that have gold units.
    - `attribute_f1`: micro F1 over the attribute sets of products, M-JAVE's "Attribute".
    - `na_f1`: see `na_aware`. `pair_accuracy`: see the module of that name.
    - `recall_explicit`, `recall_implicit`, `recall_seen`, `recall_unseen`: share of such gold units that were found.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold products but predictions for {len(predicted)}")
    scorer = Scorer(seen)
    for product, facets in zip(gold, predicted, strict=True):
        scorer.add(product, facets)
    return scorer.result(bootstrap=bootstrap, seed=seed)
