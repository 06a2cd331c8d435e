"""The worked examples of ULS-DRAM's appendix: "blue jeans match blue spirits", annotated Color: [blue]."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.metrics.pair_accuracy import Tag, tagged_values, tally_pairs, tally_rows
from facetmill.metrics.score import score
from facetmill.records import Facet, Product, Span

TEXT = "blue jeans match blue spirits"
WORDS = {"blue": (0, 4), "jeans": (5, 10), "blue2": (17, 21), "spirits": (22, 29), "blue spirits": (17, 29)}
GOLD = Product("p", "test", TEXT, facets=(Facet("Color", "Blue", (Span("title", 0, 4), Span("title", 17, 21))),))


def said(attribute: str, *words: str) -> list[Facet]:
    return [Facet(attribute, "?", (Span("title", *WORDS[word]),)) for word in words]


@pytest.mark.parametrize(
    ("predicted", "right"),
    [
        (said("Color", "blue", "blue2"), 1),  # (1) both, or
        (said("Color", "blue"), 1),  # either: the strings are a set
        (said("Color", "blue", "spirits"), 0),  # (2) one too many
        ([], 0),  # (3) none, or
        (said("Color", "blue spirits"), 0),  # too long
        (said("Color", "blue", "blue2") + said("Type", "jeans"), 1),  # (4) Type is not annotated, so it is free
        (said("Color", "blue", "blue", "blue2"), 1),  # duplicates merge
        ([Facet("Color", "BLUE")], 1),  # without a span the value itself is compared
    ],
)
def test_worked_examples(predicted: list[Facet], right: int) -> None:
    tally = tally_pairs(GOLD, predicted)
    assert (tally.correct, tally.gold) == (right, 1)


def test_all_values_of_an_attribute_or_none() -> None:
    gold = Product("p", "test", TEXT, facets=(Facet("Color", "blue"), Facet("Color", "navy"), Facet("Type", "jeans")))
    assert score([gold], [[Facet("Color", "blue"), Facet("Type", "jeans")]]).pair_accuracy == 1 / 3
    assert score([gold], [[Facet("Color", "navy"), Facet("Color", "blue")]]).pair_accuracy == 2 / 3


def test_spaces_do_not_count() -> None:
    gold = Product("p", "test", TEXT, facets=(Facet("Color", "navy blue"),))
    assert score([gold], [[Facet("Color", "navyblue")]]).pair_accuracy == 1.0


ROWS = {  # of the same worked examples, as tags: B, I and O of one attribute
    "(1) both": ({"Color": "BOOBO"}, 1),
    "(1) one": ({"Color": "BOOOO"}, 1),
    "(2)": ({"Color": "BOOOB"}, 0),
    "(3) none": ({"Color": "OOOOO"}, 0),
    "(3) too long": ({"Color": "OOOBI"}, 0),
    "(4)": ({"Color": "BOOBO", "Type": "OBOOO"}, 1),
    "a gold attribute without a row": ({"Type": "OBOOO"}, 0),
    "an orphan is dropped": ({"Color": "BOIOO"}, 1),
    "and so is one at the start": ({"Color": "IOOBO"}, 1),
    "but not what follows it": ({"Color": "BIIII"}, 0),
    "O I I is its second token": ({"Color": "OOIIO"}, 1),
}


@pytest.mark.parametrize(("rows", "right"), ROWS.values(), ids=ROWS)
def test_worked_examples_as_tags(rows: dict[str, str], right: int) -> None:
    gold: dict[str, list[Tag]] = {"Color": ["B", "O", "O", "B", "O"]}
    tally = tally_rows(TEXT.split(), gold, {name: list(row) for name, row in rows.items()})  # type: ignore[misc]
    assert (tally.correct, tally.gold) == (right, 1)


@given(st.text("BIO", max_size=12))
def test_what_a_row_marks(row: str) -> None:
    """The same by a pattern: B and its Is, or, of Is that follow no B, all but the first."""
    tokens = [f"{place};" for place in range(len(row))]
    marked = [match.span(1) if match[1] else match.span(2) for match in re.finditer("(BI*)|I(I+)", row)]
    assert tagged_values(tokens, list(row)) == {"".join(tokens[start:end]) for start, end in marked}  # type: ignore[arg-type]
