"""What a served model is asked: one flat row per product, holding what a shop knows and nothing of what is true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facetmill.encoders.pictures import data_uri
from facetmill.records import Product


def to_row(product: Product) -> dict[str, str | None]:
    """The row of a product, as the package's signature wants it."""
    return {
        "product_id": product.product_id,
        "title": product.title,
        "text": product.text,
        "category": product.category,
        "image": product.images[0] if product.images else None,
    }


def to_product(row: Mapping[Any, Any]) -> Product:
    """A row as a product; an absent optional column and an empty cell are the same.

    `image` is the path of a picture on this machine, the picture itself as a data URI ("data:image/jpeg;base64,..."),
    or its bytes. One that cannot be read is as good as none.
    """
    picture = row.get("image")
    image = data_uri(picture) if isinstance(picture, bytes) else _optional(picture)
    return Product(
        product_id=str(row["product_id"]),
        source="served",
        title=_optional(row["title"]) or "",
        text=_optional(row["text"]) or "",
        category=_optional(row.get("category")),
        images=(image,) if image else (),
    )


def _optional(cell: object) -> str | None:
    return cell if isinstance(cell, str) and cell else None
