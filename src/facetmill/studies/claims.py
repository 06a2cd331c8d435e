"""Do the papers' claims hold? Each is asked by one small real experiment, on simulated products whose truth is known.

A claim that does not hold is reported as such. That says something of these products and of networks of this size, and
not that the paper's figures are wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facetmill.dataset.store.reading import reading_data
from facetmill.errors import DataError
from facetmill.metrics.resampling import Rows
from facetmill.metrics.tally import Tally
from facetmill.params import ImageEncoderParams, Params
from facetmill.platform.layout import Layout
from facetmill.records import Product
from facetmill.studies.arms import Arm, Trained, run_arm
from facetmill.studies.backbone import kept_backbone
from facetmill.studies.effect import Effect, Verdict, effect, mean_score
from facetmill.studies.experiments import CLAIMS, Claim, Experiment, Metric, Shown, Side, Workshop, titled
from facetmill.studies.pictures import BACKBONE_LEARNING, BACKBONE_PRODUCTS, EYES


@dataclass(frozen=True)
class SideScore:
    """The mean score of a side over seeds (0..1), and each seed's."""

    name: str
    score: float
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Answered:
    """What an experiment says of its claim; scores and effect are 0..1."""

    claim: str
    says: str
    here: str
    metric: str
    num_products: int
    effect: Effect
    verdict: Verdict
    sides: tuple[SideScore, ...]


@dataclass(frozen=True)
class Claims:
    """The study's table."""

    seeds: tuple[int, ...]
    claims: tuple[Answered, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_claims(
    layout: Layout,
    params: Params,
    names: Sequence[str] = (),
    *,
    seeds: int = 3,
    workers: int = 1,
    log: Callable[[str], None],
) -> Claims:
    """Ask about the claims of these names, or about all. What was trained before is not trained again.

    Raises `DataError` for an unknown name.
    """
    known = {claim.name: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            raise DataError(f"no claim {name!r}; there are {', '.join(known)}")
    kept = layout.state_dir / "studies"
    learning = replace(params.distant.training, image_encoder=ImageEncoderParams(**EYES), **BACKBONE_LEARNING)
    found = []
    for claim in [known[name] for name in names] or CLAIMS:
        with ExitStack() as stack:

            def draw(knobs: Mapping[str, Any], shown: Shown = titled, stack: ExitStack = stack) -> list[Product]:
                dataset = replace(params.dataset, format="demo", corrections=None)
                drawn = replace(params, dataset=dataset, demo=replace(params.demo, **knobs))
                products, _ = stack.enter_context(reading_data(drawn))
                return [shown(product) for product in products]

            made = Workshop(params, draw, lambda: kept_backbone(learning, BACKBONE_PRODUCTS, kept, log))
            experiment = claim.experiment(made)
            found.append(_answer(claim, experiment, kept, layout.features_dir, tuple(range(seeds)), workers, log))
        log(f"{claim.name}: {100 * found[-1].effect.size:+.1f}, {found[-1].verdict}")
    return Claims(tuple(range(seeds)), tuple(found))


def _answer(
    claim: Claim,
    experiment: Experiment,
    kept: Path,
    features_dir: Path,
    seeds: tuple[int, ...],
    workers: int,
    log: Callable[[str], None],
) -> Answered:
    metric = experiment.metric

    def ask(side: Side) -> Rows:
        arm = Arm(f"{claim.name}: {side.name}", side.recipe, seeds)
        trained = run_arm(arm, [side.part], kept, features_dir, workers, log)
        return np.array([_counts(training, side.elsewhere, metric) for [training] in trained], np.int64)

    more, less = ([ask(side) for side in sides] for sides in (experiment.more, experiment.less))
    found = effect(more, less, metric.of)
    sides = tuple(
        SideScore(side.name, mean_score(rows, metric.of), tuple(map(float, metric.of(rows.sum(axis=1)))))
        for side, rows in zip((*experiment.more, *experiment.less), (*more, *less), strict=True)
    )
    num_products = len(experiment.more[0].part.test)
    return Answered(claim.name, claim.says, claim.here, metric.name, num_products, found, found.verdict, sides)


def _counts(training: Trained, elsewhere: bool, metric: Metric) -> list[tuple[int, int, int]]:
    """By group of products, in the order of their names."""
    by_group: defaultdict[str, Tally] = defaultdict(Tally)
    for product, facets, _ in training.about(elsewhere):
        by_group[product.group_id] += metric.tally(product, facets)
    return [(tally.correct, tally.predicted, tally.gold) for _, tally in sorted(by_group.items())]
