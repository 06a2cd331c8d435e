"""WooCommerce's product export: a CSV of a row for each product and each variation.

The columns are those that WooCommerce documents, in English ("ID", "Type", "Parent", "Attribute 1 name", ...); others,
such as prices, stock and weight for the post, are left alone. Variations that follow their parent are one product with
it; one that stands alone is a product in the group of its parent.

    product_id  the ID, else the SKU     title        the name
    text        short and long description, HTML as a shopper's browser has it
    category    of "Clothing > Shirts, Sale" the deepest path, the first of those
    images      the addresses; a file of the same name in the folder of pictures is that picture
    facets      each attribute's name with its values, those of variations too; brands; tags

`dataset.ignore` names attributes that are none, such as Tags. Licence: yours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from facetmill.records import Product
from facetmill.sources.base import BadRow, SourceOptions
from facetmill.sources.exports import Columns, export_files, first_of, listed, listed_in, read_export
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    build_each,
    collect_facets,
    identifier,
    optional_identifier,
    optional_text,
    title,
)

_ATTRIBUTE = re.compile(r"attribute (?P<number>\d+) name")


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the products of a file, or of every table below a folder, in the order of their names.

    Pictures lie in `options.images`, else beside the file. Raises `DataError` where there is no such file, or one
    without the columns of an export.
    """
    for file in export_files(path):
        build = partial(_product, images=ImageFolder(options.images or file.parent), ignored=frozenset(options.ignore))
        rows = read_export(file, ("Type", "SKU", "Name", "Parent"), "WooCommerce product export", _family)
        yield from build_each(file, rows, build)


def _family(columns: Columns) -> str:
    """How WooCommerce names the parent of a variation: by its SKU, else by its ID."""
    number = first_of(columns, "id")
    own = first_of(columns, "sku") or (f"id:{number}" if number else "")
    return first_of(columns, "parent") if "variation" in first_of(columns, "type").casefold() else own


def _product(row: Row, images: ImageFolder, ignored: frozenset[str]) -> Product:
    columns: Columns = row.fields
    facets, absent = collect_facets(pair for pair in _pairs(columns) if pair[0] not in ignored)
    said = {"ID": first_of(columns, "id", "sku"), "Name": first_of(columns, "name"), "Parent": _family(columns)}
    texts = (first_of(columns, name) for name in ("short description", "description"))
    paths = [re.sub(r"\s*>\s*", " > ", path) for path in listed_in(columns, "categories")]
    return Product(
        product_id=identifier(said, "ID"),
        source="woocommerce",
        title=title(said, "Name"),
        # The export writes a line break as a backslash and an n.
        text=optional_text({"Description": "\n".join(filter(None, texts)).replace("\\n", "\n")}, "Description"),
        category=max(paths, key=lambda path: path.count(">"), default=None),
        group_id=optional_identifier(said, "Parent"),
        images=images.paths("Images", listed_in(columns, "images")),
        facets=facets,
        absent=absent,
    )


def _pairs(columns: Columns) -> Iterator[tuple[str, str]]:
    for column in columns:
        if found := _ATTRIBUTE.fullmatch(column):
            name, values = columns[column][0], columns.get(f"attribute {found['number']} value(s)", ())
            yield from ((name, value) for cell in values for value in listed(cell))
    yield from (("Brand", brand) for brand in listed_in(columns, "brands"))
    yield from (("Tags", tag) for tag in listed_in(columns, "tags"))
