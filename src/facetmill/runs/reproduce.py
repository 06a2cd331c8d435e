"""Training a registered model again from what its run has kept, to see that the numbers are not an accident."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from facetmill.errors import PlatformError
from facetmill.params.migrate import migrated
from facetmill.project import Project
from facetmill.registry import lineage, versions
from facetmill.runs.code_digest import code_digest
from facetmill.runs.train import RECIPE, Recipe, only_training, train_anew
from facetmill.tracking.tags import DATASET_VERSION, REPRODUCTION_OF


@dataclass(frozen=True)
class Reproduction:
    """`differences` are the metrics that came out otherwise, as (then, now); none on the machine of then."""

    of_run: str
    run: str
    dataset_version: str
    num_metrics: int
    differences: dict[str, tuple[float, float]]

    @property
    def same(self) -> bool:
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "same": self.same}


def reproduce(project: Project, ref: str) -> Reproduction:
    """Same data bytes, same parameters, same seed: the same metrics, on the same machine.

    Raises `PlatformError` when the code that trains is not that of then, naming the commit to check out, or when the
    dataset cannot be brought back.
    """
    run_id = versions.resolve(project.tracker, ref).run_id
    if run_id is None:
        raise PlatformError(f"{ref}: no run is known of it, so it cannot be trained again")
    then = project.tracker.run_info(run_id)
    kept = project.tracker.read_json(run_id, RECIPE)
    if kept.pop("code") != code_digest(kept["key"]):
        commit = then.tags.get("mlflow.source.git.commit", "unknown")
        raise PlatformError(f"{ref}: the code that trains has changed since; check out commit {commit} and try again")
    kept["config"] = migrated(kept["key"], kept["config"])
    recipe = TypeAdapter(Recipe).validate_json(json.dumps(kept))
    dataset = lineage.bring_back(project.tracker, project.layout.root, then.tags[DATASET_VERSION])
    kind, tags = "reproduction", {REPRODUCTION_OF: run_id}
    with only_training(project, dataset, recipe, kind=kind) as state_dir:
        made = train_anew(project, dataset, recipe, state_dir, kind=kind, tags=tags)
    now = project.tracker.run_info(made.run_id).metrics
    compared = [name for name in then.metrics if name.startswith(("test/", "validation/", "train/"))]
    compared = [name for name in compared if name != "train/products_per_second"]
    differences = {
        name: (then.metrics[name], now.get(name, float("nan")))
        for name in compared
        if then.metrics[name] != now.get(name)
    }
    return Reproduction(run_id, made.run_id, dataset.version, len(compared), differences)
