"""Values and categories that a shop writes in several ways: RED, Red and red; 1.5 L and 1500 ml; Hats and hats.

Values that `folding` takes for the same are one to metrics, models and spans; those that only `measures` does are told
apart there, and so are categories. The data stays as it was written: a spelling is set right in the source or by
corrections.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from facetmill.encoders.folding import fold_value
from facetmill.encoders.measures import normal_value
from facetmill.records import AttributeSchema

CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Variants:
    """What is written in several ways: products of train by spelling, the commonest first. `one` says whether metrics
    and models take the spellings for one value."""

    attribute: str
    spellings: Mapping[str, int]
    one: bool

    @property
    def num_products(self) -> int:
        """Products with another spelling than the commonest."""
        return sum(self.spellings.values()) - max(self.spellings.values())


def variants(schema: AttributeSchema, categories: Mapping[str, int]) -> list[Variants]:
    """Those of all attributes, and of the categories with their numbers of products; most products first."""
    found = [Variants(CATEGORY, spellings, one=False) for spellings in _alike(categories, fold_value)]
    for attribute in schema.attributes:
        for spellings in _alike(attribute.values, normal_value):
            found.append(Variants(attribute.name, spellings, one=len(set(map(fold_value, spellings))) == 1))
    return sorted(found, key=lambda each: (-each.num_products, each.attribute, *each.spellings))


def _alike(counts: Mapping[str, int], form: Callable[[str], str]) -> Iterator[dict[str, int]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for spelling in counts:
        groups[form(spelling)].append(spelling)
    for spellings in groups.values():
        if len(spellings) > 1:
            yield {each: counts[each] for each in sorted(spellings, key=lambda each: (-counts[each], each))}
