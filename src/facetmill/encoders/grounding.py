"""Whether a value stands in a text, and where: one rule for stage `match`, the dictionary and every model.

 1. *Letters.* Value and text are compared as `folding` says. Spaces around a value do not count, and an empty value
    stands nowhere. A place is one of the raw field, and never cuts a grapheme cluster.
 2. *Words.* With `word_boundary`, a value neither starts nor ends inside a word: letters, digits, "_" and the marks on
    them. Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese put no spaces between words, so each cluster of theirs
    is a word, but for those that no word of Thai, Lao or Burmese can begin or end with.
 3. *Numbers.* Nor does it start or end inside a number: "5 oz" does not stand in "12.5 oz", "500 ml" not in "1,500 ml"
    and "2 in" neither in "1/2 in" nor in "1-1/2 in". Numbers have points, commas or fractions of at most two digits on
    either side; "5,6,7" and "110/220" are lists, "3-5" a range of two. An "x" between digits is none of a word: "20 cm"
    stands in "10x20 cm".
 4. *Occurrences.* Every one counts, from left to right, and a value does not overlap itself.

`ground` looks for one value and `Scanner` for many at once; both find the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from facetmill.encoders.edges import is_letter, is_word, is_word_before, may_end, may_start
from facetmill.encoders.folding import fold, fold_value
from facetmill.encoders.scripts import UNSPACED
from facetmill.encoders.view import View
from facetmill.records import FIELDS, Facet, Field, Product, Span

Range = tuple[int, int]

_ASCII_TOKEN = re.compile(r" ?([0-9]+|[a-zA-Z_]+|[^ ])")
_TOKEN = re.compile(rf" ?([0-9]+|(?:(?![{UNSPACED}])[^\W0-9])+|[^ ])")
_LONGEST_WORD = 40  # so that a text without spaces costs no more
_END = "\n"  # behind a folded text, and by index -1 before it too: no fold holds one


def ground(
    product: Product,
    value: str,
    fields: Sequence[Field] = FIELDS,
    *,
    ignore_case: bool = True,
    word_boundary: bool = True,
) -> tuple[Span, ...]:
    """Every place of a value in the fields of a product, field by field; none where it does not stand in the text."""
    wanted = fold_value(value, ignore_case)
    found = []
    for field in fields:
        view = fold(product.field(field), ignore_case)
        found += [Span(field, *place) for place in places(view, wanted, word_boundary) or ()]
    return tuple(found)


def with_places(product: Product, facets: Iterable[Facet]) -> list[Facet]:
    """The facets, those without a place with every one that their value has: what a model that chooses or writes values
    answers becomes comparable with what a tagger does. One that stands nowhere stays as it is."""
    views = {field: fold(product.field(field)) for field in FIELDS}
    placed = []
    for facet in facets:
        if not facet.spans:
            wanted = fold_value(facet.value)
            spans = [Span(field, *place) for field, view in views.items() for place in places(view, wanted) or ()]
            facet = replace(facet, spans=tuple(spans), modality="text") if spans else facet
        placed.append(facet)
    return placed


def places(view: View, wanted: str, word_boundary: bool = True) -> list[Range] | None:
    """The raw places of a folded value in a folded text; None where its letters do not stand there at all, and not even
    inside a word."""
    starts = find_all(view.text + _END, wanted, word_boundary, view if view.starts else None) if wanted else None
    return None if starts is None else [view.raw(start, start + len(wanted)) for start in starts]


def whole_words(view: View, raw_start: int, raw_end: int) -> Range | None:
    """The raw characters [raw_start, raw_end) without spaces around them, widened until no cluster, word or number is
    cut (by `_LONGEST_WORD` characters at most); None where they hold no text."""
    text = view.text + _END
    start, end = view.covered(raw_start, raw_end)
    while start < end and text[start] == " ":
        start += 1
    while start < end and text[end - 1] == " ":
        end -= 1
    if start >= end:
        return None
    first, last = max(0, start - _LONGEST_WORD), min(len(view.text), end + _LONGEST_WORD)
    while start > first and (view.cuts_unit(start) or not may_start(text, start)):
        start -= 1
    while end < last and (view.cuts_unit(end) or not may_end(text, end)):
        end += 1
    return view.raw(start, end)


def find_all(text: str, wanted: str, word_boundary: bool, view: View | None = None) -> list[int] | None:
    """Where a folded value, which is not empty, stands in folded texts, each with a line break behind it; as `places`.

    `view` is the view that `text` is of, where that has units.
    """
    start = text.find(wanted)
    if start < 0:
        return None
    # Most values begin and end with a letter, for which the whole rule comes down to whether a word goes on beyond it.
    from_letter, to_letter = word_boundary and is_letter(wanted[0]), word_boundary and is_letter(wanted[-1])
    starts = []
    while start >= 0:
        end = start + len(wanted)
        cut = is_word_before(text, start) if from_letter else word_boundary and not may_start(text, start)
        if not cut:
            cut = is_word(text[end]) if to_letter else word_boundary and not may_end(text, end)
        if cut or (view is not None and (view.cuts_unit(start) or view.cuts_unit(end))):
            start = text.find(wanted, start + 1)
        else:
            starts.append(start)
            start = text.find(wanted, end)
    return starts


class Scanner:
    """Finds many folded values in a text in one pass along a trie of tokens; whole words and numbers only.

    A token is a run of digits or of letters, or any other single character, with the space before it: finer than
    words are, so that every place a value may start or end at is one between two tokens.
    """

    def __init__(self, values: Iterable[str], *, loose: bool = False) -> None:
        """`loose`: a space in a value may lack in the text."""
        self._root: dict[str, Any] = {}
        for value in values:
            node = self._root
            for token, _, _ in _tokens(value):
                child = node.get(token) or (node.get(token.lstrip(" ")) if loose else None) or {}
                node[token] = child
                if loose:
                    node[token.lstrip(" ")] = child
                node = child
            if value:
                node[""] = value  # no token is empty, so "" can mark an end

    def scan(self, view: View) -> dict[str, list[Range]]:
        """The values that stand in a folded text, each with its raw places as `places` gives them."""
        text = view.text + _END
        tokens = _tokens(view.text)
        found: dict[str, list[Range]] = {}
        free: dict[str, int] = {}  # where the next place of a value may start
        for first, (token, start, _) in enumerate(tokens):
            node = self._root.get(token.lstrip(" "))
            end_token = first
            while node is not None:
                end = tokens[end_token][2]
                value = node.get("")
                if value is not None and start >= free.get(value, 0) and _stands(text, view, start, end):
                    found.setdefault(value, []).append(view.raw(start, end))
                    free[value] = end
                end_token += 1
                node = node.get(tokens[end_token][0]) if end_token < len(tokens) else None
        return found


def _stands(text: str, view: View, start: int, end: int) -> bool:
    cuts = view.cuts_unit(start) or view.cuts_unit(end)
    return not cuts and may_start(text, start) and may_end(text, end)


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """Each token of a folded text with the space before it, and its characters [start, end) without that."""
    pattern = _ASCII_TOKEN if text.isascii() else _TOKEN
    return [(match.group(), match.start(1), match.end()) for match in pattern.finditer(text)]
