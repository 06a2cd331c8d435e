"""What a tagger says nothing of is looked up, and what it says stands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from facetmill.errors import DataError
from facetmill.models.base import Model
from facetmill.models.baselines.tagger import Tagger
from facetmill.models.fallback import FOLDER, Fallback
from facetmill.models.mujo_sf import MujoSf
from facetmill.params import TrainingParams
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import calibrate, predict
from tests import small

SCHEMA = AttributeSchema((Attribute("Colour", {}), Attribute("Material", {})))


def product(number: int, title: str, **values: str) -> Product:
    places = ((name, value, title.index(value)) for name, value in values.items())
    facets = (Facet(name, value, (Span("title", at, at + len(value)),)) for name, value, at in places)
    return Product(f"p{number}", "s", title, facets=tuple(facets))


TRAIN = [
    product(0, "red wool coat", Colour="red", Material="wool"),
    product(1, "blue wool scarf", Colour="blue", Material="wool"),
    product(2, "red linen shirt", Colour="red", Material="linen"),
    product(3, "cherry red wool hat", Colour="cherry red", Material="wool"),
]


def said(model: Model, title: str) -> set[tuple[str, str]]:
    (facets,) = predict(model, [product(9, title)], 4)
    return {(facet.attribute, facet.value) for facet in facets}


def fitted(training: TrainingParams) -> Tagger:
    model = Tagger.fit_vocabulary(small.TAGGER, SCHEMA, TRAIN)
    fit(model, TRAIN, [], training)
    return model


UNTRAINED = dataclasses.replace(small.TRAINING, epochs=1, learning_rate=1e-9)


def test_what_is_told_stands_and_what_is_not_is_looked_up() -> None:
    fallback = Fallback.of(SCHEMA, TRAIN, 0.5)
    asked = product(9, "red wool coat")
    told = Facet("Colour", "wool", provenance="predicted", confidence=0.1)
    ((first, second),) = fallback.filled([asked], [[told]])
    assert first == told
    assert (second.attribute, second.value, second.confidence) == ("Material", "wool", 1.0)
    assert asked.surface(second.spans[0]) == "wool"


def test_what_is_not_reliable_enough_is_not_told() -> None:
    train = [*TRAIN, product(4, "red wine glass"), dataclasses.replace(product(5, "red wine"), absent=("Colour",))]
    asked = [product(9, "red coat")]  # red is the colour of two of four titles of which the colour is known
    assert len(Fallback.of(SCHEMA, train, 0.5).filled(asked, [[]])[0]) == 1
    assert Fallback.of(SCHEMA, train, 0.6).filled(asked, [[]]) == [[]]


def test_a_tagger_is_trained_validated_and_saved_with_it_where_it_is_wanted(tmp_path: Path) -> None:
    assert said(fitted(UNTRAINED), "blue wool coat") != {("Colour", "blue"), ("Material", "wool")}
    model = fitted(dataclasses.replace(small.TRAINING, dictionary_fills=0.5, epochs=12))
    assert {("Colour", "blue"), ("Material", "wool")} <= said(model, "blue wool coat")
    save_model(model, tmp_path / "saved")
    assert said(load_model(tmp_path / "saved"), "blue wool coat") == said(model, "blue wool coat")
    (tmp_path / "saved" / FOLDER / "entries.json").unlink()
    with pytest.raises(DataError, match=r"entries\.json: missing"):
        load_model(tmp_path / "saved")


def test_how_sure_a_model_is_is_learned_from_its_own_answers() -> None:
    model = fitted(dataclasses.replace(UNTRAINED, dictionary_fills=0.5))
    calibrate(model, TRAIN, 4)
    assert model.fallback is not None


def test_who_chooses_looks_nothing_up() -> None:
    model = MujoSf.fit_vocabulary(dataclasses.replace(small.MUJO_SF, image_slots=[], ca="none"), SCHEMA, TRAIN)
    fit(model, TRAIN, [], dataclasses.replace(UNTRAINED, dictionary_fills=0.5))
    assert model.fallback is None
