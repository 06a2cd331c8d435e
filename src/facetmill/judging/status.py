"""What is live, and how it came to be: the answer to a release manager's first question."""

from __future__ import annotations

from typing import Any

from facetmill.platform import servers
from facetmill.project import Project
from facetmill.registry import versions
from facetmill.registry.approvals import waiting_anywhere
from facetmill.registry.losses import problems
from facetmill.tracking.tags import DATASET, DATASET_VERSION, MODEL, RUN


def status(project: Project) -> dict[str, Any]:
    """The champion of the catalogue in hand (None before the first promotion), the ledger row that made it live, what
    is wrong with either, what is live in other catalogues, what waits for approval in any, and the servers."""
    lives = versions.champions(project.tracker)
    live = lives.pop(project.catalogue, None)
    return {
        "catalogue": project.catalogue,
        "champion": None if live is None else _champion(project, int(live.version), dict(live.tags)),
        "other_champions": {name: f"{other.name}/{other.version}" for name, other in lives.items()},
        "waiting": [request.to_json() for request in waiting_anywhere(project.ledger)],
        "problems": problems(project.tracker, project.ledger),
        "servers": {name: server.url for name, server in servers.running(project.layout).items()},
        "tracking": project.tracker.uri,
        "root": str(project.layout.root),
    }


def _champion(project: Project, version: int, tags: dict[str, str]) -> dict[str, Any]:
    """Of a version that was registered by hand hardly anything is known."""
    metrics = project.tracker.run_info(tags[RUN]).metrics if RUN in tags else {}
    made = [row for row in project.ledger.history() if row.state == "done" and row.to_version == version]
    return {
        "version": version,
        "model": tags.get(MODEL),
        "dataset": tags.get(DATASET),
        "dataset_version": tags.get(DATASET_VERSION),
        "run": tags.get(RUN),
        **{f"test_{name}": metrics.get(f"test/{name}") for name in ("pair_f1", "value_f1", "attribute_f1")},
        "since": made[-1].when.isoformat() if made else None,
        "who": made[-1].who if made else None,
        "why": made[-1].why if made else None,
    }
