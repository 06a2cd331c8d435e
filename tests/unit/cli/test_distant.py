"""`facetmill distant train` and `judge` as a user runs them, on drawn signs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from facetmill.cli import app
from facetmill.errors import DataError
from facetmill.files import read_json
from facetmill.params import to_mapping
from tests import drawn_labels, small


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_labels.draw_set(tmp_path_factory.mktemp("drawn") / "signs", 640)


@pytest.fixture
def project(root: Path, signs: Path, tmp_path: Path) -> Path:
    """A project whose labeller is small, with a labelled set, a mapping, and a catalogue labelled by hand."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["distant"] |= {"training": to_mapping(small.LABELLER), "min_confidence": 0.5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text((root / "dvc.yaml").read_text())
    (tmp_path / "signs").symlink_to(signs)
    drawn_labels.write_mapping(tmp_path)
    generator = np.random.default_rng(9)
    rows = ["id,title,category,image,Bar"]
    for number in range(12):
        bar, value = (("wide", "Lying"), ("tall", "Standing"))[number % 2]
        drawn_labels.save(tmp_path / "pictures" / f"{number}.png", drawn_labels.sign(bar, "light", generator))
        rows.append(f"p{number},A sign,Signs,pictures/{number}.png,{value}")
    (tmp_path / "shop.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def facetmill(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`facetmill distant ...` in the project, in this process, whose switches stay as they are."""
    monkeypatch.chdir(project)
    monkeypatch.setattr("facetmill.platform.environment.apply", lambda layout: None)
    return lambda *arguments: CliRunner().invoke(app, ["distant", *arguments])


def test_train_then_judge(project: Path, facetmill: Callable[..., Result]) -> None:
    where = ("--mapping", "mapping.yaml", "--out", "labeller")
    trained = facetmill("train", "--labels", "folder:signs", *where, "--json")
    assert trained.exit_code == 0, trained.exception
    assert json.loads(trained.stdout) == read_json(project / "labeller" / "report.json")
    assert "epoch 1 of 12" in trained.stderr

    judged = facetmill("judge", "--labeller", "labeller", "--data", "products:shop.csv")
    assert judged.exit_code == 0, judged.exception
    found = read_json(project / "distant-quality.json")
    assert found["Bar"]["num_manual"] == 12
    assert found["Bar"]["forced"]["accuracy"]["value"] > 0.9
    assert "coverage: " in judged.stdout


@pytest.mark.parametrize(
    ("labels", "mapping", "said"),
    [
        ("signs", "mapping.yaml", "labels 'signs': expected format:folder"),
        ("folder:gone", "mapping.yaml", "gone: no such folder"),
        ("folder:signs", "gone.yaml", "gone.yaml"),
    ],
)
def test_what_cannot_be_read_is_told_in_words(
    project: Path, facetmill: Callable[..., Result], labels: str, mapping: str, said: str
) -> None:
    failed = facetmill("train", "--labels", labels, "--mapping", mapping, "--out", "labeller")
    assert isinstance(failed.exception, DataError)
    assert said in str(failed.exception)
    assert not (project / "labeller").exists()


def test_a_folder_that_is_no_labeller_is_not_replaced(project: Path, facetmill: Callable[..., Result]) -> None:
    failed = facetmill("train", "--labels", "folder:signs", "--mapping", "mapping.yaml", "--out", "pictures")
    assert "pictures: there is something that is no labeller" in str(failed.exception)
    assert len(list((project / "pictures").iterdir())) == 12
