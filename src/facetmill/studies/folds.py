"""Every product is scored by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from facetmill.records import Product

FOLDS = 5


def folds(products: Iterable[Product]) -> dict[str, int]:
    """The fold (from 0) of each group of products, evenly and at random."""
    groups = sorted({product.group_id for product in products})
    order = np.random.default_rng(0).permutation(len(groups))
    return {groups[place]: number % FOLDS for number, place in enumerate(order)}
