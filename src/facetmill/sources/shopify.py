"""Shopify's product export: a CSV of one product in several rows, a row for each variant and each picture.

The columns are those that Shopify documents, under their names of 2025 ("URL handle", "Product image URL") or before
("Handle", "Image Src"); others, such as prices and stock, are left alone. Neighbours with one handle are one product:

    product_id  the handle               title, text  of its first row; the text is HTML, as a shopper's browser has it
    category    the product category, else the type
    images      the addresses; a file of the same name in the folder of pictures is that picture
    facets      each option's name with the values of all variants ("Default Title" is none); metafields such as
                "Color (product.metafields.shopify.color-pattern)"; vendor, type, gender, age group; tags, of which
                "Color:Red" is a colour, and one without colon a value of Tags

`dataset.ignore` names attributes that are none, such as Tags. Licence: yours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from facetmill.records import Product
from facetmill.sources.base import BadRow, SourceOptions
from facetmill.sources.exports import METAFIELD, Columns, export_files, first_of, listed_in, read_export
from facetmill.sources.rows import ImageFolder, Row, build_each, collect_facets, identifier, optional_text, title

_NUM_OPTIONS = 3
_NO_OPTION = "Default Title"  # what the one variant of a product without options is called
_PAIR = re.compile(r"(?P<name>[^\W\d][\w -]*?)\s*:\s*(?P<value>\S.*)")
_ATTRIBUTES = {
    "Vendor": ("vendor",),
    "Gender": ("google shopping / gender",),
    "Age group": ("google shopping / age group",),
}


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the products of a file, or of every table below a folder, in the order of their names.

    Pictures lie in `options.images`, else beside the file. Raises `DataError` where there is no such file, or one
    without the columns of an export.
    """
    for file in export_files(path):
        build = partial(_product, images=ImageFolder(options.images or file.parent), ignored=frozenset(options.ignore))
        yield from build_each(
            file, read_export(file, ("Title", "Option1 Name"), "Shopify product export", _handle), build
        )


def _handle(columns: Columns) -> str:
    return first_of(columns, "url handle", "handle")


def _product(row: Row, images: ImageFolder, ignored: frozenset[str]) -> Product:
    columns: Columns = row.fields
    category, kind = first_of(columns, "product category"), first_of(columns, "type")
    pairs = [*_pairs(columns), *([("Type", kind)] if category and kind else [])]
    facets, absent = collect_facets(pair for pair in pairs if pair[0] not in ignored)
    said = {"Handle": _handle(columns), "Title": first_of(columns, "title")}
    return Product(
        product_id=identifier(said, "Handle"),
        source="shopify",
        title=title(said, "Title"),
        text=optional_text({"Body": first_of(columns, "description", "body (html)")}, "Body"),
        category=(category or kind).strip() or None,
        images=images.paths("Image Src", list(dict.fromkeys(_addresses(columns)))),
        facets=facets,
        absent=absent,
    )


def _addresses(columns: Columns) -> Iterator[str]:
    for name in ("product image url", "image src", "variant image url", "variant image"):
        yield from columns.get(name, ())


def _pairs(columns: Columns) -> Iterator[tuple[str, str]]:
    for number in range(1, _NUM_OPTIONS + 1):
        if name := first_of(columns, f"option{number} name"):
            values = columns.get(f"option{number} value", ())
            yield from ((name, value) for value in values if value.strip() != _NO_OPTION)
    for column, cells in columns.items():
        if found := METAFIELD.fullmatch(column):
            yield from ((found["name"], value) for cell in cells for value in cell.split(";"))
    for attribute, names in _ATTRIBUTES.items():
        yield attribute, first_of(columns, *names)
    for tag in listed_in(columns, "tags"):
        pair = _PAIR.fullmatch(tag)
        yield (pair["name"], pair["value"]) if pair else ("Tags", tag)
