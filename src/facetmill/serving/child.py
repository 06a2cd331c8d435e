"""Inside an isolated process: load a packaged model as a server does and write down what it answers.

`platform.isolated` imports this module, and the rest that models need, ahead of time.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc
import pandas as pd
from mlflow.pyfunc import PyFuncModel

import facetmill.training.predict  # noqa: F401  (what a package's model file imports, torch below it)
from facetmill.compute.device import compute_settings
from facetmill.models.base import PictureMaps
from facetmill.serving.request import to_products
from facetmill.training.checkpoint import load_model

BATCH = 32
REPEATS = 3
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


def write_picture_maps(model_dir: str, requests: str, answers: str) -> None:
    """Write how far a saved model lets the picture of each row in, as JSON: for each, null or
    `{tokens[{field, start, end, gate}], rows, columns, regions[gate]}`, all gates in 0..1."""
    with compute_settings(THREADS):
        model = load_model(Path(model_dir))
        found = [model.picture_maps(product) for product in to_products(_read(requests), model.reader)]
    Path(answers).write_text(json.dumps([None if maps is None else _gates(maps) for maps in found], allow_nan=False))


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
