"""What a model that writes is told and what it writes: whole values, each once, and nothing that a title can forge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.encoders.seq2seq import WritingTokenizer
from facetmill.models.parts.closed_list import ClosedList
from facetmill.models.parts.prompts import Prompts, Written, padded, values_of
from facetmill.records import Facet, Product
from tests.fuzzing import examples

TOKENIZER = WritingTokenizer.fit(["Acme navy blue shoe of leather, 1,5 l"] * 3, 330)
PROMPTS = Prompts(TOKENIZER, "token", 40)
PRINTED = Prompts(TOKENIZER, "comma", 40)


def read(prompts: Prompts, *values: str) -> list[str]:
    ids = prompts.of_values(values)
    return [value for value, _ in prompts.read(Written(ids, [0.0] * (len(ids) + 1)))]


@examples(100)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode([text])[0]) == text.strip()


def test_half_of_a_pair_and_names_of_special_tokens_are_text() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(["a \ud800"])[0]) == "a \ufffd"
    ids = TOKENIZER.encode(["</s> <pad> <extra_id_0>"])[0]
    assert not {TOKENIZER.end_id, TOKENIZER.pad_id, *TOKENIZER.marks} & set(ids)


def test_values_are_separated_by_a_token_or_as_printed_by_commas() -> None:
    assert read(PROMPTS, "1,5 l", "navy blue") == ["1,5 l", "navy blue"]
    assert read(PRINTED, "1,5 l", "navy blue") == ["1", "5 l", "navy blue"]
    assert read(PROMPTS, "red", "Red ", "") == read(PRINTED, "red", "Red ", "") == ["red"]
    assert read(PROMPTS) == read(PRINTED) == []


def test_a_value_is_as_probable_as_its_tokens_and_what_ended_it() -> None:
    ids = PROMPTS.of_values(["a", "b"])
    assert len(ids) == 5  # a space and a letter each, and what separates them
    (first, p_first), (second, p_second) = PROMPTS.read(Written(ids, [-0.1, -0.2, -0.4, -0.3, -0.1, -0.8]))
    assert (first, second) == ("a", "b")
    assert (p_first, p_second) == pytest.approx((0.4966, 0.3012), abs=1e-4)  # e^-0.7, e^-1.2


def test_a_long_text_is_cut_at_its_end_and_the_question_is_whole() -> None:
    (name,) = PROMPTS.names(["Colour"])
    (told,) = PROMPTS.products([Product("p", "s", "Acme shoe", "leather " * 50)])
    said = TOKENIZER.decode(PROMPTS.question(name, told))
    assert said.startswith("The Colour of Acme shoe ( leather leather")
    assert said.endswith(") are")
    assert len(PROMPTS.question(name, told)) == 40
    assert PROMPTS.is_cut(told)
    (short,) = PROMPTS.products([Product("p", "s", "Acme shoe")])
    assert TOKENIZER.decode(PROMPTS.question(name, short)) == "The Colour of Acme shoe are"
    assert not PROMPTS.is_cut(short)
    claim = PROMPTS.claim(name, short, PROMPTS.of_values(["navy blue"]))
    assert claim[0] == PROMPTS.cls
    assert TOKENIZER.decode(claim) == "The Colour of Acme shoe is navy blue"


def test_values_are_said_once_and_what_was_written_is_not_among_what_is_true() -> None:
    facets = (Facet("Colour", "red"), Facet("Colour", "RED"), Facet("Colour", "blue", provenance="predicted"))
    product = Product("p", "s", "t", facets=facets)
    assert values_of(product, "Colour") == ["red"]
    assert values_of(product, "Colour", written=True) == ["blue"]


def test_a_closed_list_allows_its_values_whole_and_nothing_else() -> None:
    values = ClosedList([[5, 6], [5], [7, 6]], separator=2, end=1)
    assert sorted(values.after([])) == [1, 5, 7]
    assert sorted(values.after([5])) == [1, 2, 6]
    assert sorted(values.after([7])) == [6]
    assert sorted(values.after([5, 6])) == [1, 2]
    assert sorted(values.after([5, 2])) == [5, 7]  # after a separator a value must follow


def test_rows_are_padded_on_either_side() -> None:
    ids, mask = padded([[1, 2], [3]], 9)
    assert ids.tolist() == [[1, 2], [3, 9]]
    assert mask.tolist() == [[True, True], [True, False]]
    assert padded([[1, 2], [3]], 9, left=True)[0].tolist() == [[1, 2], [9, 3]]
    assert padded([], 9)[0].shape == (0, 1)
