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
from functools import partial
from pathlib import Path

from facetmill.records import Product, Split
from facetmill.sources.base import BadRow, Reason, RowError, SourceOptions
from facetmill.sources.rows import (
    Row,
    build_each,
    collect_facets,
    input_files,
    named_split,
    optional_text,
    read_json_lines,
    required,
    title,
)


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the titles of a file, or of every `.jsonl` below a folder, in the order of their names.

    The files carry no ids, so `product_id` is folder/file/line with lines from 0 ("oa-mine/train/17"), and listings
    with the same title (but for case and spacing) share a group. Those of `train.jsonl`, `train_1.0.jsonl` and
    `test.jsonl` come with that split. Raises `DataError` when there is no such file.
    """
    for file in input_files(path, ".jsonl"):
        yield from build_each(file, read_json_lines(file), partial(_product, file=file))


def _product(row: Row, file: Path) -> Product:
    name = title(row.fields, "input")
    facets, absent = collect_facets(scored_pairs(required(row.fields, "target_scores")), first_decides=True)
    return Product(
        product_id=f"{file.resolve().parent.name}/{file.stem}/{row.number - 1}",
        source="extractgpt",
        title=name,
        category=optional_text(row.fields, "category") or None,
        group_id=hashlib.sha256(" ".join(name.casefold().split()).encode()).hexdigest()[:16],
        facets=facets,
        absent=absent,
        split=split_of_file(file),
    )


def split_of_file(file: Path) -> Split | None:
    """`train_0.2.jsonl` is a part of train."""
    return named_split(file.name.partition(".")[0].partition("_")[0])


def scored_pairs(scores: object) -> Iterator[tuple[str, str]]:
    """The (attribute, value) pairs of a `target_scores` object; the scores themselves are always 1."""
    if not isinstance(scores, dict):
        raise RowError("target_scores", scores, Reason.WRONG_TYPE)
    for attribute, values in scores.items():
        if not isinstance(values, dict):
            raise RowError(f"target_scores.{attribute}", values, Reason.WRONG_TYPE)
        for value in values:
            yield attribute, value
