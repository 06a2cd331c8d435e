"""How far does a dictionary get? Its settings, among them the word matchings of the papers, in one table.

Where the data comes with a test split that its source published, that is what everything is scored on, with the rest to
count in, as the figures beside ours were made. Else every product is scored by a dictionary that has not seen it, in
five folds: four fifths of the products to count in, and other titles to score, so a point or two lower is no news.

What others got by the same rules is of the published test split, counting in its whole train split ("large" of
ExtractGPT). It is no result of ours and of no other data: choose it by name for the data that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from facetmill.dataset.labels.schema import build_schema
from facetmill.errors import DataError
from facetmill.metrics.score import Scorer, Scores
from facetmill.models.dictionary import Dictionary
from facetmill.params import DictionaryConfig
from facetmill.records import Product, to_batch
from facetmill.studies.beside import published_beside
from facetmill.studies.folds import FOLDS, folds

#: What a row of the table changes in `models.dictionary` of params.yaml.
ROWS: Mapping[str, Mapping[str, Any]] = {
    "longest": {"min_reliability": 0.0},
    "longest, reliability 0.3": {"min_reliability": 0.3},
    "longest, reliability 0.5": {"min_reliability": 0.5},
    "longest, reliability 0.7": {"min_reliability": 0.7},
    "most frequent": {"min_reliability": 0.0, "match": "most_frequent"},
    "rarest": {"min_reliability": 0.0, "match": "rarest"},
    "WSM": {"min_reliability": 0.0, "places": "claimed", "values": "all"},
}
_SAME: Mapping[str, Any] = {"match": "longest", "places": "shared", "values": "one", "ocr": False, "distractors": []}


@dataclass(frozen=True)
class Row:
    """One way to match, and its scores in percent; `beside` is what others got, by the name of the score."""

    name: str
    na_f1: float
    na_precision: float
    na_recall: float
    value_f1: float
    attribute_f1: float
    pair_f1: float
    beside: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """`scored_on` says which products were scored; `num_scored` how many."""

    scored_on: str
    num_scored: int
    negatives: str
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_dictionary(
    config: DictionaryConfig, products: Iterable[Product], beside: str | None, log: Callable[[str], None]
) -> Table:
    """`config` decides what no row does: which texts count against a value (`negatives`).

    `beside` is the name of data that figures are known of, or None. Raises `DataError` for another name and for too few
    products.
    """
    others = published_beside(beside, "dictionary", _METRICS) if beside else []
    known = {row.name: row.scores for row in others}
    given = list(products)
    test = [product for product in given if product.split == "test"]
    rest = [product for product in given if product.split != "test"]
    if test and rest:
        scored_on, parts = "the published test split", [(rest, test)]
    else:
        scored_on, parts = f"{FOLDS} folds", _folds(given)
    rows = []
    for name, changes in ROWS.items():
        scores = _scores(replace(config, **{**_SAME, **changes}), parts)
        log(f"{name}: n/a F1 {100 * scores.na_f1:.2f}, value F1 {100 * scores.value_f1:.2f}")
        figures = {metric: round(100 * getattr(scores, metric), 2) for metric in _METRICS}
        rows.append(Row(name, **figures, beside=known.get(name, {})))
    return Table(scored_on, sum(len(asked) for _, asked in parts), config.negatives, tuple(rows))


_METRICS = ("na_f1", "na_precision", "na_recall", "value_f1", "attribute_f1", "pair_f1")
_Parts = list[tuple[list[Product], list[Product]]]


def _folds(products: list[Product]) -> _Parts:
    """(what to count in, what to score) of each fold."""
    fold_of = folds(products)
    if len(fold_of) < 2 * FOLDS:
        raise DataError(f"{len(products)} products: too few for {FOLDS} folds")
    return [
        ([p for p in products if fold_of[p.group_id] != fold], [p for p in products if fold_of[p.group_id] == fold])
        for fold in range(FOLDS)
    ]


def _scores(config: DictionaryConfig, parts: _Parts) -> Scores:
    """Of all parts together."""
    scorer = Scorer()
    for train, asked in parts:
        model = Dictionary.fit_vocabulary(config, build_schema([to_batch(train)]), train)
        for product, facets in zip(asked, model.predict(model.collate(asked)), strict=True):
            scorer.add(product, facets)
    return scorer.result(bootstrap=0, seed=0)
