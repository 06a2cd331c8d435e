"""What PAM is asked about products, and what it is to write: word by word, each of which may stand in several places.

Source: PAM, sections 5.1 to 5.3. An answer is the words of the category's name, where these are to be written first,
then those of the value, and the end. Several values have a symbol between them, and one that there is not is a symbol,
too. A step's target is every candidate that is its word.

Shapes: P products, Q questions of one, S words that may be copied, V words of a vocabulary, C = S + V candidates, U
words that stand in any vocabulary of the batch, X words of a category's name, T steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from facetmill.compute.batch import TensorBatch
from facetmill.models.parts.prompts import values_of
from facetmill.models.parts.vocabularies import END, NEXT, UNKNOWN, Key, Vocabularies
from facetmill.models.parts.words import split
from facetmill.records import Product


@dataclass(frozen=True)
class Questions(TensorBatch):
    """Question q of a product is about `attribute_PQ`, where `asked_PQ`. Its vocabulary are the rows `vocabulary_PQV`
    of the words whose numbers are `number_U`; `candidate_PQC` says which candidates there are. `near_PQS` is fe
    (0..100).

    `prefix_PQX` are the candidates that are written first (-1: no more). `target_PQTC` is true of those that are right
    at a step, `given_PQT` the one that stands for the word before it (-1: none). A step is of the category's name, of
    an answer that can be learned, or of neither."""

    attribute_PQ: Tensor
    asked_PQ: Tensor
    number_U: Tensor
    vocabulary_PQV: Tensor
    candidate_PQC: Tensor
    near_PQS: Tensor
    prefix_PQX: Tensor
    target_PQTC: Tensor
    given_PQT: Tensor
    of_prefix_PQT: Tensor
    of_answer_PQT: Tensor


class QuestionWriter:
    """`names` are the attributes. `near`: fe is wanted."""

    def __init__(
        self, vocabularies: Vocabularies, names: Sequence[str], *, prefix: bool, near: bool, longest_answer: int
    ) -> None:
        self.vocabularies = vocabularies
        self._names = names
        self._prefix = prefix
        self._near = near
        self._longest_answer = longest_answer

    def answer(self, product: Product, attribute: str) -> list[str]:
        """What is to be written about an attribute, as long as it is."""
        values = values_of(product, attribute)
        words = [*chain.from_iterable([NEXT, *split(value)] for value in values)][1:]
        return [*(words or [UNKNOWN]), END]

    def prefix(self, product: Product, key: Key) -> tuple[str, ...]:
        return self.vocabularies.prefix(key, product.category) if self._prefix else ()

    def written(
        self,
        products: Sequence[Product],
        asked: Sequence[Sequence[int]],
        copied: Sequence[Sequence[str | None]],
        pick: Callable[[int], int],
    ) -> Questions:
        """`copied` are the words that may be, each in its column (None: none is), as many for each product; of a word
        in n places `pick(n)` says which is read."""
        rows = [
            (row, column, number, self.vocabularies.key(product.category, self._names[number]))
            for row, (product, own) in enumerate(zip(products, asked, strict=True))
            for column, number in enumerate(own)
        ]
        places = [_places(words) for words in copied]
        plans = [
            self._planned(products[row], self._names[number], key, places[row], len(copied[row]), pick)
            for row, _, number, key in rows
        ]
        num_copied = max(map(len, copied), default=0)
        used = sorted({word for *_, key in rows for word in self.vocabularies.ids(key)})
        row_of = {number: row for row, number in enumerate(used)}
        most = max((len(self.vocabularies.ids(key)) for *_, key in rows), default=1)
        shape = (len(products), max([1, *map(len, asked)]))
        num_steps = max((len(plan.targets) for plan in plans), default=1)
        longest = max((plan.num_prefix for plan in plans), default=0)
        found = Questions(
            attribute_PQ=torch.zeros(shape, dtype=torch.int64),
            asked_PQ=torch.zeros(shape, dtype=torch.bool),
            number_U=torch.tensor(used or [0], dtype=torch.int64),
            vocabulary_PQV=torch.zeros(*shape, most, dtype=torch.int64),
            candidate_PQC=torch.zeros(*shape, num_copied + most, dtype=torch.bool),
            near_PQS=torch.zeros(*shape, num_copied),
            prefix_PQX=torch.full((*shape, longest), -1, dtype=torch.int64),
            target_PQTC=torch.zeros(*shape, num_steps, num_copied + most, dtype=torch.bool),
            given_PQT=torch.full((*shape, num_steps), -1, dtype=torch.int64),
            of_prefix_PQT=torch.zeros(*shape, num_steps, dtype=torch.bool),
            of_answer_PQT=torch.zeros(*shape, num_steps, dtype=torch.bool),
        )
        for (row, column, number, key), plan in zip(rows, plans, strict=True):
            at = (row, column)
            ids = self.vocabularies.ids(key)
            found.attribute_PQ[at] = number
            found.asked_PQ[at] = True
            found.vocabulary_PQV[at][: len(ids)] = torch.tensor([row_of[each] for each in ids])
            found.candidate_PQC[at][num_copied : num_copied + len(ids)] = True
            found.candidate_PQC[at][:num_copied] = torch.tensor([word is not None for word in copied[row]])
            if self._near:
                near = [0.0 if word is None else self.vocabularies.near(key, word) for word in copied[row]]
                found.near_PQS[at] = torch.tensor(near)
            plan.into(found, at)
        return found

    def _planned(
        self,
        product: Product,
        attribute: str,
        key: Key,
        places: Mapping[str, list[int]],
        num_copied: int,
        pick: Callable[[int], int],
    ) -> _Plan:
        prefix = self.prefix(product, key)
        words = [*prefix, *self.answer(product, attribute)[: self._longest_answer]]
        position = self.vocabularies.position(key)
        targets = [
            [*places.get(word, ()), *([num_copied + position[word]] if word in position else [])] for word in words
        ]
        picked = [found[pick(len(found))] if found else -1 for found in targets]
        forced = [num_copied + position[word] for word in prefix]
        return _Plan(targets, [-1, *picked[:-1]], forced, all(targets))


@dataclass(frozen=True)
class _Plan:
    """Of one question."""

    targets: Sequence[Sequence[int]]
    given: Sequence[int]
    forced: Sequence[int]
    learnable: bool

    @property
    def num_prefix(self) -> int:
        return len(self.forced)

    def into(self, found: Questions, at: tuple[int, int]) -> None:
        for step, right in enumerate(self.targets):
            found.target_PQTC[at][step, [*right]] = True
        found.given_PQT[at][: len(self.given)] = torch.tensor(self.given)
        found.prefix_PQX[at][: self.num_prefix] = torch.tensor(self.forced, dtype=torch.int64)
        found.of_prefix_PQT[at][: self.num_prefix] = True
        found.of_answer_PQT[at][self.num_prefix : len(self.targets)] = self.learnable


def _places(words: Sequence[str | None]) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(words):
        if word is not None:
            found[word].append(place)
    return found
