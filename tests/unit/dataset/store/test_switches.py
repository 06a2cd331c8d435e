"""Switched-off stages leave a pipeline that is joined up, whatever of them is off."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.dataset.store.switches import without
from facetmill.params import Params, load_params
from facetmill.params.stages import STAGES, switched_off

SWITCHED = tuple(stage.name for stage in STAGES)


@pytest.fixture(scope="module")
def stages(root: Path) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    return stages


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


def written(stage: dict[str, Any]) -> set[str]:
    return {*stage["outs"], *(path for metric in stage.get("metrics", []) for path in metric)}


def test_params_yaml_has_them_all_off(params: Params) -> None:
    assert switched_off(params) == SWITCHED
    reading = replace(params, ocr=replace(params.ocr, engine="rapidocr"))
    querying = replace(reading, saliency=replace(params.saliency, seeds=[0]))
    assert switched_off(querying) == ("regions", "distant", "visual_tokens")


def test_without_them_four_stages_are_left_one_after_the_other(stages: dict[str, Any]) -> None:
    left = without(stages, SWITCHED)
    assert list(left) == ["ingest", "match", "split", "check"]
    assert left["match"]["cmd"].split()[3:7] == ["--source", "ingested", "--out", "matched"]
    assert left["split"]["cmd"].split()[3:7] == ["--source", "matched", "--out", "dataset"]
    assert left["split"]["outs"] == ["dataset"]
    assert {dep for dep in left["check"]["deps"] if dep.startswith("reports/")} == {
        "reports/ingest.json",
        "reports/match.json",
        "reports/split.json",
    }


@pytest.mark.parametrize("which", product([True, False], repeat=len(SWITCHED)))
def test_whatever_is_off_each_stage_reads_what_an_earlier_one_writes(
    stages: dict[str, Any], which: tuple[bool, ...]
) -> None:
    off = tuple(name for name, is_off in zip(SWITCHED, which, strict=True) if is_off)
    left = without(stages, off)
    assert set(left) == set(stages) - set(off)
    made: set[str] = set()
    for name, stage in left.items():
        read = {dep for dep in stage["deps"] if not dep.startswith(("src/", "${"))}
        assert read <= made, name
        words = stage["cmd"].split()
        source = words[words.index("--source") + 1] if "--source" in words else None
        assert source is None or source in read, name
        assert not written(stage) & made, name
        assert {words[place + 1] for place, word in enumerate(words) if word == "--out"} <= written(stage), name
        made |= written(stage)
    assert "dataset" in made
    assert without(stages, ()) == stages
