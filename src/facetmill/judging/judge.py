"""From a trained run to a decision: register a candidate, score what would be served, and ask the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from facetmill.dataset.store.version import Dataset
from facetmill.errors import GateFailed, Outdated
from facetmill.gates.verdict import NOT_MEASURED, Decision
from facetmill.judging.claims import OF_THE_MOMENT, decide, limits_of
from facetmill.judging.given_up import GivenUp
from facetmill.judging.measure import measure
from facetmill.judging.pages import REVIEW, keep, tell_approval
from facetmill.project import Project
from facetmill.registry import approvals, versions
from facetmill.registry.ledger import Entry
from facetmill.registry.notes import describe_candidate
from facetmill.registry.promotion import promote
from facetmill.runs.train import TrainedRun, best_run, describe_run
from facetmill.serving.smoke import smoke_test
from facetmill.tracking.tags import DICTIONARY_RUN, SEED_RUNS

NOTHING = GivenUp()


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
    project: Project, dataset: Dataset, runs: Sequence[TrainedRun], dictionary: TrainedRun
) -> CandidateVersion:
    """Register the best of some finished runs as a candidate, or find the version that it already has."""
    run = best_run(runs)
    version = versions.version_of_run(project.tracker, run.run_id)
    if version is None:
        tags = describe_run(project.catalogue, dataset, run.key, "candidate", run.metric)
        tags |= {DICTIONARY_RUN: dictionary.run_id, SEED_RUNS: ",".join(each.run_id for each in runs)}
        version = versions.register(project.tracker, run.run_id, tags)
        describe_candidate(project.tracker, version)
    return CandidateVersion(version, run.run_id, tuple(runs), dictionary)


@dataclass(frozen=True)
class Outcome:
    """How a candidate fared. `champion_version` is what is live afterwards; `verdicts` are every gate's answer."""

    outcome: Literal["promoted", "rolled_back", "already_champion", "dry_run", "waiting", "kept_champion"]
    candidate_version: int
    champion_version: int | None
    message: str
    verdicts: list[dict[str, Any]]

    @property
    def accepted(self) -> bool:
        return self.outcome != "kept_champion"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "accepted": self.accepted}


def links(project: Project, version: int) -> dict[str, str | None]:
    """Where a person looks a candidate up: its review page, its run, and the flow run that is under way, if one is."""
    from prefect.runtime import flow_run

    found = versions.resolve(project.tracker, f"{project.tracker.names.candidates}/{version}")
    run = f"{project.tracker.uri}/#/experiments/{project.tracker.experiment_id}/runs/{found.trained_in}"
    return {"review": f"{run}/artifacts/{REVIEW}", "run": run, "flow": flow_run.ui_url}


def judge(project: Project, candidate_version: int, given_up: GivenUp = NOTHING) -> Decision:
    """Every gate's verdict on one candidate, on the frozen test split of the data it was trained on. It may lack what
    is `given_up` of the champion.

    What it was decided by is kept with the candidate's run, as `comparison.json` and as the page `review.html`.
    Raises `PlatformError` when the champion itself does not answer; a candidate that does not is rejected.
    """
    candidate = versions.resolve(project.tracker, f"{project.tracker.names.candidates}/{candidate_version}")
    live = versions.champion(project.tracker)
    champion = (
        None if live is None else versions.resolve(project.tracker, f"{project.tracker.names.live}/{live.version}")
    )
    measured = measure(project, candidate, champion, given_up)
    decision = decide(measured.evidence, project.params.promotion, given_up.to_json() if given_up else None)
    describe_candidate(project.tracker, candidate_version, decision)
    run_id = candidate.trained_in
    if measured.comparison is not None and run_id is not None:
        keep(project, run_id, replace(measured.comparison, verdicts=decision.verdicts))
    return decision


def judge_and_promote(
    project: Project, version: int, *, who: str, why: str, dry_run: bool = False, given_up: GivenUp = NOTHING
) -> Outcome:
    """Judge a candidate and promote it when every gate says yes; a rejected one changes nothing live. Where
    `promotion.approval` is `required`, one that every gate accepts waits for a person, see `approval`.

    A candidate that is live already, that waits, or that was rejected or refused against today's champion by today's
    limits, is not judged again (but in a dry run): nothing has happened since that could change the answer. One that
    did not answer or was too slow may have met a busy machine, and is. So is one that was judged while another one was
    promoted.
    """
    while True:
        try:
            return _judge_and_promote(project, version, who, why, dry_run, given_up)
        except Outdated as error:  # each time another promotion has come to its end, so this one will, too
            print(error)


def _judge_and_promote(project: Project, version: int, who: str, why: str, dry_run: bool, given_up: GivenUp) -> Outcome:
    before = None if dry_run else _judged_before(project, version, given_up)
    if before is not None:
        return before
    decision = judge(project, version, given_up)
    outcome = promote_judged(project, version, decision, who=who, why=why, dry_run=dry_run)
    if outcome.outcome == "waiting":
        tell_approval(project, version, decision, outcome.message)
    return outcome


def promote_judged(
    project: Project,
    version: int,
    decision: Decision,
    *,
    who: str,
    why: str,
    dry_run: bool = False,
    request: Entry | None = None,
) -> Outcome:
    """Promote by a decision, or have it wait for approval where that is required and no `request` is approved by this.
    Raises `Outdated` where another candidate went live since it was judged."""
    verdicts = [asdict(verdict) for verdict in decision.verdicts]
    promotion = project.params.promotion
    asks = promotion.approval == "required" and request is None
    try:
        done = promote(
            project.tracker,
            project.ledger,
            version,
            decision,
            who=who,
            why=why,
            smoke=smoke_test,
            dry_run=dry_run,
            ask_for_days=promotion.approval_days if asks else None,
            request=request,
        )
    except GateFailed as refusal:
        return Outcome("kept_champion", version, decision.champion_version, str(refusal), verdicts)
    return Outcome(done.outcome, version, done.to_version or done.from_version, done.message, verdicts)


def _judged_before(project: Project, version: int, given_up: GivenUp) -> Outcome | None:
    live = versions.champion(project.tracker)
    champion_version = None if live is None else int(live.version)
    if live is not None and live.source == f"models:/{project.tracker.names.candidates}/{version}":
        message = f"candidate {version} is the champion already, as {project.tracker.names.live}/{champion_version}"
        return Outcome("already_champion", version, champion_version, message, [])
    limits = limits_of(project.params.promotion, given_up.to_json() if given_up else None)
    question = (version, champion_version, limits)
    request = approvals.request_of(project.ledger, version)
    if request is not None and _asked(request.entry) == question and not request.has_expired():
        verdicts = list(request.entry.decision["verdicts"])
        how: Literal["waiting", "kept_champion"] = "waiting" if request.refusal is None else "kept_champion"
        return Outcome(how, version, champion_version, approvals.said_of(request), verdicts)
    for entry in project.ledger.history():
        if entry.state == "rejected" and _asked(entry) == question and _is_final(entry.decision["verdicts"]):
            message = f"candidate {version} was rejected against this champion before (ledger row {entry.id})"
            return Outcome("kept_champion", version, champion_version, message, list(entry.decision["verdicts"]))
    return None


def _asked(entry: Entry) -> tuple[int, int | None, Any]:
    return entry.candidate_version, entry.from_version, entry.decision.get("limits")


def _is_final(verdicts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether something was measured and is not good enough, however the machine was doing."""
    return any(
        not verdict["passed"] and verdict["gate"] not in OF_THE_MOMENT and verdict["observed"] != NOT_MEASURED
        for verdict in verdicts
    )


def offer_dictionary(
    project: Project,
    dataset: Dataset,
    dictionary: TrainedRun,
    outcome: Outcome,
    *,
    who: str,
    why: str,
    dry_run: bool = False,
    given_up: GivenUp = NOTHING,
) -> Outcome | None:
    """Where nothing beats the dictionary, and `promotion.dictionary` lets it go live: register and judge the dictionary
    itself, after a challenger's `outcome`. None where the challenger is live or beat the dictionary, or it may not."""
    if outcome.accepted or project.params.promotion.dictionary != "may_go_live":
        return None
    if any(verdict["gate"] == "beats_dictionary" and verdict["passed"] for verdict in outcome.verdicts):
        return None
    candidate = register_candidate(project, dataset, [dictionary], dictionary)
    done = judge_and_promote(project, candidate.version, who=who, why=why, dry_run=dry_run, given_up=given_up)
    said = "It is the dictionary: it looks up the values it has seen, and has learned nothing else"
    return replace(done, message=f"{done.message}. {said}") if done.accepted else done
