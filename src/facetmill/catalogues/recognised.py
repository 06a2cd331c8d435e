"""Which shop system's export a file is, by what only such a file has; a person need not know its name in here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from facetmill.sources.merchant import is_xml

#: By format, columns that no other table of products has together, in small letters and without "_".
_COLUMNS: Mapping[str, tuple[Collection[str], ...]] = {
    "shopify": (("handle", "title", "option1 name"), ("url handle", "title", "option1 name")),
    "woocommerce": (("type", "sku", "name", "parent", "published"),),
    "merchant": (("id", "title", "link", "image link", "availability"),),
}

#: What a person calls the files of each format.
CALLED: Mapping[str, str] = {
    "shopify": "a Shopify product export",
    "woocommerce": "a WooCommerce product export",
    "merchant": "a Google Merchant feed",
}


def recognised_xml(path: Path) -> bool:
    """Whether it is the feed of a shop: of the formats here no other is XML."""
    return path.is_file() and is_xml(path)


def recognised(header: Collection[str]) -> str | None:
    """The format of a table by its columns; None for one that no shop system wrote."""
    present = {name.casefold().removeprefix("g:").replace("_", " ") for name in header}
    return next(
        (name for name, wanted in _COLUMNS.items() if any(present.issuperset(columns) for columns in wanted)), None
    )
