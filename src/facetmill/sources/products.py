"""Your own catalogue: a table (`.csv`, `.tsv`, `.txt`), a spreadsheet (`.xlsx`, `.ods` and their kin), `.jsonl`,
`.json` (a list of products, or an object with one such list, as APIs answer), `.parquet`; text as `.gz` or `.zst` too.

How a table is written is told by its content: see `tables` and `text_files`. Of a folder every such file is read; each
other is named and counted, but for pictures and what systems put beside (`__MACOSX`, `.DS_Store`, `~$book.xlsx`).
Cells that say that nothing is known (`#N/A`, `NULL`, `nan`, `-`) are unknown, and counted.

Columns are found by our names, or by the usual others, in any case: product_id, id or sku, title or name, text or
description, category, group_id, images or image, facets. `dataset.columns` of params.yaml maps the rest: {our field:
your column}. Only product_id and title must be there. `images` is a list, or text with `|` between the names.

Facets come in one of two ways:

1. A column `facets` with a JSON object: {"Color": "red", "Material": ["wool", "silk"], "Size": null}. null and "n/a"
   say that the product has no such value (*absent*); an attribute left out is unknown. Other columns are ignored. In
   Parquet it may also be a map column; a struct column cannot tell absent from unknown and is refused.
2. No such column: then *every remaining column is an attribute*, as in `id,title,Color,Material`. An empty cell is
   unknown, `n/a` is absent, `|` separates several values. `dataset.ignore` of params.yaml names the columns that are
   no attributes, such as prices and links.

A column with a split of yours (train, validation or val or valid or dev, test; empty is none) is taken as such where
`dataset.columns` says so: {split: your column}. `split.keep_published` of params.yaml keeps it.

Licence: yours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from facetmill.errors import DataError
from facetmill.records import Product, Split
from facetmill.sources import strict_json
from facetmill.sources.any_table import DELIMITED, TABLES, read_any_table
from facetmill.sources.base import BadRow, Reason, RowError, SourceOptions, Stretch
from facetmill.sources.json_arrays import read_json_array
from facetmill.sources.parquet import ParquetTable
from facetmill.sources.plain import PlainProducts
from facetmill.sources.rows import (
    MAX_NUMBER,
    ImageFolder,
    Row,
    Rows,
    bad_row,
    build_each,
    collect_facets,
    cut_lines,
    identifier,
    input_file,
    named_split,
    optional_identifier,
    optional_text,
    read_json_lines,
    spec_pairs,
    title,
    without_unknown,
)
from facetmill.sources.tables import shown_names
from facetmill.sources.text_files import text_file

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "product_id": ("product_id", "id", "sku"),
    "title": ("title", "name"),
    "text": ("text", "description"),
    "category": ("category",),
    "group_id": ("group_id",),
    "images": ("images", "image"),
    "facets": ("facets",),
}
_SPLIT = "split"  # never found by its name alone: it may be an attribute
_REQUIRED = ("product_id", "title")
LINES = (".jsonl", ".ndjson")
OBJECTS = (*LINES, ".json")
PARQUET = ".parquet"
_ANYTHING = (".txt", ".json")  # which may be products, or somebody's words or settings
SUFFIXES = (PARQUET, *OBJECTS, *TABLES)
_COMPRESSED = (".gz", ".zst")
_ASIDE = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what systems put beside files
_ASIDE_BEGINS = (".", "~$")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".svg")
_SEPARATOR = "|"


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the products of a file, or of every such file below a folder, in the order of their names.

    Pictures are named relative to `options.images`, else to the folder of their file. Raises `DataError` for a file of
    another kind, a header without product_id or title, and a mapping to, or an ignored, column that is not there.
    """
    if unknown := set(options.columns) - {*USUAL_NAMES, _SPLIT}:
        fields = ", ".join((*USUAL_NAMES, _SPLIT))
        raise DataError(f"dataset.columns: unknown field {min(unknown)!r}; fields are {fields}")
    for file in [options.only.file] if options.only else catalogue_files(path):
        try:
            rows = _rows(file, options)
        except DataError as error:
            if file == path or (kind_of(file) in SUFFIXES and kind_of(file) not in _ANYTHING):
                raise
            yield bad_row(file, 1, "file", error, Reason.FILE_NOT_READ)
            continue
        reader = _Catalogue(options.columns, frozenset(options.ignore), ImageFolder(options.images or file.parent))
        yield from build_each(file, without_unknown(file, rows), reader.product)


def cut(path: Path) -> list[Stretch]:
    """JSON lines between any two lines, other files each by itself: a cell of a CSV may hold line ends."""
    return [
        stretch
        for file in catalogue_files(path)
        for stretch in (cut_lines(file) if file.suffix.lower() in LINES else [Stretch(file)])
    ]


def catalogue_files(path: Path) -> list[Path]:
    """`path`, or what lies below the folder `path` and is neither a picture nor put there by a system.

    Raises `DataError` where there is no catalogue among them, and as `input_file` does.
    """
    if not path.is_dir():
        return [input_file(path)]
    found = [input_file(file) for file in sorted(path.rglob("*")) if not _is_aside(file, path) and file.is_file()]
    if not any(kind_of(file) in SUFFIXES for file in found):
        raise DataError(f"{path}: no file ending in {', '.join(SUFFIXES)}")
    return found


def _is_aside(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    return file.suffix.lower() in _PICTURES or any(part in _ASIDE or part.startswith(_ASIDE_BEGINS) for part in parts)


def kind_of(file: Path) -> str:
    """The ending that says what is in a file, also where it is compressed text."""
    ending, inside = file.suffix.lower(), file.with_suffix("").suffix.lower()
    return inside if ending in _COMPRESSED and inside in (*LINES, *DELIMITED) else ending


def _rows(path: Path, options: SourceOptions) -> Rows:
    kind = kind_of(path)
    if kind in OBJECTS:
        # They may differ in their keys, so there is no header to check.
        return read_objects(path, options.only)
    if kind in TABLES:
        header, rows = read_any_table(path, {*usual_names(), *options.columns.values(), *options.ignore})
        _check_header(path, header, options)
        return rows
    if kind == PARQUET:
        table = ParquetTable(path)
        _check_header(path, table.header, options)
        _require_no_struct(table, _place("facets", options.columns, table.header))
        return table.rows(_used(table.header, options))
    raise DataError(f"{path}: a catalogue is one of {', '.join(SUFFIXES)}, not {path.suffix or 'without ending'!r}")


def read_objects(path: Path, only: Stretch | None = None) -> Rows:
    """The objects of a file of JSON lines, also compressed, or of a stretch of it; or of the list in a JSON file."""
    if kind_of(path) not in LINES:
        elements = (row for row in read_json_array(path, may_be_wrapped=True) if not isinstance(row, PlainProducts))
        first = list(islice(elements, 1))  # tells at once what is no list
        return chain(first, elements)
    opened = text_file(path).opened if path.suffix.lower() in _COMPRESSED else None
    return read_json_lines(path, only, opened, nan_is_text=True)


def usual_names() -> Iterator[str]:
    """What columns are called that say more than an attribute."""
    return chain.from_iterable(USUAL_NAMES.values())


def _check_header(path: Path, header: list[str], options: SourceOptions) -> None:
    names, present = shown_names(header), frozenset(header)
    for column in options.ignore:
        if column not in present:
            raise DataError(f"{path}: dataset.ignore names {column!r}, but the columns are {names}")
    for field, column in options.columns.items():
        if column not in present:
            raise DataError(f"{path}: dataset.columns maps {field} to {column!r}, but the columns are {names}")
    for field in _REQUIRED:
        if _place(field, options.columns, header) is None:
            raise DataError(f"{path}: no column for {field}; name it in dataset.columns. The columns are {names}")


def _used(header: Sequence[str], options: SourceOptions) -> list[str]:
    """The columns that say something of a product."""
    places = _places(tuple(options.columns.items()), tuple(header))
    if places["facets"] in header:
        fields = {*places.values(), *options.columns.values()}
        return [name for name in header if name in fields]
    ignored = frozenset(options.ignore)
    return [name for name in header if name not in ignored]


def _require_no_struct(table: ParquetTable, facets: str | None) -> None:
    if facets is not None and pa.types.is_struct(table.kinds[facets]):
        raise DataError(
            f"{table.path}: column {facets!r} is a struct, whose null may mean absent or unknown; "
            "store it as JSON text or as a map"
        )


def _place(field: str, columns: Mapping[str, str], present: Iterable[str]) -> str | None:
    """The column that holds `field`: the mapped one, else the first usual name that is present, in any case."""
    if field in columns:
        return columns[field]
    taken = set(columns.values())
    free = {name.casefold(): name for name in reversed(list(present)) if name not in taken}
    return next((free[name] for name in USUAL_NAMES[field] if name in free), None)


@lru_cache(maxsize=8)  # rows of a table all have the same columns
def _places(columns: tuple[tuple[str, str], ...], present: tuple[str, ...]) -> Mapping[str, str]:
    return {field: _place(field, dict(columns), present) or field for field in USUAL_NAMES}


@dataclass(frozen=True, slots=True)
class _Catalogue:
    columns: Mapping[str, str]
    ignored: frozenset[str]
    images: ImageFolder

    def product(self, row: Row) -> Product:
        at = _places(tuple(self.columns.items()), tuple(row.fields))
        if at["facets"] in row.fields:
            pairs = spec_pairs(at["facets"], _json_object(at["facets"], row.fields[at["facets"]]))
        else:
            known = self.ignored.union(at.values(), self.columns.values())
            pairs = _wide_pairs({name: cell for name, cell in row.fields.items() if name not in known})
        facets, absent = collect_facets(pairs)
        return Product(
            product_id=identifier(row.fields, at["product_id"]),
            source="products",
            title=title(row.fields, at["title"]),
            text=optional_text(row.fields, at["text"]),
            category=optional_text(row.fields, at["category"]).strip() or None,
            group_id=optional_identifier(row.fields, at["group_id"]),
            images=self.images.paths(at["images"], _names(row.fields.get(at["images"]))),
            facets=facets,
            absent=absent,
            split=_split(row, self.columns[_SPLIT]) if _SPLIT in self.columns else None,
        )


def _split(row: Row, column: str) -> Split | None:
    name = optional_text(row.fields, column).strip()
    split = named_split(name)
    if name and split is None:
        raise RowError(column, row.fields[column], Reason.UNKNOWN_SPLIT)
    return split


def _names(cell: object) -> object:
    if cell is None:
        return []
    return [name for part in cell.split(_SEPARATOR) if (name := part.strip())] if isinstance(cell, str) else cell


def _json_object(field: str, cell: object) -> object:
    """The facets of a cell: an object already, or JSON text of one. An empty cell says nothing."""
    if cell is None or cell == "":
        return {}
    if not isinstance(cell, str):
        return cell
    try:
        return strict_json.loads(cell)
    except RowError as error:
        raise RowError(field, error.value, error.reason) from None


def _wide_pairs(cells: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for attribute, cell in cells.items():
        for value in cell if isinstance(cell, list) else [cell]:
            for part in _written(attribute, value).split(_SEPARATOR):
                yield attribute, part


def _written(attribute: str, value: object) -> str:
    """A cell as a person would write it: whole numbers without ".0", yes and no as JSON has them, no value as empty."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            if math.isnan(value):
                return ""
            if not -MAX_NUMBER < value < MAX_NUMBER:
                raise RowError(attribute, value, Reason.NUMBER_OUT_OF_RANGE)
            return str(int(value)) if value.is_integer() else str(value)
        case str() | int():
            return str(value)
        case _:
            raise RowError(attribute, value, Reason.WRONG_TYPE)
