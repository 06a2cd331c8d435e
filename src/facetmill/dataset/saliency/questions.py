"""Products with one value hidden: what a network is asked, and what the true answer is.

A value that stands in the text is masked wherever it stands there, each time by one token, however many it has: their
number would tell it. A value that stands nowhere in the text is asked for behind it, by its attribute's name and a
mask.

Shapes: X questions, P pictures, S pixels a side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetmill.encoders.pictures import Fault, decode_picture, picture_bytes, picture_path
from facetmill.encoders.tokens import Tokenizer
from facetmill.encoders.windows import Reading, read
from facetmill.records import Facet, Product, Span

Answer = tuple[str, str]  # attribute, value

_KNOWN = ("annotated", "matched")  # what a classifier saw in the picture says nothing of what the text tells


@dataclass(frozen=True)
class Questions:
    """One for each known facet of the products whose main picture can be read. `readings` are the masked texts, and
    `masks` the places of the masks in them; `picture_X` says which of the pictures each is about."""

    answers: list[Answer]
    readings: list[Reading]
    masks: list[list[int]]
    picture_X: NDArray[np.int64]
    pixels_P3SS: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def by_picture(self) -> list[NDArray[np.int64]]:
        """The questions about each picture."""
        return np.split(np.arange(len(self)), np.flatnonzero(np.diff(self.picture_X)) + 1)


@dataclass(frozen=True)
class Pictured:
    """Products whose main picture can be read, and its pixels; `left_out` counts the others by reason."""

    products: list[Product]
    pixels_P3SS: NDArray[np.uint8]
    left_out: Counter[str]


def pictured(products: Iterable[Product], size: int, root: Path) -> Pictured:
    """Those whose main picture can be read, and that have a facet that a person or the text has given.

    Relative paths are taken from `root`; raises `DataError` for one that leaves it.
    """
    kept, pixels, left_out = [], [], Counter[str]()
    for product in products:
        facets = tuple(facet for facet in product.facets if facet.provenance in _KNOWN)
        if not facets:
            left_out["without known facet"] += 1
            continue
        data: bytes | Fault = Fault.MISSING
        if product.images:
            data = picture_bytes(str(picture_path(root, product.images[0], product.product_id)))
        shown = data if isinstance(data, Fault) else decode_picture(data, size)
        if isinstance(shown, Fault):
            left_out[f"picture {shown}"] += 1
            continue
        kept.append(replace(product, facets=facets))
        pixels.append(shown)
    return Pictured(kept, np.stack(pixels) if pixels else np.empty((0, 3, size, size), np.uint8), left_out)


def questions_about(given: Pictured, tokenizer: Tokenizer) -> Questions:
    """Every facet of the products as a question."""
    texts = read(given.products, tokenizer)
    names = sorted({facet.attribute for product in given.products for facet in product.facets})
    name_ids = {name: pieces.ids for name, pieces in zip(names, tokenizer.encode(names), strict=True)}
    answers, readings, masks, pictures = [], [], [], []
    for number, (product, text) in enumerate(zip(given.products, texts, strict=True)):
        for facet in product.facets:
            reading, places = hide(text, facet, name_ids[facet.attribute], tokenizer)
            answers.append((facet.attribute, facet.value))
            readings.append(reading)
            masks.append(places)
            pictures.append(number)
    return Questions(answers, readings, masks, np.array(pictures, np.int64), given.pixels_P3SS)


def hide(text: Reading, facet: Facet, name_ids: Sequence[int], tokenizer: Tokenizer) -> tuple[Reading, list[int]]:
    """The reading with one mask in place of each mention of the facet's value, and where these stand."""
    ids: list[int] = []
    tokens: list[Span | None] = []
    places: list[int] = []
    hidden: Span | None = None  # the mention that the last token was part of
    for token_id, token in zip(text.ids, text.tokens, strict=True):
        mention = None if token is None else next((span for span in facet.spans if _overlap(span, token)), None)
        if mention is None:
            ids.append(token_id)
            tokens.append(token)
        elif mention != hidden:
            places.append(len(ids))
            ids.append(tokenizer.mask_id)
            tokens.append(mention)
        hidden = mention
    if not places:
        ids += [tokenizer.sep_id, *name_ids, tokenizer.mask_id]
        tokens += [None] * (2 + len(name_ids))
        places.append(len(ids) - 1)
    return Reading(ids, tokens), places


def _overlap(one: Span, other: Span) -> bool:
    return one.field == other.field and one.start < other.end and other.start < one.end
