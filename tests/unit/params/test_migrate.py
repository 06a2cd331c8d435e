"""Configs that an earlier Facetmill saved mean today what they meant then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from facetmill.params import ModelsParams, load_params, model_config, to_mapping
from facetmill.params.migrate import migrated

#: The settings of encoders in model.json of commit 92b7a0f.
TEXT = {
    "encoder": "packaged",
    "tokenizer": "auto",
    "freeze_encoder": True,
    "hidden_size": 256,
    "num_layers": 2,
    "keep_layers": None,
    "window": 128,
}
IMAGE = {
    "image_encoder": "config",
    "freeze_image_encoder": False,
    "image_size": 112,
    "image_hidden_size": 96,
    "image_num_stages": 3,
}


def read(key: str, saved: dict[str, Any]) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(get_type_hints(ModelsParams)[key])
    return adapter.validate_json(json.dumps(migrated(key, saved)))


@pytest.mark.parametrize("key", ["dictionary", "jave", "m_jave"])
def test_a_config_of_commit_92b7a0f_is_read_with_every_value(root: Path, key: str) -> None:
    saved = json.loads((root / "tests" / "champions_92b7a0f" / key / "model.json").read_text())["config"]
    now = to_mapping(read(key, saved))
    found = {name: value for name, value in now.items() if name not in ("encoder", "image_encoder")}
    if key != "dictionary":
        text = now["encoder"]
        assert text.pop("frozen_layers") == 0
        found |= {"encoder": text.pop("network"), "freeze_encoder": text.pop("freeze"), **text}
    if key == "m_jave":
        image = now["image_encoder"]
        found |= {"image_encoder": image.pop("network"), "freeze_image_encoder": image.pop("freeze")}
        found |= {f"image_{name.removeprefix('image_')}": value for name, value in image.items()}
    added = {"negatives": "all", "places": "shared", "values": "one", "ocr": False, "distractors": []}
    assert found == saved | (added if key == "dictionary" else {})


def test_every_setting_of_an_encoder_finds_its_place(root: Path) -> None:
    now = model_config(load_params(root / "params.yaml"), "m_jave")
    rest = {name: value for name, value in to_mapping(now).items() if name not in ("encoder", "image_encoder")}
    config = read("m_jave", {**rest, **TEXT, **IMAGE})
    assert to_mapping(config.encoder) == {
        "network": "packaged",
        "tokenizer": "auto",
        "freeze": True,
        "hidden_size": 256,
        "num_layers": 2,
        "keep_layers": None,
        "frozen_layers": 0,
        "window": 128,
    }
    assert to_mapping(config.image_encoder) == {
        "network": "config",
        "freeze": False,
        "size": 112,
        "hidden_size": 96,
        "num_stages": 3,
    }


def test_a_jave_saved_before_some_of_its_fields_is_what_it_was(root: Path) -> None:
    saved = to_mapping(model_config(load_params(root / "params.yaml"), "jave"))
    for name in ("category_attributes", "kl_tags", "kl_form", "tasks"):
        del saved[name]
    config = read("jave", saved)
    assert (config.category_attributes, config.kl_tags) == (False, "both")
    assert (config.kl_form, config.tasks) == ("printed", "joint")


def test_the_one_threshold_of_a_saved_uls_dram_was_that_of_its_range_too(root: Path) -> None:
    saved = to_mapping(model_config(load_params(root / "params.yaml"), "uls_dram")) | {"threshold": 0.4}
    del saved["range_threshold"]
    config = read("uls_dram", saved)
    assert (config.range_threshold, config.threshold) == (0.4, 0.4)


def test_an_opentag_saved_before_it_kept_a_tokens_own_state_is_what_it_was(root: Path) -> None:
    saved = to_mapping(model_config(load_params(root / "params.yaml"), "bilstm_crf")) | {"attention_size": 8}
    del saved["attention_form"]
    assert read("bilstm_crf", saved).attention_form == "printed"


@pytest.mark.parametrize("key", ["dictionary", "jave", "m_jave", "uls_dram", "bilstm_crf"])
def test_a_config_of_today_stays_as_it_is(root: Path, key: str) -> None:
    today = to_mapping(model_config(load_params(root / "params.yaml"), key))
    assert migrated(key, today) == today
