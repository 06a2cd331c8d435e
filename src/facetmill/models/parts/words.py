"""Texts as words, as a model copies them, and words as a text again.

A word is a run of letters and digits, with what joins them inside ("t-shirt", "brown's", "1.5"), or any other single
sign; of scripts without spaces, a single character. Words are folded (`encoders/folding.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from facetmill.encoders.folding import fold
from facetmill.encoders.scripts import UNSPACED
from facetmill.encoders.view import View
from facetmill.records import FIELDS, Product, Span

_LETTER = rf"(?![{UNSPACED}])\w"
_WORD = re.compile(rf"[{UNSPACED}]|(?:{_LETTER})+(?:[.,'&-](?:{_LETTER})+)*|[^\w\s]")
_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Word:
    """A folded word, and where it stands."""

    text: str
    span: Span


@lru_cache(maxsize=1 << 16)
def split(text: str) -> tuple[str, ...]:
    """The folded words of a text."""
    return tuple(match.group() for match in _found(fold(text)))


def words_of(product: Product, at_most: int) -> list[Word]:
    """The first words of title and text."""
    words: list[Word] = []
    for field in FIELDS:
        view = fold(product.field(field))
        for match in _found(view):
            if len(words) == at_most:
                return words
            words.append(Word(match.group(), Span(field, *view.raw(*match.span()))))
    return words


def shortened(product: Product, words: Sequence[Word]) -> Product:
    """The product with no more title and text than its last words need."""
    ends = {word.span.field: word.span.end for word in words}  # the last of each field counts
    return replace(product, title=product.title[: ends.get("title", 0)], text=product.text[: ends.get("text", 0)])


def surface(product: Product, words: Sequence[Word], said: Sequence[str]) -> str | None:
    """How a product's title or text has some words, one after the other; None where they do not stand there."""
    wanted = [*said]
    for start in range(len(words) - len(wanted) + 1):
        here = words[start : start + len(wanted)]
        if [word.text for word in here] == wanted and here[0].span.field == here[-1].span.field:
            return product.surface(Span(here[0].span.field, here[0].span.start, here[-1].span.end))
    return None


def joined(words: Sequence[str]) -> str:
    """Words as a text, with spaces where scripts have them."""
    text = ""
    for word in words:
        unspaced = text and _UNSPACED.match(text[-1]) and _UNSPACED.match(word)
        text += word if unspaced or not text else f" {word}"
    return text


def _found(view: View) -> Iterator[re.Match[str]]:
    return _WORD.finditer(view.text)
