"""What is live, and how it came to be: the answer to a release manager's first question."""

from __future__ import annotations

from typing import Any

from facetmill.platform import servers
from facetmill.registry import versions
from facetmill.tags import DATASET, DATASET_VERSION, MODEL, RUN
from facetmill.workbench import Workbench


def standing(bench: Workbench) -> dict[str, Any]:
    """The champion (None before the first promotion), the ledger row that made it live, and the servers."""
    live = versions.champion(bench.tracker)
    return {
        "champion": None if live is None else _champion(bench, int(live.version), dict(live.tags)),
        "servers": {name: server.url for name, server in servers.running(bench.layout).items()},
        "tracking": bench.tracker.uri,
        "root": str(bench.layout.root),
    }


def _champion(bench: Workbench, version: int, tags: dict[str, str]) -> dict[str, Any]:
    metrics = bench.tracker.run_info(tags[RUN]).metrics
    made = [row for row in bench.ledger.history() if row.state == "done" and row.to_version == version]
    return {
        "version": version,
        "model": tags[MODEL],
        "dataset": tags[DATASET],
        "dataset_version": tags[DATASET_VERSION],
        "run": tags[RUN],
        "test_value_f1": metrics["test/value_f1"],
        "test_attribute_f1": metrics["test/attribute_f1"],
        "since": made[-1].when.isoformat() if made else None,
        "who": made[-1].who if made else None,
        "why": made[-1].why if made else None,
    }
