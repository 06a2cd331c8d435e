"""MuJo-SF: its equations worked by hand, what only a choice can answer, and values that no training had."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.windows import token_states
from facetmill.errors import ParamsError
from facetmill.models.base import Answer
from facetmill.models.dictionary import Dictionary
from facetmill.models.mujo_sf import MujoSf, Told
from facetmill.models.parts.slot_filling import Gathered, Places, chosen, distances
from facetmill.params import MujoSfConfig, TextEncoderParams
from facetmill.records import Attribute, AttributeSchema, Facet, OcrToken, Product
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small

TRAINING = replace(small.TRAINING, epochs=12, learning_rate=0.01)
MINILM = TextEncoderParams(
    network="packaged",
    tokenizer="encoder",
    freeze=True,
    hidden_size=16,
    num_layers=1,
    keep_layers=2,
    frozen_layers=0,
    window=16,
)


def schema_of(**values: list[str]) -> AttributeSchema:
    return AttributeSchema(tuple(Attribute(name, dict.fromkeys(own, 1)) for name, own in values.items()))


def product(title: str, absent: tuple[str, ...] = (), **values: str) -> Product:
    facets = tuple(Facet(name, value) for name, value in values.items())
    return Product(title, "s", title, facets=facets, absent=absent)


def built(
    schema: AttributeSchema, train: list[Product], config: MujoSfConfig = small.MUJO_SF, **changes: Any
) -> MujoSf:
    seed_everything(0)
    return MujoSf.fit_vocabulary(replace(config, **changes), schema, train)


def text_logits(model: MujoSf, products: list[Product]) -> Tensor:
    told: Told = model(model.collate(products))
    assert told.text_PSV is not None
    return told.text_PSV


def share_right(model: Any, products: list[Product]) -> float:
    """Of products of which all that is true is told and nothing else."""
    found = predict(model, products, 16)
    right = [
        {(f.attribute, f.value) for f in facets} == {(f.attribute, f.value) for f in each.facets}
        for each, facets in zip(products, found, strict=True)
    ]
    return sum(right) / len(right)


def test_what_is_gathered_is_4_worked_by_hand() -> None:
    """With W1 and W_D 1 and d = 1: the mean of y weighed by the softmax of x y."""
    gathered = Gathered(1, 1, 1)
    for parameter in gathered.parameters():
        torch.nn.init.ones_(parameter)
    torch.nn.init.zeros_(gathered.out.bias)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    y = torch.tensor([[[2.0], [0.0], [9.0]]]).expand(2, 3, 1)
    found = gathered(torch.ones(2, 1, 1), Places(y, mask))
    expected = 2 * math.exp(2) / (math.exp(2) + 1)
    assert found.flatten().tolist() == pytest.approx([expected, 0.0])


def test_the_nearest_candidate_is_the_likeliest_7_and_a_slot_of_several_values_is_right_by_any() -> None:
    logits = -distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]]))
    assert logits.tolist() == [[-5.0, -1.0, -1.0]]
    whole = math.exp(-5) + 2 * math.exp(-1)
    for true, share in (([True, False, False], math.exp(-5)), ([False, True, True], 2 * math.exp(-1))):
        assert chosen(logits, torch.tensor([true])).exp().item() == pytest.approx(share / whole)


def test_the_loss_8_is_the_mean_over_known_slots_and_then_over_products() -> None:
    schema = schema_of(Colour=["red", "blue"], Fit=["slim"])
    train = [product("red", Colour="red"), product("slim", ("Colour",), Fit="slim"), product("what")]
    model = built(schema, train, unsaid="unknown").eval()
    batch = model.collate(train)
    p_PSV = text_logits(model, train).log_softmax(-1)
    expected = (p_PSV[0, 0, model.candidates.numbers[0]["red"]] + (p_PSV[1, 0, 0] + p_PSV[1, 1, 1]) / 2) / -3
    torch.testing.assert_close(model.loss(batch).total, expected)


def test_probabilities_of_each_slot_sum_to_1_and_the_chosen_ones_is_the_confidence() -> None:
    schema = schema_of(Colour=["red", "blue"], Fit=["slim"])
    model = built(schema, [product("red shoe")]).eval()
    p_PSV = text_logits(model, [product("red shoe"), product("")]).softmax(-1)
    torch.testing.assert_close(p_PSV.sum(-1), torch.ones(2, 2))
    assert p_PSV[:, 1, 2].tolist() == [0, 0]  # Fit has fewer candidates
    found = [facet.confidence for facets in predict(model, [product("red shoe")], 1) for facet in facets]
    best_S, number_S = p_PSV[0].max(-1)
    assert found == pytest.approx([p for p, number in zip(best_S.tolist(), number_S, strict=True) if number > 0])


def test_chances_are_those_of_all_candidates_the_likeliest_first() -> None:
    train = [product("red cup", Colour="red", Shape="cup"), product("blue jug", Colour="blue", Shape="jug")]
    model = built(schema_of(Colour=["red", "blue"], Shape=["cup", "jug"]), train).eval()
    chances = model.chances(train[0])
    assert {name: set(values) for name, values in chances.items()} == {
        "Colour": {"", "red", "blue"},
        "Shape": {"", "cup", "jug"},
    }
    for values in chances.values():
        assert sum(values.values()) == pytest.approx(1)
        assert list(values.values()) == sorted(values.values(), reverse=True)


def test_a_long_text_is_read_whole_and_its_tokens_stand_in_their_order() -> None:
    model = built(schema_of(Colour=["red"]), [product("red shoe")]).eval()
    long = product("shoe " * 40 + "red")
    text = model.collate([product("red"), long, product("")]).text
    place_BT1 = torch.arange(text.ids_BT.numel()).reshape(*text.ids_BT.shape, 1)
    token_PN1, mask_PN = token_states(text, place_BT1)
    assert mask_PN.sum(1).tolist() == [1, 41, 0]
    ids = text.ids_BT.flatten()[token_PN1[1, :, 0]]
    assert ids.tolist() == text.readings[1].ids


def test_rare_values_weigh_the_inverse_of_their_frequency_or_get_the_logarithm_of_it() -> None:
    schema = schema_of(Colour=["red", "blue"])
    train = [product(f"{n}", Colour="red") for n in range(6)] + [product("b", Colour="blue"), product("none")]
    plain, balanced, adjusted = (
        built(schema, train, balance=name).eval() for name in ("none", "balanced", "logit_adjusted")
    )
    batch = plain.collate(train)
    logit_PV = text_logits(plain, train)[:, 0]
    number = plain.candidates.numbers[0]
    true_P = torch.tensor([number["red"]] * 6 + [number["blue"], 0])
    loss_P = torch.nn.functional.cross_entropy(logit_PV, true_P, reduction="none")
    torch.testing.assert_close(plain.loss(batch).total, loss_P.mean())
    mean = 8 / 3  # products a candidate
    torch.testing.assert_close(
        balanced.loss(batch).total, (loss_P * torch.tensor([mean / 6] * 6 + [mean, mean])).mean()
    )
    prior_V = torch.tensor([1.0, 0, 0]).index_put(
        (torch.tensor([number["red"], number["blue"]]),), torch.tensor([6.0, 1])
    )
    expected = torch.nn.functional.cross_entropy(logit_PV + prior_V.log(), true_P)
    torch.testing.assert_close(adjusted.loss(batch).total, expected)
    assert plain.report()["train_slots_known"] == plain.report()["train_slots"] == 8


@pytest.mark.parametrize(("balance", "expected"), [("none", 0.1), ("balanced", 0.5), ("logit_adjusted", 0.5)])
def test_a_rare_value_of_what_looks_alike_is_as_likely_as_it_is_common_or_as_any_other(
    balance: Any, expected: float
) -> None:
    train = [product("shirt", Colour="red")] * 27 + [product("shirt", Colour="blue")] * 3
    model = built(schema_of(Colour=["red", "blue"]), train, balance=balance)
    fit(model, train, train[-1:], replace(TRAINING, epochs=60, batch_size=30, validate_every=60, patience=60))
    p_V = text_logits(model, train[:1])[0, 0].softmax(-1)
    assert p_V[model.candidates.numbers[0]["blue"]].item() == pytest.approx(expected, abs=0.07)


SEASONS = {"beach": "summer", "pool": "summer", "ski": "winter", "snow": "winter"}
IMPLICIT = [
    product(f"{kind} for the {word} {trip}", Season=season)
    for word, season in SEASONS.items()
    for kind in ("shirt", "shoes", "hat", "bag")
    for trip in ("days", "tour", "club")
]
PLAIN = [product(f"{kind} for {who}") for kind in ("shirt", "shoes", "hat", "bag") for who in ("him", "her", "you")]


def test_it_learns_a_value_that_no_text_says_and_that_there_is_none() -> None:
    train, unseen = [*IMPLICIT[::2], *PLAIN[::2]], [*IMPLICIT[1::2], *PLAIN[1::2]]
    schema = schema_of(Season=["summer", "winter"])
    model = built(schema, train)
    fit(model, train, train, TRAINING)
    assert share_right(model, unseen) > 0.95
    assert share_right(Dictionary.fit_vocabulary(small.DICTIONARY, schema, train), unseen) < 0.4


def test_where_what_is_not_said_is_unknown_only_a_word_for_it_makes_none() -> None:
    absent = [replace(each, absent=("Season",)) for each in PLAIN]
    schema = schema_of(Season=["summer", "winter"])
    told = {}
    for name, train in {"unknown": [*IMPLICIT, *PLAIN], "absent": [*IMPLICIT, *absent]}.items():
        model = built(schema, train, unsaid="unknown")
        fit(model, train, train, TRAINING)
        assert share_right(model, IMPLICIT) > 0.95
        told[name] = share_right(model, PLAIN)
    assert told["unknown"] < 0.1
    assert told["absent"] > 0.95


COLOURS = ["red", "blue", "green", "yellow", "black", "white", "orange", "purple", "brown", "pink"]
NEW = ["grey", "turquoise", "beige", "violet"]
CLOTHES = ["shirt", "shoe", "hat", "coat"]
FABRICS = ["cotton", "leather", "wool", "silk"]


def dressed(colours: list[str]) -> list[Product]:
    pairs = [(colour, kind, (n + m) % 4) for n, colour in enumerate(colours) for m, kind in enumerate(CLOTHES)]
    return [product(f"{c} {kind} of {FABRICS[f]}", Colour=c, Fabric=FABRICS[f]) for c, kind, f in pairs]


SCHEMA = schema_of(Colour=COLOURS, Fabric=FABRICS)
MORE = schema_of(Colour=[*COLOURS, *NEW], Fabric=FABRICS)


@pytest.fixture(scope="module")
def trained() -> MujoSf:
    train = dressed(COLOURS)
    model = built(SCHEMA, train, encoder=MINILM)
    fit(model, train, train[:8], replace(TRAINING, epochs=10, learning_rate=0.002))
    assert share_right(model, train) == 1.0
    return model


def test_a_value_that_is_added_to_the_schema_needs_no_training_and_is_answered(trained: MujoSf, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "before")
    model: Any = load_model(tmp_path / "before")
    old, new = dressed(COLOURS), dressed(NEW)
    assert share_right(model, new) == 0.0
    expected, logits = list(predict(model, old, 8)), text_logits(model, old)
    parameters = {name: tensor.clone() for name, tensor in model.named_parameters()}
    model.ask(MORE)
    assert share_right(model, new) > 0.9
    assert {name: tensor.shape for name, tensor in model.named_parameters()} == {
        name: tensor.shape for name, tensor in parameters.items()
    }
    said = list(predict(model, old, 8))
    for before, after in zip(expected, said, strict=True):
        assert before[1:] == after[1:]  # the slot that has no new value, to the bit
        assert (before[0].value, before[0].spans) == (after[0].value, after[0].spans)
    now = text_logits(model, old)
    numbers = [model.candidates.numbers[0][value] for value in trained.candidates.values[0]]
    assert torch.equal(now[:, 0, [0, *numbers]], logits[:, 0, : 1 + len(numbers)])
    save_model(model, tmp_path / "after")
    assert list(predict(load_model(tmp_path / "after"), [*old, *new], 8)) == list(predict(model, [*old, *new], 8))


def test_it_fills_no_slots_but_those_that_it_was_trained_with(trained: MujoSf) -> None:
    with pytest.raises(ParamsError, match="'Size' differs"):
        trained.ask(schema_of(Colour=COLOURS, Fabric=FABRICS, Size=["8"]))


def test_synonyms_are_learned_and_told_as_one_value() -> None:
    train = [product(f"{colour} shirt {n}", Colour=colour) for colour in ("navy", "red", "dark blue") for n in range(8)]
    model = built(schema_of(Colour=["navy", "red"]), train, synonyms={"Colour": {"navy": "dark blue"}})
    fit(model, train, train, TRAINING)
    told = {
        each.title.split()[0]: facets[0].value for each, facets in zip(train, predict(model, train, 8), strict=True)
    }
    assert told == {"navy": "dark blue", "red": "red", "dark": "dark blue"}
    assert model.schema.attributes[0].values.keys() == {"navy", "red", "dark blue"}


def test_values_may_lie_in_the_space_of_another_encoder(tmp_path: Path) -> None:
    train = dressed(COLOURS)
    model = built(
        SCHEMA, train, encoder=replace(small.TEXT, hidden_size=32), value_encoder=replace(MINILM, keep_layers=1)
    )
    fit(model, train, train[:8], replace(TRAINING, epochs=16))
    assert share_right(model, train) > 0.9
    expected = list(predict(model, train, 8))
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), train, 8)) == expected


def test_what_is_printed_is_a_setting() -> None:
    train = dressed(COLOURS)
    model = built(SCHEMA, train, encoder=MINILM, value_pooling="cls", value_scale="printed")
    assert model.text_side is not None
    space = model.text_side.space
    assert (space.centre_E.abs().sum().item(), space.spread.item()) == (0, 1)
    assert fit(model, train, train[:8], replace(TRAINING, epochs=1)).epochs


def test_words_alone_tell_values_without_an_encoder(tmp_path: Path) -> None:
    train = dressed(COLOURS)
    model = built(SCHEMA, train, text_by="words", ca="none")
    assert (model.encoder, model.text_side) == (None, None)
    assert {"title", "text"} <= model.reads
    fit(model, train, train[:8], replace(TRAINING, epochs=6, learning_rate=0.02))
    assert share_right(model, train) > 0.9
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), train, 8)) == list(predict(model, train, 8))
    with pytest.raises(ParamsError, match="'Colour' has a head"):
        model.ask(MORE)


def test_what_states_and_words_say_is_added() -> None:
    train = dressed(COLOURS)
    model = built(SCHEMA, train, text_by="both", ca="none").eval()
    assert model.word_bag is not None
    alone = text_logits(model, train)
    torch.nn.init.normal_(model.word_bag.weights.weight)
    batch = model.collate(train)
    assert batch.words is not None
    torch.testing.assert_close(text_logits(model, train), alone + model.word_bag(batch.words, model.candidates.most))


def test_a_value_that_stands_on_the_pack_is_likelier_by_a_learned_weight(tmp_path: Path) -> None:
    """All pictures and titles are alike; of half the products the pack names the flavour."""
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "pack.png")
    alike = Product("1", "s", "snack", images=(str(tmp_path / "pack.png"),))
    train = [
        replace(alike, product_id=f"{value} {n}", facets=(Facet("Flavour", value),), ocr=(OcrToken(value.upper()),))
        for n in range(8)
        for value in ("salted", "vanilla", "teriyaki", "lemon")
    ]
    silent = [replace(each, ocr=()) for each in train]
    settings: dict[str, Any] = {"image_slots": "all", "ca": "none", "pack_words": True, "unsaid": "unknown"}
    model = built(schema_of(Flavour=["salted", "vanilla", "teriyaki", "lemon"]), train, **settings)
    assert "ocr" in model.reads
    fit(model, [*train, *silent], train, replace(TRAINING, epochs=20, learning_rate=0.05))
    assert share_right(model, train) == 1.0
    assert share_right(model, silent) == 0.25


def test_the_side_that_is_too_sure_of_itself_is_trusted_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is right in three of four cases and about as sure; the picture is surer, and right by chance."""
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    values = ["salted", "vanilla", "lemon"]
    shown = [
        replace(product(f"snack {n}", Flavour=values[n % 3]), images=(str(tmp_path / "a.png"),)) for n in range(36)
    ]
    settings: dict[str, Any] = {"image_slots": "all", "image_slots_read": "both", "ca": "none", "unsaid": "unknown"}
    model = built(schema_of(Flavour=values), shown, **settings)
    number = model.candidates.numbers[0]
    true = [number[value] for value in values]
    said = [true[n % 3] if n % 4 else true[(n + 1) % 3] for n in range(36)]
    seen = [true[n // 12] for n in range(36)]

    def forward(batch: Any) -> Told:
        at = [int(each.title.split()[1]) for each in batch.products]
        text_PSV, picture_PSV = (
            sure * torch.nn.functional.one_hot(torch.tensor([each[n] for n in at]), 4)[:, None].float()
            for sure, each in ((2.0, said), (9.0, seen))
        )
        return Told(text_PSV, picture_PSV, torch.ones(len(at), dtype=torch.bool))

    monkeypatch.setattr(model, "forward", forward)
    assert share_right(model, shown) == pytest.approx(1 / 3)
    model.weigh(shown[:10])
    assert model.trust_2.tolist() == [1, 1]  # of so few nothing is learned
    model.weigh(shown)
    assert model.trust_2[1] < 0.2 < model.trust_2[0]
    assert share_right(model, shown) == pytest.approx(3 / 4)
    model.trust_2.fill_(1)
    model.calibrate([(each, Answer([])) for each in shown])
    assert model.trust_2[1] < 0.2
    assert not model.calibration.changes_nothing
    model.weigh([])
