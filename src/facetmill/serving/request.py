"""What a served model is asked: one flat row per product, holding what a shop knows and nothing of what is true.

    product_id, title, text     text
    category                    text, may be missing
    images                      pictures: paths on this machine, data URIs ("data:image/jpeg;base64,..."), or bytes
    image                       the one picture of a product, where there is no column `images`
    ocr                         the words on the pictures, [{text, box}]; a word may be without a box
    regions                     boxes around what the first picture shows, [{box}]

A box is {left, top, right, bottom}, shares (0..1) of the picture's width and height. An absent column and an empty cell
are the same: nothing is said, and a model that reads words or boxes looks for itself. An empty list says that there are
none. A picture that cannot be read is as good as none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from facetmill.encoders.pictures import data_uri
from facetmill.errors import DataError
from facetmill.perception.boxes import as_recorded
from facetmill.records import Box, OcrToken, Product, is_unicode

if TYPE_CHECKING:
    from facetmill.perception.reader import Reader

MAX_ENTRIES = 10_000  # of a list; more is no product
_EDGES = ("left", "top", "right", "bottom")


def to_row(product: Product, *, looked: bool = False) -> dict[str, Any]:
    """The row of a product, as the package's signature wants it.

    `looked` says that the words and boxes of the product are all there are: where it has none the model is told so, and
    does not look for itself.
    """
    ocr = [{"text": word.text, "box": word.box and _edges(word.box)} for word in product.ocr]
    regions = [{"box": _edges(box)} for box in product.regions]
    return {
        "product_id": product.product_id,
        "title": product.title,
        "text": product.text,
        "category": product.category,
        "image": product.images[0] if product.images else None,  # all that packages once knew
        "images": list(product.images),
        "ocr": ocr if ocr or looked else None,
        "regions": regions if regions or looked else None,
    }


def to_products(rows: Iterable[Mapping[Any, Any]], reader: Reader | None = None) -> list[Product]:
    """`to_product` of each row. A `DataError` names the row, by its number from 0."""
    products = []
    for number, row in enumerate(rows):
        try:
            products.append(to_product(row, reader))
        except DataError as error:
            raise DataError(f"row {number}, {error}") from None
    return products


def to_product(row: Mapping[Any, Any], reader: Reader | None = None) -> Product:
    """A row as a product. Words and boxes of which it says nothing are read off its pictures by `reader`.

    Raises `DataError` naming product, field and value, and what `reader` raises where an engine is missing.
    """
    product_id = str(row["product_id"])
    try:
        _spelled("product_id", product_id)
        title, text, category = (_text(row, field) for field in ("title", "text", "category"))
        images = _images(row)
        ocr, regions = _list(row, "ocr"), _list(row, "regions")
        words = None if ocr is None else tuple(_word(entry, f"ocr[{n}]") for n, entry in enumerate(ocr))
        boxes = None if regions is None else tuple(_region(entry, f"regions[{n}]") for n, entry in enumerate(regions))
    except DataError as error:
        raise DataError(f"product {product_id!r}, {error}") from None
    if words is None:
        words = () if reader is None else reader.words_on(images)
    if boxes is None:
        boxes = () if reader is None else reader.regions_on(images)
    return Product(
        product_id=product_id,
        source="served",
        title=title or "",
        text=text or "",
        category=category,
        images=images,
        ocr=words,
        regions=boxes,
    )


def _images(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Pictures as paths or data URIs."""
    pictures = _list(row, "images")
    if pictures is None:
        picture = row.get("image")
        image = data_uri(picture) if isinstance(picture, bytes) else _text(row, "image")
        return (image,) if image else ()
    found = []
    for number, picture in enumerate(pictures):
        if not isinstance(picture, str | bytes) or not picture:
            raise _wrong(f"images[{number}]", picture, "neither a path, a data URI nor bytes")
        found.append(data_uri(picture) if isinstance(picture, bytes) else _spelled(f"images[{number}]", picture))
    return tuple(found)


def _word(entry: object, field: str) -> OcrToken:
    entry = _object(entry, field, required="text", optional="box")
    text, box = entry["text"], entry.get("box")
    if not isinstance(text, str) or not text:
        raise _wrong(f"{field}.text", text, "not a word")
    return OcrToken(_spelled(f"{field}.text", text), None if _is_empty(box) else _box(box, f"{field}.box"))


def _region(entry: object, field: str) -> Box:
    return _box(_object(entry, field, required="box")["box"], f"{field}.box")


def _box(value: object, field: str) -> Box:
    if not isinstance(value, Mapping) or set(value) != set(_EDGES):
        raise _wrong(field, value, f"not an object of {', '.join(_EDGES)}")
    box = Box(*(_share(value[edge], f"{field}.{edge}") for edge in _EDGES))
    if box.left > box.right or box.top > box.bottom:
        raise _wrong(field, value, "left is beyond right, or top below bottom")
    return as_recorded(box)


def _share(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise _wrong(field, value, "not a share of the picture (0..1)")
    return float(value)


def _object(entry: object, field: str, *, required: str, optional: str = "") -> Mapping[Any, Any]:
    if not isinstance(entry, Mapping) or required not in entry or set(entry) - {required, optional}:
        keys = f"{required} and, if known, {optional}" if optional else required
        raise _wrong(field, entry, f"not an object with {keys}")
    return entry


def _list(row: Mapping[Any, Any], field: str) -> list[Any] | None:
    """A cell that is a list; None where nothing is said."""
    cell = row.get(field)
    if _is_empty(cell):
        return None
    if not isinstance(cell, list | tuple | np.ndarray):
        raise _wrong(field, cell, "not a list")
    if len(cell) > MAX_ENTRIES:
        raise DataError(f"field {field}: {len(cell):,} entries, more than {MAX_ENTRIES:,}")
    return list(cell)


def _is_empty(cell: object) -> bool:
    """Nothing, as Python and as pandas write it."""
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


def _edges(box: Box) -> dict[str, float]:
    return dict(zip(_EDGES, astuple(box), strict=True))


def _wrong(field: str, value: object, problem: str) -> DataError:
    said = repr(value)
    return DataError(f"field {field}: {said if len(said) <= 80 else said[:77] + '...'}: {problem}")


def _text(row: Mapping[Any, Any], field: str) -> str | None:
    """A cell that is text; None where it is none or empty."""
    cell = row.get(field)
    return _spelled(field, cell) if isinstance(cell, str) and cell else None


def _spelled(field: str, text: str) -> str:
    """Text of whole characters. JSON can hold half of one, which no tokenizer takes."""
    if not is_unicode(text):
        raise _wrong(field, text, "half a character (a lone surrogate)")
    return text
