"""The backbone of the studies: it learns to see, and can be named as `image_encoder`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.encoders.vision import build_image_encoder
from facetmill.errors import DataError
from facetmill.files import hash_files
from facetmill.params import load_params
from facetmill.studies.backbone import learn_backbone
from tests import small


@pytest.mark.timeout(300)
def test_what_it_learned_can_be_named_as_an_image_encoder(root: Path, tmp_path: Path) -> None:
    params = load_params(root / "params.yaml")
    learning = small.with_image(params.distant.training, size=32, hidden_size=32, num_stages=3)
    learning = replace(learning, epochs=12)
    learning = replace(learning, augment=False)
    backbone, quality = learn_backbone(learning, 800, tmp_path / "out", lambda line: None)
    for attribute in ("Picture", "Type", "Packaging"):  # the first: has it the badge of a stock picture?
        assert quality[attribute]["accuracy"]["low"] > quality[attribute]["majority_accuracy"]
    assert not {"Brand", "Flavor"} & set(quality)
    encoder = build_image_encoder(replace(small.IMAGE, network=str(backbone)))
    assert encoder.pretrained
    assert (encoder.width, encoder.grid) == (32, 2)
    before = hash_files(backbone)
    again, _ = learn_backbone(replace(learning, epochs=1), 500, tmp_path / "out", lambda line: None)
    assert hash_files(again) != before


def test_a_folder_that_is_no_labeller_is_left_alone(root: Path, tmp_path: Path) -> None:
    params = load_params(root / "params.yaml")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="no labeller, and it would be replaced"):
        learn_backbone(params.distant.training, 300, tmp_path, lambda line: None)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
