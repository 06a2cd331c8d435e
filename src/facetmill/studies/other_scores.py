"""What papers score by, beside the F1 that a study is asked by: of the same answers, with intervals over products.

    explicit_f1      pairs whose value stands in the text; others are neither asked for nor told (DEFLATE, "only EAV")
    implicit_f1      pairs whose value does not
    fuzzy_f1         values that share more than half with a true one (DEFLATE, `metrics/written_values.py`)
    pair_accuracy    annotated attributes whose values are exactly the true ones (ULS-DRAM's MAE column,
                     `metrics/pair_accuracy.py`)
    jga, sa          products whose slots are all right, and the share of slots that are (MuJo-SF,
                     `metrics/slot_filling.py`); sa_filled is that of the slots that have a value

A score that these products do not ask for, as implicit_f1 where every value stands in the text, is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facetmill.metrics.counted import Counted, counted
from facetmill.metrics.pair_accuracy import tally_pairs
from facetmill.metrics.resampling import Rows, Values, f1_of, percentiles, resample
from facetmill.metrics.slot_filling import tally_slots
from facetmill.metrics.written_values import tally_fuzzily
from facetmill.records import Facet, Product

#: What is counted of one product; the last number is what a score cannot do without.
Counts = tuple[int, ...]


@dataclass(frozen=True)
class OtherScore:
    """In percent, with its 95 % interval."""

    score: float
    low: float
    high: float


def other_scores(
    answered: Iterable[tuple[Product, Sequence[Facet]]], slots: Collection[str], resamples: int
) -> dict[str, OtherScore]:
    """By name, micro over all that was answered. `slots` are the attributes of every product for jga and sa."""
    counts: dict[str, defaultdict[str, Counts]] = {name: defaultdict(tuple) for name in _SCORES}
    for product, facets in answered:
        for name, found in _counts(product, facets, slots).items():
            before = counts[name][product.group_id] or (0,) * len(found)
            counts[name][product.group_id] = tuple(a + b for a, b in zip(before, found, strict=True))
    scores = {}
    for name, by_group in counts.items():
        rows: Rows = np.array([*by_group.values()], np.int64)
        if len(rows) and rows[:, -1].any():
            score, (low, high) = _SCORES[name](rows.sum(0)), percentiles(_SCORES[name](resample(rows, resamples, 0)))
            scores[name] = OtherScore(*(round(100 * float(each), 2) for each in (score, low, high)))
    return scores


def _counts(product: Product, facets: Sequence[Facet], slots: Collection[str]) -> Mapping[str, Counts]:
    found = counted(product, facets, "pair_f1")
    fuzzy, accuracy = tally_fuzzily(product, facets), tally_pairs(product, facets)
    of_slots = tally_slots(product, facets, slots)
    return {
        "explicit_f1": _of(found.placed(explicit=True)),
        "implicit_f1": _of(found.placed(explicit=False)),
        "fuzzy_f1": (fuzzy.right_predicted, fuzzy.right_gold, fuzzy.predicted, fuzzy.gold),
        "pair_accuracy": (accuracy.correct, accuracy.gold),
        "jga": (of_slots.right == of_slots.slots, 1),
        "sa": (of_slots.right, of_slots.slots),
        "sa_filled": (of_slots.filled_right, of_slots.filled),
    }


def _of(found: Counted) -> Counts:
    tally = found.tally
    return tally.correct, tally.predicted, tally.gold


def _share(counts: Rows) -> Values:
    """Of counts [..., 2] (right, asked)."""
    share: Values = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return share


def _fuzzy(counts: Rows) -> Values:
    """Of counts [..., 4] (right predicted, right gold, predicted, gold)."""
    precision = counts[..., 0] / np.maximum(counts[..., 2], 1)
    recall = counts[..., 1] / np.maximum(counts[..., 3], 1)
    f1: Values = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return f1


_SCORES: Mapping[str, Callable[[Rows], Values]] = {
    "explicit_f1": f1_of,
    "implicit_f1": f1_of,
    "fuzzy_f1": _fuzzy,
    "pair_accuracy": _share,
    "jga": _share,
    "sa": _share,
    "sa_filled": _share,
}
