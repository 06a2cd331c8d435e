"""From a trained run to a decision: register a candidate, score what would be served, and ask the gates."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from facetmill.dataset.version import Dataset
from facetmill.dataset.workspace import find, read_split
from facetmill.errors import GateFailed, PlatformError
from facetmill.evaluation import seen_values
from facetmill.metrics.score import Scorer, Scores
from facetmill.records import Product
from facetmill.registry import versions
from facetmill.registry.gates import Decision, Evidence, decide
from facetmill.registry.promotion import promote
from facetmill.serving.ask import ask
from facetmill.serving.smoke import smoke_test
from facetmill.training.final import TrainedRun, best_run, describe_run
from facetmill.workbench import Workbench


@dataclass(frozen=True)
class CandidateVersion:
    """A registered version and the runs behind it; the registered one is best on validation."""

    version: int
    run_id: str
    runs: tuple[TrainedRun, ...]
    dictionary: TrainedRun

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def register_candidate(
    bench: Workbench, dataset: Dataset, runs: Sequence[TrainedRun], dictionary: TrainedRun
) -> CandidateVersion:
    """Register the best of some finished runs under `facets-candidates`, or find the version that it already has."""
    run = best_run(runs)
    version = versions.version_of_run(bench.tracker, run.run_id)
    if version is None:
        tags = describe_run(dataset, run.key, "candidate") | {versions.DICTIONARY_RUN: dictionary.run_id}
        version = versions.register(bench.tracker, run.run_id, tags)
    return CandidateVersion(version, run.run_id, tuple(runs), dictionary)


@dataclass(frozen=True)
class Outcome:
    """How a candidate fared. `champion_version` is what is live afterwards; `verdicts` are every gate's answer."""

    outcome: Literal["promoted", "rolled_back", "already_champion", "dry_run", "kept_champion"]
    candidate_version: int
    champion_version: int | None
    message: str
    verdicts: list[dict[str, Any]]

    @property
    def accepted(self) -> bool:
        return self.outcome != "kept_champion"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "accepted": self.accepted}


def find_dataset(bench: Workbench, version: str) -> Dataset:
    """The dataset of this version among those built here. Raises `PlatformError` when none is."""
    dataset = find(bench.layout.root, version)
    if dataset is None:
        raise PlatformError(
            f"no dataset of version {version[:12]} in {bench.layout.data_dir}; "
            f"bring it back with: facetmill dataset checkout {version[:12]}"
        )
    return dataset


def judge(bench: Workbench, candidate_version: int) -> Decision:
    """Every gate's verdict on one candidate, on the frozen test split of the data it was trained on.

    Candidate, champion and dictionary are loaded from the registry, each in a process of its own, and scored anew:
    what is judged is what would be served, not what a training run once wrote down.
    """
    candidate = versions.resolve(bench.tracker, f"{versions.CANDIDATES}/{candidate_version}")
    dataset = find_dataset(bench, candidate.tags["facetmill.dataset_version"])
    dictionary = versions.resolve(bench.tracker, candidate.tags[versions.DICTIONARY_RUN])
    live = versions.champion(bench.tracker)
    champion = None if live is None else versions.resolve(bench.tracker, f"{versions.LIVE}/{live.version}")
    products = read_split(dataset, "test")
    dictionary_value_f1 = _score(bench, dictionary, dataset, products).value_f1

    def evidence(model: versions.Resolved) -> Evidence:
        scores = _score(bench, model, dataset, products)
        return Evidence(
            model=model.tags["facetmill.model"],
            version=model.version,
            value_f1=scores.value_f1,
            interval=scores.intervals["value_f1"],
            dictionary_value_f1=dictionary_value_f1,
            dataset_passed=bool(dataset.verdict and dataset.verdict.get("passed")),
            dataset_version=dataset.version,
            has_signature=model.has_signature,
        )

    return decide(evidence(candidate), evidence(champion) if champion else None, bench.params.promotion)


def settle(bench: Workbench, version: int, *, who: str, why: str, dry_run: bool = False) -> Outcome:
    """Judge a candidate and promote it when every gate says yes; a rejected one changes nothing live.

    A candidate that is live already, or that was rejected against today's champion, is not judged again (but in a dry
    run): nothing has happened since that could change the answer.
    """
    settled = None if dry_run else _settled_before(bench, version)
    if settled is not None:
        return settled
    decision = judge(bench, version)
    verdicts = [asdict(verdict) for verdict in decision.verdicts]
    try:
        done = promote(
            bench.tracker,
            bench.ledger,
            version,
            decision,
            who=who,
            why=why,
            smoke=smoke_test,
            dry_run=dry_run,
        )
    except GateFailed as refusal:
        return Outcome("kept_champion", version, decision.champion_version, str(refusal), verdicts)
    return Outcome(done.outcome, version, done.to_version or done.from_version, done.message, verdicts)


def _settled_before(bench: Workbench, version: int) -> Outcome | None:
    live = versions.champion(bench.tracker)
    champion_version = None if live is None else int(live.version)
    if live is not None and live.source == f"models:/{versions.CANDIDATES}/{version}":
        message = f"candidate {version} is the champion already, as {versions.LIVE}/{champion_version}"
        return Outcome("already_champion", version, champion_version, message, [])
    for entry in bench.ledger.history():
        if entry.state == "rejected" and (entry.candidate_version, entry.from_version) == (version, champion_version):
            message = f"candidate {version} was rejected against this champion before (ledger row {entry.id})"
            return Outcome("kept_champion", version, champion_version, message, list(entry.decision["verdicts"]))
    return None


def _score(bench: Workbench, model: versions.Resolved, dataset: Dataset, products: Sequence[Product]) -> Scores:
    """Scores of what the package answers when it is served."""
    with tempfile.TemporaryDirectory() as folder:
        package = versions.fetch_package(bench.tracker, model, Path(folder))
        answers = ask(str(package), products, tracking_uri=bench.tracker.uri)
    scorer = Scorer(seen=seen_values(dataset.schema))
    for product, facets in zip(products, answers.facets, strict=True):
        scorer.add(product, facets)
    return scorer.result(bootstrap=bench.params.promotion.bootstrap)
