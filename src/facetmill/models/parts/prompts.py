"""What a model that writes is told about a product, and what it writes, as tokens.

    question   The [attribute] of [title] ([text]) are
    claim      <CLS> The [attribute] of [title] ([text]) is [values]

Every part is made into tokens by itself, so nothing in a title can be taken for what frames it. Values are separated by
a token of their own, or by commas as printed, which then may be in no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import exp
from typing import Literal

import torch
from torch import Tensor

from facetmill.encoders.folding import fold_value
from facetmill.encoders.seq2seq import WritingTokenizer
from facetmill.records import Facet, Product

Ids = list[int]

_COMMA = ","


@dataclass(frozen=True)
class Written:
    """The tokens that were written, without the end, and log p of each, and of the end."""

    ids: Sequence[int]
    log_p: Sequence[float]


class Prompts:
    """`window` is how many tokens a prompt may have; of a longer one the end of the product's text is left out, then of
    its title."""

    def __init__(self, tokenizer: WritingTokenizer, separator: Literal["token", "comma"], window: int) -> None:
        self.tokenizer = tokenizer
        self._comma = separator == "comma"
        self._window = window
        self.separator, self.picture, self.cls, self.asks, self.next = tokenizer.marks
        words = ("The", "of", "(", ")", "are", "is", "attributes")
        self._word = dict(zip(words, tokenizer.encode(words), strict=True))

    def names(self, names: Sequence[str]) -> list[Ids]:
        """Of attributes; of each no more than a quarter of the window."""
        return [ids[: self._window // 4] for ids in self.tokenizer.encode(names)]

    def products(self, products: Sequence[Product]) -> list[tuple[Ids, Ids]]:
        """Title and text of each."""
        titles = self.tokenizer.encode([product.title for product in products])
        texts = self.tokenizer.encode([product.text for product in products])
        return list(zip(titles, texts, strict=True))

    def question(self, name: Ids, product: tuple[Ids, Ids]) -> Ids:
        return self._framed([*self._word["The"], *name, *self._word["of"]], product, self._word["are"])

    def of_all(self, product: tuple[Ids, Ids]) -> Ids:
        """The question for all attributes at once."""
        return self.question(self._word["attributes"], product)

    def described(self, product: tuple[Ids, Ids]) -> Ids:
        """The product alone."""
        return self._framed([], product, [])

    def claim(self, name: Ids, product: tuple[Ids, Ids], answer: Ids) -> Ids:
        """`answer` as `of_values` gives it; of one that fills half of the window the rest is left out."""
        before = [self.cls, *self._word["The"], *name, *self._word["of"]]
        return self._framed(before, product, [*self._word["is"], *answer[: self._window // 2]])

    def is_cut(self, product: tuple[Ids, Ids]) -> bool:
        """Whether the longest question about a product would not hold all of it."""
        longest = self._window // 4 + len(self._word["The"]) + len(self._word["of"]) + len(self._word["are"])
        return self._wanted(product) > self._window - longest

    def of_values(self, values: Sequence[str]) -> Ids:
        """Values as they are written; none are nothing."""
        if self._comma:
            return self.tokenizer.encode([f"{_COMMA} ".join(values)])[0] if values else []
        found = self.tokenizer.encode(values)
        return list(chain.from_iterable([self.separator, *ids] for ids in found))[1:]

    def read(self, written: Written) -> list[tuple[str, float]]:
        """The values in what was written, each once, and how probable each was (0..1): its tokens and what ended it."""
        found: dict[str, tuple[str, float]] = {}
        for part in parts(written, self.separator):
            text, sure = self.tokenizer.decode(part.ids), min(1.0, exp(sum(part.log_p)))
            for value in text.split(_COMMA) if self._comma else [text]:
                if fold_value(value):
                    found.setdefault(fold_value(value), (value.strip(), sure))
        return list(found.values())

    def _framed(self, before: Ids, product: tuple[Ids, Ids], after: Ids) -> Ids:
        title, text = product
        room = max(0, self._window - len(before) - len(after))
        title = title[:room]
        brackets = len(self._word["("]) + len(self._word[")"])
        text = text[: max(0, room - len(title) - brackets)]
        if text:
            text = [*self._word["("], *text, *self._word[")"]]
        return [*before, *title, *text, *after]

    def _wanted(self, product: tuple[Ids, Ids]) -> int:
        title, text = product
        return len(title) + (len(text) + len(self._word["("]) + len(self._word[")"]) if text else 0)


def parts(written: Written, separator: int) -> list[Written]:
    """What stands between separators; log p of the token that ended it comes last."""
    found, start = [], 0
    for end in [*(n for n, token in enumerate(written.ids) if token == separator), len(written.ids)]:
        found.append(Written(written.ids[start:end], written.log_p[start : end + 1]))
        start = end + 1
    return found


def padded(rows: Sequence[Ids], value: int, *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Rows of ids side by side (int64), at least one column wide, and which are real (bool)."""
    width = max([1, *map(len, rows)])
    ids_MT = torch.full((len(rows), width), value, dtype=torch.int64)
    mask_MT = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(len(row))
        ids_MT[number, place] = torch.tensor(row, dtype=torch.int64)
        mask_MT[number, place] = True
    return ids_MT, mask_MT


def values_of(product: Product, attribute: str, *, written: bool = False) -> list[str]:
    """The distinct values of an attribute in the order in which they are said: those that are true, or (`written`)
    those that a generator wrote and nobody said."""
    found: dict[str, str] = {}
    for facet in product.facets:
        if facet.attribute == attribute and (facet.provenance == "predicted") == written:
            found.setdefault(fold_value(facet.value), facet.value)
    return [value for fold, value in found.items() if fold]


def as_written(attribute: str, values: Sequence[tuple[str, float]], sure: float = 1.0) -> list[Facet]:
    """What a model says: values, each as probable as it was to be written and, all together, to be true (`sure`)."""
    return [Facet(attribute, value, provenance="predicted", confidence=p * sure) for value, p in values]
