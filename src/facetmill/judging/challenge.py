"""A registered model at hand: its package on this machine, asked about products in a process of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from facetmill.errors import DataError, NoAnswer, ParamsError, PlatformError
from facetmill.files import read_json
from facetmill.judging.comparison import Answered, Comparison, Curves, Latency
from facetmill.metrics.awareness import Awareness, image_awareness, with_other_pictures
from facetmill.models import model_class
from facetmill.perception.reader import Reader, load_reader
from facetmill.project import Project
from facetmill.records import Facet, Product
from facetmill.registry import versions
from facetmill.serving.package import weights_dir
from facetmill.serving.query import NUM_TIMED, Answers, query, query_looks
from facetmill.serving.vocabulary import Vocabulary
from facetmill.tracking.tags import MODEL
from facetmill.tracking.tracker import Tracker

AWARENESS_PRODUCTS = 200  # with pictures, each asked about eight times more

_TIMING_ROUNDS = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A version and its package on this machine."""

    model: versions.Resolved
    package: Path

    @property
    def key(self) -> str:
        return self.model.tags[MODEL]

    @property
    def reader(self) -> Reader | None:
        """How it reads pictures. Raises `NoAnswer` for a package that does not say it as `save_model` does."""
        try:
            return load_reader(weights_dir(self.package))
        except DataError as error:
            raise NoAnswer(str(error)) from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What it can answer at all. Raises `NoAnswer` for a package that does not say it as `save_model` does."""
        return Vocabulary.of_saved(weights_dir(self.package))

    @cached_property
    def looks_at_pictures(self) -> bool:
        """Raises `NoAnswer` for a package that does not say it as `save_model` does."""
        try:
            described = read_json(weights_dir(self.package) / "model.json")
            # a model that was saved before they said so reads what all of its kind do
            return "images" in described.get("reads", model_class(described["key"]).reads)
        except (AttributeError, KeyError, OSError, ParamsError, TypeError, ValueError) as error:
            raise NoAnswer(f"model.json: not what a model is saved with: {error}") from error

    def without_path(self, error: NoAnswer) -> str:
        """The message by the version's name: where its copy lay for a moment tells nobody anything."""
        return str(error).replace(str(self.package), self.model.ref)


def fetch(project: Project, model: versions.Resolved, folder: Path, *, needed: str | None = None) -> Served:
    """The package in `folder`, checked as `versions.fetch_package` says. Raises `NoAnswer` for one that cannot be
    loaded; for one that is `needed`, a `PlatformError` that says what to do."""
    try:
        return Served(model, versions.fetch_package(project.tracker, model, folder))
    except NoAnswer as error:
        if needed is None:
            raise
        raise _not_comparable(needed, model.ref, str(error)) from error


def answered(
    project: Project,
    served: Served,
    products: Sequence[Product],
    *,
    timed: Sequence[Product] | None = None,
    needed: str | None = None,
) -> Answered:
    """What a package answers about products, and whether it looks at their pictures.

    The products have the words and boxes that the model would see in service; the time is taken of requests for the
    `timed` ones (by default the first of them), for which it looks for itself where they have none. Raises `NoAnswer`;
    for one that is `needed`, a `PlatformError` that says what to do.
    """
    answers = _query(project, served, products, needed, products[:NUM_TIMED] if timed is None else timed)
    return Answered(
        ref=served.model.ref,
        model=served.key,
        version=served.model.version,
        run_id=served.model.trained_in,
        facets=answers.facets,
        attributes=answers.attributes,
        latency=Latency.of(answers.latencies, answers.load_seconds),
        curves=_curves(project.tracker, served.model.trained_in),
        awareness=_awareness(project, served, products, answers, needed),
    )


def facets_of(project: Project, served: Served, products: Sequence[Product]) -> Sequence[Sequence[Facet]]:
    """What a package answers about products that have the words and boxes it would see, and no more. Raises
    `NoAnswer`."""
    return _query(project, served, products, None, timed=()).facets


def timed_again(
    project: Project,
    candidate: tuple[Served, Answered],
    champion: tuple[Served, Answered],
    timed: Sequence[Product],
) -> tuple[Answered, Answered]:
    """Both answers, with new latencies where the candidate seems too slow for the champion.

    The two were measured one after the other, and the machine may have been busy in only one of those moments. Before
    a candidate is called slow both are asked again, in turn, and of each the fastest round counts: what else goes on
    can make a model slower, never faster.
    """
    (served_1, first), (served_2, second) = candidate, champion
    ratio = project.params.promotion.max_latency_ratio
    for _ in range(_TIMING_ROUNDS):
        if ratio is None or first.latency.p95 <= ratio * second.latency.p95:
            break
        second = _faster(second, _query(project, served_2, (), second.ref, timed))
        first = _faster(first, _query(project, served_1, (), None, timed))
    return first, second


def with_looks(served: Served, comparison: Comparison) -> Comparison:
    """The comparison, with what the first model made of the products shown as examples: where it looked, and what it
    chose among.

    That is for looking at and decides nothing, so a model that cannot tell it has none, and a warning says why.
    """
    try:
        chooses = served.vocabulary.answers == "choices"
        if not comparison.examples or not (served.looks_at_pictures or chooses):
            return comparison
        looks = query_looks(weights_dir(served.package), [example.product for example in comparison.examples])
    except NoAnswer as error:
        _log.warning("%s does not tell how it looks: %s", served.model.ref, served.without_path(error))
        return comparison
    examples = tuple(replace(each, **look) for each, look in zip(comparison.examples, looks, strict=True))
    return replace(comparison, examples=examples)


def _query(
    project: Project, served: Served, products: Sequence[Product], needed: str | None, timed: Sequence[Product]
) -> Answers:
    seconds = project.params.promotion.max_load_seconds
    try:
        return query(
            str(served.package),
            products,
            tracking_uri=project.tracker.uri,
            load_seconds=seconds,
            looked=True,
            timed=timed,
            vocabulary=served.vocabulary,
        )
    except NoAnswer as error:
        if needed is None:
            raise
        raise _not_comparable(needed, served.model.ref, served.without_path(error)) from error


def _not_comparable(needed: str, ref: str, said: str) -> PlatformError:
    return PlatformError(
        f"{needed} ({ref}) does not answer, so nothing can be compared with it, and nothing was changed. Mend that "
        f"first; the candidate is not at fault: {said}"
    )


def _awareness(
    project: Project, served: Served, products: Sequence[Product], answers: Answers, needed: str | None
) -> Awareness | None:
    """Of a random sample, the same one for every model. None for a model that looks at no picture, or where fewer than
    two groups of products have one."""
    pictured = [number for number, product in enumerate(products) if product.images]
    chosen = sorted(np.random.default_rng(0).permutation(pictured)[:AWARENESS_PRODUCTS].tolist())
    sample = [products[number] for number in chosen]
    if not served.looks_at_pictures or len({product.group_id for product in sample}) < 2:
        return None
    asked = [product for others in with_other_pictures(sample) for product in others]
    exchanged = _query(project, served, asked, needed, timed=()).facets
    incongruent = [exchanged[start : start + len(sample)] for start in range(0, len(exchanged), len(sample))]
    metric = project.params.promotion.metric
    return image_awareness(sample, [answers.facets[number] for number in chosen], incongruent, metric=metric)


def _faster(model: Answered, again: Answers) -> Answered:
    latency = Latency.of(again.latencies, again.load_seconds)
    return replace(model, latency=min(model.latency, latency, key=lambda latency: latency.p95))


def _curves(tracker: Tracker, run_id: str | None) -> Curves:
    """What the training logged by epoch."""
    if run_id is None:
        return {}
    names = [name for name in tracker.run_info(run_id).metrics if name.startswith(("train/", "validation/"))]
    curves = {}
    for name in sorted(names):
        history = tracker.client.get_metric_history(run_id, name)
        curves[name] = sorted({point.step: point.value for point in history if math.isfinite(point.value)}.items())
    return curves
