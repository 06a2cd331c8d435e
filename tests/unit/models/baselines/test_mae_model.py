"""The MAE-model: its margin worked by hand, and values that are ranked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.mae_model import MaeModel
from facetmill.records import Attribute, AttributeSchema, Facet, Product
from tests import small

SCHEMA = AttributeSchema((Attribute("Colour", {}), Attribute("Size", {})))


def product(title: str, *facets: tuple[str, str]) -> Product:
    return Product(title, "s", title, facets=tuple(Facet(*facet) for facet in facets))


TRAIN = [
    product("red shoe", ("Colour", "red"), ("Size", "8")),
    product("blue shoe", ("Colour", "blue")),
    product("red and blue shoe", ("Colour", "red"), ("Colour", "blue")),
]


def built(**changes: Any) -> MaeModel:
    seed_everything(0)
    return MaeModel.fit_vocabulary(replace(small.MAE_MODEL, **changes), SCHEMA, TRAIN).eval()


def test_every_wrong_value_is_to_be_a_margin_farther_than_a_true_one() -> None:
    model = built(margin=0.5)
    batch = model.collate(TRAIN)
    cosine = model.answers_to(batch) @ torch.nn.functional.normalize(model.values.weight, dim=1).T
    values = ["no colour", *model.candidates.values[0], "no size", *model.candidates.values[1]]
    true = {(0, 0): ["red"], (0, 1): ["8"], (1, 0): ["blue"], (1, 1): ["no size"], (2, 0): ["red", "blue"]}
    true[2, 1] = ["no size"]
    expected = 0.0
    for (row, slot), right in true.items():
        best = max(float(cosine[row, slot, values.index(value)].detach()) for value in right)
        wrong = [value for value in values if value not in right]
        losses = [max(0.0, 0.5 - best + float(cosine[row, slot, values.index(value)].detach())) for value in wrong]
        expected += sum(losses) / len(losses) / 2 / 3  # of two slots and three products
    assert float(model.loss(batch).total.detach()) == pytest.approx(expected, rel=1e-5)


def test_so_many_negatives_are_drawn_and_none_of_them_is_true() -> None:
    model = built(negatives=2).train()
    true = torch.tensor([[True, False, False, True, False], [False, False, False, False, True]])
    drawn = model._negatives(true)
    assert drawn.sum(1).tolist() == [2, 2]
    assert not (drawn & true).any()
    assert built(negatives=2)._negatives(true).equal(~true)  # what is not trained is measured by all


def test_candidates_are_ranked_by_their_nearness() -> None:
    model = built()
    chances = model.chances(product("red shoe"))
    assert {*chances} == {"Colour", "Size"}
    assert {*chances["Colour"]} == {"", "red", "blue"}
    assert [*chances["Colour"].values()] == sorted(chances["Colour"].values(), reverse=True)
    assert all(0 <= chance <= 1 for own in chances.values() for chance in own.values())
