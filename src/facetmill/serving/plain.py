"""What a package may be made of, looked at before anything of it is loaded: MLflow runs whatever its `MLmodel` names.

A package is plain when loading it runs one file and no other, `model_file.py`, which happens in an isolated process. So
it holds no link, nothing to unpickle and no second Python file, and its `MLmodel` names MLflow's loader of such files,
no folder of code, and weights inside the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from facetmill.errors import NoAnswer
from facetmill.terminal import brief

#: What a model and its package may hold, by suffix, else by name. `.model` is a sentencepiece vocabulary.
MODEL_FILES = frozenset({".json", ".model", ".safetensors", ".txt"})
PACKAGE_FILES = MODEL_FILES | {".yaml", "MLmodel", "model_file.py"}

MAX_DESCRIPTION_BYTES, MAX_DEPTH = 100_000, 20  # of an MLmodel, which has about 2,000 in five levels

_OURS: Mapping[str, Any] = {
    "flavors": {},  # but `python_function`, which has the rest
    "loader_module": "mlflow.pyfunc.loaders.code_model",
    "code": None,
    "model_code_path": "model_file.py",
    "artifacts": {"model": "artifacts/model"},
}
_HARMLESS = frozenset({"cloudpickle_version", "env", "python_version", "streamable"})


def require_plain(package: Path) -> None:
    """Raises `NoAnswer` that names the file, and what in it is not as `serving.package` writes it."""
    require_kinds(package, PACKAGE_FILES)
    try:
        described = read_description(package)
        flavors = described["flavors"]
        flavor = dict(flavors.pop("python_function"))
        code, loader = flavor.pop("code", None), flavor.pop("loader_module")
        model_file = PurePath(flavor.pop("model_code_path")).name
        artifacts = {name: artifact["path"] for name, artifact in flavor.pop("artifacts").items()}
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError, yaml.YAMLError) as error:
        raise NoAnswer(f"MLmodel: not as a package has it: {type(error).__name__}: {error}") from error
    found = {"flavors": flavors, "loader_module": loader, "code": code, "model_code_path": model_file}
    found |= {"artifacts": artifacts} | {name: flavor[name] for name in flavor.keys() - _HARMLESS}
    for name, value in found.items():
        if name not in _OURS or value != _OURS[name]:
            raise NoAnswer(f"MLmodel: {name}: {brief(value)}, but a package of Facetmill has {_OURS.get(name)!r}")


def require_kinds(folder: Path, kinds: frozenset[str]) -> None:
    """Raises `NoAnswer` for a folder with a link, or with a file of another kind than these."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or (path.is_file() and not kinds.isdisjoint((path.suffix, name)))):
            raise NoAnswer(f"{name}: only {', '.join(sorted(kinds))} files may be here")


def read_description(package: Path) -> dict[str, Any]:
    """The `MLmodel` of a package. Raises `ValueError` or `YAMLError` for one that is no mapping, too large, too deep (a
    few thousand brackets take minutes to read), or has aliases (a few lines stand for more than fits in memory)."""
    path = package / "MLmodel"
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise ValueError(f"{path.stat().st_size:,} bytes, more than {MAX_DESCRIPTION_BYTES:,}")
    text = path.read_text(encoding="utf-8")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
            raise ValueError("has an alias" if depth <= MAX_DEPTH else f"is more than {MAX_DEPTH} levels deep")
    described = yaml.safe_load(text)
    if not isinstance(described, dict):
        raise ValueError(f"no mapping but {type(described).__name__}")
    return described
