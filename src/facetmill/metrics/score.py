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

from facetmill.encoders.folding import fold_value
from facetmill.metrics.attributes import tally_attributes
from facetmill.metrics.counted import METRICS, Counted, Metric, counted
from facetmill.metrics.pair_accuracy import tally_pairs
from facetmill.metrics.resampling import Rows, interval
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

NO_CATEGORY = "(none)"


@dataclass(frozen=True)
class SliceScores:
    """Pair and value scores (0..1) of one attribute or category; `pairs` is its number of gold pairs, `support` that of
    gold units."""

    pair_f1: float
    pair_precision: float
    pair_recall: float
    pairs: int
    value_f1: float
    value_precision: float
    value_recall: float
    support: int


@dataclass(frozen=True)
class Scores:
    """All scores are 0..1, and 0 where nothing is there to divide by; every `support` counts gold units, every `pairs`
    gold pairs.

    `recall_seen` and `recall_unseen` are None when nothing is known of training, `predicted_attribute_f1` of a model
    that predicts values alone. `intervals` are 95 % percentile bootstrap intervals over products, empty unless asked
    for.
    """

    products: int
    pair_f1: float
    pair_precision: float
    pair_recall: float
    macro_pair_f1: float
    pair_f1_explicit: float
    pairs_explicit: int
    pair_f1_implicit: float
    pairs_implicit: int
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
    predicted_attribute_f1: float | None = None
    predicted_attribute_precision: float | None = None
    predicted_attribute_recall: float | None = None
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


class _Tallies:
    """Sums of one metric's counts: of all products, by attribute and by category."""

    def __init__(self) -> None:
        self.whole = Tally()
        self.by_category: defaultdict[str, Tally] = defaultdict(Tally)
        self._correct: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._gold: Counter[str] = Counter()

    def add(self, product: Product, found: Counted) -> None:
        tally = found.tally
        self.whole += tally
        self.by_category[product.category or NO_CATEGORY] += tally
        self._correct.update(item[0] for item in found.gold.keys() & found.predicted.keys())
        self._predicted.update(item[0] for item in found.predicted)
        self._gold.update(item[0] for item in found.gold)

    @property
    def by_attribute(self) -> dict[str, Tally]:
        return {
            name: Tally(self._correct[name], self._predicted[name], self._gold[name])
            for name in sorted(self._gold.keys() | self._predicted.keys())
        }

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the attributes that have gold items."""
        annotated = [tally.f1 for tally in self.by_attribute.values() if tally.gold]
        return sum(annotated) / len(annotated) if annotated else 0.0


class Scorer:
    """Scores products one at a time; of each it keeps a few small numbers, so a catalogue need not fit in memory.

    `seen` maps an attribute to its values in training (compared folded); it splits recall into values seen and
    not seen there.
    """

    def __init__(self, seen: Mapping[str, Collection[str]] | None = None) -> None:
        self._seen = (
            None if seen is None else {name: frozenset(map(fold_value, values)) for name, values in seen.items()}
        )
        self._products = 0
        self._rows = array("I")
        self._groups: dict[int, int] = {}  # hash of the group's id -> its row in `rows`
        self._group_of = array("L")
        self._tallies = {metric: _Tallies() for metric in METRICS}
        self._placed = {explicit: Tally() for explicit in (True, False)}  # pairs
        self._accuracy = Tally()
        self._predicted_attributes: Tally | None = None
        # Gold units by kind: explicit, implicit, seen, unseen.
        self._kinds_found: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()

    def add(self, product: Product, facets: Sequence[Facet], attributes: Collection[str] | None = None) -> None:
        """Count one product, the facets predicted for it and, of a model that predicts them, its attributes."""
        self._products += 1
        self._group_of.append(self._groups.setdefault(hash(product.group_id), len(self._groups)))
        items = {metric: counted(product, facets, metric) for metric in METRICS}
        for metric, found in items.items():
            tally = found.tally
            self._rows.extend((tally.correct, tally.predicted, tally.gold))
            self._tallies[metric].add(product, found)
        for explicit in self._placed:
            self._placed[explicit] += items["pair_f1"].placed(explicit).tally
        self._accuracy += tally_pairs(product, facets)
        if attributes is not None:
            self._predicted_attributes = (self._predicted_attributes or Tally()) + tally_attributes(product, attributes)
        units = items["value_f1"]
        for unit, facet in units.gold.items():
            kinds = self._kinds_of(facet)
            self._kinds.update(kinds)
            if unit in units.predicted:
                self._kinds_found.update(kinds)

    def _kinds_of(self, facet: Facet) -> list[str]:
        kinds = ["explicit" if facet.explicit else "implicit"]
        if self._seen is not None:
            kinds.append("seen" if fold_value(facet.value) in self._seen.get(facet.attribute, ()) else "unseen")
        return kinds

    def _kind(self, kind: str) -> Tally:
        return Tally(correct=self._kinds_found[kind], gold=self._kinds[kind])

    def rows(self, metric: Metric) -> Rows:
        """Counts [groups, 3] (correct, predicted, gold) of one metric, summed over the listings of each group: they
        stand and fall together, so they are one draw of the bootstrap."""
        place = METRICS.index(metric)
        rows = np.zeros((len(self._groups), 3), np.int64)
        counts = np.array(self._rows, dtype=np.int64).reshape(-1, len(METRICS), 3)[:, place]
        np.add.at(rows, np.array(self._group_of, dtype=np.int64), counts)
        return rows

    def result(self, *, bootstrap: int = 0, seed: int = 0) -> Scores:
        """The scores of all products so far, with intervals from `bootstrap` resamples if that is not 0."""
        pair, value = self._tallies["pair_f1"], self._tallies["value_f1"]
        attribute, slots = self._tallies["attribute_f1"].whole, self._tallies["na_f1"].whole
        explicit, implicit = self._kind("explicit"), self._kind("implicit")
        seen, unseen = self._kind("seen"), self._kind("unseen")
        known, predicted = self._seen is not None, self._predicted_attributes
        return Scores(
            products=self._products,
            pair_f1=pair.whole.f1,
            pair_precision=pair.whole.precision,
            pair_recall=pair.whole.recall,
            macro_pair_f1=pair.macro_f1,
            pair_f1_explicit=self._placed[True].f1,
            pairs_explicit=self._placed[True].gold,
            pair_f1_implicit=self._placed[False].f1,
            pairs_implicit=self._placed[False].gold,
            value_f1=value.whole.f1,
            value_precision=value.whole.precision,
            value_recall=value.whole.recall,
            macro_value_f1=value.macro_f1,
            attribute_f1=attribute.f1,
            attribute_precision=attribute.precision,
            attribute_recall=attribute.recall,
            na_f1=slots.f1,
            na_precision=slots.precision,
            na_recall=slots.recall,
            pair_accuracy=self._accuracy.recall,
            recall_explicit=explicit.recall,
            support_explicit=explicit.gold,
            recall_implicit=implicit.recall,
            support_implicit=implicit.gold,
            predicted_attribute_f1=None if predicted is None else predicted.f1,
            predicted_attribute_precision=None if predicted is None else predicted.precision,
            predicted_attribute_recall=None if predicted is None else predicted.recall,
            recall_seen=seen.recall if known else None,
            support_seen=seen.gold if known else None,
            recall_unseen=unseen.recall if known else None,
            support_unseen=unseen.gold if known else None,
            per_attribute=_slices(pair.by_attribute, value.by_attribute),
            per_category=_slices(pair.by_category, value.by_category),
            intervals={metric: interval(self.rows(metric), bootstrap, seed) for metric in METRICS if bootstrap},
        )


def _slices(pairs: Mapping[str, Tally], values: Mapping[str, Tally]) -> dict[str, SliceScores]:
    found = {}
    for name in sorted(pairs.keys() | values.keys()):
        pair, value = pairs.get(name, Tally()), values.get(name, Tally())
        found[name] = SliceScores(
            *(pair.f1, pair.precision, pair.recall, pair.gold), *(value.f1, value.precision, value.recall, value.gold)
        )
    return found


def score(
    gold: Sequence[Product],
    predicted: Sequence[Sequence[Facet]],
    *,
    attributes: Sequence[Collection[str]] | None = None,
    seen: Mapping[str, Collection[str]] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
) -> Scores:
    """Score the facets predicted for each gold product, in the same order, and the attributes of a model that predicts
    them. `ValueError` if the lengths differ.

    - `pair_f1`: micro F1 over the distinct (attribute, folded value) pairs of products. A right value counts wherever
      it stands, so models that tag, choose and write can be compared. `pair_f1_explicit` is that of values that stand
      in the text, `pair_f1_implicit` that of the others; a wrong one is of the kind that it was predicted as.
    - `value_f1`: micro F1 over units, compared as sets per product. A facet with spans is one unit (attribute, field,
      start, end) per span, an implicit one is one unit (attribute, folded value). Where every facet has spans this is
      the chunk F1 of conlleval, M-JAVE's "Value" and ULS-DRAM's "TAG-F1".
    - `macro_pair_f1`, `macro_value_f1`: means over the attributes that have gold pairs, or units.
    - `attribute_f1`: micro F1 over the attribute sets of products, taken from the values found.
    - `predicted_attribute_f1`: the same of attributes that a model predicts as such. The papers' "Attribute" is this of
      such a model, and `attribute_f1` of others.
    - `na_f1`: see `na_aware`. `pair_accuracy`: see the module of that name.
    - `recall_explicit`, `recall_implicit`, `recall_seen`, `recall_unseen`: share of such gold units that were found.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold products but predictions for {len(predicted)}")
    if attributes is not None and len(gold) != len(attributes):
        raise ValueError(f"{len(gold)} gold products but attributes of {len(attributes)}")
    scorer = Scorer(seen)
    for place, (product, facets) in enumerate(zip(gold, predicted, strict=True)):
        scorer.add(product, facets, None if attributes is None else attributes[place])
    return scorer.result(bootstrap=bootstrap, seed=seed)
