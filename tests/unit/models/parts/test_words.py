"""Texts as words that a model may copy, and back."""

from __future__ import annotations

import pytest

from facetmill.models.parts.words import joined, shortened, split, surface, words_of
from facetmill.records import Product, Span


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Dr. Brown's T-Shirt, 1.5 L", ["dr", ".", "brown's", "t-shirt", ",", "1.5", "l"]),
        ("Red/Blue 50% (new)", ["red", "/", "blue", "50", "%", "(", "new", ")"]),
        ("Ｒéd \u200b  红色茶 tea", ["réd", "红", "色", "茶", "tea"]),
        ("<b>A</b> &amp; B", ["a", "&", "b"]),
        (" \t", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert [*split(text)] == words


def test_words_stand_where_they_say_and_the_rest_of_a_long_text_is_cut_off() -> None:
    product = Product("p", "s", "Blue  Straße shoe", "of Kid leather")
    words = words_of(product, 5)
    assert [(word.text, product.surface(word.span)) for word in words] == [
        ("blue", "Blue"),
        ("strasse", "Straße"),
        ("shoe", "shoe"),
        ("of", "of"),
        ("kid", "Kid"),
    ]
    short = shortened(product, words)
    assert (short.title, short.text) == ("Blue  Straße shoe", "of Kid")
    assert shortened(product, words_of(product, 2)).title == "Blue  Straße"
    assert (shortened(product, []).title, shortened(product, []).text) == ("", "")
    assert words[3].span == Span("text", 0, 2)


def test_a_value_is_found_as_the_product_writes_it_but_not_across_title_and_text() -> None:
    product = Product("p", "s", "Dr. Brown's  Kid", "leather")
    words = words_of(product, 10)
    assert surface(product, words, ["dr", ".", "brown's", "kid"]) == "Dr. Brown's  Kid"
    assert surface(product, words, ["kid", "leather"]) is None
    assert surface(product, words, ["kid", "brown's"]) is None


def test_words_are_joined_with_spaces_where_their_script_has_them() -> None:
    assert joined(["earl", "grey", "红", "茶", "tea"]) == "earl grey 红茶 tea"
