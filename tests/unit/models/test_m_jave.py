"""M-JAVE's image terms on cases worked by hand, its switches, missing pictures, and its gate maps."""

from __future__ import annotations

import dataclasses
import math
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.pictures import data_uri
from facetmill.encoders.vision import ImageStates
from facetmill.models.jave import Jave
from facetmill.models.m_jave import MJave
from facetmill.models.parts.joint import AttributeHead, Gathering, ImageTerms, ValueHead
from facetmill.params import JaveConfig, MJaveConfig
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small
from tests.unit.models.test_jave import MASK, STATES, TEXT, set_weight, sigmoid

SCHEMA = AttributeSchema((Attribute("Brand", {}), Attribute("Colour", {})))
COLOURS = {"red": (210, 30, 30), "green": (30, 150, 50), "blue": (40, 70, 210), "golden": (205, 160, 40)}
TRAINING = dataclasses.replace(small.TRAINING, epochs=20)


def config(**changes: object) -> MJaveConfig:
    return dataclasses.replace(small.M_JAVE, **changes)


def picture(colour: str, draw: random.Random) -> bytes:
    """A square of one colour somewhere on a light ground."""
    image = Image.new("RGB", (32, 32), (245, 245, 245))
    left, top = draw.randrange(2, 10), draw.randrange(2, 10)
    ImageDraw.Draw(image).rectangle((left, top, left + 18, top + 18), fill=COLOURS[colour])
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def ambiguous(count: int, seed: int) -> list[Product]:
    """ "golden lamp red": one of the two is the colour, the other part of a name, and only the picture knows which."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = draw.sample(sorted(COLOURS), 2)
        true = draw.choice(words)
        title = f"{words[0]} {draw.choice(['lamp', 'vase', 'mug'])} {words[1]}"
        made.append(coloured(f"a{seed}-{number}", title, true, (data_uri(picture(true, draw)),)))
    return made


def clear(count: int, seed: int) -> list[Product]:
    """ "golden lamp in red": the text alone knows, and there is no picture."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        name, true = draw.sample(sorted(COLOURS), 2)
        made.append(coloured(f"c{seed}-{number}", f"{name} {draw.choice(['lamp', 'mug'])} in {true}", true, ()))
    return made


def coloured(name: str, title: str, colour: str, images: tuple[str, ...]) -> Product:
    start = title.rindex(colour) if title.endswith(colour) else title.index(colour)
    return Product(
        name, "s", title, images=images, facets=(Facet("Colour", colour, (Span("title", start, start + len(colour)),)),)
    )


SHOWN = ambiguous(4, 0)
BARE = [dataclasses.replace(product, images=()) for product in SHOWN]


def built(settings: MJaveConfig | None = None, train: list[Product] = SHOWN) -> MJave:
    seed_everything(0)
    return MJave.fit_vocabulary(settings or config(), SCHEMA, train)


def jave_with_the_same_weights(model: MJave) -> Jave:
    fields = {field.name for field in dataclasses.fields(JaveConfig)}
    settings = JaveConfig(**{name: value for name, value in vars(model.config).items() if name in fields})
    seed_everything(0)
    jave = Jave.fit_vocabulary(settings, SCHEMA, SHOWN)
    jave.load_state_dict({name: model.state_dict()[name] for name in jave.state_dict()})
    return jave


REGIONS = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # v of two regions


def toy(**switches: bool) -> tuple[Gathering, AttributeHead, ValueHead]:
    """Two attributes, both widths 2, attention size 1; the text weights are those of test_jave."""
    terms = ImageTerms(2, **switches)
    gathering = Gathering(2, 1, "softmax", terms)
    attribute_head = AttributeHead(2, 2, 1)
    value_head = ValueHead(2, 2, 1, use_attributes=True, terms=terms)
    assert gathering.image is not None
    assert value_head.attributes is not None
    set_weight(gathering.text.query, [[1.0, 0.0]])
    set_weight(gathering.text.key, [[0.0, 2.0]])
    set_weight(gathering.text.value, [[1.0, 1.0]])
    set_weight(gathering.image.query, [[1.0, 0.0]])
    set_weight(gathering.image.key, [[0.0, 1.0]])
    set_weight(gathering.image.value, [[1.0, 1.0]])
    if gathering.gate is not None:
        set_weight(gathering.gate.token, [[1.0, 0.0]], [0.5])
        set_weight(gathering.gate.picture, [[0.0, 1.0]])
    set_weight(attribute_head.pool_tokens, [[0.5, 0.0]])
    set_weight(attribute_head.pool_gathered, [[0.25]])
    set_weight(attribute_head.pool_text, [[0.0, 1.0]])
    set_weight(attribute_head.attributes, [[1.0], [-1.0]], [0.0, 0.5])
    set_weight(value_head.token, [[1.0, -1.0]])
    set_weight(value_head.gathered, [[0.5]])
    set_weight(value_head.attributes, [[1.0, 2.0]])
    set_weight(value_head.tags, [[0.0], [1.0], [-1.0], [2.0], [0.5]], [0.1, 0.0, 0.0, 0.0, 0.0])
    if value_head.gate is not None:
        assert value_head.gate.attributes is not None
        set_weight(value_head.gate.attributes, [[1.0, -1.0]])
        set_weight(gathering.region, [[1.0, 0.0]])
    return gathering, attribute_head, value_head


@pytest.mark.parametrize(
    "switches",
    [{}, {"in_text": False}, {"gate_in_text": False}, {"in_tags": False}, {"gate_in_tags": False}],
    ids=["full", "wo_global_crossmatt", "wo_global_gate", "wo_regional_crossmatt", "wo_regional_gate"],
)
def test_image_terms_by_hand(switches: dict[str, bool]) -> None:
    gathering, attribute_head, value_head = toy(**switches)
    read = gathering(STATES, TEXT, MASK, ImageStates(REGIONS, torch.tensor([True])))
    # (3) query (1, 0), key (0, 2), D = 1: E = [[0, 2], [0, 0]]; (4) rows softmax; v Wvv = (1, 2)
    late = math.exp(2) / (1 + math.exp(2))
    weights = [[1 - late, late], [0.5, 0.5]]
    torch.testing.assert_close(read.look.weight_BTK, torch.tensor([weights]))
    # (6) vG = (0.5, 1): gG = s(h w1 + 1 + 0.5); (5) the text term is 1 for both tokens
    gates = [sigmoid(2.5), sigmoid(1.5)] if switches.get("gate_in_text", True) else [1.0, 1.0]
    seen = [(1 - late) + 2 * late, 1.5] if switches.get("in_text", True) else [0.0, 0.0]
    gathered = [1 + gate * value for gate, value in zip(gates, seen, strict=True)]
    torch.testing.assert_close(read.gathered_BTD, torch.tensor([gathered])[..., None])
    # (7) z = 0.5 + 0.25 (h'_1 + h'_2) + 0.3
    pooled = 0.8 + 0.25 * sum(gathered)
    logits = attribute_head(read)
    torch.testing.assert_close(logits, torch.tensor([[pooled, 0.5 - pooled]]))
    # (10) gR = s(ya_1 - ya_2 + v w10), and u = sum gR Av (v Wvv)
    predicted = (sigmoid(pooled), sigmoid(0.5 - pooled))
    regional = [sigmoid(predicted[0] - predicted[1] + 1), sigmoid(predicted[0] - predicted[1])]
    if not switches.get("gate_in_tags", True):
        regional = [1.0, 1.0]
    used = float(switches.get("in_tags", True))
    unions = [used * (regional[0] * row[0] + 2 * regional[1] * row[1]) for row in weights]
    # (9)
    shared = predicted[0] + 2 * predicted[1]
    inner = [1 + 0.5 * gathered[0] + shared + unions[0], -1 + 0.5 * gathered[1] + shared + unions[1]]
    expected = torch.tensor(inner)[:, None] * torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5])
    expected[:, 0] += 0.1
    torch.testing.assert_close(value_head(read, logits.sigmoid()), expected[None])


def test_without_softmax_the_scores_of_regions_are_their_weights() -> None:
    gathering = Gathering(2, 1, "none", ImageTerms(2))
    assert gathering.image is not None
    set_weight(gathering.image.query, [[1.0, 0.0]])
    set_weight(gathering.image.key, [[0.0, 1.0]])
    look = gathering(STATES, TEXT, MASK, ImageStates(REGIONS, torch.tensor([True]))).look
    torch.testing.assert_close(look.weight_BTK, torch.tensor([[[0.0, 2.0], [0.0, 0.0]]]))
    look = gathering(STATES, TEXT, MASK, ImageStates(REGIONS, torch.tensor([False]))).look
    assert not look.weight_BTK.any()


def test_without_a_picture_it_is_jave_with_the_same_weights() -> None:
    model = built().eval()
    jave = jave_with_the_same_weights(model).eval()
    for own, plain in zip(model(model.collate(BARE)), jave(jave.collate(BARE)), strict=True):
        assert torch.equal(own, plain)
    shown, plain = model(model.collate(SHOWN)), jave(jave.collate(SHOWN))
    assert not torch.equal(shown[0], plain[0])
    assert not torch.equal(shown[1], plain[1])


def test_with_both_gates_shut_it_is_jave_with_the_same_weights() -> None:
    model = built().eval()
    gate, regional = model.trunk.gathering.gate, model.value_head.gate if model.value_head else None
    assert gate is not None
    assert regional is not None
    assert regional.attributes is not None
    with torch.no_grad():
        region = model.trunk.gathering.region
        assert region is not None
        for weight in (gate.token.weight, gate.picture.weight, regional.attributes.weight, region.weight):
            weight.zero_()
        gate.token.bias.fill_(-200.0)
        regional.attributes.weight.fill_(-1e4)  # (10) has no bias, but attributes are above 0
    jave = jave_with_the_same_weights(model).eval()
    for own, plain in zip(model(model.collate(SHOWN)), jave(jave.collate(SHOWN)), strict=True):
        torch.testing.assert_close(own, plain)


def test_a_picture_that_is_missing_or_broken_changes_nothing_for_its_neighbours_and_is_counted() -> None:
    model = built().eval()
    gone = dataclasses.replace(SHOWN[1], images=("/nowhere/a.jpg",))
    broken = dataclasses.replace(SHOWN[2], images=(data_uri(b"no picture"),))
    attributes, tags = model(model.collate([SHOWN[0], gone, broken, SHOWN[3]]))
    alone = [model(model.collate([product])) for product in (SHOWN[0], BARE[1], BARE[2], SHOWN[3])]
    for row, (own_attributes, own_tags) in enumerate(alone):
        torch.testing.assert_close(attributes[row : row + 1], own_attributes)
        torch.testing.assert_close(tags[row : row + 1], own_tags)
    report = built(train=[*SHOWN, gone, broken, BARE[0]]).report()
    counts = {name: report.get(f"train_pictures_{name}") for name in ("read", "missing", "broken")}
    assert counts == {"read": 4, "missing": 2, "broken": 1}


@pytest.mark.parametrize(
    ("switches", "lost"),
    [
        ({"global_attention": False}, {"trunk.gathering.gate"}),
        ({"regional_attention": False}, {"value_head.gate", "trunk.gathering.region"}),
        ({"global_gate": False}, {"trunk.gathering.gate"}),
        ({"regional_gate": False}, {"value_head.gate", "trunk.gathering.region"}),
        ({"use_attributes": False}, {"value_head.gate.attributes", "value_head.attributes"}),
        (
            {"global_attention": False, "regional_attention": False},
            {f"trunk.{part}" for part in ("image_encoder", "gathering.image", "gathering.gate", "gathering.region")}
            | {"value_head.gate"},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_switch_takes_away_its_own_weights_and_changes_the_result(
    switches: dict[str, bool], lost: set[str]
) -> None:
    full, changed = built().eval(), built(config(**switches)).eval()
    changed.load_state_dict({name: full.state_dict()[name] for name in changed.state_dict()})
    missing = set(full.state_dict()) - set(changed.state_dict())
    assert missing == {name for name in full.state_dict() if any(name.startswith(f"{part}.") for part in lost)}
    assert not torch.equal(full(full.collate(SHOWN))[1], changed(changed.collate(SHOWN))[1])
    losses = changed.train().loss(changed.collate(SHOWN))
    losses.total.backward()
    without = [n for n, p in changed.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


def test_the_regional_term_alone_leaves_the_attribute_task_to_the_text() -> None:
    model = built(config(global_attention=False)).eval()
    jave = jave_with_the_same_weights(model).eval()
    shown, plain = model(model.collate(SHOWN)), jave(jave.collate(SHOWN))
    assert torch.equal(shown[0], plain[0])
    assert not torch.equal(shown[1], plain[1])


def test_separate_tasks_have_image_encoders_of_their_own() -> None:
    model = built(config(tasks="separate"))
    assert model.attribute_trunk is not None
    own = {id(p) for p in model.attribute_trunk.parameters()}
    assert not own & {id(p) for p in model.trunk.parameters()}
    model.loss(model.collate(SHOWN)).total.backward()
    assert model.attribute_trunk.image_encoder is not None
    assert any(p.grad is not None for p in model.attribute_trunk.image_encoder.parameters())


@pytest.mark.parametrize(
    "switches",
    [
        {"tasks": "separate"},
        {"tasks": "values_given"},
        {"tasks": "attributes_given"},
        {"global_attention": False, "regional_attention": False},
        {"use_attributes": False, "kl_form": "bernoulli"},
    ],
    ids=lambda switches: "-".join(map(str, switches.values())),
)
def test_every_variant_is_trained_saved_and_loaded(switches: dict[str, Any], tmp_path: Path) -> None:
    model = built(config(**switches))
    fit(model, [*SHOWN, *clear(4, 1)], SHOWN, dataclasses.replace(TRAINING, epochs=2))
    expected = list(predict(model, SHOWN, 4))
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), SHOWN, 4)) == expected


def test_weights_saved_when_the_tags_owned_their_gate_of_regions_still_load() -> None:
    model = built()
    then = {"trunk.gathering.region.weight": "value_head.gate.region.weight"}
    weights = {then.get(name, name): weight for name, weight in model.state_dict().items()}
    assert then.keys() <= model.state_dict().keys()
    assert MJave.current_names(weights).keys() == model.state_dict().keys()


@pytest.mark.parametrize("tasks", ["joint", "separate", "values_given", "attributes_given"])
def test_no_weight_is_there_that_learns_nothing(tasks: str) -> None:
    model = built(config(tasks=tasks))
    model.loss(model.collate(SHOWN)).total.backward()
    assert [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None] == []


def test_every_window_of_a_long_text_sees_the_picture() -> None:
    model = built(small.with_text(small.M_JAVE, window=8)).eval()
    long = dataclasses.replace(SHOWN[0], text="word " * 30)
    batch = model.collate([BARE[1], long])
    assert batch.pictures is not None
    assert batch.pictures.picture_B.tolist() == [-1] + [0] * (len(batch.text.pieces) - 1)
    assert len(batch.pictures.picture_B) > 3


def test_gate_maps_tell_each_token_and_each_region() -> None:
    model = built().eval()
    product = dataclasses.replace(SHOWN[0], text="a gift " * 20)
    maps = model.picture_maps(product)
    assert maps is not None
    assert [product.surface(span) for span, _ in maps.tokens] == product.title.split() + product.text.split()
    assert all(0 < gate < 1 for _, gate in maps.tokens)
    assert [len(row) for row in maps.regions] == [4] * 4
    assert all(0 < gate < 1 for row in maps.regions for gate in row)
    # one window: (6) and (10) from the model's own parts, in the order of the text and of the picture
    maps = model.picture_maps(SHOWN[0])
    assert maps is not None
    batch = model.collate([SHOWN[0]])
    read = model.trunk(batch.text, batch.pictures)
    assert read.look is not None
    assert read.look.gate_BT is not None
    assert [gate for _, gate in maps.tokens] == pytest.approx(read.look.gate_BT[0, 1:-1].tolist())
    assert model.value_head is not None
    assert model.value_head.gate is not None
    gate_1K = model.value_head.gate(model(batch)[0].sigmoid(), read.look.region_BK)
    assert [gate for row in maps.regions for gate in row] == pytest.approx(gate_1K[0].tolist())
    assert model.picture_maps(BARE[0]) is None
    open_gates = built(config(global_gate=False, regional_gate=False)).eval().picture_maps(SHOWN[0])
    assert open_gates is not None
    assert {gate for _, gate in open_gates.tokens} | {gate for row in open_gates.regions for gate in row} == {1.0}
