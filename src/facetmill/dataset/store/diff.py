"""Two versions of a dataset side by side: what products came, went, changed or moved, and what facets there are."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Any

from facetmill.dataset.store.version import Dataset
from facetmill.records import SPLITS, read_products, to_row

EXAMPLES = 5


def diff(first: Dataset, second: Dataset) -> dict[str, Any]:
    """Counts, and the first few ids of each kind. Keeps sixteen bytes of every product, not the products."""
    before, after = _fingerprints(first), _fingerprints(second)
    both = before.keys() & after.keys()
    facets = _facets(first), _facets(second)
    return {
        "first": {"name": first.name, "version": first.version},
        "second": {"name": second.name, "version": second.version},
        "products": {
            "added": _some(after.keys() - before.keys()),
            "removed": _some(before.keys() - after.keys()),
            "changed": _some({one for one in both if before[one][1] != after[one][1]}),
            "moved_to_another_split": _some({one for one in both if before[one][0] != after[one][0]}),
        },
        "splits": {split: _pair(_products(first)[split], _products(second)[split]) for split in SPLITS},
        "facets": {
            name: _pair(facets[0][name], facets[1][name])
            for name in sorted(facets[0].keys() | facets[1].keys())
            if facets[0][name] != facets[1][name]
        },
    }


def _fingerprints(dataset: Dataset) -> dict[str, tuple[str, bytes]]:
    """Split and content of each product by its id."""
    return {
        product.product_id: (
            split,
            hashlib.blake2b(repr(to_row(replace(product, split=None))).encode(), digest_size=16).digest(),
        )
        for split in SPLITS
        for product in read_products(dataset.dir / "dataset" / split)  # as stored: pictures by their names
    }


def _facets(dataset: Dataset) -> Counter[str]:
    """Facets by attribute, over all splits."""
    return Counter(facet.attribute for split in SPLITS for product in dataset.read(split) for facet in product.facets)


def _products(dataset: Dataset) -> dict[str, int]:
    return {split: int(dataset.manifest["splits"][split]["num_products"]) for split in SPLITS}


def _pair(first: int, second: int) -> dict[str, int]:
    return {"first": first, "second": second, "change": second - first}


def _some(ids: set[str]) -> dict[str, Any]:
    return {"number": len(ids), "examples": sorted(ids)[:EXAMPLES]}
