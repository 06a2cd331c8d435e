"""A network that writes, trained to restore texts: what is left out, what it learns, and that it can be named."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.encoders.seq2seq import build_seq2seq
from facetmill.errors import DataError
from facetmill.models.deflate import Deflate
from facetmill.records import Attribute, AttributeSchema, Product
from facetmill.studies.pretrain import DROPPED, holes, pretrain
from tests import small

MARKS, END = (1000, 1001, 1002, 1003, 1004, 1005), 999
CONFIG = replace(small.DEFLATE, image="none")
TRAINING = replace(small.TRAINING, epochs=3, batch_size=16, learning_rate=0.004)
PRODUCTS = [
    Product(f"p{number}", "s", f"{brand} {colour} cotton {noun} number {number}")
    for number, (brand, colour, noun) in enumerate(
        (brand, colour, noun)
        for brand in ("Acme", "Zed", "Bolt", "Kite", "Rune")
        for colour in ("red", "blue", "green", "black", "white")
        for noun in ("shirt", "dress", "scarf", "coat", "hat")
    )
]


@given(st.integers(1, 120), st.integers(0, 1000))
def test_what_is_written_fills_the_holes_of_what_is_read(length: int, seed: int) -> None:
    ids = list(range(length))
    read, written = holes(ids, MARKS, END, random.Random(seed))
    assert written[-1] == END
    spans: dict[int, list[int]] = {}
    for token in written[:-1]:
        if token in MARKS:
            spans[token] = []
        else:
            [*spans.values()][-1].append(token)
    restored = [own for token in read for own in (spans[token] if token in MARKS else [token])]
    assert restored == ids
    assert [token for token in read if token in MARKS] == [*spans] == [*MARKS[: len(spans)]]
    if length >= 10:
        assert sum(map(len, spans.values())) == max(1, round(DROPPED * length))


def test_it_learns_to_restore_and_can_be_named_as_a_network(tmp_path: Path) -> None:
    lines: list[str] = []
    found = pretrain(CONFIG, TRAINING, PRODUCTS, tmp_path / "net", lines.append)
    assert found.num_texts == 125
    assert found.losses[-1] < found.losses[0] - 0.3
    assert len(lines) == 3
    named = replace(CONFIG.generator, network=str(found.network))
    _, tokenizer, published = build_seq2seq(named, [], 0.0)
    assert published
    assert tokenizer.decode(tokenizer.encode(["Acme red shirt"])[0]) == "Acme red shirt"
    assert len(tokenizer.marks) == 5
    schema = AttributeSchema((Attribute("Colour", {"red": 1}),))
    model = Deflate.fit_vocabulary(replace(CONFIG, generator=named), schema, PRODUCTS)
    assert model.parameter_groups()["text"], "published weights learn at a rate of their own"
    pretrain(
        CONFIG, replace(TRAINING, epochs=1), PRODUCTS, tmp_path / "net", lines.append
    )  # an earlier one is replaced


def test_what_cannot_be_learned_from_and_what_must_not_be_replaced_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 titles and texts to learn from, but at least 100"):
        pretrain(CONFIG, TRAINING, PRODUCTS[:5], tmp_path / "net", print)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="is no network, and it would be replaced"):
        pretrain(CONFIG, TRAINING, PRODUCTS, tmp_path, print)
