"""What is asked of a product: when it is learned from, and when it is answered."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.aveqa import Aveqa
from facetmill.models.baselines.su_opentag import SuOpenTag
from facetmill.models.parts.asked_model import AskedBatch, AskedModel
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.predict import predict
from tests import small

NAMES = ("Colour", "Material", "Use", "Heel")
SCHEMA = AttributeSchema(
    tuple(Attribute(name, {}, ("Shoes",) if name == "Heel" else ("Shoes", "Hats")) for name in NAMES)
)
RED = Facet("Colour", "red leather", (Span("title", 0, 11),))
LEATHER = Facet("Material", "leather", (Span("title", 4, 11),))
SHOE = Product("p", "s", "red leather shoe", category="Shoes", facets=(RED, LEATHER, Facet("Use", "hiking")))


def built(kind: type[AskedModel] = SuOpenTag, products: Any = (SHOE,), **changes: Any) -> AskedModel:
    seed_everything(0)
    config: Any = small.SU_OPENTAG if kind is SuOpenTag else small.AVEQA
    return kind.fit_vocabulary(dataclasses.replace(config, **changes), SCHEMA, list(products) * 2).eval()


def asked(batch: AskedBatch) -> list[tuple[int, str]]:
    pairs = zip(batch.pairs.row_M.tolist(), batch.pairs.attribute_M.tolist(), strict=True)
    return [(row, NAMES[attribute]) for row, attribute in pairs]


def test_a_product_is_asked_for_what_its_category_has_or_for_all() -> None:
    products = [dataclasses.replace(SHOE, category=name) for name in ("Hats", "Shoes", "New", None)]
    asked_of = Counter(row for row, _ in asked(built().collate(products)))
    assert asked_of == {0: 3, 1: 4, 2: 4, 3: 4}
    assert (0, "Heel") not in asked(built().collate(products))
    assert len(asked(built(category_attributes=False).collate(products))) == 16


def test_each_attribute_has_tags_of_its_own_and_one_that_the_text_does_not_hold_has_none() -> None:
    batch = built().collate([SHOE])
    assert dict(zip(asked(batch), batch.tags_MT.tolist(), strict=True)) == {
        (0, "Colour"): [0, 1, 2, 0, 0],
        (0, "Material"): [0, 0, 1, 0, 0],
        (0, "Use"): [0, 0, 0, 0, 0],
        (0, "Heel"): [0, 0, 0, 0, 0],
    }


def test_what_a_text_has_is_always_learned_and_of_what_it_lacks_some_are_drawn() -> None:
    bare = dataclasses.replace(SHOE, facets=())
    model = built(negatives=1)
    drawn = Counter()
    torch.manual_seed(0)
    for _ in range(40):
        found = asked(model.collate_to_learn([SHOE, bare]))
        assert found[:2] == [(0, "Colour"), (0, "Material")]
        assert [row for row, _ in found[2:]] == [0, 1]
        drawn.update(name for _, name in found[2:])
    assert set(drawn) == set(NAMES)
    assert asked(built(negatives=0).collate_to_learn([SHOE, bare])) == [(0, "Colour"), (0, "Material")]
    assert len(asked(built(negatives=None).collate_to_learn([SHOE, bare]))) == 8


def test_a_seed_decides_what_is_drawn() -> None:
    model, found = built(negatives=1), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(asked(model.collate_to_learn([SHOE] * 8)))
    assert found[0] == found[1] != found[2]


def test_of_too_many_pairs_those_that_are_lacking_are_left_out_first() -> None:
    model = built(max_pairs=5)
    batch = model.collate_to_learn([SHOE, SHOE])
    assert {(row, name) for row in (0, 1) for name in ("Colour", "Material")} < set(asked(batch))
    assert (len(batch.pairs), batch.pairs.num_dropped) == (5, 3)
    assert len(built(max_pairs=3).collate_to_learn([SHOE, SHOE]).pairs) == 3


@pytest.mark.parametrize("kind", [SuOpenTag, Aveqa])
def test_answers_are_the_same_however_many_pairs_are_computed_at_once(kind: type[AskedModel]) -> None:
    products = [SHOE, dataclasses.replace(SHOE, title="shoe", facets=())]
    found = []
    for max_pairs in (1, 3, 512):
        model = built(kind, max_pairs=max_pairs)
        with torch.no_grad():
            for name, parameter in model.named_parameters():  # so sure that something is told
                if name in ("emission.bias", "answerable.bias"):
                    parameter.copy_(torch.tensor([0.0, 3.0, 0.0] if len(parameter) == 3 else [9.0]))
        found.append([[(f.attribute, f.value, f.spans) for f in facets] for facets in predict(model, products, 2)])
    assert found[0] == found[1] == found[2]
    assert sum(map(len, found[0])) > 4


@pytest.mark.parametrize("kind", [SuOpenTag, Aveqa])
def test_an_attribute_that_train_never_had_is_asked_for_by_its_name(kind: type[AskedModel], tmp_path: Path) -> None:
    """The same words, written otherwise, are the same question; it needs no weights, so it is saved like any other."""
    model = built(kind)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in ("emission.bias", "answerable.bias"):
                parameter.copy_(torch.tensor([0.0, 1.0, 0.0] if len(parameter) == 3 else [9.0]))
    before = model.state_dict()
    (known,) = predict(model, [SHOE], 1)
    colour = [f for f in known if f.attribute == "Colour"]
    assert colour
    model.ask(AttributeSchema((Attribute("COLOUR", {}), Attribute("Sole and heel", {}))))
    (found,) = predict(model, [SHOE], 1)
    again = [dataclasses.replace(f, attribute="Colour") for f in found if f.attribute == "COLOUR"]
    assert [(f.value, f.spans) for f in again] == [(f.value, f.spans) for f in colour]
    assert [f.confidence for f in again] == pytest.approx([f.confidence for f in colour])
    assert model.state_dict().keys() == before.keys()
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), [SHOE], 1)) == [found]


def test_a_batch_of_which_nothing_is_asked_costs_nothing() -> None:
    bare = dataclasses.replace(SHOE, facets=())
    for kind in (SuOpenTag, Aveqa):
        model = built(kind, negatives=0)
        losses = model.loss(model.collate_to_learn([bare]))
        assert losses.total == 0
        losses.total.backward()
        assert list(predict(model, [dataclasses.replace(bare, title="")], 1)) == [[]]


def test_windows_of_a_long_text_share_its_weight_and_each_asks_for_what_it_holds() -> None:
    title = "red leather shoe " + "plain " * 30
    long = dataclasses.replace(SHOE, title=title.strip())
    batch = built(negatives=0).collate_to_learn([long, SHOE])
    num_windows = len(batch.text.pieces) - 1
    assert num_windows > 1
    assert asked(batch) == [(0, "Colour"), (0, "Material"), (num_windows, "Colour"), (num_windows, "Material")]
    assert batch.weight_M.tolist() == pytest.approx([1 / num_windows] * 2 + [1, 1])
