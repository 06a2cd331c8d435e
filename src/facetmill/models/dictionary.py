"""The dictionary: values seen in training, found again in new texts. Nothing is learnt by gradient.

It is the word matching ("WM") baseline of PAM (Lin et al., KDD 2021) with the reliability of ScalingUp-like
dictionaries: the *train reliability* of a value is the share of train texts holding it in which it is the value of that
attribute. Only values of at least `min_reliability` fire. A tagger that scores below it has a bug.

Counts are kept per category, and over all categories for products whose category is unknown. Where several values of
one attribute stand in a text, the longest (or most frequent in train) wins, and all its occurrences are its spans: one
value per attribute, as in the paper. Values match as whole words in any case.

A text is scanned once, along a trie of words, however many values there are.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from facetmill.compute.phase import Losses
from facetmill.encoders.tokens import CJK
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.space import Space
from facetmill.params import DictionaryConfig, TrainingParams
from facetmill.records import FIELDS, AttributeSchema, Facet, Product, Span

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_WORD = re.compile(rf"{CJK.pattern}|(?:(?!{CJK.pattern})\w)+|[^\w\s]")
_ANY = ""  # stands for "all categories together"

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of one attribute in one category: in how many train products it was that, and how reliably (0..1)."""

    category: str
    attribute: str
    count: int
    reliability: float


@dataclass(frozen=True)
class DictionaryBatch:
    products: tuple[Product, ...]

    @property
    def num_products(self) -> int:
        return len(self.products)

    def to(self, device: torch.device) -> Self:
        return self


class Trie:
    """Word sequences to find in texts. Empty sequences stand nowhere."""

    def __init__(self, values: Iterable[Words]) -> None:
        self._root: dict[str, Any] = {}
        for words in values:
            node = self._root
            for word in words:
                node = node.setdefault(word, {})
            node[""] = words  # no word is empty, so "" can mark an end

    def scan(self, text: str) -> Iterator[tuple[Words, int, int]]:
        """Every occurrence of every value in a text: the value, and its characters [start, end)."""
        found = [(match.group().casefold(), *match.span()) for match in _WORD.finditer(text)]
        for first, (_, start, _) in enumerate(found):
            node = self._root
            for place in range(first, len(found)):
                word, _, end = found[place]
                if word not in node:
                    break
                node = node[word]
                if "" in node:
                    yield node[""], start, end


def _suggest(
    trial: BaseTrial, config: DictionaryConfig, training: TrainingParams
) -> tuple[DictionaryConfig, TrainingParams]:
    """How sure a value must be, and which of several wins."""
    match: Any = trial.suggest_categorical("match", ["longest", "most_frequent"])  # Optuna types it as any string
    reliability = trial.suggest_float("min_reliability", 0.0, 1.0)
    return replace(config, min_reliability=reliability, match=match), training


class Dictionary(Model):
    key: ClassVar[str] = "dictionary"
    answers: ClassVar[Answers] = "tags"
    reads: ClassVar[frozenset[Reads]] = frozenset({"title", "text", "category"})
    space: ClassVar[Space] = Space(_suggest, ("min_reliability", "match"))
    config: DictionaryConfig

    def __init__(self, config: DictionaryConfig, schema: AttributeSchema, entries: Mapping[Words, list[Entry]]) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        self._entries = dict(entries)
        self._trie = Trie(entries)
        self._categories = {entry.category for found in entries.values() for entry in found}

    @classmethod
    def fit_vocabulary(cls, config: DictionaryConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        wanted = set(schema.names)
        values = {_words(f.value) for product in products for f in product.facets if f.attribute in wanted}
        trie = Trie(values - {()})
        holds: Counter[tuple[str, Words]] = Counter()
        labels: Counter[tuple[str, str, Words]] = Counter()
        for product in products:
            present = {words for field in FIELDS for words, _, _ in trie.scan(product.field(field))}
            true = {(f.attribute, _words(f.value)) for f in product.facets if f.attribute in wanted}
            for category in {product.category or _ANY, _ANY}:
                holds.update((category, words) for words in present)
                labels.update((category, attribute, words) for attribute, words in true if words in present)
        entries: dict[Words, list[Entry]] = defaultdict(list)
        for (category, attribute, words), count in sorted(labels.items()):
            reliability = count / holds[category, words]
            if reliability >= config.min_reliability:
                entries[words].append(Entry(category, attribute, count, reliability))
        return cls(config, schema, entries)

    def collate(self, products: Sequence[Product]) -> DictionaryBatch:
        return DictionaryBatch(tuple(products))

    def loss(self, batch: DictionaryBatch) -> Losses:
        return Losses(torch.zeros(()), {})

    def predict(self, batch: DictionaryBatch) -> list[list[Facet]]:
        return [self._facets(product) for product in batch.products]

    def _facets(self, product: Product) -> list[Facet]:
        category = product.category if product.category in self._categories else _ANY
        spans: dict[Words, list[Span]] = defaultdict(list)
        for field in FIELDS:
            for words, start, end in self._trie.scan(product.field(field)):
                spans[words].append(Span(field, start, end))
        best: dict[str, tuple[tuple[int, ...], Words, Entry]] = {}
        for words, places in spans.items():
            length = max(place.end - place.start for place in places)
            for entry in self._entries[words]:
                if entry.category == category:
                    rank = (length, entry.count) if self.config.match == "longest" else (entry.count, length)
                    if entry.attribute not in best or rank > best[entry.attribute][0]:
                        best[entry.attribute] = (rank, words, entry)
        return [
            Facet(
                name,
                product.surface(spans[words][0]),
                tuple(spans[words]),
                "text",
                "predicted",
                entry.reliability,
            )
            for name, (_, words, entry) in sorted(best.items(), key=lambda item: spans[item[1][1]][0].start)
        ]

    def save_assets(self, folder: Path) -> None:
        rows = [
            {"words": list(words), **{name: getattr(entry, name) for name in Entry.__slots__}}
            for words, entries in self._entries.items()
            for entry in entries
        ]
        write_json(folder / "entries.json", rows)

    @classmethod
    def load_assets(cls, config: DictionaryConfig, schema: AttributeSchema, folder: Path) -> Self:
        entries: dict[Words, list[Entry]] = defaultdict(list)
        for row in read_json(folder / "entries.json"):
            words = tuple(row.pop("words"))
            entries[words].append(Entry(**row))
        return cls(config, schema, entries)

    def report(self) -> Mapping[str, int]:
        return {"entries": sum(map(len, self._entries.values()))}


def _words(value: str) -> Words:
    return tuple(match.casefold() for match in _WORD.findall(value))
