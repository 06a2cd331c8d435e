"""What all token taggers share: losses and confidences counted by hand, windows, categories, and what they learn."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.bilstm_crf import BiLstmCrf
from facetmill.models.baselines.tagger import Tagger
from facetmill.models.parts.tagging import OUTSIDE, begin, inside
from facetmill.models.parts.token_tagger import TokenTagger, broken_moves
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.fit import fit
from tests import small
from tests.unit.models.test_jave import SCHEMA as TWO
from tests.unit.models.test_jave import in_context

ONE = AttributeSchema((Attribute("Colour", {}),))
RED_SHOE = Product("p", "s", "red shoe", facets=(Facet("Colour", "red", (Span("title", 0, 3),)),))


def built(decoder: str = "softmax", schema: AttributeSchema = ONE, **changes: Any) -> Tagger:
    seed_everything(0)
    config = dataclasses.replace(small.TAGGER, decoder=decoder, **changes)
    return Tagger.fit_vocabulary(config, schema, [RED_SHOE] * 2).eval()


def with_logits(model: TokenTagger, *logits: float) -> TokenTagger:
    """One that says the same of every token, and to which all moves that are allowed are alike."""
    with torch.no_grad():
        model.emission.weight.zero_()
        model.emission.bias.copy_(torch.tensor(logits))
        if model.crf is not None:
            for parameter in model.crf.parameters():
                parameter.zero_()
    return model


def test_an_i_follows_its_own_b_or_i_alone() -> None:
    broken = broken_moves(2)
    ends = [OUTSIDE, begin(0), begin(1)]
    assert not broken[:, ends].any()
    assert broken[:, inside(0)].tolist() == [True, False, False, True, True]
    assert broken[:, inside(1)].tolist() == [True, True, True, False, False]


def test_losses_by_hand() -> None:
    """Two tokens of three tags: each one of three; or one of 9 sequences but O I, which there is not."""
    for decoder, expected in (("softmax", 2 * math.log(3)), ("crf", math.log(8))):
        model = with_logits(built(decoder), 0, 0, 0)
        losses = model.loss(model.collate([RED_SHOE]))
        torch.testing.assert_close(losses.total, torch.tensor(expected))
        assert losses.parts.keys() == {"tags"}


def test_confidences_by_hand() -> None:
    """B weighs 3, O and I weigh 1. A softmax gives it 3 of 5. Of the sequences, B B weighs 9, OB BO BI IB 3 each, OO IO
    II 1 each, 24 in all; the first is B in 9 + 3 + 3 of them, and so is the second."""
    for decoder, expected in (("softmax", 3 / 5), ("crf", 15 / 24)):
        model = with_logits(built(decoder), 0, math.log(3), 0)
        (facets,) = model.predict(model.collate([RED_SHOE]))
        assert [(f.attribute, f.value) for f in facets] == [("Colour", "red"), ("Colour", "shoe")]
        assert [f.confidence for f in facets] == pytest.approx([expected] * 2)


def test_a_crf_takes_no_i_after_o_where_a_softmax_does() -> None:
    """Tags O, I are each the best of their token."""
    tags = {}
    for decoder in ("softmax", "crf"):
        model = with_logits(built(decoder), 0, 0, 0)
        batch = model.collate([RED_SHOE])
        emission = torch.tensor([[[0.0] * 3, [2.0, 0.0, 0.0], [0.0, 0.5, 1.0], [0.0] * 3]])
        model.forward = lambda _, emission=emission: emission  # type: ignore[method-assign]
        tags[decoder] = [(f.value, round(f.confidence or 0, 3)) for f in model.predict(batch)[0]]
    words = {name: [value for value, _ in found] for name, found in tags.items()}
    assert words == {"softmax": ["shoe"], "crf": ["shoe"]}
    # e is the weight of I, sqrt(e) of B after O, and so on: O B is the best that may be
    e, o = math.e, math.exp(2)
    legal = {"OO": o, "OB": o * e**0.5, "BO": 1, "BB": e**0.5, "BI": e, "IO": 1, "IB": e**0.5, "II": e}
    second_b = sum(weight for tags, weight in legal.items() if tags[1] == "B") / sum(legal.values())
    assert tags["crf"] == [("shoe", round(second_b, 3))]


def test_a_long_text_is_windows_that_share_its_weight_and_may_begin_inside_a_value() -> None:
    value = "word " * 9 + "red"
    title = f"{value} shoe"
    long = Product("l", "s", title, facets=(Facet("Colour", value, (Span("title", 0, len(value)),)),))
    model = built("crf", encoder=dataclasses.replace(small.TEXT, window=8))
    batch = model.collate([long, RED_SHOE])
    assert [number for number, _ in batch.text.pieces] == [0, 0, 1]
    assert batch.weight_B.tolist() == [0.5, 0.5, 1]
    assert batch.tags_BT[1, 1] == inside(0)
    assert model.loss(batch).total.isfinite()


def test_a_category_has_its_own_attributes_and_labels_beyond_them_teach_nothing() -> None:
    schema = AttributeSchema((Attribute("Colour", {}, ("Shoes", "Hats")), Attribute("Heel", {}, ("Shoes",))))
    heel = dataclasses.replace(RED_SHOE, facets=(Facet("Heel", "red", (Span("title", 0, 3),)),))
    products = [dataclasses.replace(heel, category=name) for name in ("Hats", "Shoes", "New", None)]
    for decoder in ("softmax", "crf"):
        model = with_logits(built(decoder, schema), 0, 1, 0, 2, 0)
        batch = model.collate(products)
        assert model.loss(batch).total.isfinite()
        found = [{f.attribute for f in facets} for facets in model.predict(batch)]
        assert found == [{"Colour"}, {"Heel"}, {"Heel"}, {"Heel"}]
        free = with_logits(built(decoder, schema, category_attributes=False), 0, 1, 0, 2, 0)
        assert {f.attribute for f in free.predict(free.collate(products[:1]))[0]} == {"Heel"}


def test_a_category_that_is_read_stands_before_the_title_and_is_never_a_value() -> None:
    model = with_logits(built(category_input=True), 0, 5, 0)
    products = [dataclasses.replace(RED_SHOE, category=name) for name in ("red", None)]
    batch = model.collate(products)
    assert batch.text.token_mask_BT.sum(1).tolist() == [2, 2]
    assert batch.tags_BT.tolist() == [[0, 0, 0, begin(0), 0, 0], [0, begin(0), 0, 0, 0, 0]]
    with_category, without = model.predict(batch)
    assert (
        [f.spans for f in with_category]
        == [f.spans for f in without]
        == [(Span("title", 0, 3),), (Span("title", 4, 8),)]
    )
    states_BTH = model.states(batch.text)
    assert not torch.allclose(states_BTH[0, 3], states_BTH[1, 1])  # the same word, read in another light
    unread = built()
    states_BTH = unread.states(unread.collate(products).text)
    torch.testing.assert_close(states_BTH[0], states_BTH[1])


def test_published_weights_learn_at_their_own_rate_and_frozen_ones_are_asked_once(tmp_path: Path) -> None:
    packaged = dataclasses.replace(small.TEXT, network="packaged", keep_layers=1, window=24)
    groups = built(encoder=packaged).parameter_groups()
    assert len(groups["text"]) > 10
    assert len(groups["fresh"]) == 2
    frozen = built(encoder=dataclasses.replace(packaged, freeze=True))
    assert {name: len(group) for name, group in frozen.parameter_groups().items() if group} == {"fresh": 2}
    before = frozen(frozen.collate([RED_SHOE]))
    frozen.prepare([RED_SHOE], tmp_path)
    batch = frozen.collate([RED_SHOE])
    assert batch.text.states_BTE is not None
    torch.testing.assert_close(frozen(batch), before)


@pytest.mark.parametrize("name", ["softmax", "crf", "bilstm_crf", "opentag"])
def test_it_learns_from_context_what_a_dictionary_cannot(name: str) -> None:
    train, validation = in_context(160, 1, "a"), in_context(40, 2, "b")
    wide = dataclasses.replace(small.TEXT, hidden_size=32, window=32)
    seed_everything(0)
    model: TokenTagger
    if name in ("bilstm_crf", "opentag"):
        config = dataclasses.replace(small.BILSTM_CRF, encoder=wide, attention_size=16 if name == "opentag" else None)
        model = BiLstmCrf.fit_vocabulary(config, TWO, train)
    else:
        model = Tagger.fit_vocabulary(dataclasses.replace(small.TAGGER, encoder=wide, decoder=name), TWO, train)
    assert fit(model, train, validation, dataclasses.replace(small.TRAINING, epochs=30, learning_rate=0.01)).score > 0.9
