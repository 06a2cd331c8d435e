"""Attribute F1 as M-JAVE ("Attribute"), ULS-DRAM ("CLS-F1") and DEFLATE ("AP F1") report it."""

from __future__ import annotations

from collections.abc import Collection

from facetmill.metrics.tally import Tally
from facetmill.records import Product


def tally_attributes(product: Product, predicted: Collection[str]) -> Tally:
    """The attributes of one product: those that have a value against those that a model tells it has.

    Precision, recall and F1 of the sum over products are micro averages; attributes rightly left out count nowhere. The
    papers take what the model predicts as such (a sigmoid above its threshold) where there is such a thing, which is
    `predicted_attribute_f1`, and else the attributes of the values found, which is `attribute_f1` of every model.
    """
    return Tally.of({facet.attribute for facet in product.facets}, set(predicted))
