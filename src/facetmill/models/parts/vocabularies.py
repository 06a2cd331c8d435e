"""The words that an attribute's values are written with, by category: PAM's dynamic vocabulary.

Source: PAM, section 5.1. A vocabulary has the words that stand in `min_count` values of its category and attribute in
train, the commonest `at_most` of them. `shared`, there is one for each attribute, of all categories; without that it
serves products whose category train does not have. With `prefix` the words of the category's name are in it, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from facetmill.encoders.folding import fold_value
from facetmill.models.parts.edit_similarity import Similarity
from facetmill.models.parts.words import split
from facetmill.records import Product

#: What is no word: the end of an answer, what stands between values, and the answer that there is none.
END, NEXT, UNKNOWN = SYMBOLS = ("<end>", "<next>", "<unknown>")

_ANY = ""  # stands for all categories together

Key = tuple[str, str]  # category and attribute


class Vocabularies:
    """`words` are all that stand in any vocabulary, symbols first; others speak of them by their numbers. `spellings`
    are how values are written, by attribute and by their words joined with spaces. No name of a category in train has
    more words than `longest_prefix`."""

    def __init__(
        self,
        vocabularies: Mapping[Key, Sequence[str]],
        spellings: Mapping[str, Mapping[str, str]],
        *,
        shared: bool,
        longest_prefix: int,
    ) -> None:
        known = {word for words in vocabularies.values() for word in words}
        self.words = [*SYMBOLS, *sorted(known - {*SYMBOLS})]
        self.numbers = {word: number for number, word in enumerate(self.words)}
        self._vocabularies = {key: [*words] for key, words in vocabularies.items()}
        self._ids = {key: [self.numbers[word] for word in words] for key, words in vocabularies.items()}
        self._positions = {key: {word: place for place, word in enumerate(own)} for key, own in vocabularies.items()}
        self._spellings = spellings
        self._shared = shared
        self.longest_prefix = longest_prefix
        self._near: dict[Key, Similarity] = {}

    @classmethod
    def of(
        cls,
        train: Iterable[Product],
        attributes: Sequence[str],
        *,
        shared: bool,
        prefix: bool,
        min_count: int,
        at_most: int,
    ) -> Self:
        counts: defaultdict[Key, Counter[str]] = defaultdict(Counter)
        spelled: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        categories: set[str] = set()
        for product in train:
            category = product.category or _ANY
            categories.add(category)
            for name, value in {(facet.attribute, facet.value) for facet in product.facets}:
                words = split(value)
                spelled[name, " ".join(words)][value] += 1
                for key in {(_ANY, name), (_ANY if shared else category, name)}:
                    counts[key].update(set(words))
        spellings: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for (name, said), values in spelled.items():
            spellings[name][said] = min(values, key=lambda value: (-values[value], value))
        named = {category: split(category) for category in categories} if prefix else {}
        found: dict[Key, list[str]] = {}
        for category in [_ANY] if shared else [_ANY, *sorted(categories - {_ANY})]:
            names = {word for name in named.values() for word in name} if shared else named.get(category, ())
            for attribute in attributes:
                own = counts.get((category, attribute), Counter())
                if not own and category != _ANY:
                    continue
                frequent = sorted((word for word in own if own[word] >= min_count), key=lambda word: (-own[word], word))
                found[category, attribute] = [*dict.fromkeys([*SYMBOLS, *sorted(names), *frequent[:at_most]])]
        return cls(found, spellings, shared=shared, longest_prefix=max(map(len, named.values()), default=0))

    def key(self, category: str | None, attribute: str) -> Key:
        """Whose vocabulary a product of a category has for an attribute; that of all categories where train has no such
        value in its own."""
        own = (category or _ANY, attribute)
        return own if not self._shared and own in self._vocabularies else (_ANY, attribute)

    def ids(self, key: Key) -> list[int]:
        """The words of a vocabulary by their numbers."""
        return self._ids[key]

    def position(self, key: Key) -> Mapping[str, int]:
        """The place of each word in a vocabulary."""
        return self._positions[key]

    def prefix(self, key: Key, category: str | None) -> tuple[str, ...]:
        """The words of a category's name; none where the vocabulary does not have them all."""
        words = split(category or "")[: self.longest_prefix]
        return words if words and {*words} <= self._positions[key].keys() else ()

    def near(self, key: Key, word: str) -> float:
        """fe: FuzzyWuzzy's ratio (0..100) of a word to that of the vocabulary which is most like it."""
        if key not in self._near:
            self._near[key] = Similarity([word for word in self._vocabularies[key] if word not in SYMBOLS])
        return self._near[key].nearest(word)

    def spelling(self, attribute: str, words: Sequence[str]) -> str | None:
        """How train mostly writes a value of these words; None of one that it does not have."""
        return self._spellings.get(attribute, {}).get(" ".join(words))

    def to_json(self) -> dict[str, Any]:
        rows = [{"category": c, "attribute": a, "words": words} for (c, a), words in self._vocabularies.items()]
        return {
            "shared": self._shared,
            "longest_prefix": self.longest_prefix,
            "vocabularies": rows,
            "spellings": self._spellings,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        rows = raw["vocabularies"]
        found = {(row["category"], row["attribute"]): row["words"] for row in rows}
        return cls(found, raw["spellings"], shared=raw["shared"], longest_prefix=raw["longest_prefix"])


def one_spelling(values: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Each value once, the first of those that read the same."""
    found: dict[str, tuple[str, float]] = {}
    for value, sure in values:
        if fold_value(value):
            found.setdefault(fold_value(value), (value, sure))
    return list(found.values())
