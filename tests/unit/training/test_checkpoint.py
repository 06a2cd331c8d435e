"""A saved model: complete, checked, and never half there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from facetmill.errors import DataError
from facetmill.files import hash_file, read_json, write_json
from facetmill.models.jave import Jave
from facetmill.records import Attribute, AttributeSchema, Product
from facetmill.training.checkpoint import load_model, save_model
from tests import small

CONFIG = small.with_text(dataclasses.replace(small.JAVE, kl_weight=0.1, dropout=0.3), hidden_size=8)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    schema = AttributeSchema((Attribute("Colour", {"red": 1}, ("shoes",)),))
    model = Jave.fit_vocabulary(CONFIG, schema, [Product("p", "s", "red red shoe")])
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


def test_a_model_folder_holds_json_and_safetensors_only(saved: Path) -> None:
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    model = load_model(saved)
    assert model.config == CONFIG
    assert model.schema.attributes == (Attribute("Colour", {"red": 1}, ("shoes",)),)
    assert not model.training


def test_saving_over_a_model_replaces_it_whole(saved: Path) -> None:
    (saved / "assets" / "old.json").write_text("{}")
    with pytest.raises(DataError, match=r"old\.json"):
        load_model(saved)
    (saved / "assets" / "old.json").unlink()
    model = load_model(saved)
    (saved / "assets" / "old.json").write_text("{}")
    save_model(model, saved)
    assert not (saved / "assets" / "old.json").exists()
    load_model(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    described = read_json(path)
    change(described)
    write_json(path, described)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format_version=2), "format_version 2"),
        (lambda d: d.update(key="pickle"), "key 'pickle'"),
        (lambda d: d.update(hashes=None), "hashes"),
        (lambda d: d["hashes"].pop("weights.safetensors"), r"weights\.safetensors: SHA-256"),
        (lambda d: d["config"]["encoder"].pop("window"), "config"),
        (lambda d: d["config"]["encoder"].update(window="a"), "config"),
        (lambda d: d["hashes"].update({"../secret": "0"}), r"secret: missing"),
    ],
)
def test_a_wrong_description_is_refused(
    saved: Path, change: Callable[[dict[str, object]], object], message: str
) -> None:
    edit(saved / "model.json", change)
    with pytest.raises(DataError, match=message):
        load_model(saved)


@pytest.mark.parametrize("name", ["schema.json", "weights.safetensors", "assets/tokenizer.json"])
def test_a_changed_or_missing_file_is_named(saved: Path, name: str) -> None:
    path = saved / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        load_model(saved)
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        load_model(saved)


def test_broken_json_and_no_model_at_all_are_data_errors(saved: Path, tmp_path: Path) -> None:
    (saved / "model.json").write_text("{")
    with pytest.raises(DataError, match=r"model\.json"):
        load_model(saved)
    (saved / "model.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="expected an object"):
        load_model(saved)
    with pytest.raises(DataError, match=r"nowhere"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    path = saved / "weights.safetensors"
    weights = load_file(path)
    weights["value_head.tags.bias"][0] = value
    save_file(weights, path)
    edit(saved / "model.json", lambda d: d["hashes"].update({path.name: hash_file(path)}))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"weights\.safetensors: value_head\.tags\.bias"):
        load_model(saved)


def test_weights_of_another_shape_are_refused(saved: Path) -> None:
    path = saved / "weights.safetensors"
    weights = load_file(path)
    weights["value_head.tags.bias"] = torch.zeros(99)
    save_file(weights, path)
    edit(saved / "model.json", lambda d: d["hashes"].update({path.name: hash_file(path)}))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"weights\.safetensors"):
        load_model(saved)
