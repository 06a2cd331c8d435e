"""ExtractGPT's task files: product titles with explicit attribute values (AE-110k and OA-Mine subsets).

JSON lines of {input, category, target_scores{attribute{value: 1}}}; the value "n/a" says the title has none. The
public train parts hold 1,568 (AE-110k) and 1,452 (OA-Mine) titles, ten categories each.
Licence: Apache-2.0, with the publishers' wish that the files do not enter training corpora of language models: use
them in place, do not copy them.

OA-Mine keeps one value per attribute, so a title with two colours has one gold colour; AE-110k states "n/a" only where
its source did, and in a few slots a value besides: the authors' metric takes what stands first, and so does `na_f1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from facetmill.records import Product
from facetmill.sources.base import BadRow, Reason, SourceOptions
from facetmill.sources.rows import (
    Row,
    RowError,
    build_each,
    collect_facets,
    input_file,
    optional_text,
    read_json_lines,
    required,
    title,
)


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the titles of one file.

    The files carry no ids, so `product_id` is folder/file/line with lines from 0 ("oa-mine/train/17"), and listings
    with the same title (but for case and spacing) share a group. Raises `DataError` when there is no such file.
    """
    prefix = f"{path.resolve().parent.name}/{path.stem}"

    def build(row: Row) -> Product:
        name = title(row.fields, "input")
        facets, absent = collect_facets(scored_pairs(required(row.fields, "target_scores")), first_decides=True)
        return Product(
            product_id=f"{prefix}/{row.number - 1}",
            source="extractgpt",
            title=name,
            category=optional_text(row.fields, "category") or None,
            group_id=hashlib.sha256(" ".join(name.casefold().split()).encode()).hexdigest()[:16],
            facets=facets,
            absent=absent,
        )

    yield from build_each(path, read_json_lines(input_file(path)), build)


def scored_pairs(scores: object) -> Iterator[tuple[str, str]]:
    """The (attribute, value) pairs of a `target_scores` object; the scores themselves are always 1."""
    if not isinstance(scores, dict):
        raise RowError("target_scores", scores, Reason.WRONG_TYPE)
    for attribute, values in scores.items():
        if not isinstance(values, dict):
            raise RowError(f"target_scores.{attribute}", values, Reason.WRONG_TYPE)
        for value in values:
            yield attribute, value
