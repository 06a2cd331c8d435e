"""`facetmill encoders`: what a user chooses an encoder by."""

from __future__ import annotations

import dataclasses

from facetmill.encoders.listing import list_encoders
from facetmill.params import EncodersParams
from tests import small


def test_encoders_are_listed_with_their_source_size_and_pace_and_what_is_missing_is_said() -> None:
    packaged = dataclasses.replace(small.IMAGE, network="packaged", size=64)
    absent = dataclasses.replace(small.TEXT, network="./no-such-folder")
    encoders = EncodersParams(text={"own": small.TEXT, "absent": absent}, image={"lite": packaged})
    listed = list_encoders(encoders)
    assert list(listed) == ["text", "image"]
    own, lite = listed["text"]["own"], listed["image"]["lite"]
    assert "random weights" in own.source
    assert (own.width, own.missing) == (16, None)
    assert "EfficientNet-Lite0" in lite.source
    assert lite.weights == 4_652_008 - 1_281_000  # published, less those that tell the classes of ImageNet
    assert lite.width == 1280
    assert own.per_second is not None
    assert lite.per_second is not None
    assert own.per_second > lite.per_second > 0
    missing = listed["text"]["absent"].to_json()
    assert list(missing) == ["source", "missing"]
    assert "no-such-folder" in missing["missing"]
