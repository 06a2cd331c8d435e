"""Make a past champion the champion again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow

from facetmill.platform.steps import step
from facetmill.platform.told import run_name
from facetmill.project import open_project
from facetmill.registry import promotion
from facetmill.serving.smoke import smoke_test


@flow(name="rollback", flow_run_name=run_name, log_prints=True)
def rollback(
    who: str,
    why: str,
    to: int | None = None,
    changes: list[str] | None = None,
    catalogue: str | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """Make version `to` of a catalogue's live model its champion again, or the champion before the present one."""
    project = open_project(data, changes=changes, catalogue=catalogue, with_data=False)
    return asdict(step(promotion.rollback)(project.tracker, project.ledger, who=who, why=why, smoke=smoke_test, to=to))
