"""The dictionary: values seen in training, found again in new texts. Nothing is learnt by gradient.

The *train reliability* of a value is the share of train texts holding it in which it is the value of that attribute;
only values of at least `min_reliability` fire. Texts in which nobody said what the attribute is count neither way
(`negatives: known`), unless what is not said is known to lack (`all`). A tagger that scores below it has a bug.

The word matchings of the papers are settings:

    WSM (M-JAVE, Table 2)    places: claimed, values: all, min_reliability: 0
    WM (PAM, Table 5)        match: rarest, min_reliability: 0, ocr: true, distractors: [...]

Counts are kept per category, and over all categories for products whose category is unknown. With `places: shared`
each attribute looks by itself: of its values in a text the longest (or most frequent in train, or rarest) wins, and all
occurrences of it are its spans. With `claimed` a text is cut from left to right into the longest values, and each is of
the attribute that it mostly is in train. `values: all` keeps every value of an attribute. Values stand where
`encoders.grounding` says; a text is scanned once, however many values there are.

Differs from the papers: WSM's labels are counted per category, where that is known; WM's distractors are one list for
all categories, and words on packs are matched in the order in which they were read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch

from facetmill.compute.phase import Losses
from facetmill.encoders.folding import fold, fold_value
from facetmill.encoders.grounding import Scanner
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.space import Space
from facetmill.params import DictionaryConfig, TrainingParams
from facetmill.records import FIELDS, AttributeSchema, Facet, Field, Product, Span

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


class Place(NamedTuple):
    """Where a value stands: characters [start, end) of a field, or of the words on the packs (None)."""

    field: Field | None
    start: int
    end: int


class Match(NamedTuple):
    """A value of an attribute, and where it stands."""

    entry: Entry
    places: list[Place]


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
    """How sure a value must be, and which of several wins; the rarest, worst in all data seen, only where it is set."""
    choices = list(dict.fromkeys(["longest", "most_frequent", config.match]))
    match: Any = trial.suggest_categorical("match", choices)  # Optuna types it as any string
    reliability = trial.suggest_float("min_reliability", 0.0, 1.0)
    return replace(config, min_reliability=reliability, match=match), training


class Dictionary(Model):
    key: ClassVar[str] = "dictionary"
    answers: ClassVar[Answers] = "tags"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
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
        if config.ocr:
            self.reads = self.reads | {"ocr"}
        self._loose = loose
        distractors = {fold_value(value) for value in config.distractors}
        self._entries = {value: found for value, found in entries.items() if value not in distractors}
        self._scanner = Scanner(self._entries, loose=loose)
        self._categories = {entry.category for found in self._entries.values() for entry in found}

    @classmethod
    def fit_vocabulary(cls, config: DictionaryConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        wanted = set(schema.names)
        attributes: dict[str, set[str]] = defaultdict(set)  # by value
        for product in products:
            for facet in product.facets:
                if facet.attribute in wanted:
                    attributes[fold_value(facet.value)].add(facet.attribute)
        scanner = Scanner(attributes)
        holds: Counter[tuple[str, str, str]] = Counter()
        labels: Counter[tuple[str, str, str]] = Counter()
        for product in products:
            present = {value for text in _texts(product, config).values() for value in scanner.scan(fold(text))}
            true = {(f.attribute, fold_value(f.value)) for f in product.facets}
            known = {a for a, _ in true} | set(product.absent) if config.negatives == "known" else wanted
            pairs = [(name, value) for value in present for name in attributes[value] & known]
            for category in {product.category or _ANY, _ANY}:
                holds.update((category, *pair) for pair in pairs)
                labels.update((category, *pair) for pair in pairs if pair in true)
        entries: dict[str, list[Entry]] = defaultdict(list)
        for (category, attribute, value), count in sorted(labels.items()):
            reliability = count / holds[category, attribute, value]
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
        texts = _texts(product, self.config)
        matches = self._matches(texts, product.category if product.category in self._categories else _ANY)
        if self.config.values == "one":
            best: dict[str, Match] = {}
            for match in matches:
                rival = best.get(match.entry.attribute)
                if rival is None or self._rank(match) > self._rank(rival):
                    best[match.entry.attribute] = match
            matches = list(best.values())
        return [_facet(match, texts) for match in sorted(matches, key=lambda match: match.places[0].start)]

    def _rank(self, match: Match) -> tuple[int, ...]:
        """The higher wins."""
        count, length = match.entry.count, max(place.end - place.start for place in match.places)
        ranks = {"longest": (length, count), "most_frequent": (count, length), "rarest": (-count, length)}
        return ranks[self.config.match]

    def _matches(self, texts: Mapping[Field | None, str], category: str) -> list[Match]:
        """Entries of a category whose value stands in a text."""
        places: dict[str, list[Place]] = defaultdict(list)
        for field, text in texts.items():
            for value, ranges in self._scanner.scan(fold(text)).items():
                places[value] += [Place(field, start, end) for start, end in ranges]
        entries = {value: self._of(value, category) for value in places}
        if self.config.places == "shared":
            return [Match(entry, places[value]) for value, found in entries.items() for entry in found]
        claimed = _claimed({value: places[value] for value, found in entries.items() if found}, list(texts))
        return [Match(max(entries[value], key=lambda entry: entry.count), at) for value, at in claimed.items()]

    def _of(self, value: str, category: str) -> list[Entry]:
        return [entry for entry in self._entries[value] if entry.category == category]

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


def _texts(product: Product, config: DictionaryConfig) -> dict[Field | None, str]:
    """What is searched: the fields and, where it is asked for, the words on the packs in the order they were read."""
    texts: dict[Field | None, str] = {field: product.field(field) for field in FIELDS}
    if config.ocr:
        texts[None] = " ".join(token.text for token in product.ocr)
    return texts


def _claimed(places: Mapping[str, Sequence[Place]], fields: Sequence[Field | None]) -> dict[str, list[Place]]:
    """From left to right in each text the longest value claims its place, and what overlaps it is dropped."""
    kept: dict[str, list[Place]] = defaultdict(list)
    every = [(place, value) for value, found in places.items() for place in found]
    for field in fields:
        done = 0
        here = ((place, value) for place, value in every if place.field == field)
        for place, value in sorted(here, key=lambda each: (each[0].start, -each[0].end)):
            if place.start >= done:
                kept[value].append(place)
                done = place.end
    return kept


def _facet(match: Match, texts: Mapping[Field | None, str]) -> Facet:
    """With the spans of all places; one that stands on the pack alone has none."""
    first = match.places[0]
    spans = tuple(Span(place.field, place.start, place.end) for place in match.places if place.field is not None)
    return Facet(
        match.entry.attribute,
        texts[first.field][first.start : first.end],
        spans,
        "text" if spans else "image",
        "predicted",
        match.entry.reliability,
    )
