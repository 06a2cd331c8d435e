"""JAVE's equations on cases worked by hand, its switches, and whether it learns from context."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from facetmill.compute.seeding import seed_everything
from facetmill.models.dictionary import Dictionary
from facetmill.models.jave import Jave
from facetmill.models.parts.joint import (
    Attention,
    AttnNorm,
    AttributeHead,
    Gathering,
    ValueHead,
    agreement_loss,
    attribute_loss,
    projected,
    tagged_attributes,
    value_loss,
)
from facetmill.params import JaveConfig
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.fit import fit
from tests import small

CONFIG = small.JAVE
SCHEMA = AttributeSchema((Attribute("Brand", {}), Attribute("Colour", {})))
TRAIN = [
    Product(
        "p",
        "s",
        "red Acme shoe",
        facets=(Facet("Colour", "red", (Span("title", 0, 3),)), Facet("Brand", "Acme", (Span("title", 4, 8),))),
    ),
    Product("q", "s", "a shoe", facets=(Facet("Colour", "green"),)),
]


def config(**changes: object) -> JaveConfig:
    return dataclasses.replace(CONFIG, **changes)


def built(settings: JaveConfig = CONFIG) -> Jave:
    seed_everything(0)
    return Jave.fit_vocabulary(settings, SCHEMA, TRAIN)


def set_weight(layer: torch.nn.Linear, weight: list[list[float]], bias: list[float] | None = None) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))


@dataclasses.dataclass
class Toy:
    """Two attributes, width 2, attention size 1; small weights that differ everywhere."""

    norm: Any = "softmax"

    def __post_init__(self) -> None:
        self.gathering = Gathering(2, 1, self.norm)
        self.attribute_head = AttributeHead(2, 2, 1)
        self.value_head = ValueHead(2, 2, 1, use_attributes=True)
        set_weight(self.gathering.text.query, [[1.0, 0.0]])
        set_weight(self.gathering.text.key, [[0.0, 2.0]])
        set_weight(self.gathering.text.value, [[1.0, 1.0]])
        set_weight(self.attribute_head.pool_tokens, [[0.5, 0.0]])
        set_weight(self.attribute_head.pool_gathered, [[0.25]])
        set_weight(self.attribute_head.pool_text, [[0.0, 1.0]])
        set_weight(self.attribute_head.attributes, [[1.0], [-1.0]], [0.0, 0.5])
        set_weight(self.value_head.token, [[1.0, -1.0]])
        set_weight(self.value_head.gathered, [[0.5]])
        assert self.value_head.attributes is not None
        set_weight(self.value_head.attributes, [[1.0, 2.0]])
        set_weight(self.value_head.tags, [[0.0], [1.0], [-1.0], [2.0], [0.5]], [0.1, 0.0, 0.0, 0.0, 0.0])

    def __call__(self) -> tuple[Tensor, Tensor]:
        gathered = self.gathering(STATES, TEXT, MASK, None)
        attributes = self.attribute_head(gathered)
        return attributes, self.value_head(gathered, attributes.sigmoid())


STATES = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # h of two tokens
TEXT = torch.tensor([[0.0, 0.3]])  # h0
MASK = torch.tensor([[True, True]])


def text_weights(attention: Attention, states: Tensor, mask: Tensor) -> Tensor:
    weights: Tensor = attention(attention.query(states), attention.key(states), mask)
    return weights


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_equations_1_to_9_by_hand() -> None:
    # (1) query (1, 0), key (0, 2), D = 1: E = [[0, 2], [0, 0]]; (2) rows softmax; every value vector is 1, so h' = 1
    weights = text_weights(Toy().gathering.text, STATES, MASK)
    first = math.exp(2) / (1 + math.exp(2))
    torch.testing.assert_close(weights, torch.tensor([[[1 - first, first], [0.5, 0.5]]]))
    # (7) z = 0.5 * (1 + 0) + 0.25 * (1 + 1) + 0.3 = 1.3; logits (1.3, -0.8)
    attributes, tags = Toy()()
    torch.testing.assert_close(attributes, torch.tensor([[1.3, -0.8]]))
    # (9) token terms 1 and -1, 0.5 h' = 0.5, W8 ya = s(1.3) + 2 s(-0.8)
    predicted = sigmoid(1.3) + 2 * sigmoid(-0.8)
    inner = torch.tensor([[1.5 + predicted], [-0.5 + predicted]])
    expected = inner * torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5]) + torch.tensor([0.1, 0.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(tags, expected[None])


def test_attention_without_softmax_is_the_scores_themselves() -> None:
    toy = Toy("none")
    weights = text_weights(toy.gathering.text, STATES, MASK)
    torch.testing.assert_close(weights, torch.tensor([[[0.0, 2.0], [0.0, 0.0]]]))
    # h' = (2, 0): z = 0.5 + 0.25 * 2 + 0.3
    torch.testing.assert_close(toy()[0], torch.tensor([[1.3, -0.8]]))


def test_losses_8_and_11_by_hand() -> None:
    logits, gold = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(attribute_loss(logits, gold), torch.tensor([math.log(2)]))
    tags = torch.zeros(1, 3, 5)
    tags[0, 0, 1] = math.log(6)  # probability 0.6 of tag 1, 0.1 of the others
    mask = torch.tensor([[True, True, False]])
    expected = (-math.log(0.6) + math.log(5)) / 2
    torch.testing.assert_close(value_loss(tags, torch.tensor([[1, 0, 4]]), mask), torch.tensor([expected]))


def test_equation_12_by_hand() -> None:
    probabilities = torch.tensor([[[0.5, 0.3, 0.1, 0.06, 0.04], [0.2, 0.1, 0.6, 0.02, 0.08], [0.0, 1.0, 0, 0, 0]]])
    logits = probabilities.clamp(min=1e-30).log()
    mask = torch.tensor([[True, True, False]])
    both = torch.tensor([[(0.3 + 0.6) / 2, (0.06 + 0.08) / 2]])
    torch.testing.assert_close(tagged_attributes(logits, mask, "both"), both)
    torch.testing.assert_close(tagged_attributes(logits, mask, "begin"), torch.tensor([[0.3, 0.06]]))


def test_equation_13_by_hand() -> None:
    attribute = torch.tensor([[0.0, math.log(3)]])  # ya = (0.5, 0.75)
    all_agree, words = torch.ones(1, 2), torch.tensor([[True, False]])
    same = attribute.sigmoid()
    torch.testing.assert_close(agreement_loss(attribute, same, all_agree, words, "sum"), torch.zeros(1))
    tagged = torch.tensor([[0.25, 0.25]])
    expected = 0.5 * math.log(2) + 0.75 * math.log(3)
    torch.testing.assert_close(agreement_loss(attribute, tagged, all_agree, words, "sum"), torch.tensor([expected]))
    torch.testing.assert_close(
        agreement_loss(attribute, tagged, all_agree, words, "mean"), torch.tensor([expected / 2])
    )
    nothing = agreement_loss(attribute, torch.zeros(1, 2), all_agree, words, "sum")
    torch.testing.assert_close(nothing, torch.tensor([0.5 * math.log(0.5e8) + 0.75 * math.log(0.75e8)]))
    complete = expected + 0.5 * math.log(0.5 / 0.75) + 0.25 * math.log(0.25 / 0.75)
    bernoulli = agreement_loss(attribute, tagged, all_agree, words, "sum", "bernoulli")
    torch.testing.assert_close(bernoulli, torch.tensor([complete]))
    torch.testing.assert_close(agreement_loss(attribute, same, all_agree, words, "sum", "bernoulli"), torch.zeros(1))
    implicit = torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(
        agreement_loss(attribute, tagged, implicit, words, "sum"), torch.tensor([0.5 * math.log(2)])
    )


def test_a_window_without_tokens_has_nothing_to_agree_with() -> None:
    """Its tags hold nothing, which as q of (12) would cost 17 for each attribute that is sure."""
    model = built(config(kl_weight=1.0, kl_tags="both")).eval()
    empty, full = Product("e", "s", ""), TRAIN[0]
    kl = [float(model.loss(model.collate(products)).parts["kl"]) for products in ([full], [empty], [full, empty])]
    assert kl[0] != 0
    assert kl[1] == 0
    assert kl[2] == pytest.approx(kl[0] / 2)
    bernoulli = built(config(kl_weight=1.0, kl_form="bernoulli"))
    assert bernoulli.loss(bernoulli.collate([empty])).parts["kl"] == 0


def test_equation_14_adds_the_terms() -> None:
    model = built(config(kl_weight=0.25))
    losses = model.loss(model.collate(TRAIN))
    parts = losses.parts
    expected = parts["attribute"] + parts["value"] + 0.25 * parts["kl"]
    torch.testing.assert_close(losses.total.detach(), expected)


@pytest.mark.parametrize("norm", ["softmax", "none"])
def test_attention_ignores_padding_and_rows_sum_to_one(norm: AttnNorm) -> None:
    torch.manual_seed(0)
    gathering = Gathering(4, 3, norm)
    states = torch.randn(2, 5, 4)
    mask = torch.tensor([[True] * 3 + [False] * 2, [False] * 5])
    weights = text_weights(gathering.text, states, mask)
    assert (weights[:, :, 3:] == 0).all()
    assert (weights[1] == 0).all()
    if norm == "softmax":
        torch.testing.assert_close(weights[0].sum(-1), torch.ones(5))
    changed = states.clone()
    changed[0, 3:] = 1e3
    own, other = (gathering(read, TEXT, mask, None).gathered_BTD[0, :3] for read in (states, changed))
    torch.testing.assert_close(own, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_product_for_several_layers_gives_what_each_gives_and_its_gradient(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    states = torch.randn(2, 5, 4).to(dtype)
    layers = {f"of {size}": torch.nn.Linear(4, size, bias=False, dtype=dtype) for size in (3, 1, 2)}
    found = []
    for parts in (projected(states, layers), {name: layer(states) for name, layer in layers.items()}):
        loss = torch.cat([part.sin() for part in parts.values()], -1).square().sum()
        gradients = torch.autograd.grad(loss, [layer.weight for layer in layers.values()])
        found.append([*parts.values(), *gradients])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("encoder", ["bilstm", "config"])
def test_neither_length_nor_content_of_padding_changes_the_result(encoder: str) -> None:
    model = built(small.with_text(CONFIG, network=encoder)).eval()
    short = model.collate(TRAIN[1:])
    together = model.collate(TRAIN)
    ids = together.text.ids_BT.clone()
    ids[~together.text.mask_BT] = 1
    noisy = dataclasses.replace(together, text=dataclasses.replace(together.text, ids_BT=ids))
    with torch.no_grad():
        attributes, tags = model(short)
        for batch in (together, noisy):
            padded_attributes, padded_tags = model(batch)
            torch.testing.assert_close(padded_attributes[1:], attributes, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(padded_tags[1:, : tags.shape[1] - 1], tags[:, :-1], atol=1e-5, rtol=1e-4)


def test_weights_saved_before_pictures_joined_still_load() -> None:
    model = built()
    former = {"trunk.encoder.": "encoder.", "trunk.gathering.text.": "head.attention.", "attribute_head.": "head."}
    former |= {"value_head.tags.": "head.tags.", "value_head.": "head.tag_"}

    def name_of_then(name: str) -> str:
        start = next(start for start in former if name.startswith(start))
        return former[start] + name.removeprefix(start)

    weights = {name_of_then(name): weight for name, weight in model.state_dict().items()}
    assert {"head.attention.query.weight", "head.pool_text.weight", "head.tag_token.weight"} <= set(weights)
    assert Jave.current_names(weights).keys() == model.state_dict().keys()
    assert Jave.current_names(model.state_dict()).keys() == model.state_dict().keys()


def test_a_product_of_a_known_category_has_only_attributes_of_that_category() -> None:
    schema = AttributeSchema((Attribute("Colour", {}, ("Shoes", "Hats")), Attribute("Heel", {}, ("Shoes",))))
    products = [Product(str(n), "s", "red", category=name) for n, name in enumerate(("Hats", "Shoes", "New", None))]

    def possible(**changes: object) -> list[list[bool]]:
        model = Jave.fit_vocabulary(config(**changes), schema, products).eval()
        batch = model.collate(products)
        attributes, tags = model(batch)
        impossible = ~batch.possible_BA
        assert (attributes.sigmoid()[impossible] < 1e-9).all()
        assert (tags.softmax(-1)[:, :, 3:][impossible[:, 1]] == 0).all()
        assert torch.isfinite(model.loss(batch).total)
        rows: list[list[bool]] = batch.possible_BA.tolist()
        return rows

    everything = [True, True]
    assert possible() == [[True, False], everything, everything, everything]
    assert possible(category_attributes=False) == [everything] * 4


def test_each_switch_changes_its_own_terms_only() -> None:
    def terms(**changes: object) -> tuple[set[str], dict[str, Tensor], dict[str, Tensor]]:
        model = built(config(**changes))
        reference = built()
        model.load_state_dict(reference.state_dict(), strict=False)
        losses = model.loss(model.collate(TRAIN))
        losses.total.backward()
        names = {name for name, _ in model.named_parameters()}
        return names, dict(losses.parts), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    names, base, gradients = terms()
    without_attributes = terms(use_attributes=False)
    assert names - without_attributes[0] == {"value_head.attributes.weight"}
    assert torch.equal(without_attributes[1]["attribute"], base["attribute"])
    assert not torch.equal(without_attributes[1]["value"], base["value"])

    without_kl = terms(kl_weight=0.0)
    assert without_kl[0] == names
    assert without_kl[1].keys() == {"attribute", "value"}
    assert all(torch.equal(without_kl[1][name], base[name]) for name in ("attribute", "value"))
    assert not torch.equal(without_kl[2]["value_head.tags.weight"], gradients["value_head.tags.weight"])

    mean = terms(kl_reduction="mean")
    torch.testing.assert_close(mean[1]["kl"] * len(SCHEMA.names), base["kl"])
    assert torch.equal(mean[1]["value"], base["value"])

    bernoulli = terms(kl_form="bernoulli")
    assert bernoulli[1]["kl"] > 0
    assert not torch.equal(bernoulli[1]["kl"], base["kl"])
    assert torch.equal(bernoulli[1]["value"], base["value"])

    linear = terms(attn_norm="none")
    assert linear[0] == names
    assert not torch.equal(linear[1]["value"], base["value"])


def test_without_w8_the_value_loss_does_not_reach_the_attribute_head() -> None:
    """(9) without W8 ya: the two tasks meet only in the KL term."""
    for used in (True, False):
        model = built(config(use_attributes=used, kl_weight=0.0))
        batch = model.collate(TRAIN)
        _, tags = model(batch)
        value_loss(tags, batch.tags_BT, batch.text.token_mask_BT).sum().backward()
        assert model.attribute_head is not None
        gradient = model.attribute_head.attributes.weight.grad
        assert (gradient is not None and bool(gradient.any())) == used


def gradients_of(model: Jave, part: str) -> set[str]:
    """The modules, by their first name, that a term of the loss reaches."""
    batch = model.collate(TRAIN)
    attributes, tags = model(batch)
    if part == "attribute":
        attribute_loss(attributes, batch.attributes_BA).sum().backward()
    else:
        value_loss(tags, batch.tags_BT, batch.text.token_mask_BT).sum().backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}


def test_joint_tasks_share_a_trunk_and_separate_ones_nothing() -> None:
    assert gradients_of(built(), "attribute") == {"trunk", "attribute_head"}
    assert gradients_of(built(), "value") == {"trunk", "attribute_head", "value_head"}  # through W8 ya
    assert gradients_of(built(config(tasks="separate")), "attribute") == {"attribute_trunk", "attribute_head"}
    assert gradients_of(built(config(tasks="separate")), "value") == {"trunk", "value_head"}
    parts = built(config(tasks="separate")).loss(built().collate(TRAIN)).parts
    assert parts.keys() == {"attribute", "value"}, "without (13)"


def test_separate_tasks_still_tell_the_value_network_the_predicted_attributes() -> None:
    model = built(config(tasks="separate")).eval()
    batch = model.collate(TRAIN)
    assert model.attribute_head is not None
    before = model(batch)[1]
    with torch.no_grad():
        model.attribute_head.attributes.bias += 3
    assert not torch.equal(model(batch)[1], before)


def test_with_values_given_equation_12_sees_the_true_tags() -> None:
    model = built(config(tasks="values_given")).eval()
    assert not any(name.startswith("value_head") for name in model.state_dict())
    batch = model.collate(TRAIN)
    losses = model.loss(batch)
    assert losses.parts.keys() == {"attribute", "kl"}
    # red and Acme are one token each: a B and no I; the second product has no tag
    tagged = torch.tensor([[0.5, 0.5], [0.0, 0.0]])
    expected = agreement_loss(model(batch)[0], tagged, batch.agree_BA, batch.text.token_mask_BT, "sum").mean()
    torch.testing.assert_close(losses.parts["kl"], expected.detach())


def test_with_values_given_it_answers_the_attribute_task() -> None:
    model = built(config(tasks="values_given")).eval()
    assert model.attribute_head is not None
    set_weight(model.attribute_head.attributes, [[0.0] * 8] * 2, [2.0, -2.0])  # Brand, and no Colour, for all
    red, green = model.predict(model.collate(TRAIN))
    assert [(f.attribute, f.value) for f in red] == [("Brand", "Acme")]
    assert green == []  # its brand stands in no text
    assert [set(attributes) for attributes in model.attributes(model.collate(TRAIN))] == [{"Brand"}, {"Brand"}]


def test_with_attributes_given_the_value_task_is_told_the_truth() -> None:
    model = built(config(tasks="attributes_given")).eval()
    assert not any(name.startswith("attribute_head") for name in model.state_dict())
    batch = model.collate(TRAIN)
    attributes, tags = model(batch)
    torch.testing.assert_close(attributes.sigmoid(), torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    assert model.loss(batch).parts.keys() == {"value", "kl"}
    assert [set(predicted) for predicted in model.attributes(batch)] == [{"Brand", "Colour"}, {"Colour"}]
    unlabelled = [dataclasses.replace(product, facets=()) for product in TRAIN]
    assert not torch.equal(model(model.collate(unlabelled))[1], tags)


def test_an_implicit_facet_is_a_positive_that_the_tags_need_not_agree_with() -> None:
    model = built()
    batch = model.collate(TRAIN)
    assert batch.attributes_BA.tolist() == [[1, 1], [0, 1]]
    assert batch.agree_BA.tolist() == [[1, 1], [1, 0]]
    assert batch.tags_BT.tolist() == [[0, 3, 1, 0, 0], [0, 0, 0, 0, 0]]


def test_a_long_text_is_windows_that_share_its_weight_and_label_what_they_hold() -> None:
    model = built(small.with_text(CONFIG, window=8))
    text = "word " * 20 + "red"
    spans = (Span("text", len(text) - 3, len(text)),)
    long = Product("l", "s", "shoe", text, facets=(Facet("Colour", "red", spans), Facet("Brand", "Nil")))
    batch = model.collate([*TRAIN, long])
    num_windows = len(batch.text.pieces) - 2
    assert num_windows == 4
    torch.testing.assert_close(batch.weight_B, torch.tensor([1, 1, *[1 / num_windows] * num_windows]))
    assert batch.attributes_BA[2:].tolist() == [[1, 0]] * (num_windows - 1) + [[1, 1]]
    assert batch.tags_BT[-1, 8] == 3
    facets = model.eval().predict(batch)
    assert len(facets) == 3


def test_a_short_text_predicts_the_same_whatever_the_window() -> None:
    wide, narrow = built(small.with_text(CONFIG, window=64)).eval(), built(small.with_text(CONFIG, window=8)).eval()
    narrow.load_state_dict(wide.state_dict())
    assert wide.predict(wide.collate(TRAIN)) == narrow.predict(narrow.collate(TRAIN))


def test_attributes_are_told_above_the_threshold_even_without_a_value() -> None:
    model = built().eval()
    assert model.attribute_head is not None
    set_weight(model.attribute_head.attributes, [[0.0] * 8] * 2, [2.0, -2.0])
    (predicted, _) = model.attributes(model.collate(TRAIN))
    assert predicted == {"Brand": pytest.approx(sigmoid(2.0))}


def in_context(num_products: int, seed: int, prefix: str) -> list[Product]:
    """Invented words: what follows "by" is a brand, unless "size" stands before that; "in" announces a colour.

    The same words also stand where they are nothing, so a dictionary cannot know, and test words are never seen.
    """
    draw = random.Random(seed)
    products = []
    for number in range(num_products):
        words = [f"{prefix}{draw.randrange(10**6)}" for _ in range(4)]
        parts = [f"sold by {words[0]}", f"comes in {words[1]}", f"with {words[2]}", f"not by size {words[3]}"]
        draw.shuffle(parts)
        title = " ".join(parts)
        facets = []
        for name, word in (("Brand", words[0]), ("Colour", words[1])):
            start = title.index(word)
            facets.append(Facet(name, word, (Span("title", start, start + len(word)),)))
        products.append(Product(f"{prefix}{number}", "synthetic", title, facets=tuple(facets)))
    return products


def test_it_learns_from_context_what_a_dictionary_cannot() -> None:
    train, validation = in_context(160, 1, "a"), in_context(40, 2, "b")
    settings = small.with_text(config(attention_size=32, kl_weight=0.1), hidden_size=32, window=32)
    training = small.TRAINING
    seed_everything(0)
    jave = fit(Jave.fit_vocabulary(settings, SCHEMA, train), train, validation, training)
    words = small.DICTIONARY
    dictionary = fit(Dictionary.fit_vocabulary(words, SCHEMA, train), train, validation, training)
    assert dictionary.score < 0.1
    assert jave.score > 0.9
