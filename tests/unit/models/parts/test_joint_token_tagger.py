"""What all that tell attributes beside tags share: losses and answers counted by hand, and what they learn."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.joint_bert import JointBert
from facetmill.models.baselines.slot_gated import SlotGated
from facetmill.models.parts.joint_token_tagger import JointTokenTagger
from facetmill.models.parts.labels import attributes_told
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.evaluate import evaluate
from facetmill.training.fit import fit
from tests import small
from tests.unit.models.test_jave import SCHEMA as TWO
from tests.unit.models.test_jave import in_context

SCHEMA = AttributeSchema((Attribute("Colour", {}, ("Shoes", "Hats")), Attribute("Heel", {}, ("Shoes",))))
RED = Facet("Colour", "red", (Span("title", 0, 3),))
HAT = Product("p", "s", "red hat", category="Hats", facets=(RED,))
SHOE = Product("q", "s", "red shoe", category="Shoes", facets=(RED, Facet("Heel", "high")))


def built(**changes: Any) -> JointBert:
    seed_everything(0)
    config = dataclasses.replace(small.JOINT_BERT, **changes)
    return JointBert.fit_vocabulary(config, SCHEMA, [HAT, SHOE]).eval()


def with_logits(model: JointBert, *attributes: float) -> JointBert:
    """One that says the same of every text, and to which all tags are alike."""
    with torch.no_grad():
        for layer in (model.emission, model.attribute):
            layer.weight.zero_()
            layer.bias.zero_()
        model.attribute.bias.copy_(torch.tensor(attributes))
    return model


def test_losses_by_hand() -> None:
    """Means over two tokens and two attributes. There are five tags, three where the category has one attribute; the
    other one then costs nothing. A heel that no text names is an attribute all the same: Colour is told with 3/4, Heel
    with 1/4."""
    model = with_logits(built(), math.log(3), -math.log(3))
    for product, tags, attributes in (
        (HAT, math.log(3), -math.log(3 / 4) / 2),
        (SHOE, math.log(5), (-math.log(3 / 4) - math.log(1 / 4)) / 2),
    ):
        losses = model.loss(model.collate([product]))
        found = {name: part.item() for name, part in losses.parts.items()}
        assert found == pytest.approx({"tags": tags, "attribute": attributes})
        assert losses.total.item() == pytest.approx(tags + attributes)


def test_attributes_are_told_above_the_threshold_and_never_of_another_category() -> None:
    model = with_logits(built(threshold=0.7), math.log(3), math.log(4))
    hat, shoe = model.attributes(model.collate([HAT, SHOE]))
    assert hat == pytest.approx({"Colour": 3 / 4})
    assert shoe == pytest.approx({"Colour": 3 / 4, "Heel": 4 / 5})
    model = with_logits(built(threshold=0.78, category_attributes=False), math.log(3), math.log(4))
    assert model.attributes(model.collate([HAT])) == [pytest.approx({"Heel": 4 / 5})]


def test_a_long_text_has_the_attributes_of_all_its_windows_each_as_sure_as_at_its_surest() -> None:
    model = built(encoder=dataclasses.replace(small.TEXT, window=8))
    batch = model.collate([Product("l", "s", "red " * 14), HAT])
    assert batch.text.products_of_rows == [0, 0, 1]
    told = attributes_told(batch, torch.tensor([[0.6, 0.9], [0.75, 0.2], [0.5, 0.1]]), 0.5, SCHEMA.names)
    assert told == [pytest.approx({"Colour": 0.75, "Heel": 0.9}), {}]


def sometimes(num_products: int, seed: int, prefix: str) -> list[Product]:
    """As `in_context`, but every other product says "lives in" of what then is no colour."""
    return [
        dataclasses.replace(product, title=product.title.replace("comes", "lives"), facets=product.facets[:1])
        if number % 2
        else product
        for number, product in enumerate(in_context(num_products, seed, prefix))
    ]


@pytest.mark.parametrize("name", ["joint", "separate", "gated"])
def test_it_learns_from_context_what_a_dictionary_cannot(name: str) -> None:
    train, validation = sometimes(160, 1, "a"), sometimes(40, 2, "b")
    wide = dataclasses.replace(small.TEXT, hidden_size=32, window=32)
    seed_everything(0)
    model: JointTokenTagger
    if name == "gated":
        model = SlotGated.fit_vocabulary(dataclasses.replace(small.SLOT_GATED, encoder=wide), TWO, train)
    else:
        model = JointBert.fit_vocabulary(dataclasses.replace(small.JOINT_BERT, encoder=wide, tasks=name), TWO, train)
    training = dataclasses.replace(small.TRAINING, epochs=1, min_epoch_steps=150, learning_rate=0.01)
    assert fit(model, train, validation, training).score > 0.9
    assert (evaluate(model, validation).predicted_attribute_f1 or 0) > 0.95  # both of every product: 0.86
