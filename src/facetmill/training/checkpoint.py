"""A model as a folder of JSON and safetensors; nothing in it is ever unpickled.

model.json            format version, model key, config, what the model reads, and the SHA-256 of every other file
schema.json           the attributes
assets/               what the model itself needs: vocabulary, tokenizer, counts
weights.safetensors   its state_dict
fallback/             the dictionary that tells what it finds nothing of, where it has one
reader.json, reader/  how pictures were read that it was trained with (`perception/reader.py`), where it reads any
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from facetmill.compute.tensors import load_tensors, save_tensors
from facetmill.errors import DataError
from facetmill.files import hash_file, read_json, replace_folder, write_json, write_text
from facetmill.models import MODELS, model_class
from facetmill.models.base import Model
from facetmill.models.calibration import FILE as CALIBRATION
from facetmill.models.calibration import Calibration
from facetmill.models.fallback import FOLDER as FALLBACK
from facetmill.models.fallback import Fallback
from facetmill.params import ModelConfig, ModelsParams, to_mapping
from facetmill.params.migrate import migrated
from facetmill.perception.reader import FILE, NETWORKS, load_reader
from facetmill.records import AttributeSchema

FORMAT_VERSION = 1


def save_model(model: Model, folder: Path) -> None:
    """Write a model; `folder` is replaced as a whole or not at all."""
    with replace_folder(folder) as temporary:
        assets = temporary / "assets"
        assets.mkdir()
        model.save_assets(assets)
        write_text(temporary / "schema.json", model.schema.to_json())
        save_tensors(model.state_dict(), temporary / "weights.safetensors")
        model.calibration.save(temporary)
        if model.fallback is not None:
            model.fallback.save(temporary)
        if model.reader is not None:
            model.reader.save(temporary)
        write_json(
            temporary / "model.json",
            {
                "format_version": FORMAT_VERSION,
                "key": model.key,
                "config": to_mapping(model.config),
                "reads": sorted(model.reads),
                "hashes": _hashes(temporary),
            },
        )


def load_model(folder: Path, device: str = "cpu") -> Model:
    """The saved model in evaluation mode.

    Raises `DataError` naming the file that is missing, changed, of another version or not finite.
    """
    path = folder / "model.json"
    described = _read(path)
    version = described.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: format_version {version!r}, but this Facetmill reads {FORMAT_VERSION}")
    key = described.get("key")
    if key not in MODELS:
        raise DataError(f"{path}: key {key!r} is not a model; there are {', '.join(MODELS)}")
    _require_unchanged(folder, described.get("hashes"))
    config = _config(path, key, described.get("config"))
    schema = AttributeSchema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
    model = model_class(key).load_assets(config, schema, folder / "assets")
    weights_path = folder / "weights.safetensors"
    weights = load_tensors(weights_path)
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DataError(f"{weights_path}: {name} holds values that are not finite")
    try:
        model.load_state_dict(model.current_names(weights))
    except RuntimeError as error:
        raise DataError(f"{weights_path}: {error}") from error
    model.read_with(load_reader(folder))
    model.calibration = Calibration.load(folder)
    model.fallback = Fallback.load(folder, schema)
    return model.to(device).eval()


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise DataError(f"{path}: expected an object, got {type(raw).__name__}")
    return raw


def _config(path: Path, key: str, raw: Any) -> ModelConfig:
    adapter: TypeAdapter[ModelConfig] = TypeAdapter(get_type_hints(ModelsParams)[key])
    if isinstance(raw, dict):
        raw = migrated(key, raw)
    try:
        return adapter.validate_json(json.dumps(raw))
    except ValidationError as error:
        raise DataError(f"{path}: config: {error}") from None


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model but model.json, by its path in the folder."""
    files = [folder / "schema.json", folder / "weights.safetensors", folder / FILE, folder / CALIBRATION]
    for part in (folder / "assets", folder / NETWORKS, folder / FALLBACK):
        files += sorted(path for path in part.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files if path.is_file()}


def _require_unchanged(folder: Path, expected: Any) -> None:
    found = _hashes(folder)
    if not isinstance(expected, dict):
        raise DataError(f"{folder / 'model.json'}: hashes: expected an object, got {expected!r}")
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise DataError(f"{folder / name}: missing")
        if found[name] != expected.get(name):
            raise DataError(f"{folder / name}: SHA-256 is {found[name]}, model.json says {expected.get(name)}")
