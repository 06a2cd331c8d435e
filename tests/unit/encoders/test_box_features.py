"""What is seen in a box, worked by hand."""

from __future__ import annotations

import torch

from facetmill.encoders.box_features import box_features, boxes_padded
from facetmill.records import Box

REGIONS = torch.tensor([[[1.0, 0], [2, 0], [4, 0], [8, 1]]])  # 2 x 2


def seen(*box: float) -> list[float]:
    found: list[float] = box_features(REGIONS, torch.tensor([[box]]))[0, 0].tolist()
    return found


def test_a_box_is_the_mean_of_the_regions_by_their_share_of_it() -> None:
    assert seen(0, 0, 1, 1) == [15 / 4, 1 / 4]
    assert seen(0.5, 0, 1, 0.5) == [2, 0]
    assert seen(0.25, 0, 0.75, 0.5) == [1.5, 0]
    assert seen(0, 0.25, 0.5, 1) == [1 / 3 + 4 * 2 / 3, 0]


def test_boxes_without_area_or_beyond_the_picture_are_where_they_begin() -> None:
    assert seen(0.75, 0.75, 0.75, 0.75) == [8, 1]
    assert seen(1, 1, 1, 1) == [8, 1]
    assert seen(0.6, 0.6, 0.2, 0.2) == [8, 1]
    assert seen(-3, -3, 0.5, 0.5) == [1, 0]


def test_padding_is_told_from_boxes() -> None:
    boxes, there = boxes_padded([[], [Box(0.1, 0.2, 0.3, 0.4), None]])
    assert there.tolist() == [[False, False], [True, False]]
    torch.testing.assert_close(boxes[1, 0], torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert boxes_padded([])[0].shape == (0, 1, 4)
