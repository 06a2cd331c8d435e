"""The dictionary: values seen in training, found again in new texts. Nothing is learnt by gradient.

It is the word matching ("WM") baseline of PAM (Lin et al., KDD 2021) with the reliability of ScalingUp-like
dictionaries: the *train reliability* of a value is the share of train texts holding it in which it is the value of that
attribute. Only values of at least `min_reliability` fire. A tagger that scores below it has a bug.

Counts are kept per category, and over all categories for products whose category is unknown. Where several values of
one attribute stand in a text, the longest (or most frequent in train) wins, and all its occurrences are its spans: one
value per attribute, as in the paper. Values stand where `encoders.grounding` says, and a text is scanned once, however
many values there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from facetmill.compute.phase import Losses
from facetmill.encoders.folding import fold, fold_value
from facetmill.encoders.grounding import Scanner
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.space import Space
from facetmill.params import DictionaryConfig, TrainingParams
from facetmill.records import FIELDS, AttributeSchema, Facet, Product, Span

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_ANY = ""  # stands for "all categories together"


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

    def __init__(
        self,
        config: DictionaryConfig,
        schema: AttributeSchema,
        entries: Mapping[str, list[Entry]],
        *,
        loose: bool = False,
    ) -> None:
        """`entries` by value as `fold_value` gives it; `loose` as in `Scanner`."""
        super().__init__()
        self.config = config
        self.schema = schema
        self._entries = dict(entries)
        self._loose = loose
        self._scanner = Scanner(entries, loose=loose)
        self._categories = {entry.category for found in entries.values() for entry in found}

    @classmethod
    def fit_vocabulary(cls, config: DictionaryConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        wanted = set(schema.names)
        scanner = Scanner(
            {fold_value(f.value) for product in products for f in product.facets if f.attribute in wanted}
        )
        holds: Counter[tuple[str, str]] = Counter()
        labels: Counter[tuple[str, str, str]] = Counter()
        for product in products:
            present = {value for field in FIELDS for value in scanner.scan(fold(product.field(field)))}
            true = {(f.attribute, fold_value(f.value)) for f in product.facets if f.attribute in wanted}
            for category in {product.category or _ANY, _ANY}:
                holds.update((category, value) for value in present)
                labels.update((category, attribute, value) for attribute, value in true if value in present)
        entries: dict[str, list[Entry]] = defaultdict(list)
        for (category, attribute, value), count in sorted(labels.items()):
            reliability = count / holds[category, value]
            if reliability >= config.min_reliability:
                entries[value].append(Entry(category, attribute, count, reliability))
        return cls(config, schema, entries)

    def collate(self, products: Sequence[Product]) -> DictionaryBatch:
        return DictionaryBatch(tuple(products))

    def loss(self, batch: DictionaryBatch) -> Losses:
        return Losses(torch.zeros(()), {})

    def predict(self, batch: DictionaryBatch) -> list[list[Facet]]:
        return [self._facets(product) for product in batch.products]

    def _facets(self, product: Product) -> list[Facet]:
        category = product.category if product.category in self._categories else _ANY
        spans: dict[str, list[Span]] = defaultdict(list)
        for field in FIELDS:
            for value, places in self._scanner.scan(fold(product.field(field))).items():
                spans[value] += [Span(field, *place) for place in places]
        best: dict[str, tuple[tuple[int, ...], str, Entry]] = {}
        for value, found in spans.items():
            length = max(span.end - span.start for span in found)
            for entry in self._entries[value]:
                if entry.category == category:
                    rank = (length, entry.count) if self.config.match == "longest" else (entry.count, length)
                    if entry.attribute not in best or rank > best[entry.attribute][0]:
                        best[entry.attribute] = (rank, value, entry)
        return [
            Facet(
                name,
                product.surface(spans[value][0]),
                tuple(spans[value]),
                "text",
                "predicted",
                entry.reliability,
            )
            for name, (_, value, entry) in sorted(best.items(), key=lambda item: spans[item[1][1]][0].start)
        ]

    def save_assets(self, folder: Path) -> None:
        rows = [
            ({"words": value.split(" ")} if self._loose else {"value": value})
            | {name: getattr(entry, name) for name in Entry.__slots__}
            for value, entries in self._entries.items()
            for entry in entries
        ]
        write_json(folder / "entries.json", rows)

    @classmethod
    def load_assets(cls, config: DictionaryConfig, schema: AttributeSchema, folder: Path) -> Self:
        """Also what was saved before values kept their spaces: as words and signs, between which any may be or none."""
        entries: dict[str, list[Entry]] = defaultdict(list)
        loose = False
        for row in read_json(folder / "entries.json"):
            if "words" in row:
                loose = True
                row["value"] = fold_value(" ".join(row.pop("words")))
            entries[row.pop("value")].append(Entry(**row))
        return cls(config, schema, entries, loose=loose)

    def report(self) -> Mapping[str, int]:
        return {"entries": sum(map(len, self._entries.values()))}
