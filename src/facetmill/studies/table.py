"""A table of systems: how good each is, whether it is truly better than the row beside it, how fast, how large.

All rows are trained on the same parts of the products and scored on the same ones, unless a row is scored on other
data, which its name says then. No published figure stands among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from facetmill.metrics.attributes import tally_attributes
from facetmill.metrics.calibration import calibration_error
from facetmill.metrics.counted import Metric, counted
from facetmill.metrics.paired import paired_rows
from facetmill.metrics.resampling import Rows, f1_of, interval, percentiles, resample
from facetmill.metrics.score import NO_CATEGORY, score
from facetmill.metrics.tally import Tally
from facetmill.params import to_mapping
from facetmill.records import Facet, Product
from facetmill.runs.train import DICTIONARY, Recipe
from facetmill.studies.arms import Arm, Part, Trained, run_arm
from facetmill.studies.beside import PublishedRow
from facetmill.studies.other_scores import OtherScore, other_scores
from facetmill.training.evaluate import seen_values

RESAMPLES = 2000

#: A product, and the facets and the attributes told of it.
_Answered: TypeAlias = tuple[Product, Sequence[Facet], Sequence[str] | None]


@dataclass(frozen=True)
class Line:
    """What a row is made of. `bar` is the name of the row that its gain is over, which may be its own; it learns from
    `share` (0..1) of what there is, and is scored on the products `elsewhere` instead of the test split."""

    name: str
    recipe: Recipe
    bar: str
    share: float = 1.0
    elsewhere: bool = False


@dataclass(frozen=True)
class Measure:
    """One metric of a row, in percent. `f1`, `precision` and `recall` are means over seeds, `spread` the standard
    deviation of `f1` over them, `low` and `high` its 95 % interval over products.

    `gain` is over the row's bar: on the same products, with the interval of an exchange test; on other products, with
    that of drawing both anew.
    """

    f1: float
    low: float
    high: float
    spread: float
    precision: float
    recall: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class Slice:
    """F1 in percent, micro over products and seeds, of one category or attribute; `support` counts gold items."""

    f1: float
    support: int


@dataclass(frozen=True)
class Row:
    """One system. `measures` are by metric: the study's own, and `attribute_f1` as the papers score it: of attributes
    that a model predicts as such, where it does (`predicts_attributes`), and else of those of the values found.

    `recall_seen` and `recall_unseen` (percent) are of values that training has and has not; `share_seen` (percent) of
    what is asked for is seen, and whoever only remembers recalls no more. `calibration_error` (percent) is that of the
    pairs' confidences, None where a model has none. `others` are the scores of `other_scores.py`. `by_category` and
    `by_attribute` are by the study's metric. Seconds are of one training, `peak_mib` is the most memory that a training
    or its answers took.
    """

    name: str
    key: str
    bar: str
    num_scored: int
    predicts_attributes: bool
    measures: Mapping[str, Measure]
    recall_seen: float
    recall_unseen: float
    share_seen: float
    calibration_error: float | None
    best_epochs: tuple[int, ...]
    train_seconds: float
    products_per_second: float
    peak_mib: float
    settings: Mapping[str, Any]
    others: Mapping[str, OtherScore]
    by_category: Mapping[str, Slice]
    by_attribute: Mapping[str, Slice]


@dataclass(frozen=True)
class Table:
    """`study` is its name, `asks` what it answers, `data` what was read, `scored_on` which products were scored, and
    `published` what others got, on the data that each names."""

    study: str
    asks: str
    data: str
    scored_on: str
    metric: Metric
    seeds: tuple[int, ...]
    rows: tuple[Row, ...] = ()
    published: tuple[PublishedRow, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def with_rows(
    table: Table,
    lines: Sequence[Line],
    parts: Sequence[Part],
    *,
    workers: int = 1,
    kept: Path,
    features_dir: Path,
    log: Callable[[str], None],
) -> Table:
    """The table with a row for each line, trained with each of its seeds on each part, by its metric. What is trained
    once is kept below `kept`. A line's bar must be one of the lines.

    Raises `ParamsError` for settings that a model cannot have.
    """
    trained: dict[str, list[list[Trained]]] = {}
    for line in lines:
        # A dictionary draws nothing: every seed would answer the same.
        seeds = table.seeds[:1] if line.recipe.key == DICTIONARY and line.share == 1 else table.seeds
        arm = Arm(line.name, replace(line.recipe, metric=table.metric), seeds, line.share)
        found = run_arm(arm, parts, kept, features_dir, workers, log)
        trained[line.name] = found * (len(table.seeds) // len(found))
        log(f"{line.name}: {table.metric} {100 * f1_of(_rows(trained[line.name], line, table.metric).sum(0)):.2f}")
    by_name = {line.name: line for line in lines}
    rows = tuple(_row(line, by_name[line.bar], trained, table.metric) for line in lines)
    return replace(table, rows=rows)


def _row(line: Line, bar: Line, trained: Mapping[str, Sequence[Sequence[Trained]]], metric: Metric) -> Row:
    found = trained[line.name]
    measures: dict[str, Measure] = {}
    metrics: tuple[Metric, ...] = (metric, "attribute_f1")
    for each in metrics:
        by_seed = [_rows([seed], line, each) for seed in found]
        measures[each] = _measure(
            by_seed, _rows(trained[bar.name], bar, each), same_products=line.elsewhere == bar.elsewhere
        )
    every = [training for seed in found for training in seed]
    recall_seen, recall_unseen, share_seen = _recalls(every, line.elsewhere)
    answered = [each for training in every for each in training.about(line.elsewhere)]
    num_scored = len({product.product_id for product, _, _ in answered})
    slots = {name for training in every for name in training.part.schema.names}
    by_category, by_attribute = _slices(answered, metric, times=len(answered) / num_scored)
    return Row(
        name=line.name,
        key=line.recipe.key,
        bar=line.bar,
        num_scored=num_scored,
        predicts_attributes=all(training.attributes is not None for training in every),
        measures=measures,
        recall_seen=recall_seen,
        recall_unseen=recall_unseen,
        share_seen=share_seen,
        calibration_error=_calibration_error(answered),
        best_epochs=tuple(training.best_epoch for training in every),
        train_seconds=round(float(np.mean([training.train_seconds for training in every])), 1),
        products_per_second=round(float(np.mean([training.products_per_second for training in every])), 1),
        peak_mib=max(training.peak_mib for training in every),
        settings={"model": to_mapping(line.recipe.config), "training": to_mapping(line.recipe.training)},
        others=other_scores(((product, facets) for product, facets, _ in answered), slots, RESAMPLES),
        by_category=by_category,
        by_attribute=by_attribute,
    )


def _measure(by_seed: Sequence[Rows], bar: Rows, *, same_products: bool) -> Measure:
    rows: Rows = np.sum(by_seed, axis=0)
    low, high = interval(rows, RESAMPLES, seed=0)
    if same_products:
        compared = paired_rows(rows, bar, resamples=RESAMPLES)
        gain, gain_low, gain_high = compared.difference, compared.low, compared.high
    else:
        gain = float(f1_of(rows.sum(0)) - f1_of(bar.sum(0)))
        drawn = f1_of(resample(rows, RESAMPLES, seed=0)) - f1_of(resample(bar, RESAMPLES, seed=1))
        gain_low, gain_high = map(float, percentiles(drawn))
    tallies = [Tally(*map(int, each.sum(0))) for each in by_seed]
    scores = [tally.f1 for tally in tallies]
    return Measure(
        f1=_percent(np.mean(scores)),
        low=_percent(low),
        high=_percent(high),
        spread=_percent(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0,
        precision=_percent(np.mean([tally.precision for tally in tallies])),
        recall=_percent(np.mean([tally.recall for tally in tallies])),
        gain=_percent(gain),
        gain_low=_percent(gain_low),
        gain_high=_percent(gain_high),
    )


def _rows(found: Sequence[Sequence[Trained]], line: Line, metric: Metric) -> Rows:
    """Counts [groups, 3] of all seeds and parts together: a product is drawn with all that was answered about it."""
    by_group: defaultdict[str, Tally] = defaultdict(Tally)
    for seed in found:
        for training in seed:
            for answered in training.about(line.elsewhere):
                by_group[answered[0].group_id] += _tally(answered, metric)
    return np.array([(tally.correct, tally.predicted, tally.gold) for tally in by_group.values()], np.int64)


def _tally(answered: _Answered, metric: Metric) -> Tally:
    product, facets, attributes = answered
    if metric == "attribute_f1" and attributes is not None:
        return tally_attributes(product, attributes)
    return counted(product, facets, metric).tally


def _slices(answered: Sequence[_Answered], metric: Metric, times: float) -> tuple[dict[str, Slice], dict[str, Slice]]:
    """By category and by attribute; each product was answered about so many `times`."""
    by_category: defaultdict[str, Tally] = defaultdict(Tally)
    by_attribute: defaultdict[str, Tally] = defaultdict(Tally)
    for product, facets, _ in answered:
        found = counted(product, facets, metric)
        by_category[product.category or NO_CATEGORY] += found.tally
        for name in found.attributes:
            by_attribute[name] += found.of_attribute(name).tally
    by_kind = [
        {name: Slice(_percent(tally.f1), round(tally.gold / times)) for name, tally in sorted(tallies.items())}
        for tallies in (by_category, by_attribute)
    ]
    return by_kind[0], by_kind[1]


def _recalls(every: Sequence[Trained], elsewhere: bool) -> tuple[float, float, float]:
    """Recall of the values that a training has seen, that of those that it has not, and which share has been seen."""
    found, gold = np.zeros(2), np.zeros(2)
    for training in every:
        asked = list(training.about(elsewhere))
        seen = seen_values(training.part.schema)
        scores = score([product for product, _, _ in asked], [facets for _, facets, _ in asked], seen=seen)
        support = np.array([scores.support_seen or 0, scores.support_unseen or 0])
        found += support * np.array([scores.recall_seen or 0.0, scores.recall_unseen or 0.0])
        gold += support
    recall_seen, recall_unseen = found / np.maximum(gold, 1)
    return _percent(recall_seen), _percent(recall_unseen), _percent(gold[0] / max(gold.sum(), 1))


def _calibration_error(answered: Sequence[_Answered]) -> float | None:
    confidences: list[float] = []
    right: list[bool] = []
    for product, facets, _ in answered:
        found = counted(product, facets, "pair_f1")
        for pair, facet in found.predicted.items():
            if facet.confidence is None:
                return None
            confidences.append(facet.confidence)
            right.append(pair in found.gold)
    error = calibration_error(confidences, right)
    return None if error is None else _percent(error)


def _percent(share: float | np.floating[Any]) -> float:
    return round(100 * float(share), 2)
