"""BUTD: its attention worked by hand, and a value that only one object on the picture tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.butd import Butd
from facetmill.records import Attribute, AttributeSchema, Box, Facet, Product
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small
from tests.contract.test_models import picture

SCHEMA = AttributeSchema((Attribute("Colour", {}), Attribute("Size", {})))


def product(title: str, shown: str | None, *regions: Box, **values: str) -> Product:
    images = () if shown is None else (picture(shown),)
    facets = tuple(Facet(*each) for each in values.items())
    return Product(title, "s", title, images=images, regions=regions, facets=facets)


TRAIN = [
    product(f"{word} shoe {n}", colour, Colour=colour)
    for n in range(4)
    for word, colour in (("fine", "red"), ("good", "blue"), ("good", "red"), ("fine", "blue"))
] + [product("no shoe", None)] * 8


def built(**changes: Any) -> Butd:
    seed_everything(0)
    return Butd.fit_vocabulary(replace(small.BUTD, **changes), SCHEMA, TRAIN).eval()


def test_it_learns_what_the_picture_alone_tells() -> None:
    model = built()
    fit(model, TRAIN, TRAIN, replace(small.TRAINING, min_epoch_steps=15, learning_rate=0.01, batch_size=8))
    asked = [product("fine shoe", "red"), product("fine shoe", "blue"), product("no shoe", None)]
    told = [{(facet.attribute, facet.value) for facet in facets} for facets in predict(model, asked, 4)]
    assert told == [{("Colour", "red")}, {("Colour", "blue")}, set()]
    chances = model.chances(asked[0])
    assert next(iter(chances["Colour"])) == "red"
    assert {*chances["Colour"]} == {"", "red", "blue"}
    assert {*chances["Size"]} == {""}


def test_objects_weigh_by_what_the_title_asks_and_only_real_ones_count() -> None:
    model = built(objects="boxes")
    left, right = Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)
    batch = model.collate(
        [product("fine shoe", "red", left), product("a", "blue", left, right), product("a", None, left)]
    )
    question_PH = torch.randn(3, 16)
    attended_PE = model._attended(batch, question_PH)
    assert not attended_PE[2].any()  # without a picture there are no objects
    regions = model.image_encoder(batch.pictures.pixels_PCHW)  # 4 x 4
    left_PE = regions.unflatten(1, (4, 4))[:, :, :2].flatten(1, 2).mean(1)
    right_PE = regions.unflatten(1, (4, 4))[:, :, 2:].flatten(1, 2).mean(1)
    torch.testing.assert_close(attended_PE[0], left_PE[0])  # its only one
    score = model.attention(torch.stack([torch.cat([side[1], question_PH[1]]) for side in (left_PE, right_PE)]))[:, 0]
    weight = score.softmax(0)
    torch.testing.assert_close(attended_PE[1], weight[0] * left_PE[1] + weight[1] * right_PE[1])
    assert "regions" in model.reads
    assert "regions" not in built().reads
