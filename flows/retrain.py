"""The whole loop: dataset, data gate, baseline, sweep, final trainings, candidate, judgement, promotion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.cli.ending import ending_of_retrain
from facetmill.dataset.store.storage import push
from facetmill.dataset.store.workspace import build
from facetmill.errors import ParamsError
from facetmill.imports import imported_meanwhile
from facetmill.platform.flow_runs import own_flow_run
from facetmill.platform.steps import step
from facetmill.platform.told import run_name, telling_rejected_data, with_verdict
from facetmill.project import open_project


@flow(name="retrain", flow_run_name=run_name, log_prints=True)
def retrain(
    who: str,
    data: str | None = None,
    catalogue: str | None = None,
    model: str | None = None,
    changes: list[str] | None = None,
    why: str = "retrain",
    drop_attribute: list[str] | None = None,
    drop_category: list[str] | None = None,
    no_promote: bool = False,
) -> Any:
    """Offer the champion a challenger trained on today's data; one that is not better changes nothing live, and with
    `no_promote` none does."""
    own_flow_run()
    if not who.strip():
        raise ParamsError("who: must not be empty, for the ledger names who let what go live")
    project = open_project(data, model, changes, catalogue=catalogue)
    with project.retraining():
        with imported_meanwhile(
            "facetmill.judging.judge", "facetmill.runs.sweep"
        ):  # while DVC works in processes of its own
            built = step(build)(project.layout.root, project.params, log=print)
        from facetmill.judging.given_up import GivenUp, require_same_catalogue
        from facetmill.judging.judge import judge_and_promote, links, offer_dictionary, register_candidate
        from facetmill.runs.sweep import sweep
        from facetmill.runs.train import train_dictionary, train_seeds

        dataset, given_up = built.dataset, GivenUp(tuple(drop_attribute or ()), tuple(drop_category or ()))
        with telling_rejected_data(project.catalogue):
            step(dataset.require_passed)()
        step(require_same_catalogue)(project, dataset.schema, given_up)
        step(push)(project.layout.root, dataset, log=print)
        dictionary = step(train_dictionary)(project, dataset)
        winner = step(sweep)(project, dataset, project.params.model)
        runs = step(train_seeds)(project, dataset, winner.recipe, winner.study)
        candidate = step(register_candidate)(project, dataset, runs, dictionary)
        asked = {"who": who, "why": why, "dry_run": no_promote, "given_up": given_up}
        outcome = step(judge_and_promote)(project, candidate.version, **asked)
        fallback = step(offer_dictionary)(project, dataset, dictionary, outcome, **asked)
    told = {
        "catalogue": project.catalogue,
        "dry_run": no_promote,
        "dataset": built.to_json(),
        "sweep": winner.to_json(),
        "candidate": candidate.to_json(),
        "outcome": outcome.to_json(),
        "dictionary": None if fallback is None else fallback.to_json(),
        "links": links(project, candidate.version if fallback is None else fallback.candidate_version),
    }
    return with_verdict(told, ending_of_retrain(told), told["dictionary"] or told["outcome"])
