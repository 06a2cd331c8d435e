"""Inside an isolated process: load a packaged model as a server does and write down what it answers.

`platform.isolated` imports this module, and the rest that models need, ahead of time.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc
import pandas as pd
from mlflow.pyfunc import PyFuncModel

import facetmill.training.predict  # noqa: F401  (what a package's model file imports, torch below it)
from facetmill.compute.device import compute_settings
from facetmill.errors import DataError
from facetmill.models.base import Model, PictureMaps
from facetmill.records import Product
from facetmill.serving.request import to_products
from facetmill.training.checkpoint import load_model
from facetmill.training.covered import cover

BATCH = 32
REPEATS = 3
CHANCES = 5  # of each attribute that are written down
THREADS = 1  # two wait for each other on a busy machine: one request then takes ten times as long


def write_answers(model_uri: str, tracking_uri: str, requests: str, answers: str, timed: str) -> None:
    """Ask the model behind an MLflow URI or path about rows of JSON lines, and write its answers as JSON lines.

    The last line holds the seconds that loading took, and those of one request for each of the `timed` rows: the
    fastest of `REPEATS`, since whatever else the machine does can only add to them.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # this process was forked from one that may be old
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    rows = pd.DataFrame(_read(requests))
    with compute_settings(THREADS), Path(answers).open("w", encoding="utf-8") as lines:
        started = time.perf_counter()
        # Whether other versions are installed than were noted: two thirds of the time that loading takes, for a warning
        # that nobody would see.
        model = mlflow.pyfunc.load_model(model_uri, suppress_warnings=True)
        load_seconds = time.perf_counter() - started
        for start in range(0, len(rows), BATCH):
            for answer in model.predict(rows[start : start + BATCH]).to_dict("records"):
                lines.write(json.dumps(answer, ensure_ascii=False) + "\n")
        latencies = [_seconds(model, pd.DataFrame([row])) for row in _read(timed)]
        lines.write(json.dumps({"load_seconds": load_seconds, "latencies": latencies}) + "\n")


def write_looks(model_dir: str, requests: str, answers: str) -> None:
    """Write what a saved model made of each row, as JSON, all numbers in 0..1: `{gates, covered, chances}`, each of
    them null of a model that has no such thing.

    `gates` say how far it let the picture in: `{tokens[{field, start, end, gate}], rows, columns, regions[gate]}`;
    `covered` has what it owes to the picture (`training.covered`): `[{attribute, value, confidence, whole, parts}]`;
    `chances` are those of each attribute's candidates: `{attribute: [[value, probability]]}`, the likeliest first.
    """
    with compute_settings(THREADS):
        model = load_model(Path(model_dir))
        found = [_look(model, product) for product in to_products(_read(requests), model.reader)]
    Path(answers).write_text(json.dumps(found, allow_nan=False))


def _look(model: Model, product: Product) -> dict[str, Any]:
    maps, chances = model.picture_maps(product), model.chances(product)
    try:
        covered = cover(model, product)
    except DataError:  # it was given vectors of its pictures, and has none of a covered one
        covered = None
    return {
        "gates": None if maps is None else _gates(maps),
        "covered": None if covered is None else [asdict(each) for each in covered],
        "chances": chances and {name: [*islice(values.items(), CHANCES)] for name, values in chances.items()},
    }


def _read(path: str) -> list[dict[str, Any]]:
    """Rows of JSON lines. No other line break ends one: a title may hold them."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line]


def _gates(maps: PictureMaps) -> dict[str, Any]:
    return {
        "tokens": [{**asdict(span), "gate": gate} for span, gate in maps.tokens],
        "rows": len(maps.regions),
        "columns": len(maps.regions[0]),
        "regions": [gate for row in maps.regions for gate in row],
    }


def _seconds(model: PyFuncModel, row: pd.DataFrame) -> float:
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        model.predict(row)
        taken.append(time.perf_counter() - started)
    return min(taken)
