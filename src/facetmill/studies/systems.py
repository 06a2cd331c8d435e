"""Every system on one data set, in one table: how good, how fast, how large, and whether the difference is real.

Two rows stand beside every model: the dictionary, and the hour's baseline, a plain fine-tuned MiniLM that anyone could
write in an hour. A model that is not above both is not worth its time. All rows are trained on the same parts of the
products and scored on the same ones, and no published figure stands among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facetmill.metrics.counted import Metric
from facetmill.metrics.paired import paired_rows
from facetmill.metrics.resampling import Rows, f1_of, interval
from facetmill.metrics.score import Scorer, score
from facetmill.params import Params, TaggerConfig, TextEncoderParams
from facetmill.records import Product
from facetmill.runs.train import DICTIONARY, Recipe, recipe_of
from facetmill.studies.arms import Arm, Part, Trained, parts_of, run_arm
from facetmill.studies.folds import FOLDS
from facetmill.training.evaluate import seen_values

RESAMPLES = 2000
HOUR = "the hour's baseline"


@dataclass(frozen=True)
class Row:
    """One system: percent, means over its seeds; `low` and `high` are the 95 % interval of `score` over products.

    `gain` is its score less that of the hour's baseline on the same products, with the interval of an exchange test.
    `recall_seen` and `recall_unseen` are of values that training has and has not. Seconds are of one training on one
    core, `peak_mib` the most memory that a training or its answers took.
    """

    name: str
    score: float
    low: float
    high: float
    spread: float
    precision: float
    recall: float
    recall_seen: float
    recall_unseen: float
    gain: float
    gain_low: float
    gain_high: float
    best_epochs: tuple[int, ...]
    train_seconds: float
    products_per_second: float
    peak_mib: float


@dataclass(frozen=True)
class Systems:
    """`scored_on` says which products were scored; `spread` of a row is the standard deviation over its seeds."""

    scored_on: str
    num_scored: int
    metric: Metric
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_systems(
    params: Params,
    products: Iterable[Product],
    keys: Sequence[str],
    seeds: Sequence[int],
    *,
    metric: Metric = "pair_f1",
    num_folds: int = FOLDS,
    workers: int = 1,
    kept: Path,
    features_dir: Path,
    log: Callable[[str], None],
) -> Systems:
    """Train the models of `keys` as params.yaml has them, beside the dictionary and the hour's baseline, and score them
    by `metric`. What is trained once is kept below `kept`.

    Raises `ParamsError` for an unknown key and `DataError` for too few products.
    """
    scored_on, parts = parts_of(list(products), num_folds)
    recipes = {DICTIONARY: recipe_of(params, DICTIONARY), HOUR: hours_baseline(params)}
    recipes |= {key: recipe_of(params, key) for key in keys if key != DICTIONARY}
    trained = {}
    for name, recipe in recipes.items():
        arm = Arm(name, replace(recipe, metric=metric), tuple(seeds) if name != DICTIONARY else (0,))
        trained[name] = run_arm(arm, parts, kept, features_dir, workers, log)
        if name == DICTIONARY:
            trained[name] *= len(seeds)  # it draws nothing: every seed would answer the same
        log(f"{name}: {metric} {100 * f1_of(_summed(trained[name], parts, metric).sum(0)):.2f}")
    bar = _summed(trained[HOUR], parts, metric)
    rows = tuple(_row(name, found, parts, metric, bar) for name, found in trained.items())
    return Systems(scored_on, sum(len(part.test) for part in parts), metric, tuple(seeds), rows)


def hours_baseline(params: Params) -> Recipe:
    """A plain tagger as one writes it in an hour: all six layers of MiniLM fine-tuned, BIO tags of all attributes, the
    category before the title, tags of other categories masked, 30 epochs of which validation chooses one."""
    encoder = TextEncoderParams(
        network="packaged", tokenizer="auto", freeze=False, hidden_size=384, num_layers=6, keep_layers=None, window=128
    )
    config = TaggerConfig(
        encoder=encoder, decoder="softmax", category_input=True, category_attributes=True, dropout=0.1
    )
    training = replace(
        params.training, epochs=30, batch_size=16, learning_rate=1e-3, encoder_learning_rate=3e-4, patience=30
    )
    return Recipe("tagger", config, training)


def _row(name: str, trained: Sequence[Sequence[Trained]], parts: Sequence[Part], metric: Metric, bar: Rows) -> Row:
    by_seed = [_scorer(each, parts).result() for each in trained]
    rows = _summed(trained, parts, metric)
    low, high = interval(rows, RESAMPLES, seed=0)
    compared = paired_rows(rows, bar, resamples=RESAMPLES)
    scores = [getattr(scores, metric) for scores in by_seed]
    sides = {
        side: [getattr(scores, metric.replace("f1", side)) for scores in by_seed] for side in ("precision", "recall")
    }
    every = [each for seed in trained for each in seed]
    recall_seen, recall_unseen = _recalls(trained, parts)
    return Row(
        name=name,
        score=_percent(np.mean(scores)),
        low=_percent(low),
        high=_percent(high),
        spread=_percent(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0,
        precision=_percent(np.mean(sides["precision"])),
        recall=_percent(np.mean(sides["recall"])),
        recall_seen=_percent(recall_seen),
        recall_unseen=_percent(recall_unseen),
        gain=_percent(compared.difference),
        gain_low=_percent(compared.low),
        gain_high=_percent(compared.high),
        best_epochs=tuple(each.best_epoch for each in every),
        train_seconds=round(float(np.mean([each.train_seconds for each in every])), 1),
        products_per_second=round(float(np.mean([each.products_per_second for each in every])), 1),
        peak_mib=max(each.peak_mib for each in every),
    )


def _scorer(answers: Sequence[Trained], parts: Sequence[Part]) -> Scorer:
    """Of one seed, all parts together."""
    scorer = Scorer()
    for part, found in zip(parts, answers, strict=True):
        for product, facets in zip(part.test, found.answers, strict=True):
            scorer.add(product, facets)
    return scorer


def _summed(trained: Sequence[Sequence[Trained]], parts: Sequence[Part], metric: Metric) -> Rows:
    """Counts [groups, 3] of all seeds together: a product is drawn with what every seed answered about it."""
    summed: Rows = np.sum([_scorer(answers, parts).rows(metric) for answers in trained], axis=0)
    return summed


def _recalls(trained: Sequence[Sequence[Trained]], parts: Sequence[Part]) -> tuple[float, float]:
    """Recall (0..1) of the values that a part's own training has, and of those that it has not."""
    found, gold = np.zeros(2), np.zeros(2)
    for answers in trained:
        for part, each in zip(parts, answers, strict=True):
            scores = score(part.test, each.answers, seen=seen_values(part.schema))
            support = np.array([scores.support_seen or 0, scores.support_unseen or 0])
            found += support * np.array([scores.recall_seen or 0.0, scores.recall_unseen or 0.0])
            gold += support
    seen, unseen = found / np.maximum(gold, 1)
    return float(seen), float(unseen)


def _percent(share: float | np.floating[Any]) -> float:
    return round(100 * float(share), 2)
