"""A saved model as a package that MLflow serves: one Python file, safetensors, JSON, a signature and an example."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal

import mlflow.pyfunc
import pandas as pd
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model

import facetmill
from facetmill.files import hash_folder
from facetmill.perception.reader import Reader, load_reader
from facetmill.records import Box, OcrToken, Product
from facetmill.serving.plain import MODEL_FILES, require_kinds, require_plain
from facetmill.serving.request import to_row
from facetmill.serving.signature import SIGNATURE
from facetmill.tracking.tags import PACKAGE_SHA256
from facetmill.tracking.tracker import Run, Tracker

NAME = "model"  # of the package below its run, and of the folder with the weights inside the package
REQUIRED = ("facetmill", "mlflow", "pandas", "pillow", "safetensors", "torch", "transformers")
MODEL_FILE = Path(facetmill.__file__).parent / "serving" / "model_file.py"

EXAMPLES = (
    Product(
        "example-1",
        "example",
        "Nordkap rain jacket, dark blue",
        "Shell of recycled polyester.",
        category="Jackets",
        ocr=(OcrToken("NORDKAP", Box(0.25, 0.125, 0.75, 0.25)),),
        regions=(Box(0.125, 0.0, 0.875, 1.0),),
    ),
    Product("example-2", "example", "Oat drink"),
)
INPUT_EXAMPLE = pd.DataFrame([to_row(product) for product in EXAMPLES])


def package(model_dir: Path, run: Run | str, tracker: Tracker, *, tags: Mapping[str, str]) -> str:
    """Log the folder that `save_model` wrote as a served model of a run, and return its URI, `models:/m-...`.

    Nothing is registered yet. MLflow's own `log_model` needs an active run; these are its steps with explicit ids.
    The hash of the whole package stands in the tag `facetmill.package_sha256`; `versions.fetch` checks it.
    """
    run_id = run if isinstance(run, str) else run.run_id
    require_kinds(model_dir, MODEL_FILES)
    client = tracker.client
    model = client.create_logged_model(
        tracker.experiment_id, name=NAME, source_run_id=run_id, tags=dict(tags), model_type="facets"
    )
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch) / NAME
            # MLflow names the artifact after its folder, and refuses a link; the bytes are shared where it can be
            shutil.copytree(model_dir, weights, copy_function=_link_or_copy)
            package_dir = Path(scratch) / "package"
            mlflow.pyfunc.save_model(
                package_dir,
                python_model=str(MODEL_FILE),
                artifacts={NAME: str(weights)},
                signature=SIGNATURE,
                input_example=INPUT_EXAMPLE,
                pip_requirements=requirements(load_reader(model_dir)),
                mlflow_model=Model(run_id=run_id, model_id=model.model_id),
            )
            require_plain(package_dir)
            client.set_logged_model_tags(model.model_id, {PACKAGE_SHA256: hash_folder(package_dir)})
            client.log_model_artifacts(model.model_id, str(package_dir))
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        status = "READY"
    finally:
        client.finalize_logged_model(model.model_id, status)
    return f"models:/{model.model_id}"


def weights_dir(package_dir: Path) -> Path:
    """The folder inside a package that `save_model` wrote."""
    return package_dir / "artifacts" / NAME


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def requirements(reader: Reader | None = None) -> list[str]:
    """What the served model needs, exactly as it was trained with, and what it reads pictures with. Stated, since
    MLflow's inference runs the model."""
    return [_pinned(name) for name in (*REQUIRED, *(reader.libraries if reader is not None else ()))]


def _pinned(name: str) -> str:
    try:
        return f"{name}=={metadata.version(name).partition('+')[0]}"
    except metadata.PackageNotFoundError:  # of an engine, where another host has read the pictures
        return name
