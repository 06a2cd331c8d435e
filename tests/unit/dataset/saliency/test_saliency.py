"""Saliency: what is hidden, who is asked, and that the networks find what only the picture tells."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from facetmill.dataset.labels.splitting import split_shards
from facetmill.dataset.pictures.passing import pass_on_dataset
from facetmill.dataset.saliency.ascribe import ascribe, sample
from facetmill.dataset.saliency.judge import Judged, judge, slots
from facetmill.dataset.saliency.questions import hide, pictured, questions_about
from facetmill.encoders.tokens import VocabularyTokenizer
from facetmill.encoders.windows import read
from facetmill.errors import DataError
from facetmill.records import AttributeSchema, Facet, Product, Span, read_products, to_batch
from facetmill.studies.folds import FOLDS
from facetmill.studies.saliency import study_saliency
from tests import small

COLOURS = {"Red": (200, 30, 30), "Green": (30, 160, 40), "Blue": (30, 40, 190)}
FABRICS = {"Cotton": "soft", "Silk": "shiny", "Wool": "warm"}


def shirt(number: int, folder: Path) -> Product:
    """Its picture alone tells the colour; the text alone tells the fabric."""
    draw = random.Random(number)
    colour, fabric = draw.choice(sorted(COLOURS)), draw.choice(sorted(FABRICS))
    title = f"{colour} shirt {FABRICS[fabric]} {fabric}"
    path = folder / f"{number}.png"
    Image.new("RGB", (16, 16), COLOURS[colour]).save(path)
    return Product(
        str(number),
        "t",
        title,
        images=(str(path),),
        facets=(
            Facet("Colour", colour, (Span("title", 0, len(colour)),), "text", "matched"),
            Facet("Fabric", fabric, (Span("title", len(title) - len(fabric), len(title)),), "text", "matched"),
        ),
    )


@pytest.fixture(scope="module")
def shirts(tmp_path_factory: pytest.TempPathFactory) -> list[Product]:
    folder = tmp_path_factory.mktemp("shirts")
    return [shirt(number, folder) for number in range(200)]


def test_every_mention_becomes_one_mask_however_many_tokens_it_has() -> None:
    product = Product(
        "1", "t", "Deep red hat", "A hat in deep red.", facets=(Facet("Colour", "Deep red", spans_of("Deep red")),)
    )
    tokenizer = VocabularyTokenizer.fit("words", [product.title, product.text], min_count=1)
    (text,) = read([product], tokenizer)
    hidden, places = hide(text, product.facets[0], [], tokenizer)
    shown = [None if token is None else product.surface(token) for token in hidden.tokens]
    assert shown == ["Deep red", "hat", None, "A", "hat", "in", "deep red", "."]
    assert places == [0, 6]
    assert [hidden.ids[place] for place in places] == [tokenizer.mask_id] * 2
    assert len(hidden.ids) == len(hidden.tokens) == len(text.ids) - 2


def spans_of(value: str) -> tuple[Span, ...]:
    return Span("title", 0, len(value)), Span("text", 9, 9 + len(value))


def test_a_value_that_stands_nowhere_is_asked_for_behind_the_text() -> None:
    product = Product("1", "t", "Plain hat", facets=(Facet("Colour", "Red"),))
    tokenizer = VocabularyTokenizer.fit("words", ["Plain hat Colour"], min_count=1)
    (text,) = read([product], tokenizer)
    (name,) = tokenizer.encode(["Colour"])
    hidden, places = hide(text, product.facets[0], name.ids, tokenizer)
    assert hidden.ids == [*text.ids, tokenizer.sep_id, *name.ids, tokenizer.mask_id]
    assert places == [len(hidden.ids) - 1]
    assert len(hidden.tokens) == len(hidden.ids)


def test_only_known_facets_of_products_with_a_picture_are_asked_about(shirts: list[Product], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    seen_in_picture = Facet("Sleeve", "Long", (), "image", "distant", 0.95)
    products = [
        replace(shirts[0], images=()),
        replace(shirts[1], images=(str(broken),)),
        replace(shirts[2], facets=(seen_in_picture,)),
        replace(shirts[3], facets=(*shirts[3].facets, seen_in_picture)),
    ]
    given = pictured(products, 16, Path())
    tokenizer = VocabularyTokenizer.fit("words", [product.title for product in products], min_count=1)
    questions = questions_about(given, tokenizer)
    assert questions.answers == [(facet.attribute, facet.value) for facet in shirts[3].facets]
    assert given.pixels_P3SS.shape == (1, 3, 16, 16)
    assert given.left_out == {"picture missing": 1, "picture broken": 1, "without known facet": 1}
    with pytest.raises(DataError, match=r"product 4: image '\.\./a\.png' leaves "):
        pictured([replace(shirts[4], images=("../a.png",))], 16, tmp_path)


def test_the_picture_adds_all_where_it_alone_tells_and_nothing_where_the_text_does(shirts: list[Product]) -> None:
    lines: list[str] = []
    judged = judge(shirts[:140], shirts[140:], small.SALIENCY, lines.append)
    colour, fabric = slots(judged, small.SALIENCY.min_dif)
    assert (colour.attribute, colour.modality, fabric.attribute, fabric.modality) == (
        *("Colour", "image"),
        *("Fabric", "text"),
    )
    assert colour.text < 0.6
    assert colour.picture > 0.9
    assert fabric.text > 0.9
    assert abs(fabric.dif) < 0.09
    assert colour.low > 0.2
    assert len(lines) == 2


def test_the_same_question_twice_has_the_same_answer(shirts: list[Product]) -> None:
    once, twice = (
        judge(shirts[:40], shirts[140:150], replace(small.SALIENCY, epochs=1, augment=True), lambda _: None)
        for _ in range(2)
    )
    assert once.picture_X.tolist() == twice.picture_X.tolist()
    assert once.text_X.tolist() == twice.text_X.tolist()


def test_accuracies_and_their_difference_by_hand() -> None:
    """Two seeds. Colour: the text is right 6 of 24 times, the picture 18 of 24. Size: too few to say anything."""
    colour, size = ["Colour"] * 12, ["Size"] * 4
    judged = Judged(
        num_seeds=2,
        attributes=colour + size,
        groups=[f"g{number}" for number in range(16)],
        text_X=np.array([2, 2, 2, *[0] * 9, 0, 0, 0, 0]),
        picture_X=np.array([*[2] * 9, 0, 0, 0, 2, 2, 2, 2]),
        left_out={},
    )
    little, found = slots(judged, min_dif=0.5)
    assert (found.attribute, found.questions, found.text, found.picture, found.dif) == ("Colour", 12, 0.25, 0.75, 0.5)
    margin = 1.96 * 0.5 / 12**0.5  # each gain is 0 or 1
    assert (found.low, found.high) == (pytest.approx(0.5 - margin, abs=0.06), pytest.approx(0.5 + margin, abs=0.06))
    assert found.modality == "image"
    assert slots(judged, min_dif=0.51)[1].modality == "text"
    assert (little.attribute, little.dif, little.modality) == ("Size", 1.0, None)


def divide(products: list[Product], folder: Path) -> None:
    (folder / "supervised").mkdir()
    pq.write_table(pa.Table.from_batches([to_batch(products)]), folder / "supervised" / "part-00000.parquet")
    split_shards(folder / "supervised", folder / "divided", replace(small.SPLIT, validation=0.2, test=0.1))


def test_the_dataset_is_as_before_but_for_what_the_schema_says(shirts: list[Product], tmp_path: Path) -> None:
    divide(shirts, tmp_path)
    report = ascribe(tmp_path / "divided", tmp_path / "dataset", small.SALIENCY, lambda _: None)
    for split in ("train", "validation", "test"):
        assert list(read_products(tmp_path / "dataset" / split)) == list(read_products(tmp_path / "divided" / split))
    texts = [(tmp_path / name / "manifest.json").read_bytes() for name in ("divided", "dataset")]
    assert texts[0] == texts[1]
    schema = AttributeSchema.from_json((tmp_path / "dataset" / "schema.json").read_text())
    assert {attribute.name: attribute.modality for attribute in schema.attributes} == {
        "Colour": "image",
        "Fabric": "text",
    }
    assert [slot["attribute"] for slot in report["slots"]] == ["Colour", "Fabric"]
    assert report["num_products"] == len(shirts)
    assert report["left_out"] == {"learned": {}, "asked": {}}


def test_switched_off_it_changes_nothing(shirts: list[Product], tmp_path: Path) -> None:
    divide(shirts, tmp_path)
    (tmp_path / "dataset").mkdir()
    assert pass_on_dataset(tmp_path / "divided", tmp_path / "dataset") == len(shirts)
    found = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("divided", "dataset")
    }
    assert found["divided"] == found["dataset"]
    assert len(found["dataset"]) == 6


def test_a_schema_from_before_there_was_saliency_is_read() -> None:
    text = '{"schema_version": 1, "attributes": [{"name": "Size", "values": {"L": 1}, "categories": []}]}'
    assert AttributeSchema.from_json(text).attributes[0].modality is None


def test_a_sample_is_the_same_every_time_and_takes_all_of_a_few(shirts: list[Product]) -> None:
    assert sample(shirts, 1000) == shirts
    drawn = sample(iter(shirts), 20)
    assert drawn == sample(shirts, 20)
    assert len({product.product_id for product in drawn}) == 20
    assert any(int(product.product_id) >= 100 for product in drawn)


def test_by_folds_every_known_facet_is_asked_about_once(shirts: list[Product]) -> None:
    found = study_saliency(replace(small.SALIENCY, epochs=1), shirts[:50], [0], lambda _: None)
    assert {slot.attribute: slot.questions for slot in found.slots} == {"Colour": 50, "Fabric": 50}
    with pytest.raises(DataError, match=rf"9 products: too few for {FOLDS} folds"):
        study_saliency(small.SALIENCY, shirts[:9], [0], lambda _: None)


@pytest.mark.parametrize(("gain", "modality"), [(8, "text"), (9, "image"), (10, "image")])
def test_a_difference_just_as_large_as_asked_for_is_enough(gain: int, modality: str) -> None:
    """Of 100 questions the text tells 50 and the picture nine more: 0.59 - 0.5 is 0.09, but not as floats."""
    text = np.array([1] * 50 + [0] * 50)
    picture = np.array([1] * (50 + gain) + [0] * (50 - gain))
    groups = [str(number) for number in range(100)]
    [slot] = slots(Judged(1, ["Colour"] * 100, groups, text, picture, {}), min_dif=0.09)
    assert slot.modality == modality
