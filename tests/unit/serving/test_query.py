"""Nothing that a model answers is believed unchecked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facetmill.errors import NoAnswer, PlatformError
from facetmill.records import Product, Span
from facetmill.serving import query as querying
from facetmill.serving.request import MAX_ENTRIES
from facetmill.serving.vocabulary import Vocabulary

PRODUCTS = [Product("1", "t", "red hat", "a <b>Dark</b>  Blue one"), Product("2", "t", "cap")]
FACET = {"attribute": "Color", "value": "red", "confidence": 0.5, "field": "title", "start": 0, "end": 3}
TIMING = {"load_seconds": 1.0, "latencies": [0.1, 0.2]}
DARK = FACET | {"value": "dark blue", "field": "text", "start": 5, "end": 19}
VALUES = {"Color": frozenset({"red", "darkblue"}), "Size": frozenset({"xl"})}


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., querying.Answers]:
    """Ask about `PRODUCTS` what answers with the given lines."""

    def asked(*lines: Any, vocabulary: Vocabulary | None = None) -> querying.Answers:
        def write(function: Any, uri: str, tracking: str, requests: str, answers: str, *rest: Any, **how: Any) -> None:
            text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
            Path(answers).write_text(text)

        monkeypatch.setattr(querying, "run_isolated", write)
        return querying.query("models:/x/1", PRODUCTS, tracking_uri="http://nowhere", vocabulary=vocabulary)

    return asked


def test_a_good_answer_is_facets(say: Callable[..., querying.Answers]) -> None:
    answers = say({"product_id": "1", "facets": [FACET]}, {"product_id": "2", "facets": []}, TIMING)
    assert [[facet.value for facet in facets] for facets in answers.facets] == [["red"], []]
    assert answers.facets[0][0].spans == (Span("title", 0, 3),)
    assert (answers.load_seconds, answers.latencies) == (1.0, [0.1, 0.2])


def test_predicted_attributes_are_by_name_and_old_packages_have_none(say: Callable[..., querying.Answers]) -> None:
    told = [{"attribute": "Color", "probability": 0.9}, {"attribute": "Size", "probability": 0.6}]
    answers = say(
        {"product_id": "1", "facets": [], "attributes": told},
        {"product_id": "2", "facets": [], "attributes": None},
        TIMING,
    )
    assert answers.attributes == [{"Color": 0.9, "Size": 0.6}, None]
    assert say({"product_id": "1", "facets": []}, {"product_id": "2", "facets": []}, TIMING).attributes == [None, None]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([{"attribute": "Color", "probability": 1.5}], "probability 1.5 of 'Color' is not in 0..1"),
        ([{"attribute": "Color", "probability": float("nan")}], "not in 0..1"),
        ([{"attribute": "Color", "probability": True}], "probability True of 'Color' is not in 0..1"),
        ([{"attribute": "Color", "probability": 0.5}] * 2, "attribute 'Color' comes twice"),
        ([{"attribute": "", "probability": 0.5}], "without a name"),
        ([{"attribute": "Color"}], "probability"),
        (["Color"], "not an answer"),
        (7, "not an answer"),
    ],
)
def test_what_is_not_an_attribute_is_no_answer(
    say: Callable[..., querying.Answers], attributes: Any, message: str
) -> None:
    with pytest.raises(NoAnswer, match=f"models:/x/1: 1: .*{message}"):
        say({"product_id": "1", "facets": [], "attributes": attributes}, {"product_id": "2", "facets": []}, TIMING)


@pytest.mark.parametrize(
    ("facet", "message"),
    [
        (FACET | {"confidence": float("nan")}, "not in 0..1"),
        (FACET | {"confidence": float("inf")}, "confidence inf of 'Color': 'red' is not in 0..1"),
        (FACET | {"confidence": True}, "not in 0..1"),
        (FACET | {"confidence": "high"}, "not an answer"),
        (FACET | {"end": 5}, "'Color': 'red' at title.0:5., where the product says 'red h'"),
        (FACET | {"value": "RED HAT"}, "'RED HAT' at title.0:3., where the product says 'red'"),
        (DARK | {"start": 0}, "'dark blue' at text.0:19., where the product says"),
        (FACET | {"start": False}, "not places"),
        (FACET | {"value": "\x1b[2J\ud800"}, r"'\\x1b\[2J\\ud800'"),
        (FACET | {"end": 99}, "not in the product"),
        (FACET | {"start": 3}, "not in the product"),
        (FACET | {"end": 3.0}, "not places"),
        (FACET | {"end": float("nan")}, "not places"),
        (FACET | {"field": "secret"}, "not in the product"),
        (FACET | {"value": ""}, "without attribute or value"),
        (FACET | {"value": 7}, "without attribute or value"),
        (FACET | {"attribute": ["Color"]}, "without attribute or value"),
        ({"value": "red"}, "attribute"),
        ("red", "not an answer"),
    ],
)
def test_what_is_not_a_facet_of_the_product_is_no_answer(
    say: Callable[..., querying.Answers], facet: Any, message: str
) -> None:
    with pytest.raises(NoAnswer, match=f"models:/x/1: 1: .*{message}"):
        say({"product_id": "1", "facets": [facet]}, {"product_id": "2", "facets": []}, TIMING)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([TIMING], "asked for 2 products, answered 0"),
        ([{"product_id": "2", "facets": []}, {"product_id": "1", "facets": []}, TIMING], "product '1', got '2'"),
        ([{"facets": []}, {"product_id": "2", "facets": []}, TIMING], "not an answer"),
        ([[], "7", TIMING], "not an answer"),
        (["{", TIMING], "not answers"),
        ([], "not answers"),
        ([{"product_id": "1", "facets": []}, {"product_id": "2", "facets": []}], "not answers"),
        (["x" * 4_000_000], "answered with 4,000,000 bytes"),
        (["[" * 100_000, TIMING], "not answers"),
        ([{"product_id": "1", "facets": [FACET] * (MAX_ENTRIES + 1)}, {}, TIMING], "10,001 facets, more than 10,000"),
        ([{}, {}, TIMING | {"latencies": []}], "not the times of loading and of 2 requests"),
        ([{}, {}, TIMING | {"latencies": [0.1, float("nan")]}], "not the times"),
        ([{}, {}, TIMING | {"load_seconds": -1}], "not the times"),
    ],
)
def test_other_products_and_broken_answers_are_no_answer(
    say: Callable[..., querying.Answers], lines: list[Any], message: str
) -> None:
    with pytest.raises(NoAnswer, match=message):
        say(*lines)


def test_a_process_that_dies_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*args: Any, timeout: float, **how: Any) -> None:
        raise PlatformError(f"died; it had {timeout:g} s")

    monkeypatch.setattr(querying, "run_isolated", dies)
    with pytest.raises(NoAnswer, match="it had 26 s"):  # 10 to load, 2 a request, of which each is timed thrice
        querying.query("models:/x/1", PRODUCTS, tracking_uri="http://nowhere", load_seconds=10)


@pytest.mark.parametrize("facet", [FACET | {"value": "Red"}, DARK, DARK | {"value": "darkblue"}])
def test_a_place_spells_its_value_as_values_are_compared(say: Callable[..., querying.Answers], facet: Any) -> None:
    answers = say({"product_id": "1", "facets": [facet]}, {"product_id": "2", "facets": []}, TIMING)
    assert [found.value for found in answers.facets[0]] == [facet["value"]]


NOWHERE = {"field": None, "start": None, "end": None}


@pytest.mark.parametrize(
    ("how", "facet", "message"),
    [
        ("text", FACET | {"attribute": "Colour"}, "attribute 'Colour' is not in the model's schema"),
        ("tags", FACET | NOWHERE | {"value": "mauve"}, "'Color': value 'mauve' is not in the model's schema"),
        ("choices", FACET | {"value": "hat", "start": 4, "end": 7}, "'Color': value 'hat' is not in the model's"),
        ("tags", FACET | {"value": "hat", "start": 4, "end": 7}, None),
        ("choices", DARK, None),
        ("tags", FACET | NOWHERE | {"value": "Dark Blue"}, None),
        ("text", FACET | NOWHERE | {"value": "mauve"}, None),
    ],
)
def test_attributes_and_values_are_those_that_the_model_can_know(
    say: Callable[..., querying.Answers], how: Any, facet: Any, message: str | None
) -> None:
    lines = ({"product_id": "1", "facets": [facet]}, {"product_id": "2", "facets": []}, TIMING)
    if message is None:
        assert len(say(*lines, vocabulary=Vocabulary(VALUES, how)).facets[0]) == 1
    else:
        with pytest.raises(NoAnswer, match=f"models:/x/1: 1: .*{message}"):
            say(*lines, vocabulary=Vocabulary(VALUES, how))


def test_predicted_attributes_are_those_of_the_schema(say: Callable[..., querying.Answers]) -> None:
    told = {"product_id": "1", "facets": [], "attributes": [{"attribute": "Colour", "probability": 0.5}]}
    with pytest.raises(NoAnswer, match="attribute 'Colour' is not in the model's schema"):
        say(told, {"product_id": "2", "facets": []}, TIMING, vocabulary=Vocabulary(VALUES, "text"))
