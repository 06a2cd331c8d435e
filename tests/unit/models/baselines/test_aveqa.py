"""AVEQA: how a question is put, its losses by hand, and what it answers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.aveqa import Aveqa
from facetmill.models.parts.pairs import Pairs
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small
from tests.unit.models.test_jave import SCHEMA as TWO
from tests.unit.models.test_jave import in_context

SCHEMA = AttributeSchema((Attribute("Colour", {}), Attribute("Sole material", {})))
RED = Facet("Colour", "red", (Span("title", 0, 3),))
SHOE = Product("p", "s", "red shoe", "of leather", facets=(RED,))
HAT = Product("q", "s", "hat")


def built(schema: AttributeSchema = SCHEMA, products: Any = (SHOE, HAT), **changes: Any) -> Aveqa:
    seed_everything(0)
    return Aveqa.fit_vocabulary(dataclasses.replace(small.AVEQA, **changes), schema, [*products, *products]).eval()


def test_a_question_is_the_name_and_the_window_behind_it_without_a_gap() -> None:
    model = built()
    words = {
        word: ids
        for word in ("red", "shoe", "of", "leather", "hat", "Colour", "Sole", "material")
        for ids in model._text.tokenizer.encode([word])[0].ids
    }
    cls, sep = model._text.tokenizer.cls_id, model._text.tokenizer.sep_id
    text = model.collate([SHOE, HAT]).text
    ids, mask, name = model._joined(text, Pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])))
    shoe = [words["red"], words["shoe"], sep, words["of"], words["leather"], sep]
    colour, sole = [cls, words["Colour"], sep], [cls, words["Sole"], words["material"], sep]
    expected = [[*colour, *shoe], [*sole, *shoe], [*colour, words["hat"], sep]]
    assert [row[real].tolist() for row, real in zip(ids, mask, strict=True)] == expected
    assert mask.int().tolist() == [[1] * len(row) + [0] * (10 - len(row)) for row in expected]
    assert name.tolist() == [3, 4, 3]


@pytest.mark.parametrize("network", ["bilstm", "config"])
def test_neither_longer_names_nor_longer_texts_beside_it_change_an_answer(network: str) -> None:
    model = built(encoder=dataclasses.replace(small.TEXT, network=network))
    with torch.no_grad():
        together = model(model.collate([HAT, SHOE]).text, Pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])))
        alone = model(model.collate([HAT]).text, Pairs(torch.tensor([0]), torch.tensor([0])))
    for left, right in zip(together, alone, strict=True):
        torch.testing.assert_close(left[:1, : right.shape[1]] if right.dim() > 1 else left[:1], right)
    assert together[1][0].exp()[[0, 2, 3]].sum() == 0  # an answer is no [CLS], no [SEP] and no padding


def test_losses_by_hand() -> None:
    """Colour is answered by "red" at two of four places; the sole's material by nothing. The network knows nothing:
    each of the four words is as likely, and an answer has the odds of 3 to 1."""
    spans = (Span("title", 0, 3), Span("text", 0, 3))
    product = Product("p", "s", "red shoe", "red leather", facets=(Facet("Colour", "red", spans),))
    model = built(products=[product])
    with torch.no_grad():
        for layer in (model.bounds, model.answerable):
            layer.weight.zero_()
            layer.bias.zero_()
        model.answerable.bias.fill_(math.log(3))
    losses = model.loss(model.collate([product]))
    torch.testing.assert_close(losses.parts["span"], torch.tensor(math.log(4)))
    torch.testing.assert_close(losses.parts["answer"], torch.tensor(-math.log(3 / 4) - math.log(1 / 4)))
    torch.testing.assert_close(losses.total, losses.parts["span"] + losses.parts["answer"])


def answering(model: Aveqa, *bounds: tuple[int, int, float]) -> Aveqa:
    """One that is sure of an answer, and of where it starts and ends in each window: columns, and their logits."""

    def forward(text: Any, pairs: Pairs) -> tuple[torch.Tensor, ...]:
        start, end = (torch.full((len(pairs), text.ids_BT.shape[1]), -20.0) for _ in range(2))
        for first, last, logit in bounds:
            start[:, first], end[:, last] = logit, logit
        return torch.full((len(pairs),), 4.0), start.log_softmax(1), end.log_softmax(1)

    model.forward = forward  # type: ignore[assignment, method-assign]
    return model


def test_one_value_is_told_or_several_where_it_is_asked_so() -> None:
    schema = AttributeSchema((Attribute("Colour", {}),))
    product = Product("p", "s", "navy blue and red shoe")
    for values, expected in (("one", ["navy blue"]), ("all", ["navy blue", "red"])):
        model = answering(built(schema, [product], values=values), (1, 2, 1.1), (4, 4, 1.0))
        ((navy, *others),) = predict(model, [product], 1)
        assert [f.value for f in (navy, *others)] == expected
        assert navy.spans == (Span("title", 0, 9),)
        assert 0.5 < (navy.confidence or 0) < 0.6


def test_of_the_windows_of_a_long_text_the_surest_one_answers() -> None:
    schema = AttributeSchema((Attribute("Colour", {}),))
    product = Product("p", "s", " ".join(f"word{number}" for number in range(30)))
    model = built(schema, [product])
    assert len(model.collate([product]).text.pieces) > 2
    assert max(len(cut) for _, cut in model.collate([product]).text.pieces) == 12  # of 16, a quarter for the name
    plain = answering(model, (1, 1, 0.0)).forward

    def forward(text: Any, pairs: Pairs) -> tuple[torch.Tensor, ...]:
        answerable, start, end = plain(text, pairs)
        return answerable + pairs.row_M, start, end  # the later, the surer

    model.forward = forward  # type: ignore[method-assign]
    last = model.collate([product]).text.pieces[-1][1]
    assert [f.value for f in next(predict(model, [product], 1))] == [f"word{last.start}"]


def test_a_name_that_is_longer_than_its_room_is_cut_and_counted() -> None:
    long = AttributeSchema((Attribute("Colour", {}), Attribute("Material of the whole sole", {})))
    model = built(long)
    assert model.report()["names_cut"] == 1
    assert model.question_AQ.shape == (2, 5)
    assert built().report()["names_cut"] == 0


def test_it_learns_from_context_what_a_dictionary_cannot() -> None:
    train, validation = in_context(160, 1, "a"), in_context(40, 2, "b")
    wide = dataclasses.replace(small.TEXT, hidden_size=32, window=32)
    model = built(TWO, train, encoder=wide)
    training = dataclasses.replace(small.TRAINING, epochs=30, learning_rate=0.01)
    assert fit(model, train, validation, training).score > 0.9
