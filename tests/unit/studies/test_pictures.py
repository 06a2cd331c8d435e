"""The study of pictures: its count is right by hand, its intervals are Student's, and it runs from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.params import load_params
from facetmill.records import Facet, Product, Span
from facetmill.studies import pictures
from facetmill.studies.pictures import study_pictures, told_apart

RED = Facet("Color", "Red", (Span("title", 7, 10),))


def test_only_the_true_one_of_two_words_is_told_apart() -> None:
    said = Product("1", "t", "Blue / Red cup", facets=(RED,))
    alone = Product("2", "t", "Great, Red cup", facets=(Facet("Color", "Red", (Span("title", 7, 10),)),))
    blue = Facet("Color", "Blue", (Span("title", 0, 4),))
    for answer, share in (([RED], 1), ([blue], 0), ([RED, blue], 0), ([], 0), ([RED, Facet("Motif", "Cat")], 1)):
        assert told_apart([said, alone], [answer, []]) == share  # the second is not counted


def test_differences_are_taken_seed_by_seed() -> None:
    found = pictures._difference("a - b", "value_f1", (0.5, 0.7, 0.9), (0.4, 0.5, 0.6))
    assert found.mean == pytest.approx(0.2)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)  # t of 2 degrees, 97.5 %
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


@pytest.mark.timeout(300)
def test_every_arm_is_trained_on_every_seed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"products": 60, "image_size": 32}
    monkeypatch.setattr(pictures, "ONLY_THE_PICTURE_TELLS", {**pictures.ONLY_THE_PICTURE_TELLS, **small})
    monkeypatch.setattr(pictures, "PICTURES_MISLEAD", {**pictures.PICTURES_MISLEAD, **small})
    monkeypatch.setattr(pictures, "BACKBONE_PRODUCTS", 500)
    monkeypatch.setattr(pictures, "BACKBONE_LEARNING", {**pictures.BACKBONE_LEARNING, "epochs": 1})
    monkeypatch.setattr(pictures, "EYES", {**pictures.EYES, "size": 32})
    monkeypatch.setattr(pictures, "_TRAINING", {"epochs": 1, "min_epoch_steps": 1})
    lines: list[str] = []
    params = load_params(root / "params.yaml")
    found = study_pictures(params, [3, 4], lines.append)
    assert [arm.name for arm in found.arms] == ["jave", "m_jave", "m_jave, misled", "m_jave without gates, misled"]
    assert sum("told apart" in line for line in lines) == 8
    assert len(found.awareness) == 2
    assert len(found.differences) == 4
    with pytest.raises(ValueError, match="two of them"):
        study_pictures(params, [0], lines.append)
