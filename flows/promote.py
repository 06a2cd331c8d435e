"""Judge one registered candidate and, when every gate says yes, make it the champion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from facetmill.platform.steps import step
from facetmill.registry.judging import settle
from facetmill.workbench import open_workbench


@flow(name="promote", log_prints=True)
def promote(version: int, who: str, why: str, dry_run: bool = False) -> dict[str, Any]:
    """Move `facets@champion` to a candidate that passed. A dry run asks the same gates and changes nothing."""
    bench = open_workbench()
    return step(settle)(bench, version, who=who, why=why, dry_run=dry_run).to_json()
