"""Judge one registered candidate and, when every gate says yes, make it the champion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.judging.judge import judge_and_promote
from facetmill.platform.steps import step
from facetmill.project import open_project


@flow(name="promote", log_prints=True)
def promote(
    version: int, who: str, why: str, dry_run: bool = False, changes: list[str] | None = None
) -> dict[str, Any]:
    """Move `facets@champion` to a candidate that passed. A dry run asks the same gates and changes nothing."""
    project = open_project(changes=changes)
    return step(judge_and_promote)(project, version, who=who, why=why, dry_run=dry_run).to_json()
