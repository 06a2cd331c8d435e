"""params.yaml and its mirror agree, and a wrong key is named with its value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.errors import ParamsError
from facetmill.params import load_params, model_config, parse_params, to_mapping


@pytest.fixture
def raw(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text())
    return loaded


def test_the_projects_own_file_is_read_whole(root: Path, raw: dict[str, Any]) -> None:
    read = to_mapping(load_params(root / "params.yaml"))
    for section in (raw["saliency"], raw["distant"]["training"], *raw["models"].values()):
        for key, kind in (("encoder", "text"), ("image_encoder", "image")):
            if key in section:
                section[key] = raw["encoders"][kind][section[key]]
    for section in raw["models"].values():
        assert section.pop("training", {}) == {}  # of which nothing is left where it says nothing
    assert read == raw


def test_every_wrong_key_is_named_at_once(raw: dict[str, Any]) -> None:
    del raw["training"]["seed"]
    raw["sweep"]["trails"] = 3
    raw["split"]["test"] = 2
    with pytest.raises(ParamsError) as error:
        parse_params(raw, "params.yaml")
    message = str(error.value)
    assert "params.yaml: missing key 'training.seed'" in message
    assert "params.yaml: unknown key 'sweep.trails'" in message
    assert "split.test = 2: Input should be less than or equal to 1" in message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "epochs", "12"),
        ("training", "epochs", 1.5),
        ("training", "seed", -1),
        ("match", "ignore_case", "yes"),
        ("match", "fields", ["title", "ocr"]),
        ("sweep", "final_seeds", []),
        ("sweep", "pool", ""),
        ("demo", "noise", 1.1),
        ("training", "learning_rate", float("inf")),
        ("training", "weight_decay", float("nan")),
        ("ocr", "engine", "eyes"),
        ("ocr", "longest_side", 100_000),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused(raw: dict[str, Any], section: str, key: str, value: Any) -> None:
    raw[section][key] = value
    with pytest.raises(ParamsError, match=rf"{section}\.{key}"):
        parse_params(raw, "params.yaml")


def test_zero_is_a_seed(raw: dict[str, Any]) -> None:
    raw["training"]["seed"] = 0
    assert parse_params(raw, "params.yaml").training.seed == 0


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "dataset: [", "\x00", "dataset: &all {path: *all}"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load_params(path)


def test_an_unknown_model_key_lists_the_known_ones(root: Path) -> None:
    with pytest.raises(ParamsError, match=r"'jav'.*dictionary, jave"):
        model_config(load_params(root / "params.yaml"), "jav")
