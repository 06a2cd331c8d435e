"""BIO tags: from the spans of facets to one tag per token, and back from tags to facets.

Tag 0 is O; attribute a has B = 1 + 2a and I = 2 + 2a. All pieces of a word are tagged, the first B and the rest I.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from facetmill.encoders.folding import fold, fold_value
from facetmill.encoders.grounding import whole_words
from facetmill.records import FIELDS, Facet, Product, Span

OUTSIDE = 0


def num_tags(num_attributes: int) -> int:
    return 1 + 2 * num_attributes


def begin(attribute: int) -> int:
    return 1 + 2 * attribute


def inside(attribute: int) -> int:
    return 2 + 2 * attribute


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens [first, end) that carry one value of attribute number `attribute`."""

    attribute: int
    first: int
    end: int


def tag_tokens(
    tokens: Sequence[Span | None], facets: Iterable[Facet], attributes: Mapping[str, int]
) -> tuple[list[int], Counter[str]]:
    """One tag per token, and how many spans lost something on the way.

    A token can have one tag, so where spans overlap the longest wins, then the first attribute, then the first place:
    "spans_overlapped" counts the others. A span that ends inside a token is widened to the whole token
    ("spans_widened"): the attribute is there all the same. One that touches no token is dropped ("spans_untokenized").
    """
    found = {(attributes[f.attribute], span) for f in facets if f.attribute in attributes for span in f.spans}
    tags = [OUTSIDE] * len(tokens)
    counts: Counter[str] = Counter()
    for attribute, span in sorted(found, key=lambda item: (item[1].start - item[1].end, item)):
        covered = [
            number
            for number, token in enumerate(tokens)
            if token is not None and token.field == span.field and token.start < span.end and span.start < token.end
        ]
        if not covered:
            counts["spans_untokenized"] += 1
        elif any(tags[number] != OUTSIDE for number in covered):
            counts["spans_overlapped"] += 1
        else:
            first, last = tokens[covered[0]], tokens[covered[-1]]
            assert first is not None
            assert last is not None
            counts["spans_widened"] += first.start < span.start or span.end < last.end
            tags[covered[0]] = begin(attribute)
            for number in covered[1:]:
                tags[number] = inside(attribute)
    return tags, +counts


def chunks(tags: Sequence[int]) -> list[Chunk]:
    """The chunks of a tag sequence as conlleval reads it: I after O or after another attribute opens a chunk too."""
    found: list[Chunk] = []
    open_at: int | None = None
    previous = OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        continues = tag != OUTSIDE and tag % 2 == 0 and previous != OUTSIDE and (previous - 1) // 2 == (tag - 1) // 2
        if not continues:
            if open_at is not None:
                found.append(Chunk((previous - 1) // 2, open_at, place))
            open_at = None if tag == OUTSIDE else place
        previous = tag
    return found


def decode(
    product: Product,
    tokens: Sequence[Span | None],
    tags: Sequence[int],
    confidences: Sequence[float],
    attributes: Sequence[str],
) -> list[Facet]:
    """The facets that tags name, in the order of their first span.

    A chunk ends at the separator between title and text. Its value is the raw text under it, in whole words as
    `encoders.grounding` has them (a piece of a word is seldom a value: on product titles this gains about a point of
    value F1); its confidence the mean probability (0..1) of its tags. The same value of an attribute at several places,
    as values are compared, is one facet: written as at its first place, as sure as at its surest.
    """
    views = {field: fold(product.field(field)) for field in FIELDS}
    separated = [OUTSIDE if token is None else tag for token, tag in zip(tokens, tags, strict=True)]
    merged: dict[tuple[str, str], Facet] = {}
    for chunk in chunks(separated):
        first, last = tokens[chunk.first], tokens[chunk.end - 1]
        assert first is not None
        assert last is not None
        place = whole_words(views[first.field], first.start, last.end)
        if place is None:  # nothing but spaces
            continue
        span = Span(first.field, *place)
        value, name = product.surface(span), attributes[chunk.attribute]
        confidence = sum(confidences[chunk.first : chunk.end]) / (chunk.end - chunk.first)
        key = (name, fold_value(value))
        facet = merged.get(key)
        if facet is None:
            merged[key] = Facet(name, value, (span,), "text", "predicted", confidence)
        else:
            surest = max(confidence, facet.confidence or 0.0)
            spans = tuple(dict.fromkeys((*facet.spans, span)))
            merged[key] = Facet(name, facet.value, spans, "text", "predicted", surest)
    return list(merged.values())
