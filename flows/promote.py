"""Judge one registered candidate and, when every gate says yes, make it the champion, or have it wait for approval."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.cli.ending import ending
from facetmill.judging.given_up import GivenUp
from facetmill.judging.judge import judge_and_promote, links
from facetmill.platform.steps import step
from facetmill.platform.told import run_name, with_verdict
from facetmill.project import open_project


@flow(name="promote", flow_run_name=run_name, log_prints=True)
def promote(
    version: int,
    who: str,
    why: str,
    dry_run: bool = False,
    changes: list[str] | None = None,
    catalogue: str | None = None,
    data: str | None = None,
    drop_attribute: list[str] | None = None,
    drop_category: list[str] | None = None,
) -> Any:
    """Make a candidate that passed the champion of its catalogue. A dry run asks the same gates and changes nothing."""
    project = open_project(data, changes=changes, catalogue=catalogue, with_data=False)
    given_up = GivenUp(tuple(drop_attribute or ()), tuple(drop_category or ()))
    done = step(judge_and_promote)(project, version, who=who, why=why, dry_run=dry_run, given_up=given_up)
    told = {"catalogue": project.catalogue, "dry_run": dry_run, **done.to_json(), "links": links(project, version)}
    return with_verdict(told, ending(told), told)
