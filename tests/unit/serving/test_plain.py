"""Of a package nothing is run but its one model file: whatever else its `MLmodel` names is refused unread."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.errors import NoAnswer
from facetmill.serving.plain import MAX_DESCRIPTION_BYTES, require_plain

#: As MLflow 3.17 writes it for `serving.package`.
FLAVOR = {
    "artifacts": {"model": {"path": "artifacts/model", "uri": "/tmp/x/model"}},
    "cloudpickle_version": "3.1.2",
    "code": None,
    "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
    "loader_module": "mlflow.pyfunc.loaders.code_model",
    "model_code_path": "/home/ada/src/facetmill/serving/model_file.py",
    "python_version": "3.11.7",
    "streamable": False,
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "artifacts" / "model" / "assets").mkdir(parents=True)
    for name in ("model_file.py", "conda.yaml", "requirements.txt", "artifacts/model/weights.safetensors"):
        (folder / name).touch()
    describe(folder, FLAVOR)
    return folder


def describe(folder: Path, flavor: Any, **others: Any) -> None:
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": flavor, **others}, "run_id": "1"}))


def test_what_we_write_is_plain(package: Path) -> None:
    require_plain(package)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loader_module": "evil"}, "loader_module: 'evil', but a package of Facetmill has 'mlflow.pyfunc"),
        ({"loader_module": "mlflow.pyfunc.model"}, "loader_module"),
        ({"code": "code"}, "code: 'code', but a package of Facetmill has None"),
        ({"model_code_path": "evil.py"}, "model_code_path: 'evil.py'"),
        ({"data": "data"}, "data: 'data'"),
        ({"config": {"a": 1}}, "config: "),
        ({"predict_fn": "predict_evil"}, "predict_fn"),
        ({"artifacts": {"model": {"path": "../../elsewhere", "uri": ""}}}, r"artifacts: .*\.\./"),
        ({"artifacts": {}}, "artifacts: {}"),
        ({"artifacts": {"model": "artifacts/model"}}, "not as a package has it"),
    ],
)
def test_another_loader_or_path_is_refused(package: Path, change: dict[str, Any], message: str) -> None:
    describe(package, FLAVOR | change)
    with pytest.raises(NoAnswer, match=f"MLmodel: {message}"):
        require_plain(package)


def test_a_second_flavor_is_refused(package: Path) -> None:
    describe(package, FLAVOR, sklearn={"pickled_model": "model.txt"})
    with pytest.raises(NoAnswer, match=r"flavors: \{'sklearn'"):
        require_plain(package)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in
        zip("abcdefghi", "bcdefghij", strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "has an alias"),
        ("[" * 99_999, "is more than 20 levels deep"),
        ("x" * (MAX_DESCRIPTION_BYTES + 1), "100,001 bytes, more than 100,000"),
        ("[]", "no mapping but list"),
        ("flavors: {}", "KeyError"),
        ("flavors: !!python/object/apply:os.mkdir [made]", "could not determine a constructor"),
        ("a: \x1b", "special characters"),
    ],
)
def test_a_description_that_is_none_is_refused(
    package: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (package / "MLmodel").write_text(text)
    with pytest.raises(NoAnswer, match=f"(?s)MLmodel: not as a package has it: .*({message})"):
        require_plain(package)
    assert os.listdir(tmp_path) == ["package"]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("model.pkl", Path.touch),
        ("evil.py", Path.touch),
        ("artifacts/model/model_file.py", Path.touch),
        ("artifacts/model/assets/MLmodel", Path.touch),
        ("artifacts/model/schema.json", lambda path: path.symlink_to("/etc/passwd")),
        ("artifacts/more", lambda path: path.symlink_to("/etc")),
        ("pipe.json", os.mkfifo),
    ],
)
def test_files_of_no_kind_of_ours_are_refused(package: Path, name: str, make: Callable[[Path], None]) -> None:
    make(package / name)
    with pytest.raises(NoAnswer, match=f"^{name}: only .* files may be here"):
        require_plain(package)
