"""Encoders are described once and named by whatever uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.errors import ParamsError
from facetmill.params import load_params, parse_params, to_mapping


@pytest.fixture
def raw(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text())
    return loaded


def problems(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(ParamsError) as error:
        parse_params(raw, "params.yaml")
    return str(error.value).splitlines()


def test_whatever_names_an_encoder_holds_its_description(raw: dict[str, Any]) -> None:
    raw["encoders"]["text"]["ours"] = {**raw["encoders"]["text"]["bilstm"], "hidden_size": 96}
    raw["models"]["jave"]["encoder"] = raw["saliency"]["encoder"] = "ours"
    raw["encoders"]["image"]["wide"] = {**raw["encoders"]["image"]["small"], "hidden_size": 512}
    for section in (raw["models"]["m_jave"], raw["saliency"], raw["distant"]["training"]):
        section["image_encoder"] = "wide"
    params = parse_params(raw, "params.yaml")
    assert params.models.jave.encoder == params.saliency.encoder == params.encoders.text["ours"]
    assert params.models.m_jave.encoder == params.encoders.text["minilm"]
    eyes = [params.models.m_jave, params.saliency, params.distant.training]
    assert [one.image_encoder for one in eyes] == [params.encoders.image["wide"]] * 3


def test_what_was_read_needs_its_encoders_list_no_more(root: Path) -> None:
    """So that a dataset's own params.yaml, and a worker's, stand by themselves."""
    params = load_params(root / "params.yaml")
    written = to_mapping(params) | {"encoders": {"text": {}, "image": {}}}
    assert parse_params(written, "again").models == params.models
    assert parse_params(written, "again").saliency == params.saliency


def test_a_name_that_nothing_describes_is_told_with_those_there_are(raw: dict[str, Any]) -> None:
    raw["models"]["jave"]["encoder"] = "minlm"
    raw["distant"]["training"]["image_encoder"] = "big"
    assert problems(raw) == [
        "params.yaml: distant.training.image_encoder = 'big': no such image encoder; "
        "encoders.image has small, packaged, lite2, tiny",
        "params.yaml: models.jave.encoder = 'minlm': no such text encoder; encoders.text has minilm, bilstm, mpnet",
    ]


def test_a_wrong_key_of_an_encoder_is_told_once_where_it_stands(raw: dict[str, Any]) -> None:
    raw["encoders"]["text"]["minilm"]["window"] = 4
    del raw["encoders"]["image"]["tiny"]["size"]
    assert problems(raw) == [
        "params.yaml: encoders.text.minilm.window = 4: Input should be greater than or equal to 8",
        "params.yaml: missing key 'encoders.image.tiny.size'",
    ]


def test_an_encoder_described_in_place_is_checked_there(raw: dict[str, Any]) -> None:
    raw["models"]["jave"]["encoder"] = {**raw["encoders"]["text"]["bilstm"], "hidden_size": 0}
    (problem,) = problems(raw)
    assert problem == "params.yaml: models.jave.encoder.hidden_size = 0: Input should be greater than or equal to 1"


@pytest.mark.parametrize("encoders", [None, 3, {}, {"text": 3, "image": []}])
def test_a_list_of_encoders_that_is_none_is_told(raw: dict[str, Any], encoders: Any) -> None:
    raw["encoders"] = encoders
    about = ("params.yaml: missing key 'encoders.text'", "params.yaml: encoders = ", "params.yaml: encoders.text = 3: ")
    assert any(line.startswith(about) for line in problems(raw))
