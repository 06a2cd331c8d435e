"""The pipeline without the stages that are switched off.

The project's dvc.yaml has every stage, and one that is off passes on what it gets. A dataset's own dvc.yaml does
without it: whatever would read its output reads its input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from facetmill.params.stages import STAGES


def without(stages: Mapping[str, Any], off: Collection[str]) -> dict[str, Any]:
    """The stages of a dvc.yaml but for those that are off, their commands, deps and outs joined up."""
    kept = {name: dict(stage) for name, stage in stages.items() if name not in off}
    for gone in reversed(STAGES):  # of two that are off one after the other, the later one's input is gone as well
        if gone.name not in off:
            continue
        for stage in kept.values():
            stage["deps"] = [dep for dep in stage["deps"] if dep != gone.report]
            if gone.place is not None:
                old, new = gone.place
                stage["cmd"] = " ".join(new if word == old else word for word in stage["cmd"].split())
                for key in ("deps", "outs"):
                    if key in stage:
                        stage[key] = list(dict.fromkeys(new if path == old else path for path in stage[key]))
    return kept
