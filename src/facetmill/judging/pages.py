"""What people read of a judgement: the review page in the candidate's run, and its version's description."""

from __future__ import annotations

from facetmill.gates.verdict import Decision
from facetmill.judging.comparison import Comparison
from facetmill.project import Project
from facetmill.registry import versions
from facetmill.registry.notes import describe_candidate
from facetmill.report.review_page import review_page
from facetmill.tracking.tracker import Run

COMPARISON, REVIEW = "comparison.json", "review.html"  # artifacts of the candidate's run
APPROVAL = "approval"  # key of the comparison


def keep(project: Project, run_id: str, comparison: Comparison) -> None:
    """Keep a comparison and its page with the candidate's run."""
    run, said = Run(project.tracker.client, run_id), comparison.to_json()
    run.log_json(COMPARISON, said)
    run.log_text(REVIEW, review_page(said))


def tell_approval(project: Project, version: int, decision: Decision, said: str) -> None:
    """Say on both that a judged candidate waits for a person, or what that person said."""
    describe_candidate(project.tracker, version, decision, said)
    run_id = versions.resolve(project.tracker, f"{project.tracker.names.candidates}/{version}").trained_in
    if run_id is not None:
        comparison = {**project.tracker.read_json(run_id, COMPARISON), APPROVAL: said}
        run = Run(project.tracker.client, run_id)
        run.log_json(COMPARISON, comparison)
        run.log_text(REVIEW, review_page(comparison))
