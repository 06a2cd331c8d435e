"""Approve a candidate that waits for it, and so make it the champion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.cli.ending import ending
from facetmill.judging.approval import approve as approve_candidate
from facetmill.judging.judge import links
from facetmill.platform.steps import step
from facetmill.platform.told import run_name, with_verdict
from facetmill.project import open_project


@flow(name="approve", flow_run_name=run_name, log_prints=True)
def approve(
    version: int,
    who: str,
    why: str,
    changes: list[str] | None = None,
    catalogue: str | None = None,
    data: str | None = None,
) -> Any:
    """Make a candidate that every gate accepted the champion; where that was long ago, the gates are asked again."""
    project = open_project(data, changes=changes, catalogue=catalogue, with_data=False)
    done = step(approve_candidate)(project, version, who=who, why=why)
    told = {"catalogue": project.catalogue, "dry_run": False, **done.to_json(), "links": links(project, version)}
    return with_verdict(told, ending(told), told)
