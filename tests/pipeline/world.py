"""A small world to judge in: listings whose values a dictionary knows or not, so that every score is known before."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product as cross
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.dataset.labels.splitting import split_shards
from facetmill.dataset.store.version import Dataset
from facetmill.files import hash_folder, write_json
from facetmill.judging.judge import Outcome, judge_and_promote
from facetmill.judging.pages import COMPARISON
from facetmill.models import model_class
from facetmill.params import load_params
from facetmill.project import Project
from facetmill.records import Facet, Product, Span, to_batch
from facetmill.registry import versions
from facetmill.serving import package as packaging
from facetmill.tracking.tags import DICTIONARY_RUN, PACKAGE_SHA256, SEED_RUNS
from facetmill.training.checkpoint import save_model
from facetmill.training.evaluate import evaluate
from tests import small
from tests.small import PROMOTION, SPLIT

from .conftest import Platform

COLORS, MATERIALS = ("red", "blue", "green", "grey"), ("oak", "wool", "steel", "linen")
VALUES = {"Color": COLORS, "Material": MATERIALS}
CONFIG = replace(small.DICTIONARY, min_reliability=0.1)


def listing(number: int, color: str, material: str) -> Product:
    title = f"{color} {material} thing {number}"
    facets = [Facet(a, v, (Span("title", (at := title.index(v)), at + len(v)),)) for a, v in
              (("Color", color), ("Material", material))]  # fmt: skip
    return Product(f"p{number:03}", "test", title, category="Things", facets=tuple(facets))


@dataclass(frozen=True)
class World:
    """A project with one dataset of 96 listings, half of them test, and a dictionary run to judge against."""

    project: Project
    dataset: Dataset
    dictionary_run: str

    def champion(self) -> int | None:
        live = versions.champion(self.project.tracker)
        return None if live is None else int(live.version)

    def save(self, folder: Path, known: Sequence[str]) -> float:
        """Save a dictionary that knows some values, and return its pair F1 on the test split."""
        schema = self.dataset.schema
        train = [
            Product(v, "t", v, facets=(Facet(a, v),)) for a, values in VALUES.items() for v in values if v in known
        ]
        model = model_class("dictionary").fit_vocabulary(CONFIG, schema, train)
        save_model(model, folder)
        return evaluate(model, self.dataset.read("test")).pair_f1

    def candidate(
        self, folder: Path, pair_f1: float, *, change: Callable[[str], None] | None = None, seeds: int = 1
    ) -> int:
        """Register a saved model; `change` may spoil the package, by its model id, before."""
        tracker = self.project.tracker
        tags = {"facetmill.model": "dictionary", "facetmill.dataset_version": self.dataset.version}
        with tracker.run("candidate", tags=tags) as run:
            run.log_metrics({"test/pair_f1": pair_f1, "validation/pair_f1": pair_f1})
            uri = packaging.package(folder, run, tracker, tags=tags)
        if change is not None:
            model_id = uri.removeprefix("models:/")
            change(model_id)
            with tempfile.TemporaryDirectory() as name:
                spoiled = tracker.download_uri(uri, Path(name) / "spoiled")
                (spoiled / versions.ADDED_BY_MLFLOW).unlink(missing_ok=True)
                sha256 = hash_folder(spoiled)
            tracker.client.set_logged_model_tags(model_id, {PACKAGE_SHA256: sha256})
        runs = ",".join([run.run_id] * seeds)
        tags |= {DICTIONARY_RUN: self.dictionary_run or run.run_id, SEED_RUNS: runs}
        return versions.register(tracker, run.run_id, tags)

    def judge_and_promote(self, version: int, **options: Any) -> Outcome:
        return judge_and_promote(self.project, version, who="ada", why="spring", **options)

    def comparison(self, version: int, folder: Path) -> Any:
        run_id = versions.resolve(self.project.tracker, f"facets-candidates/{version}").run_id
        return self.project.tracker.read_json(run_id or "", COMPARISON)


def make_world(platform: Platform, folder: Path) -> World:
    """A world in which nothing is live; the dictionary to judge against knows one color, and is saved in `folder`."""
    limits = replace(PROMOTION, max_latency_ratio=50.0, max_latency_seconds=30.0)  # of a machine that may be busy
    project = Project(platform.layout, replace(load_params(platform.layout.root / "params.yaml"), promotion=limits))
    pairs = list(cross(COLORS, MATERIALS)) * 6
    dataset = make_dataset(platform, "things", [listing(number, *pair) for number, pair in enumerate(pairs)])
    empty = World(project, dataset, "")
    baseline = empty.candidate(folder, empty.save(folder, ["red"]))
    run_id = versions.resolve(project.tracker, f"facets-candidates/{baseline}").run_id
    return replace(empty, dictionary_run=run_id or "")


def make_dataset(platform: Platform, name: str, listings: Sequence[Product]) -> Dataset:
    """A dataset that passed its gate, half of it test."""
    workspace = platform.layout.data_dir / name
    (workspace / "matched").mkdir(parents=True)
    pq.write_table(pa.Table.from_batches([to_batch(listings)]), workspace / "matched" / "part-00000.parquet")
    shutil.copy(platform.layout.root / "params.yaml", workspace)
    split_shards(workspace / "matched", workspace / "dataset", replace(SPLIT, validation=0.1, test=0.5))
    version = Dataset.open(workspace).version
    write_json(workspace / "checked" / "verdict.json", {"passed": True, "dataset_version": version})
    return Dataset.open(workspace)
