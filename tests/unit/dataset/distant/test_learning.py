"""A labeller learns what can be seen, says nothing better than chance of what cannot, and is the same when repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.dataset.distant.label_sources import LABEL_SOURCES
from facetmill.dataset.distant.labeller import load_labeller
from facetmill.dataset.distant.learn import temperature
from facetmill.dataset.distant.mapping import LabelMapping, load_mapping
from facetmill.dataset.distant.quality import quality
from facetmill.dataset.distant.samples import gather
from facetmill.dataset.distant.train import train_labeller
from facetmill.dataset.labels.schema import build_schema
from facetmill.encoders.augment import augment
from facetmill.encoders.vision import ImageEncoder
from facetmill.errors import DataError
from facetmill.files import hash_folder
from facetmill.models.m_jave import MJave
from facetmill.records import SPLITS, Facet, Product, Span, to_batch
from facetmill.sources.base import BadRow
from tests import drawn_labels, small

NUM = 640


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_labels.draw_set(tmp_path_factory.mktemp("signs"), NUM)


@pytest.fixture(scope="module")
def mapping_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_labels.write_mapping(tmp_path_factory.mktemp("mapping"))


@pytest.fixture(scope="module")
def labeller_dir(signs: Path, mapping_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multi") / "labeller"
    train_labeller([f"folder:{signs}"], mapping_path, folder, small.LABELLER, quiet)
    return folder


@pytest.fixture
def mapping(mapping_path: Path) -> LabelMapping:
    return load_mapping(mapping_path, LABEL_SOURCES)


def test_what_is_visible_is_learned(labeller_dir: Path) -> None:
    report = json.loads((labeller_dir / "report.json").read_text())
    assert report["intake"]["taken"] == {"folder": NUM}
    for attribute in ("Bar", "Ground"):
        test = report["test"][attribute]
        assert test["accuracy"]["value"] > 0.9
        assert test["macro_accuracy"]["value"] > 0.9
        assert test["gain"]["low"] > 0
        assert test["accuracy"]["low"] <= test["accuracy"]["value"] <= test["accuracy"]["high"]


def test_what_is_not_visible_is_not(mapping_path: Path, tmp_path: Path) -> None:
    folder = drawn_labels.draw_set(tmp_path / "signs", NUM, visible=False)
    report = train_labeller([f"folder:{folder}"], mapping_path, tmp_path / "out", small.LABELLER, quiet)
    for attribute in ("Bar", "Ground"):
        test = report["test"][attribute]
        assert test["accuracy"]["low"] <= 0.5 <= test["accuracy"]["high"]
        assert test["gain"]["low"] <= 0


def test_a_network_for_each_attribute_learns_it_too(signs: Path, mapping_path: Path, tmp_path: Path) -> None:
    params = replace(small.LABELLER, tasks="single")
    report = train_labeller([f"folder:{signs}"], mapping_path, tmp_path / "out", params, quiet)
    assert all(report["test"][attribute]["accuracy"]["value"] > 0.9 for attribute in ("Bar", "Ground"))
    labeller = load_labeller(tmp_path / "out")
    assert [(a.name, a.network, a.head) for a in labeller.attributes] == [("Bar", 0, 0), ("Ground", 1, 0)]
    assert len(labeller.networks) == len(report["best_epochs"]) == 2


def test_one_network_learns_from_pictures_that_have_one_label_each(labeller_dir: Path) -> None:
    labeller = load_labeller(labeller_dir)
    assert [(a.name, a.network, a.head) for a in labeller.attributes] == [("Bar", 0, 0), ("Ground", 0, 1)]
    assert [a.categories for a in labeller.attributes] == [("Signs",), None]
    assert labeller.attributes[0].values == ("Lying", "Standing")


def test_what_only_helps_to_learn_is_nobodys_own_network(signs: Path, tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(drawn_labels.MAPPING.replace("Ground: null", "Ground: []"))
    params = replace(small.LABELLER, tasks="single", epochs=1)
    report = train_labeller([f"folder:{signs}"], path, tmp_path / "out", params, quiet)
    assert list(report["test"]) == ["Bar"]


def test_the_same_again_is_the_same_bytes(signs: Path, mapping_path: Path, tmp_path: Path, labeller_dir: Path) -> None:
    train_labeller([f"folder:{signs}"], mapping_path, tmp_path / "out", small.LABELLER, quiet)
    assert hash_folder(tmp_path / "out") == hash_folder(labeller_dir)


def test_a_changed_file_is_not_loaded(labeller_dir: Path, tmp_path: Path) -> None:
    import shutil

    copied = shutil.copytree(labeller_dir, tmp_path / "copy")
    weights = copied / "network-0" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"weights\.safetensors: changed"):
        load_labeller(copied)
    weights.unlink()
    with pytest.raises(DataError, match=r"weights\.safetensors: missing"):
        load_labeller(copied)
    (copied / "labeller.json").write_text("{}")
    with pytest.raises(DataError, match=r"labeller\.json: not a labeller"):
        load_labeller(copied)


def test_nothing_in_it_is_a_pickle(labeller_dir: Path) -> None:
    assert {path.suffix for path in labeller_dir.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_its_backbone_is_where_m_jave_begins(labeller_dir: Path) -> None:
    backbone = labeller_dir / "network-0" / "backbone"
    config = small.with_image(small.M_JAVE, network=str(backbone), size=drawn_labels.SIZE)
    product = Product("p", "s", "red sign", facets=(Facet("colour", "red", (Span("title", 0, 3),)),))
    model = MJave.fit_vocabulary(config, build_schema([to_batch([product])]), [product])
    encoder = model.trunk.image_encoder
    assert isinstance(encoder, ImageEncoder)
    trained = load_labeller(labeller_dir).networks[0].encoder
    assert encoder.pretrained
    pixels = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(pixels), trained(pixels))


def rows(groups: int, each: int, folder: Path) -> Iterator[LabelledPicture | BadRow]:
    generator = np.random.default_rng(1)
    for group in range(groups):
        for number in range(each):
            bar = ("wide", "tall")[number % 2]
            path = drawn_labels.save(folder / f"{group}-{number}.png", drawn_labels.sign(bar, "dark", generator))
            ground = ("dark", "light")[group % 2]
            yield LabelledPicture(str(path), str(group), {"bar": (bar,), "ground": (ground,)})


def test_a_group_is_in_one_split_and_shares_are_about_8_1_1(mapping: LabelMapping, tmp_path: Path) -> None:
    samples, _ = gather([("folder", rows(100, 3, tmp_path))], mapping, 24, seed=0, pixels_path=tmp_path / "pixels")
    splits = {group: set(samples.split_P[samples.group_P == group]) for group in range(100)}
    assert all(len(found) == 1 for found in splits.values())
    shares = {split: len(samples.of(split)) for split in SPLITS}
    assert sum(shares.values()) == 300
    assert min(shares.values()) >= 12, "a hash draws 10 of 100 groups to within 6"
    other, _ = gather([("folder", rows(100, 3, tmp_path))], mapping, 24, seed=1, pixels_path=tmp_path / "others")
    assert (other.split_P != samples.split_P).any()
    np.testing.assert_array_equal(samples.pixels_P3SS, other.pixels_P3SS)


def test_what_is_not_taken_is_counted(mapping: LabelMapping, tmp_path: Path) -> None:
    good = list(rows(30, 2, tmp_path))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    odd = [
        LabelledPicture(str(broken), "x", {"bar": ("wide",)}),
        LabelledPicture(str(tmp_path / "gone.png"), "x", {"bar": ("wide",)}),
        LabelledPicture(str(broken), "x", {"bar": ("round",), "hand": ("left",)}),
        LabelledPicture(good[0].path, "x", {"bar": ("wide", "tall"), "ground": ("dark",)}),
    ]
    samples, intake = gather([("folder", [*good, *odd])], mapping, 24, seed=0, pixels_path=tmp_path / "pixels")
    found = intake.to_json()
    assert found["dropped"] == {"folder": {"corrupt_image": 1, "missing_image": 1}}
    assert (found["rows"], found["taken"]) == ({"folder": 64}, {"folder": 61})
    assert found["unmapped"] == {"folder.bar": {"round": 1}, "folder.hand": {"left": 1}}
    assert found["contradictory"] == {"Bar": 1}
    assert samples.value_PA[-1].tolist() == [-1, 0]
    assert "folder, row 61, field image: corrupt_image" in found["examples"]["corrupt_image"][0]


def test_a_mapped_label_that_never_comes_is_a_warning(mapping_path: Path, tmp_path: Path) -> None:
    text = drawn_labels.MAPPING.replace("tall: Standing", "tall: Standing, round: Round")
    (tmp_path / "mapping.yaml").write_text(text)
    mapping = load_mapping(tmp_path / "mapping.yaml", LABEL_SOURCES)
    samples, intake = gather([("folder", rows(30, 2, tmp_path))], mapping, 24, seed=0, pixels_path=tmp_path / "pixels")
    assert intake.warnings == [
        "folder: no picture has the bar 'round', which the mapping gives a meaning",
        "Bar: no picture shows 'Round'",
    ]
    assert samples.values == (("Lying", "Standing"), ("Dark", "Light"))


def test_nothing_to_tell_apart(mapping: LabelMapping, tmp_path: Path) -> None:
    alone = [LabelledPicture(row.path, row.group, {"bar": ("wide",)}) for row in rows(9, 1, tmp_path)]
    with pytest.raises(DataError, match="Bar: there are pictures only of 'Lying'"):
        gather([("folder", alone)], mapping, 24, seed=0, pixels_path=tmp_path / "pixels")
    with pytest.raises(DataError, match="Bar: there are pictures of no value"):
        gather([("folder", [])], mapping, 24, seed=0, pixels_path=tmp_path / "pixels")
    with pytest.raises(DataError, match=r"Bar: no picture of it is in validation; 2 groups are too few"):
        gather([("folder", rows(2, 4, tmp_path))], mapping, 24, seed=0, pixels_path=tmp_path / "pixels")


def test_augmented_pictures_are_pictures_drawn_by_the_generator() -> None:
    white = torch.full((8, 3, 24, 24), 255, dtype=torch.uint8)
    pixels = torch.randint(0, 256, (8, 3, 24, 24), dtype=torch.uint8)
    once, again = (augment(pixels, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert once.shape == pixels.shape
    assert 0 <= float(once.min()) < float(once.max()) <= 255
    blank = augment(white, torch.Generator().manual_seed(3))
    assert float((blank - blank[:, :, :1, :1]).abs().max()) < 0.01  # beyond the edge is white too
    assert float(augment(pixels, torch.Generator().manual_seed(4)).sub(once).abs().max()) > 1


def test_temperature_cools_what_is_too_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator)
    value = torch.distributions.Categorical(logits=logits).sample()
    assert temperature(logits, value) == pytest.approx(1.0, abs=0.1)
    assert temperature(logits * 5, value) == pytest.approx(5.0, rel=0.1)


def test_quality_worked_by_hand() -> None:
    predicted, true = list("aabbab"), list("aaabbc")
    found = quality(predicted, true, np.array([0, 0, 1, 1, 2, 2]))
    assert found is not None
    assert (found.num_told, found.num_groups, found.majority) == (6, 3, "a")
    assert found.accuracy.value == pytest.approx(3 / 6)
    assert found.macro_accuracy.value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found.majority_accuracy == pytest.approx(3 / 6)
    assert found.gain.value == pytest.approx(0)
    assert (found.accuracy.low, found.accuracy.high) == (0.0, 1.0)  # groups of 2, 1 and 0 right of 2
    assert quality([], [], np.zeros(0, np.int64)) is None
