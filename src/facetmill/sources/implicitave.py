"""ImplicitAVE: Amazon titles with one value each that stands in the picture, not in the title.

Tab-separated with header `id images category texts attribute_names attribute_values`; `texts` is "[Title] " and the
title. Five domains, 25 domain-attribute pairs; of the public rows, 1,143 come with their picture (`labelled/`) and
68,604 without (`titles_only/`, whose named pictures are reported as missing). Licence: none stated; research use.

The same listing is asked for several attributes in several rows, so a row's id is `id:attribute` and the listing is
its group. Rows of `train.tsv`, `val.tsv` and `test.tsv` come with that split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from facetmill.records import Facet, Product, Split
from facetmill.sources.base import BadRow, Reason, RowError, SourceOptions
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    build_each,
    checked,
    identifier,
    input_files,
    named_split,
    optional_text,
    required,
)
from facetmill.sources.tables import read_table, require_columns

_COLUMNS = ("id", "images", "category", "texts", "attribute_names", "attribute_values")


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the rows of a `.tsv`, or of every `.tsv` below a folder, in the order of their names.

    Pictures lie in `options.images`, else in `images/` inside the folder of the data or beside it. Raises `DataError`
    when there is no such file or its header lacks a column.
    """
    images = ImageFolder(options.images or _images_folder(path if path.is_dir() else path.parent))

    def build(row: Row, split: Split | None) -> Product:
        listing, attribute = identifier(row.fields, "id"), identifier(row.fields, "attribute_names")
        picture = checked("images", row.fields["images"]).strip()
        return Product(
            product_id=f"{listing}:{attribute}",
            source="implicitave",
            title=_title(row),
            category=optional_text(row.fields, "category") or None,
            group_id=listing,
            images=images.paths("images", [picture] if picture else []),
            facets=(Facet(attribute, identifier(row.fields, "attribute_values")),),
            split=split,
        )

    for file in input_files(path, ".tsv"):
        header, rows = read_table(file, "\t")
        require_columns(file, header, *_COLUMNS)
        yield from build_each(file, rows, partial(build, split=named_split(file.stem)))


def _title(row: Row) -> str:
    text = checked("texts", required(row.fields, "texts")).strip().removeprefix("[Title]").strip()
    if not text:
        raise RowError("texts", row.fields["texts"], Reason.EMPTY_TITLE)
    return text


def _images_folder(folder: Path) -> Path:
    inside, beside = folder / "images", folder.resolve().parent / "images"
    return beside if beside.is_dir() and not inside.is_dir() else inside
