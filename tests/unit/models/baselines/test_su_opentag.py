"""SUOpenTag: its equations by hand, what it learns, and how much is wrong where it never learned to say nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.windows import text_states
from facetmill.models.baselines.su_opentag import SuOpenTag
from facetmill.models.parts.pairs import Pairs, named
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.evaluate import evaluate
from facetmill.training.fit import fit
from tests import small
from tests.unit.models.test_jave import SCHEMA as TWO
from tests.unit.models.test_jave import in_context

SCHEMA = AttributeSchema((Attribute("Colour", {}), Attribute("Sole material", {})))
PRODUCTS = [Product("p", "s", "red shoe of some leather"), Product("q", "s", "hat")]


def built(schema: AttributeSchema = SCHEMA, products: Any = PRODUCTS, **changes: Any) -> SuOpenTag:
    seed_everything(0)
    return SuOpenTag.fit_vocabulary(dataclasses.replace(small.SU_OPENTAG, **changes), schema, products).eval()


def test_tags_are_told_from_a_token_and_its_cosine_to_the_attribute() -> None:
    """h = (3, 4) and h_a = (1, 0): their cosine is 0.6, so m = (3, 4, 1.8, 2.4)."""
    model = built(hidden_size=2)
    model.names = lambda attribute_M: torch.tensor([[1.0, 0.0], [0.0, 5.0]])[attribute_M]  # type: ignore[method-assign]
    with torch.no_grad():
        model.emission.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]]))
        model.emission.bias.copy_(torch.tensor([0.0, 0.5, 0.0]))
    states = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])
    emissions = model.emissions(states, Pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])))
    expected = [[3, 1.8 + 0.5, 4 + 2.4], [3, 0.8 * 3 + 0.5, 4 + 0.8 * 4], [0, 0.5, 2 + 2]]
    torch.testing.assert_close(emissions[:, 0], torch.tensor(expected))


def test_an_attribute_is_the_final_states_of_its_own_bilstm_over_its_name() -> None:
    model = built()
    text, _ = named(model._text, SCHEMA.names, torch.tensor([1]))
    states_BTE, _ = text_states(text, model.encoder)
    forwards, _ = model.attribute.forwards(states_BTE)
    backwards, _ = model.attribute.backwards(states_BTE.flip(1))
    expected = torch.cat([forwards[:, -1], backwards[:, -1]], dim=-1)
    found = model.names(torch.tensor([1, 0, 1]))  # beside a shorter name
    torch.testing.assert_close(found[[0, 2]], expected.expand(2, -1))
    assert not torch.allclose(found[0], found[1])


def test_it_learns_from_context_what_a_dictionary_cannot() -> None:
    train, validation = in_context(160, 1, "a"), in_context(40, 2, "b")
    wide = dataclasses.replace(small.TEXT, hidden_size=32, window=32)
    model = built(TWO, train, encoder=wide, hidden_size=64)
    training = dataclasses.replace(small.TRAINING, epochs=20, learning_rate=0.005)
    assert fit(model, train, validation, training).score > 0.9


@pytest.mark.parametrize(("negatives", "wrong"), [(0, True), (None, False)])
def test_one_that_was_never_asked_for_what_is_lacking_finds_much_that_is_wrong(
    negatives: int | None, wrong: bool
) -> None:
    """Titles have a brand or a colour. Precision is the share of what was told that is right."""
    products = []
    for word in (f"w{number}" for number in range(24)):
        for name, before in (("Brand", "sold by "), ("Colour", "comes in ")):
            span = Span("title", len(before), len(before) + len(word))
            products.append(Product(before + word, "s", before + word, facets=(Facet(name, word, (span,)),)))
    wide = dataclasses.replace(small.TEXT, hidden_size=32)
    model = built(TWO, products, encoder=wide, hidden_size=64, negatives=negatives)
    fit(model, products, products, dataclasses.replace(small.TRAINING, epochs=30, batch_size=8, learning_rate=0.02))
    scores = evaluate(model, products)
    assert scores.pair_recall > 0.9
    assert (scores.pair_precision < 0.6) is wrong
    assert (scores.pair_precision > 0.9) is not wrong
