"""The table of stages that can be switched off says what dvc.yaml and params.yaml say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.params import load_params
from facetmill.params.stages import STAGES, Stage, setting, switched_off, with_settings


@pytest.fixture(scope="module")
def pipeline(root: Path) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    return stages


@pytest.fixture(params=STAGES, ids=lambda stage: stage.name)
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.param
    return found


def test_the_order_is_that_of_the_pipeline(pipeline: dict[str, Any]) -> None:
    names = [stage.name for stage in STAGES]
    assert names == [name for name in pipeline if name in names]


def test_its_place_and_its_report_are_in_the_pipeline(pipeline: dict[str, Any], stage: Stage) -> None:
    described = pipeline[stage.name]
    out, instead = stage.place or (stage.name, None)
    if stage.name == "saliency":  # the last but one: what it reads is written in the place of what it writes
        out, instead = instead, out
    assert described["outs"] == [out]
    assert instead is None or instead in described["deps"]
    assert {stage.report: {"cache": False}} in described["metrics"]
    assert stage.report in pipeline["check"]["deps"]


def test_dvc_watches_its_switch_where_it_counts(pipeline: dict[str, Any], stage: Stage) -> None:
    assert {stage.switch, stage.name} & set(pipeline[stage.name]["params"])
    assert stage.switch in pipeline["check"]["params"]


def test_its_switch_alone_turns_it_on(root: Path, stage: Stage) -> None:
    params = load_params(root / "params.yaml")
    on = with_settings(params, {stage.switch: [0] if stage.name == "saliency" else "rapidocr"})
    assert set(switched_off(params)) - set(switched_off(on)) == {stage.name}


def test_its_folders_are_settings_that_name_something(root: Path, stage: Stage) -> None:
    params = load_params(root / "params.yaml")
    moved = with_settings(params, dict.fromkeys(stage.folders, "/networks/own"))
    assert [setting(moved, key) for key in stage.folders] == ["/networks/own"] * len(stage.folders)
    assert with_settings(moved, {key: setting(params, key) for key in stage.folders}) == params
