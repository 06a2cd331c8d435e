"""Google Merchant's product feed: XML (RSS 2.0 or Atom, with the names of `g:`) or a table, mostly TSV.

Names are those that Google documents ("image_link", "item_group_id"), in a table also with spaces; others, such as
prices and links, are left alone. Each item is a product:

    product_id  id                       title, text  title and description
    category    the first product_type, else google_product_category
    group_id    item_group_id: variants of one product are one group
    images      image_link and additional_image_link; a file of the same name in the folder of pictures is that picture
    facets      brand, color, size, material, pattern, gender and age_group, "red/blue" as two; each product_detail's
                attribute with its value

XML is read item by item. A document type is refused, and with it entities that would grow or name other files, and so
is an item above `MAX_ROW_BYTES`. `dataset.ignore` names attributes that are none. Licence: yours.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from facetmill.errors import DataError
from facetmill.records import Product
from facetmill.sources.any_table import read_any_table
from facetmill.sources.base import BadRow, SourceOptions
from facetmill.sources.exports import Columns, export_files, first_of, listed_in
from facetmill.sources.rows import (
    MAX_ROW_BYTES,
    ImageFolder,
    Row,
    Rows,
    build_each,
    collect_facets,
    identifier,
    optional_identifier,
    optional_text,
    title,
    without_unknown,
)
from facetmill.sources.tables import require_columns
from facetmill.sources.text_files import compression_of, unpacked

_XML = (".xml", ".rss", ".atom")
_GOOGLE = "{http://base.google.com/ns/1.0}"
_ITEMS = ("item", "entry")
_DETAIL = "product_detail:"  # before the name of an attribute
_SEVERAL = "/"  # between the values of one item
_ATTRIBUTES = {
    "Brand": "brand",
    "Color": "color",
    "Size": "size",
    "Material": "material",
    "Pattern": "pattern",
    "Gender": "gender",
    "Age group": "age_group",
}
_MAY_BE_SEVERAL = ("Color", "Material", "Pattern")


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the items of a file, or of every table and XML file below a folder, in the order of their names.

    Pictures lie in `options.images`, else beside the file. Raises `DataError`, at any time, where there is no such file
    or it is no feed.
    """
    for file in export_files(path, *_XML):
        build = partial(_product, images=ImageFolder(options.images or file.parent), ignored=frozenset(options.ignore))
        yield from build_each(file, without_unknown(file, items(file)), build)


def items(path: Path) -> Rows:
    """Items, the fields of each `Columns`. What is in a file is told by its first sign, an XML's "<"."""
    return _xml_items(path) if is_xml(path) else _table_items(path)


def is_xml(path: Path) -> bool:
    """Whether a file, perhaps a compressed one, begins as XML does."""
    with unpacked(path, compression_of(path)) as stream:
        start = stream.read(64)
    return start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def _table_items(path: Path) -> Rows:
    names = ("id", "title", "description", "link", "image_link", "image link", "price")
    header, rows = read_any_table(path, names)
    require_columns(path, [_name(name) for name in header], "id", "title")
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        columns = {_name(name): [cell] for name, cell in row.fields.items() if cell.strip()}
        for detail in listed_in(columns, "product_detail"):
            attribute, value = _detail(detail)
            columns.setdefault(_DETAIL + attribute, []).append(value)
        yield Row(row.number, columns)


def _detail(text: str) -> tuple[str, str]:
    """The attribute and the value of "section:attribute:value", of which the section may be missing."""
    section, _, rest = text.partition(":")
    attribute, colon, value = rest.partition(":")
    return (attribute.strip(), value) if colon else (section.strip(), rest)


def _name(written: str) -> str:
    return written.casefold().removeprefix("g:").replace(" ", "_")


def _xml_items(path: Path) -> Rows:
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    number, ancestors = 0, []
    with unpacked(path, compression_of(path)) as stream:
        bounded = _Bounded(path, stream)
        try:
            for event, element in iterparse(bounded, events=("start", "end"), forbid_dtd=True):
                if event == "start":
                    ancestors.append(element)
                    continue
                ancestors.pop()
                if _local(element.tag) not in _ITEMS:
                    continue
                number += 1
                bounded.restart()
                yield Row(number, _item_columns(element))
                if ancestors:
                    ancestors[-1].clear()  # of what was read; memory does not grow with the number of items
        except DefusedXmlException:
            raise DataError(
                f"{path}: has a document type or entities, which no feed needs; remove <!DOCTYPE ...>"
            ) from None
        except (ParseError, LookupError, ValueError) as error:
            raise DataError(f"{path}: no whole XML: after item {number}: {error}") from None
    if number == 0:
        raise DataError(f"{path}: no <item> and no <entry> in it; a feed is RSS 2.0 or Atom")


class _Bounded:
    """The bytes of a file, of which `MAX_ROW_BYTES` at most may stand between two items."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        self.restart()

    def restart(self) -> None:
        self._left = MAX_ROW_BYTES

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError(f"{self._path}: more than {MAX_ROW_BYTES:,} bytes without an item")
        return chunk


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _item_columns(item: Any) -> dict[str, list[str]]:
    """What an item says; Google's own names go before those of RSS and Atom."""
    columns: dict[str, list[str]] = {}
    children = sorted(item, key=lambda child: not str(child.tag).startswith(_GOOGLE))
    for child in children:
        name = _local(str(child.tag))
        text = "".join(child.itertext()).strip()
        if name == "product_detail":
            parts = {_local(str(part.tag)): (part.text or "").strip() for part in child}
            name, text = _DETAIL + parts.get("attribute_name", ""), parts.get("attribute_value", "")
        if text:
            columns.setdefault(name, []).append(text)
    return columns


def _product(row: Row, images: ImageFolder, ignored: frozenset[str]) -> Product:
    columns: Columns = row.fields
    facets, absent = collect_facets(pair for pair in _pairs(columns) if pair[0] not in ignored)
    said = {name: first_of(columns, name) for name in ("id", "title", "item_group_id")}
    return Product(
        product_id=identifier(said, "id"),
        source="merchant",
        title=title(said, "title"),
        text=optional_text({"description": first_of(columns, "description", "summary", "content")}, "description"),
        category=first_of(columns, "product_type", "google_product_category").strip() or None,
        group_id=optional_identifier(said, "item_group_id"),
        images=images.paths("image_link", listed_in(columns, "image_link", "additional_image_link")),
        facets=facets,
        absent=absent,
    )


def _pairs(columns: Columns) -> Iterator[tuple[str, str]]:
    for attribute, name in _ATTRIBUTES.items():
        for cell in columns.get(name, ()):
            values = cell.split(_SEVERAL) if attribute in _MAY_BE_SEVERAL else [cell]
            yield from ((attribute, value) for value in values)
    for name, cells in columns.items():
        attribute = name.removeprefix(_DETAIL)
        if attribute and attribute != name:
            yield from ((attribute, cell) for cell in cells)
