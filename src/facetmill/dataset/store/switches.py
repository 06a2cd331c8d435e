"""Stages that can be switched off, and the pipeline without them.

The project's dvc.yaml has every stage, and one that is off passes on what it gets. A dataset's own dvc.yaml does
without it: whatever would read its output reads its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facetmill.params import Params

#: What there is not while a stage is off, and what stands in its place. In the order of the pipeline.
_INSTEAD: Mapping[str, tuple[str, str] | None] = {
    "ocr": ("read", "ingested"),
    "regions": ("located", "read"),
    "distant": ("supervised", "matched"),
    "saliency": ("divided", "dataset"),
    "visual_tokens": None,
}


def switched_off(params: Params) -> tuple[str, ...]:
    """The stages that change nothing, in the order of the pipeline."""
    switches = {
        "ocr": params.ocr.engine,
        "regions": params.regions.kind,
        "distant": params.distant.labeller,
        "saliency": params.saliency.seeds,
        "visual_tokens": params.visual_tokens.codebook,
    }
    return tuple(stage for stage in _INSTEAD if switches[stage] is None)


def without(stages: Mapping[str, Any], off: tuple[str, ...]) -> dict[str, Any]:
    """The stages of a dvc.yaml but for those that are off, their commands, deps and outs joined up."""
    kept = {name: dict(stage) for name, stage in stages.items() if name not in off}
    for gone in reversed(off):  # of two that are off one after the other, the later one's input is gone as well
        report, place = f"reports/{gone}.json", _INSTEAD[gone]
        for stage in kept.values():
            stage["deps"] = [dep for dep in stage["deps"] if dep != report]
            if place is not None:
                old, new = place
                stage["cmd"] = " ".join(new if word == old else word for word in stage["cmd"].split())
                for key in ("deps", "outs"):
                    if key in stage:
                        stage[key] = list(dict.fromkeys(new if path == old else path for path in stage[key]))
    return kept
