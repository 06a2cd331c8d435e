"""ULS-DRAM: its equations worked by hand, every row of its tables as settings, and what only a context tells."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.pictures import data_uri
from facetmill.encoders.vision import ImageStates
from facetmill.errors import ParamsError
from facetmill.models import model_class
from facetmill.models.dictionary import Dictionary
from facetmill.models.parts.attribute_range import Guidance
from facetmill.models.parts.pairs import Pairs
from facetmill.models.uls_dram import Gathered, TextGuided, UlsDram, _own_tags
from facetmill.params import UlsDramConfig, load_params
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import drawn, published, small
from tests.conftest import ROOT

SCHEMA = AttributeSchema((Attribute("Colour", {}), Attribute("Flavour", {})))


@pytest.fixture
def config(root: Path) -> UlsDramConfig:
    settings = load_params(root / "params.yaml").models.uls_dram
    return replace(
        settings,
        encoder=replace(small.TEXT, network="config", hidden_size=32, num_layers=1),
        image_encoder=small.IMAGE,
        decoder_size=16,
        tir_size=8,
    )


def said(title: str, attribute: str, value: str, number: int = 0) -> Product:
    span = Span("title", title.index(value), title.index(value) + len(value))
    picture = data_uri(drawn.encoded(Image.new("RGB", (24, 24), "orange")))
    return Product(f"{title} {number}", "s", title, images=(picture,), facets=(Facet(attribute, value, (span,)),))


# The same words are colours of clothes and flavours of drinks.
TRAIN = [
    said(f"{word} {kind}", attribute, word)
    for word in ("orange", "cherry", "lime", "peach")
    for attribute, kinds in (("Colour", ("shirt", "coat", "socks")), ("Flavour", ("juice", "soda", "tea")))
    for kind in kinds
]
UNSEEN = [said("plum shirt", "Colour", "plum"), said("plum soda", "Flavour", "plum")]


@pytest.mark.parametrize(("softmax", "expected"), [(False, 1 * 2 * 2 + 1 * 0 * 0), (True, 2 * 0.880797)])
def test_what_is_gathered_is_1_and_2_worked_by_hand(softmax: bool, expected: float) -> None:
    """With all projections 1 and d = 1: the sum of y weighed by x y, or by the softmax of it."""
    gathered = Gathered(1, 1, 1, softmax=softmax)
    for parameter in gathered.parameters():
        torch.nn.init.ones_(parameter)
    mask = torch.tensor([[True, True, False]])
    for masked in (9.0, -7.0):
        found = gathered(torch.ones(1, 1, 1), torch.tensor([[[2.0], [0.0], [masked]]]), mask)
        assert found.item() == pytest.approx(expected, abs=1e-5)


def test_a_product_without_a_picture_gathers_from_its_text_alone() -> None:
    seed_everything(0)
    guided = TextGuided(4, 3, 2, softmax=False)
    embedded, mask = torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    shown = ImageStates(torch.randn(2, 6, 3), torch.tensor([True, False]))
    with_pictures, without = guided(embedded, mask, shown), guided(embedded, mask, None)
    torch.testing.assert_close(with_pictures[1], without[1])
    assert not torch.allclose(with_pictures[0], without[0])


def test_an_attribute_sees_its_own_tags_alone() -> None:
    tags = torch.tensor([[0, 1, 2, 3, 4, 0]])  # O B0 I0 B1 I1 O
    pairs = Pairs(torch.tensor([0, 0]), torch.tensor([0, 1]), 0)
    assert _own_tags(tags, pairs).tolist() == [[0, 1, 2, 0, 0, 0], [0, 0, 0, 1, 2, 0]]


def test_a_prototype_weighs_each_token_by_its_cosine_8() -> None:
    guidance = Guidance("proto", 2, 1)
    assert guidance.prototype is not None
    guidance.prototype.weight.data = torch.tensor([[1.0, 0.0]])
    states = torch.tensor([[[3.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]])
    found = guidance(states, Pairs(torch.tensor([0]), torch.tensor([0]), 0), lambda: torch.empty(0))
    half = 0.5**0.5
    torch.testing.assert_close(found[0], torch.tensor([[3.0, 0, 3, 0], [0, 2, 0, 0], [-1, 1, half, -half]]))


def rows() -> dict[str, tuple[str, dict[str, Any]]]:
    """Model and settings of each row of the table in models/README.md."""
    text = (ROOT / "src" / "facetmill" / "models" / "README.md").read_text(encoding="utf-8")
    lines = text.partition("| row | model | settings |\n")[2].partition("\n\n")[0].split("\n")[1:]
    cells = [[cell.strip("`") for cell in line.strip("| ").split(" | ")] for line in lines]
    return {row: (key, yaml.safe_load(f"{{{settings}}}")) for row, key, settings in cells}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Published encoders of text and pictures, in local folders."""
    folder = tmp_path_factory.mktemp("published")
    characters = "".join(product.title for product in TRAIN)
    return {
        "encoder": published.text_encoder(folder / "bert", characters),
        "image_encoder": published.image_encoder(folder / "resnet"),
    }


def with_networks(config: Any, networks: dict[str, str], settings: dict[str, Any]) -> Any:
    encoders = {name: {"network": network, **settings.get(name, {})} for name, network in networks.items()}
    own = {name: replace(getattr(config, name), **changes) for name, changes in encoders.items()}
    return replace(config, **{**settings, **own})


def weights(encoder: torch.nn.Module | None) -> dict[str, Tensor]:
    return {} if encoder is None else {name: tensor.clone() for name, tensor in encoder.named_parameters()}


def moved(encoder: torch.nn.Module | None, before: dict[str, Tensor]) -> set[str]:
    """Parts of an encoder that have learned: its words, and the rest."""
    changed = {name for name, tensor in weights(encoder).items() if not torch.equal(tensor, before[name])}
    return {"embeddings" if "word_embeddings" in name else "layers" for name in changed}


@pytest.mark.parametrize("row", rows())
def test_every_row_of_the_tables_is_trained_saved_and_loaded(
    row: str, config: UlsDramConfig, networks: dict[str, str], tmp_path: Path
) -> None:
    """With published encoders, which learn on, words and all, unless they are frozen."""
    key, settings = rows()[row]
    seed_everything(0)
    model: Any = model_class(key).fit_vocabulary(
        with_networks(config if key == "uls_dram" else small.M_JAVE, networks, settings), SCHEMA, TRAIN
    )
    looks = settings.get("vision") != "none"
    assert ("images" in model.reads) is looks
    frozen = settings.get("encoder", {}).get("freeze", False)
    encoders = model if key == "uls_dram" else model.trunk
    before = weights(encoders.encoder), weights(encoders.image_encoder)
    fit(model, TRAIN, TRAIN[:4], replace(small.TRAINING, epochs=1, learning_rates={"embeddings": 0.001}))
    assert moved(encoders.encoder, before[0]) == (set() if frozen else {"embeddings", "layers"})
    assert moved(encoders.image_encoder, before[1]) == ({"layers"} if looks and not frozen else set())
    expected = list(predict(model, UNSEEN, 4))
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), UNSEEN, 4)) == expected


@pytest.mark.parametrize("switches", [{"tir_softmax": True}, {"range": "bert", "train_range": "predicted"}])
def test_what_is_no_row_is_trained_too(switches: dict[str, Any], config: UlsDramConfig) -> None:
    seed_everything(0)
    model = UlsDram.fit_vocabulary(replace(config, **switches), SCHEMA, TRAIN)
    assert fit(model, TRAIN, TRAIN[:4], replace(small.TRAINING, epochs=1)).epochs


def test_text_pictures_words_and_what_is_new_learn_at_rates_of_their_own(
    config: UlsDramConfig, networks: dict[str, str]
) -> None:
    seed_everything(0)
    rates = {"text": 0.001, "embeddings": 0.002, "image": 0.003, "fresh": 0.004}
    training = replace(small.TRAINING, epochs=1, schedule="constant", warmup_share=0.0, learning_rates=rates)
    model = UlsDram.fit_vocabulary(with_networks(config, networks, {"warm_epochs": 1}), SCHEMA, TRAIN)
    for phase in model.phases(training):
        assert {group.name: group.learning_rate for group in phase.groups} == rates
    without = model.phases(replace(training, learning_rates={}))
    assert [sorted(group.name for group in phase.groups) for phase in without] == [["fresh", "image", "text"]] * 2


def test_a_bilstm_cannot_read_regions_as_tokens(config: UlsDramConfig) -> None:
    wrong = replace(config, vision="joined", encoder=replace(config.encoder, network="bilstm"))
    with pytest.raises(ParamsError, match="vision: joined needs a transformer"):
        UlsDram.fit_vocabulary(wrong, SCHEMA, TRAIN)


def test_without_any_attribute_in_the_range_nothing_is_tagged(config: UlsDramConfig) -> None:
    wanting = replace(config, range_threshold=1.0, train_range="predicted")
    model = UlsDram.fit_vocabulary(wanting, SCHEMA, TRAIN)
    losses = model.loss(model.collate(TRAIN))
    assert losses.parts["tags"] == 0
    losses.total.backward()
    assert list(predict(model, TRAIN[:2], 2)) == [[], []]


@pytest.mark.parametrize(("in_range", "told"), [(True, False), (False, True)])
def test_the_range_and_what_is_told_have_thresholds_of_their_own(
    in_range: bool, told: bool, config: UlsDramConfig
) -> None:
    """An attribute of probability 0.45, with thresholds of 0.4 and 0.5."""
    thresholds = {True: 0.4, False: 0.5}
    ours = replace(
        config, range_threshold=thresholds[in_range], threshold=thresholds[told], train_range="predicted", warm_epochs=0
    )
    model = UlsDram.fit_vocabulary(ours, SCHEMA, TRAIN).eval()
    assert model.range_head is not None
    last = model.range_head.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, math.log(0.45 / 0.55))
    torch.nn.init.zeros_(model.decoder.tags.weight)
    model.decoder.tags.bias.data = torch.tensor([0.0, 9.0, 0.0])  # B wherever there is a token
    batch = model.collate(UNSEEN)
    losses = model.loss(batch)
    assert (losses.parts["tags"].item() > 0) is in_range
    assert losses.parts["attribute"].item() == pytest.approx(-(math.log(0.45) + math.log(0.55)) / 2)
    for answer in model.answer(batch):
        assert {facet.attribute for facet in answer.facets} == (set(SCHEMA.names) if in_range else set())
        assert set(answer.attributes or ()) == (set(SCHEMA.names) if told else set())


def test_it_learns_from_the_context_which_attribute_a_word_is_of(config: UlsDramConfig) -> None:
    """The dictionary has seen each word as often in one as in the other."""
    seed_everything(0)
    model = UlsDram.fit_vocabulary(config, SCHEMA, TRAIN)
    fit(model, TRAIN, TRAIN, replace(small.TRAINING, epochs=30, learning_rate=0.01))
    found = [[(f.attribute, f.value) for f in facets] for facets in predict(model, TRAIN, 8)]
    assert found == [[(f.attribute, f.value) for f in product.facets] for product in TRAIN]
    dictionary = Dictionary.fit_vocabulary(small.DICTIONARY, SCHEMA, TRAIN)
    assert {len(facets) for facets in predict(dictionary, TRAIN, 8)} != {1}


@pytest.mark.parametrize("policy", ["proto", "bert"])
def test_what_is_decoded_and_read_grows_with_the_range_and_not_with_all_attributes(
    policy: Any, config: UlsDramConfig
) -> None:
    """Two attributes of 26, 200 and 2,000 are in the range of every text: as many rows go through the decoder, and as
    many names through the encoder."""
    counted = []
    for num_attributes in (26, 200, 2000):
        schema = AttributeSchema((*SCHEMA.attributes, *(Attribute(f"a{n}", {}) for n in range(num_attributes - 2))))
        seed_everything(0)
        model = UlsDram.fit_vocabulary(replace(config, vision="none", range=policy), schema, TRAIN).eval()
        assert model.range_head is not None
        last = model.range_head.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.zeros_(last.weight)
        last.bias.data = torch.tensor([20.0, 20.0] + [-20.0] * (num_attributes - 2))
        shapes: list[torch.Size] = []
        model.decoder.register_forward_hook(lambda module, given, out, into=shapes: into.append(out.shape))
        model.encoder.register_forward_hook(lambda module, given, out, into=shapes: into.append(out[1].shape))
        batch = model.collate(TRAIN)
        model.loss(batch)
        model.answer(batch)
        counted.append(shapes)
    decoded = (2 * len(TRAIN), *batch.text.ids_BT.shape[1:], 3)
    names = [(2, model.encoder.width)] if policy == "bert" else []
    assert counted == [[*names, decoded] * 2] * 3
