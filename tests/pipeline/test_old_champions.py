"""Champions made by an earlier Facetmill load today, answer as they did, and can be rolled back to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Object, Property, Schema

from facetmill.files import hash_folder
from facetmill.registry import promotion, versions
from facetmill.serving.package import requirements
from facetmill.serving.signature import PUBLISHED
from facetmill.serving.smoke import smoke_test
from facetmill.tracking.tags import PACKAGE_SHA256
from facetmill.training.checkpoint import load_model, save_model

from .candidates import live_version, new_candidate, promote
from .conftest import Platform

pytestmark = pytest.mark.pipeline

STORED = Path(__file__).parents[1] / "champions_92b7a0f"
KEYS = ("dictionary", "jave", "m_jave")

#: As commit 92b7a0f published it.
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            *(ColSpec(DataType.string, name) for name in ("product_id", "title", "text")),
            *(ColSpec(DataType.string, name, required=False) for name in ("category", "image")),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.string, "product_id"),
            ColSpec(
                Array(
                    Object(
                        [
                            Property("attribute", DataType.string),
                            Property("value", DataType.string),
                            Property("field", DataType.string, required=False),
                            Property("start", DataType.long, required=False),
                            Property("end", DataType.long, required=False),
                            Property("confidence", DataType.double, required=False),
                        ]
                    )
                ),
                "facets",
            ),
        ]
    ),
)


def packed(key: str, folder: Path, **about: Any) -> Path:
    """The package of a stored champion, made as commit 92b7a0f made it."""
    code = folder / "model_file.py"
    shutil.copy(STORED / "model_file.txt", code)
    shutil.copytree(STORED / key, folder / "model")
    example = pd.DataFrame([{"product_id": "1", "title": "Oat drink", "text": ""}])
    mlflow.pyfunc.save_model(
        folder / "package",
        python_model=str(code),
        artifacts={"model": str(folder / "model")},
        signature=SIGNATURE,
        input_example=example,
        pip_requirements=requirements(),
        mlflow_model=Model(**about),
    )
    return folder / "package"


def registered(platform: Platform, key: str, folder: Path) -> int:
    """A stored champion as a candidate of today's registry."""
    tags = {"facetmill.model": key, "facetmill.dataset_version": "d" * 64}
    client = platform.tracker.client
    with platform.tracker.run("champion of 92b7a0f", tags=tags) as run:
        model = client.create_logged_model(
            platform.tracker.experiment_id, name="model", source_run_id=run.run_id, tags=tags, model_type="facets"
        )
        package_dir = packed(key, folder, run_id=run.run_id, model_id=model.model_id)
        client.set_logged_model_tags(model.model_id, {PACKAGE_SHA256: hash_folder(package_dir)})
        client.log_model_artifacts(model.model_id, str(package_dir))
        client.finalize_logged_model(model.model_id, "READY")
    return versions.register(platform.tracker, run.run_id, {**tags, "facetmill.dictionary_run": run.run_id})


def same_answers(found: list[dict[str, Any]], stored: list[dict[str, Any]]) -> bool:
    """Equal in all but the last digits of confidences, which another CPU adds up in another order."""
    sure = [[facet.pop("confidence") for row in rows for facet in row["facets"]] for rows in (found, stored)]
    rows = [[{"product_id": row["product_id"], "facets": row["facets"]} for row in rows] for rows in (found, stored)]
    return rows[0] == rows[1] and sure[0] == pytest.approx(sure[1], abs=1e-6)


def answers(model: Any, key: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a loaded package says now to the rows of then, and what it said then."""
    kept = json.loads((STORED / f"{key}.answers.json").read_text())
    return model.predict(pd.DataFrame(kept["rows"])).to_dict("records"), kept["answers"]


def test_its_signature_may_go_live() -> None:
    assert SIGNATURE in PUBLISHED


@pytest.mark.parametrize("key", KEYS)
def test_it_answers_as_it_did(key: str, tmp_path: Path) -> None:
    assert same_answers(*answers(mlflow.pyfunc.load_model(str(packed(key, tmp_path))), key))


@pytest.mark.parametrize("key", KEYS)
def test_saved_again_it_is_the_same_model(key: str, tmp_path: Path) -> None:
    """What today writes of it loads too: a migration that forgets a field would lose it here."""

    model = load_model(STORED / key)
    save_model(model, tmp_path / "again")
    again = load_model(tmp_path / "again")
    assert (again.config, again.schema) == (model.config, model.schema)
    assert all(tensor.equal(again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_it_is_challenged_and_rolled_back_to(platform: Platform, model_dir: Path, tmp_path: Path) -> None:
    promote(platform, registered(platform, "jave", tmp_path), smoke=smoke_test)
    old = live_version(platform)
    promote(platform, new_candidate(platform, model_dir), smoke=smoke_test)
    assert live_version(platform) != old
    done = promotion.rollback(platform.tracker, platform.ledger, who="ben", why="returns rose", smoke=smoke_test)
    assert (done.outcome, done.to_version, live_version(platform)) == ("rolled_back", old, old)
    assert same_answers(*answers(mlflow.pyfunc.load_model("models:/facets@champion"), "jave"))
