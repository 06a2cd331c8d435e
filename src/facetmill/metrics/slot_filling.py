"""Joint goal accuracy and slot accuracy of products whose slots are all filled at once, as MuJo-SF reports them.

Source: Jia et al., "MuJo-SF: Multimodal Joint Slot Filling for Attribute Value Prediction of E-commerce Commodities",
equations 13 and 14. Of one product with S slots, of which slot j is right or not,

    JGA = 1 if all are right, else 0        SA = share that is right

and of a corpus the mean over products. An empty slot ("none") is a value like others, so where most slots are empty SA
says little: `sa_filled` is that of the slots that truly have a value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from facetmill.metrics.pairs import pairs
from facetmill.records import AttributeSchema, Facet, Product


@dataclass(frozen=True)
class SlotScores:
    """All scores are 0..1, and 0 where there is nothing to divide by. `num_filled` counts slots with a true value."""

    num_products: int
    num_slots: int
    num_filled: int
    jga: float
    sa: float
    sa_filled: float


@dataclass(frozen=True, slots=True)
class SlotTally:
    """Of one product: its slots, those that are right, those that truly have a value, and those that are both."""

    slots: int
    right: int
    filled: int
    filled_right: int


def slot_scores(gold: Sequence[Product], predicted: Sequence[Sequence[Facet]], slots: Collection[str]) -> SlotScores:
    """Score some attributes as slots of every product. A slot is right when its values are exactly the true ones,
    whatever their case: both may be none, or several, where the paper has one.

    Raises `ValueError` if the lengths differ.
    """
    found = [tally_slots(product, facets, slots) for product, facets in zip(gold, predicted, strict=True)]
    num_slots = len({*slots})
    num_products = len(found) if num_slots else 0
    num_filled = sum(each.filled for each in found)
    return SlotScores(
        num_products=num_products,
        num_slots=num_slots,
        num_filled=num_filled,
        jga=sum(each.right == each.slots for each in found) / num_products if num_products else 0.0,
        sa=sum(each.right for each in found) / (num_products * num_slots) if num_products else 0.0,
        sa_filled=sum(each.filled_right for each in found) / num_filled if num_filled else 0.0,
    )


def tally_slots(product: Product, predicted: Iterable[Facet], slots: Collection[str]) -> SlotTally:
    """The slots of one product."""
    names = dict.fromkeys(slots)
    true, said = _values(product.facets), _values(predicted)
    right = [name for name in names if true[name] == said[name]]
    return SlotTally(
        slots=len(names),
        right=len(right),
        filled=sum(bool(true[name]) for name in names),
        filled_right=sum(bool(true[name]) for name in right),
    )


def slots_by_modality(schema: AttributeSchema) -> dict[str, tuple[str, ...]]:
    """The slots that the paper reports apart: `all`, `text` (T-D) and `image` (I-D), as stage `saliency` found them."""
    told_by = {
        kind: tuple(attribute.name for attribute in schema.attributes if attribute.modality == kind)
        for kind in ("text", "image")
    }
    return {"all": schema.names, **told_by}


def _values(facets: Iterable[Facet]) -> defaultdict[str, set[str]]:
    values: defaultdict[str, set[str]] = defaultdict(set)
    for attribute, value in pairs(facets):
        values[attribute].add(value)
    return values
