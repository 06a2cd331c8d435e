"""What every entry of MODELS promises, run on the model as params.yaml sets it but small enough for a unit test."""

from __future__ import annotations

import dataclasses
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.folding import fold_value
from facetmill.encoders.grounding import ground
from facetmill.encoders.pictures import data_uri
from facetmill.models import MODELS, model_class
from facetmill.models.base import Answers, Model, Reads
from facetmill.params import load_params, model_config
from facetmill.records import Attribute, AttributeSchema, Box, Facet, OcrToken, Product, Span
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.evaluate import evaluate
from facetmill.training.fit import fit
from facetmill.training.predict import answer_all, predict
from tests import small

SMALL: dict[str, Any] = {
    "encoder": dataclasses.replace(small.TEXT, window=24),
    "image_encoder": dataclasses.replace(small.IMAGE, hidden_size=16),
    "attention_size": 16,
    "generator": small.GENERATOR,
    "fusion": small.FUSION,
    "hidden_size": 16,
    "kl_weight": 0.1,
}
SCHEMA = AttributeSchema((Attribute("Brand", {}), Attribute("Colour", {}), Attribute("Material", {})))


def picture(colour: str) -> str:
    """A small picture of one colour, as a data URI."""
    stream = BytesIO()
    Image.new("RGB", (24, 16), colour).save(stream, "PNG")
    return data_uri(stream.getvalue())


def labelled(number: int, title: str, text: str = "", category: str | None = None, **values: str) -> Product:
    facets = []
    for name, value in values.items():
        places = [("title", title), ("text", text)]
        spans = tuple(Span(f, t.index(value), t.index(value) + len(value)) for f, t in places if value in t)  # type: ignore[arg-type]
        facets.append(Facet(name, value, spans))
    return Product(f"p{number}", "s", title, text, category, facets=tuple(facets))


TRAIN = [
    labelled(0, "Acme red shoe", "A red shoe of leather.", "shoes", Brand="Acme", Colour="red", Material="leather"),
    labelled(1, "Acme navy blue boot", "", "shoes", Brand="Acme", Colour="navy blue"),
    labelled(2, "Zed red shirt", "All cotton", "shirts", Brand="Zed", Colour="red", Material="cotton"),
    labelled(3, "Zed shirt", "", None, Brand="Zed", Colour="white"),  # white is implicit
    labelled(4, "Zed navy blue cotton shirt", "", "shirts", Brand="Zed", Colour="navy blue", Material="cotton"),
    labelled(5, "plain shirt", "", "shirts"),
] * 3
TRAIN = [
    dataclasses.replace(product, images=(picture("red" if "red" in product.title else "navy"),))
    if "shirt" not in product.title
    else dataclasses.replace(product, ocr=(OcrToken("Zed", Box(0.1, 0.1, 0.5, 0.2)), OcrToken("white")))
    if any(facet.value == "white" for facet in product.facets)
    else product
    for product in TRAIN
]
ODD = [
    labelled(90, ""),
    labelled(91, "", "red"),
    labelled(92, "Acme red " * 300, "leather " * 500, "hats", Brand="Acme", Colour="red", Material="leather"),
    labelled(93, " \t\n"),
    labelled(94, "Ａｃｍｅ \u200b réd \U0001f45f 红色 \ud800", "\x00", "shoes"),
    dataclasses.replace(TRAIN[0], facets=(Facet("Size", "8"), *TRAIN[0].facets)),
    dataclasses.replace(TRAIN[0], images=("/nowhere/picture.jpg",)),
    dataclasses.replace(TRAIN[0], images=(data_uri(b"no picture"), picture("red"))),
]


@pytest.fixture(scope="module", params=sorted(MODELS))
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def config(key: str, root: Path) -> Any:
    settings: Any = model_config(load_params(root / "params.yaml"), key)
    known = {field.name for field in dataclasses.fields(settings)}
    return dataclasses.replace(settings, **{name: value for name, value in SMALL.items() if name in known})


#: What diverges at the others' rate: a transformer from nothing.
RATES = {"deflate": 0.004, "jg_ave": 0.004, "pam": 0.004}


@pytest.fixture(scope="module")
def training(key: str, root: Path) -> Any:
    params = load_params(root / "params.yaml").training
    rate = RATES.get(key, 0.02)
    changes = {"epochs": 14, "batch_size": 6, "learning_rate": rate, "threads": 1, "device": "cpu", "patience": 14}
    return dataclasses.replace(params, dictionary_fills=None, **changes)  # what it tells is its own


def untrained(key: str, config: Any) -> Model:
    seed_everything(0)
    return model_class(key).fit_vocabulary(config, SCHEMA, iter(TRAIN))


@pytest.fixture
def model(key: str, config: Any) -> Model:
    return untrained(key, config)


@pytest.fixture(scope="module")
def fitted(key: str, config: Any, training: Any) -> tuple[Model, float]:
    """Trained once for all tests that only ask it, with its best score."""
    model = untrained(key, config)
    return model, fit(model, TRAIN, TRAIN[:6], training).score


@pytest.fixture(scope="module")
def trained(fitted: tuple[Model, float]) -> Model:
    return fitted[0]


def said(facets: list[Facet]) -> list[Facet]:
    """Without the places that are found afterwards, for a model that tags none."""
    return [dataclasses.replace(facet, spans=(), modality=None) for facet in facets]


def close(left: list[list[Facet]], right: list[list[Facet]]) -> bool:
    """Equal but for the last digits of confidences, which batching may change."""
    strip = [[[dataclasses.replace(f, confidence=None) for f in facets] for facets in side] for side in (left, right)]
    sure = [[f.confidence for facets in side for f in facets] for side in (left, right)]
    return strip[0] == strip[1] and sure[0] == pytest.approx(sure[1], abs=1e-5)


def test_its_key_is_its_entry(key: str) -> None:
    kind = model_class(key)
    assert kind.key == key
    assert f"{kind.__module__}:{kind.__name__}" == MODELS[key]


def test_every_model_has_params_and_every_params_section_a_model(root: Path) -> None:
    assert set(MODELS) == {field.name for field in dataclasses.fields(load_params(root / "params.yaml").models)}


def test_it_says_how_it_answers_and_what_it_reads(key: str) -> None:
    kind = model_class(key)
    assert kind.answers in get_args(Answers)
    assert kind.reads
    assert kind.reads <= set(get_args(Reads))


def test_what_it_does_not_read_changes_nothing(trained: Model) -> None:
    without: dict[Reads, dict[str, Any]] = {
        "text": {"text": ""},
        "category": {"category": None},
        "images": {"images": ()},
        "ocr": {"ocr": (OcrToken("Acme"), OcrToken("red"))},
        "regions": {"regions": (Box(0, 0, 0.5, 0.5),)},
    }
    expected = list(predict(trained, TRAIN, 4))
    for name in without.keys() - trained.reads:
        asked = [dataclasses.replace(product, **without[name]) for product in TRAIN]
        found = list(predict(trained, asked, 4))
        if trained.answers == "tags":
            assert found == expected, name
        else:
            assert list(map(said, found)) == list(map(said, expected)), name


def test_attributes_that_it_predicts_are_of_the_schema_and_part_of_its_answer(trained: Model) -> None:
    batch = trained.collate([*TRAIN, *ODD])
    attributes, answers = trained.attributes(batch), trained.answer(batch)
    assert [list(answer.facets) for answer in answers] == trained.predict(batch)
    if attributes is None:
        assert all(answer.attributes is None for answer in answers)
        return
    assert [answer.attributes for answer in answers] == attributes
    assert len(attributes) == batch.num_products
    assert sum(map(len, attributes)) > 10
    assert all(predicted.keys() <= set(SCHEMA.names) for predicted in attributes)
    assert all(0 <= probability <= 1 for predicted in attributes for probability in predicted.values())
    assert [answer.attributes for answer in answer_all(trained, TRAIN, 5)] == [
        pytest.approx(predicted, abs=1e-5) for predicted in attributes[: len(TRAIN)]
    ]
    scores = evaluate(trained, TRAIN)
    assert scores.predicted_attribute_f1 is not None
    assert scores.predicted_attribute_f1 > 0.8


def test_it_finds_what_it_was_trained_on(fitted: tuple[Model, float]) -> None:
    assert fitted[1] > 0.8


def test_every_trainable_parameter_learns_in_some_phase_once(model: Model, training: Any) -> None:
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    learned = [[id(p) for p in phase.parameters] for phase in model.phases(training)]
    assert {one for some in learned for one in some} == trainable
    assert all(len(some) == len(set(some)) for some in learned)


def test_its_loss_is_finite_and_reaches_every_trainable_parameter(model: Model) -> None:
    model.train()
    batch = model.collate([*TRAIN, *ODD])
    assert batch.num_products == len(TRAIN) + len(ODD)
    losses = model.loss(batch)
    assert losses.total.shape == ()
    assert losses.total.isfinite()
    assert all(part.isfinite() and not part.requires_grad for part in losses.parts.values())
    if any(parameter.requires_grad for parameter in model.parameters()):
        losses.total.backward()
        without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
        assert without == []


def test_its_loss_is_a_mean_over_products(model: Model) -> None:
    model.eval()
    once, twice = (model.loss(model.collate(TRAIN[:2] * times)).total for times in (1, 2))
    torch.testing.assert_close(once, twice)


def test_products_without_facets_or_words_are_no_trouble(trained: Model) -> None:
    for product in ODD:
        assert trained.loss(trained.collate([product])).total.isfinite()
        assert len(list(predict(trained, [product], 4))) == 1
    if trained.answers == "tags":
        assert list(predict(trained, [ODD[0], ODD[3]], 4)) == [[], []]
    assert list(predict(trained, [], 4)) == []
    assert trained.collate([]).num_products == 0


def test_what_it_predicts_is_in_the_schema_and_stands_where_it_says(trained: Model) -> None:
    asked = [*TRAIN, *ODD]
    found = list(predict(trained, asked, 4))
    assert sum(map(len, found)) > 10
    for product, facets in zip(asked, found, strict=True):
        assert len({(f.attribute, f.value.casefold()) for f in facets}) == len(facets)
        for facet in facets:
            assert facet.attribute in SCHEMA.names
            assert facet.provenance == "predicted"
            assert facet.confidence is not None
            assert 0 <= facet.confidence <= 1
            assert all(fold_value(product.surface(span)) == fold_value(facet.value) for span in facet.spans)
            if trained.answers == "tags":
                assert product.surface(facet.spans[0]) == facet.value
            elif not facet.spans:
                assert ground(product, facet.value) == ()
            if trained.answers == "choices":
                assert (facet.attribute, facet.value) in {(f.attribute, f.value) for p in TRAIN for f in p.facets}


def test_a_value_far_into_a_long_text_is_found(model: Model, training: Any) -> None:
    if model.answers != "tags":
        pytest.skip(f"it answers with {model.answers}, which may come from anywhere")
    values = {"Brand": "Zed", "Colour": "red", "Material": "cotton"}
    long = [
        labelled(95 + n, "plain shirt", "plain shirt " * n + "Zed red shirt All cotton", **values) for n in range(1, 20)
    ]
    fit(model, [*TRAIN, *long], [*TRAIN[:6], *long[::6]], training)
    (facets,) = predict(model, [labelled(95, "plain shirt", "plain shirt " * 100 + "Zed red shirt All cotton")], 4)
    assert max(span.start for facet in facets for span in facet.spans) > 1000


def test_neither_batch_size_nor_order_nor_labels_change_its_answers(trained: Model) -> None:
    asked = [*TRAIN[:6], *ODD]
    expected = list(predict(trained, asked, 1))
    assert close(list(predict(trained, asked, 5)), expected)
    assert close(list(predict(trained, asked[::-1], 3))[::-1], expected)
    unlabelled = [dataclasses.replace(product, facets=(), absent=()) for product in asked]
    assert close(list(predict(trained, unlabelled, 4)), list(predict(trained, asked, 4)))


def test_a_seed_decides_everything(model: Model, trained: Model, training: Any) -> None:
    fit(model, TRAIN, TRAIN[:6], training)
    states = [trained.state_dict(), model.state_dict()]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_loaded_model_answers_as_the_saved_one(trained: Model, tmp_path: Path) -> None:
    asked = [*TRAIN[:6], *ODD]
    expected = list(predict(trained, asked, 4))
    save_model(trained, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert type(loaded) is type(trained)
    assert (loaded.config, loaded.report()) == (trained.config, trained.report())
    assert loaded.schema.to_json() == trained.schema.to_json()
    assert list(predict(loaded, asked, 4)) == expected
    save_model(loaded, tmp_path / "again")
    for path in sorted((tmp_path / "saved").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "saved")).read_bytes()
