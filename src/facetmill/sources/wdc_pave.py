"""WDC-PAVE: web offers with title and description and the values annotators found in either.

JSON lines of {id, cluster_id, category, input_title, input_description, target_scores{attribute{value: {pid, score}}}}.
`pid` says which field a value stands in (0 = title, 1 = description); it is no position, so spans come from matching
and the hint is not kept. The public train part holds 1,066 offers, five categories, up to 70 attributes.
Licence: none stated; research use.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from facetmill.records import Product, Split
from facetmill.sources.base import BadRow, SourceOptions
from facetmill.sources.extractgpt import scored_pairs, split_of_file
from facetmill.sources.rows import (
    Row,
    build_each,
    collect_facets,
    identifier,
    input_files,
    optional_identifier,
    optional_text,
    read_json_lines,
    required,
    title,
)


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the offers of a file, or of every `.jsonl` below a folder, in the order of their names; offers of one
    cluster are one group, and those of `train.jsonl` and `test.jsonl` come with that split. Raises `DataError` without
    such a file."""
    for file in input_files(path, ".jsonl"):
        yield from build_each(file, read_json_lines(file), partial(_product, split=split_of_file(file)))


def _product(row: Row, split: Split | None) -> Product:
    facets, absent = collect_facets(scored_pairs(required(row.fields, "target_scores")), first_decides=True)
    return Product(
        product_id=identifier(row.fields, "id"),
        source="wdc-pave",
        title=title(row.fields, "input_title"),
        text=optional_text(row.fields, "input_description"),
        category=optional_text(row.fields, "category") or None,
        group_id=optional_identifier(row.fields, "cluster_id"),
        facets=facets,
        absent=absent,
        split=split,
    )
