"""Everything that a promotion is decided by, measured: a candidate, the champion and the dictionary, each loaded from
the registry in a process of its own and asked about the same frozen test split.

What is judged is what would be served, not what a training run once wrote down.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.models import ModelSignature

from facetmill.dataset.store.readers import as_read_by, as_sent
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import read_split
from facetmill.errors import DataError, GateFailed, NoAnswer, PlatformError
from facetmill.judging.challenge import Served, answered, facets_of, fetch, timed_again, with_looks
from facetmill.judging.champions_test import champions_test
from facetmill.judging.claims import Evidence
from facetmill.judging.comparison import Answered, Comparison, compare, compare_left_out
from facetmill.judging.given_up import GivenUp, lost
from facetmill.judging.unseen import Unseen, unseen
from facetmill.metrics.counted import Metric, corpus_f1
from facetmill.metrics.resampling import LEVEL
from facetmill.params import PromotionParams
from facetmill.project import Project
from facetmill.records import Product
from facetmill.registry import versions
from facetmill.registry.lineage import bring_back
from facetmill.serving.plain import read_description
from facetmill.serving.query import NUM_TIMED
from facetmill.serving.signature import serves_clients_of
from facetmill.tracking.tags import DATASET, DATASET_VERSION, DICTIONARY_RUN, MODEL, SEED_RUNS
from facetmill.tracking.tracker import Tracker
from facetmill.training.evaluate import seen_values


@dataclass(frozen=True)
class Measured:
    """`comparison` is with the champion, or with the dictionary while nothing is live; None without an answer."""

    evidence: Evidence
    comparison: Comparison | None


def measure(
    project: Project,
    candidate: versions.Resolved,
    champion: versions.Resolved | None,
    given_up: GivenUp,
) -> Measured:
    """Ask all three about the test split of the candidate's data, and compare what they said.

    A candidate that does not answer is evidence. Raises `PlatformError` when it is the champion or the dictionary that
    does not: there is nothing to compare with then, and a person has to look.
    """
    for tag in (DATASET_VERSION, DICTIONARY_RUN, MODEL):
        if tag not in candidate.tags:
            raise PlatformError(
                f"{candidate.ref} has no tag {tag}: it was not registered by Facetmill, and is not judged"
            )
    dataset = bring_back(project.tracker, project.layout.root, candidate.tags[DATASET_VERSION])
    products = _test_products(dataset)
    limits = project.params.promotion
    dictionary = versions.resolve(project.tracker, candidate.tags[DICTIONARY_RUN])
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder)
        evidence = Evidence(
            candidate_version=candidate.version,
            champion_version=champion.version if champion else None,
            dataset_version=dataset.version,
            dataset_passed=_passed(dataset),
            num_products=len(products),
            is_dictionary=dictionary.run_id == candidate.trained_in,
        )
        try:
            challenger = fetch(project, candidate, packages / "candidate")
        except NoAnswer as error:
            return Measured(replace(evidence, no_answer=str(error)), None)
        serves = serves_clients_of(_signature(challenger.package), None)
        evidence = replace(evidence, signature_as_published=serves)
        try:
            first = asked_about(project, dataset, challenger, products)
            words = fetch(project, dictionary, packages / "dictionary", needed="the dictionary")
            baseline = asked_about(project, dataset, words, products, needed="the dictionary")
            other, second = words, baseline
            if champion is not None:
                other = fetch(project, champion, packages / "champion", needed=f"champion {champion.version}")
                serves = serves_clients_of(_signature(challenger.package), _signature(other.package))
                evidence = replace(evidence, signature_as_published=serves)
                second = asked_about(project, dataset, other, products, needed=f"champion {champion.version}")
                mine = challenger.vocabulary
                lacking = lost(other.vocabulary, mine.values, mine.categories, given_up)
                evidence = replace(evidence, lost=tuple(lacking))
                timed = as_sent(dataset, products[:NUM_TIMED])
                first, second = timed_again(project, (challenger, first), (other, second), timed)
        except NoAnswer as error:  # of the candidate: the others raise what no one here catches
            return Measured(replace(evidence, no_answer=challenger.without_path(error)), None)
        split = unseen(project, products, (challenger, other))
        if champion is not None:
            try:
                on_its_test = champions_test(project, dataset, products, challenger, other, given_up)
            except NoAnswer as error:
                return Measured(replace(evidence, no_answer=challenger.without_path(error)), None)
            evidence = replace(evidence, champions_test=on_its_test)
        evidence = replace(
            evidence,
            num_unseen=len(split.new),
            candidate_trained_on=split.num_trained_on(0),
            champion_trained_on=split.num_trained_on(1) if champion else None,
            latency=first.latency,
            champion_latency=second.latency if champion else None,
        )
        if not split.new:
            return Measured(evidence, None)
        with_dictionary = _compare(dataset, products, split, first, baseline, limits)
        comparison = with_dictionary if champion is None else _compare(dataset, products, split, first, second, limits)
        comparison = with_looks(challenger, comparison)
        seeds = packages / "seeds"
        seed_scores = _seed_scores(project, dataset, candidate, products, split, first, limits.metric, seeds)

    comparison = replace(comparison, dataset_diff=_dataset_diff(project.tracker, candidate, champion or dictionary))
    evidence = replace(
        evidence,
        against_dictionary=with_dictionary.paired[limits.metric],
        against_champion=comparison.paired[limits.metric] if champion else None,
        slices=comparison.slices if champion else (),
        seed_scores=seed_scores,
    )
    return Measured(evidence, comparison)


def compare_references(project: Project, first: str, second: str, dataset: Dataset) -> Comparison:
    """Two models of the registry on the test products of a dataset that are new to both; no gate is asked, nothing is
    kept.

    Raises `PlatformError` when either does not answer, and `DataError` when no product is new to both.
    """
    products = _test_products(dataset)
    with tempfile.TemporaryDirectory() as folder:
        resolved = [versions.resolve(project.tracker, ref) for ref in (first, second)]
        served = [fetch(project, model, Path(folder) / str(number)) for number, model in enumerate(resolved)]
        one, other = (asked_about(project, dataset, each, products, needed=each.model.ref) for each in served)
        split = unseen(project, products, served)
        if not split.new:
            raise DataError(f"{dataset.dir}: no test product is new to both {first} and {second}")
        return with_looks(served[0], _compare(dataset, products, split, one, other, project.params.promotion))


def _test_products(dataset: Dataset) -> list[Product]:
    """The frozen test split."""
    products = read_split(dataset, "test")
    if not products:
        raise DataError(f"{dataset.dir}: the test split has no product, so no model can be judged on it")
    return products


def asked_about(
    project: Project, dataset: Dataset, served: Served, products: Sequence[Product], *, needed: str | None = None
) -> Answered:
    """What a package answers about products of a dataset, with the words and boxes that it would see in service. They
    are read beforehand; the time of a request is that of one which has only what the source gave."""
    read = _as_read_by(project, dataset, served, products)
    return answered(project, served, read, timed=as_sent(dataset, products[:NUM_TIMED]), needed=needed)


def _as_read_by(project: Project, dataset: Dataset, served: Served, products: Sequence[Product]) -> list[Product]:
    workers, cache_dir = project.params.dataset.workers, project.layout.state_dir
    return list(as_read_by(served.reader, dataset, products, cache_dir, workers))


def _passed(dataset: Dataset) -> bool:
    try:
        dataset.require_passed()
    except GateFailed:
        return False
    return True


def _compare(
    dataset: Dataset,
    products: Sequence[Product],
    split: Unseen,
    first: Answered,
    second: Answered,
    limits: PromotionParams,
) -> Comparison:
    """On the products that are new to both models, with the others apart."""
    level = LEVEL if limits.significance is None else 1 - limits.significance
    new, left_out = ([products[place] for place in places] for places in (split.new, split.left_out))
    comparison = compare(
        new,
        first.at(split.new),
        second.at(split.new),
        metric=limits.metric,
        dataset=dataset.name,
        dataset_version=dataset.version,
        seen=seen_values(dataset.schema),
        resamples=limits.bootstrap,
        level=level,
    )
    apart = compare_left_out(
        left_out,
        first.at(split.left_out),
        second.at(split.left_out),
        split.sides,
        resamples=limits.bootstrap,
        level=level,
    )
    return replace(comparison, left_out=apart)


def _seed_scores(
    project: Project,
    dataset: Dataset,
    candidate: versions.Resolved,
    products: Sequence[Product],
    split: Unseen,
    own: Answered,
    metric: Metric,
    folder: Path,
) -> tuple[float, ...]:
    """The score by a metric on the new test products of each run of the candidate's training; empty where a run is gone
    or does not answer. Where all products are new the run has logged it; else its model is asked."""
    run_ids = [run_id for run_id in candidate.tags.get(SEED_RUNS, "").split(",") if run_id]
    try:
        if not split.left_out:
            return tuple(project.tracker.run_info(run_id).metrics[f"test/{metric}"] for run_id in run_ids)
        new = [products[place] for place in split.new]
        facets = {candidate.trained_in: own.at(split.new).facets}
        for run_id in set(run_ids) - facets.keys():
            served = fetch(project, versions.resolve(project.tracker, run_id), folder / run_id)
            facets[run_id] = facets_of(project, served, _as_read_by(project, dataset, served, new))
        return tuple(corpus_f1(new, facets[run_id], metric) for run_id in run_ids)
    except (KeyError, NoAnswer, PlatformError):
        return ()


def _signature(package: Path) -> ModelSignature | None:
    """What the package itself says that goes in and comes out; a tag could say anything."""
    try:
        signature: ModelSignature = ModelSignature.from_dict(read_description(package)["signature"])
    except Exception:  # whatever stands there is no signature, and MLflow's readers raise as they like
        return None
    return signature


def _dataset_diff(tracker: Tracker, candidate: versions.Resolved, other: versions.Resolved) -> dict[str, Any] | None:
    """How the data that the two models were trained on differ: None for the same version, else its counts."""
    mine, its = (model.tags.get(DATASET_VERSION, "") for model in (candidate, other))
    if mine == its:
        return None
    rows: list[dict[str, Any]] = [{"what": "version", "first": mine[:12], "second": its[:12]}]
    first, second = (_dataset_counts(tracker, model) for model in (candidate, other))
    for what in sorted(first.keys() | second.keys()):
        rows.append({"what": what, "first": first.get(what, ""), "second": second.get(what, "")})
    return {"name": candidate.tags.get(DATASET, ""), "rows": rows}


def _dataset_counts(tracker: Tracker, model: versions.Resolved) -> Mapping[str, int]:
    """Counts of the verdict that is kept with the model's run; empty where none is."""
    run_id = model.trained_in
    if run_id is None:
        return {}
    try:
        counts = tracker.read_json(run_id, "dataset/checked/verdict.json")["counts"]
        return {str(what): int(number) for what, number in counts.items()}
    except (PlatformError, AttributeError, KeyError, TypeError, ValueError):
        return {}
