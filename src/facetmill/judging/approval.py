"""A person's word on a candidate that waits for it: approve or reject."""

from __future__ import annotations

from facetmill.errors import Outdated
from facetmill.gates.verdict import Decision
from facetmill.judging.claims import limits_of
from facetmill.judging.given_up import GivenUp
from facetmill.judging.judge import Outcome, judge, promote_judged
from facetmill.judging.pages import tell_approval
from facetmill.project import Project
from facetmill.registry import approvals


def approve(project: Project, version: int, *, who: str, why: str) -> Outcome:
    """Make a candidate that waits the champion, by the decision that it has waited with.

    Where the champion or a limit has changed since, it is judged again first, and a gate may say no now. Raises
    `PlatformError` where it does not wait, or waits no more.
    """
    request = approvals.require_request(project.ledger, version)
    decision = Decision.from_json(request.entry.decision)
    given_up = GivenUp.from_json(decision.limits.get("given_up"))
    if decision.limits != limits_of(project.params.promotion, given_up.to_json() if given_up else None):
        print("the limits of params.yaml have changed since it was judged, so it is judged again")
        decision = judge(project, version, given_up)
    while True:
        try:
            outcome = promote_judged(project, version, decision, who=who, why=why, request=request.entry)
            break
        except Outdated as error:
            print(error)
            decision = judge(project, version, given_up)
    if outcome.outcome == "promoted":
        tell_approval(project, version, decision, f"Approved by {who}: {why}")
    return outcome


def reject(project: Project, version: int, *, who: str, why: str) -> str:
    """Refuse a candidate that waits, which changes nothing live; returns how it stands. The same model is not asked
    about again until the champion or a limit changes. Raises as `approve` does."""
    refused = approvals.refuse(project.ledger, version, who=who, why=why)
    said = approvals.said_of(refused)
    tell_approval(project, version, Decision.from_json(refused.entry.decision), said)
    return said
