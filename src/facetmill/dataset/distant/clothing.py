"""Clothing Dataset: 5,000 garments photographed at home by 350 people, each with one of twenty labels.

`images.csv` with header `image,sender_id,label,kids`, pictures as `images/<image>.jpg`. Free for any use (CC0). Tasks
are named after the columns. "Not sure", "Skip" and "Other" are what people chose who had no label to give. One person's
photographs share floor, light and garments, so the sender is the group.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    build_each,
    identifier,
    input_file,
)
from facetmill.sources.tables import read_table, require_columns

NO_LABEL = frozenset({"Not sure", "Skip", "Other"})
_COLUMNS = ("image", "sender_id", "label", "kids")


def read(path: Path) -> Iterator[LabelledPicture | BadRow]:
    """Stream the rows of `images.csv` in a folder. Raises `DataError` when it is not there or lacks a column."""
    file = input_file(path / "images.csv")
    header, rows = read_table(file, ",")
    require_columns(file, header, *_COLUMNS)
    images = ImageFolder(path / "images")

    def build(row: Row) -> LabelledPicture:
        label = identifier(row.fields, "label")
        if label in NO_LABEL:
            raise RowError("label", label, Reason.NO_LABEL)
        (picture,) = images.paths("image", [f"{identifier(row.fields, 'image')}.jpg"])
        labels = {"label": (label,), "kids": (identifier(row.fields, "kids"),)}
        return LabelledPicture(picture, identifier(row.fields, "sender_id"), labels)

    yield from build_each(file, rows, build)
