"""What a source is: a reader that yields products, and says so of every row that is not one.

Products that hold nothing unusual may come many at a time, as columns (`plain.py`). A reader never raises for a bad row
and never skips one in silence: it yields a `BadRow` in its place. It raises `DataError` only when the input as a whole
cannot be read (no such file, not the right kind of file).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from facetmill.params import DemoParams
from facetmill.records import Product
from facetmill.sources.plain import PlainProducts


class Reason(StrEnum):
    """Why a row, or a picture of it, was not taken; the values are keys in reports."""

    BROKEN_JSON = "broken_json"
    DUPLICATE_KEY = "duplicate_key"
    NESTED_TOO_DEEP = "nested_too_deep"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    BROKEN_TABLE_ROW = "broken_table_row"
    ROW_TOO_LARGE = "row_too_large"
    WRONG_ENCODING = "wrong_encoding"
    NUL_BYTE = "nul_byte"
    LINE_TOO_LONG = "line_too_long"
    TEXT_TOO_LONG = "text_too_long"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    EMPTY_TITLE = "empty_title"
    SPACE_IN_TEXT = "space_in_text"
    UNCLOSED_TAG = "unclosed_tag"
    TAGS_DISAGREE = "tagged_text_differs_from_plain_text"
    SPAN_OUT_OF_TEXT = "span_out_of_text"
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_SPLIT = "unknown_split"
    NO_LABEL = "no_label"
    PATH_LEAVES_FOLDER = "path_leaves_folder"
    MISSING_IMAGE = "missing_image"
    CORRUPT_IMAGE = "corrupt_image"
    IMAGE_FORMAT_NOT_READ = "image_format_not_read"
    IMAGE_TOO_LARGE = "image_too_large"
    UNKNOWN_VALUE = "unknown_value"
    FILE_NOT_READ = "file_not_read"
    SHEET_NOT_READ = "sheet_not_read"
    READ_AS_WINDOWS_1252 = "read_as_windows_1252"


#: Reasons that cost a product one picture, not its place in the dataset.
IMAGE_REASONS = frozenset(
    {Reason.MISSING_IMAGE, Reason.CORRUPT_IMAGE, Reason.IMAGE_FORMAT_NOT_READ, Reason.IMAGE_TOO_LARGE}
)

#: Reasons that cost no row: a cell, a sheet or a file that says nothing of products, or what was taken for granted.
NOTES = frozenset({Reason.UNKNOWN_VALUE, Reason.FILE_NOT_READ, Reason.SHEET_NOT_READ, Reason.READ_AS_WINDOWS_1252})


@dataclass(frozen=True, slots=True)
class BadRow:
    """One thing that was not taken. `row` counts from 1 as a person would (line, or element of a JSON array)."""

    file: str
    row: int
    field: str
    value: str
    reason: Reason

    def __str__(self) -> str:
        shown = self.value if len(self.value) <= 80 else self.value[:77] + "..."
        return f"{self.file}, row {self.row}, field {self.field}: {self.reason} ({shown!r})"


class RowError(Exception):
    """One field of a row is not as the format says; `build_each` adds the file and the row."""

    def __init__(self, field: str, value: object, reason: Reason) -> None:
        super().__init__(field, value, reason)
        self.field, self.value, self.reason = field, value, reason


@dataclass(frozen=True, slots=True)
class Stretch:
    """What can be read by itself: a file, or its lines from byte `start` up to byte `end`, of which the first is line
    number `first_line`."""

    file: Path
    start: int = 0
    end: int | None = None
    first_line: int = 1


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a reader may need beyond its path. `categories` says what a category of the data is to be called, which
    intake sees to. `scratch` is where a source that draws pictures may write them. `only` is the stretch to read, one
    of those that its source was cut into; None = all."""

    demo: DemoParams
    images: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    categories: Mapping[str, str] = field(default_factory=dict)
    scratch: Path | None = None
    only: Stretch | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One format. `read` streams; its memory does not grow with the number of rows. `licence` is that of the data.

    `read` yields image paths as the source names them, joined to their folder; ingest checks each picture. `cut` gives
    the stretches of a source whose files several processes may read: one after the other they hold just the rows of
    the whole. It raises `DataError` as `read` does. None = only as a whole.
    """

    name: str
    summary: str
    licence: str
    read: Callable[[Path, SourceOptions], Iterator[Product | PlainProducts | BadRow]]
    cut: Callable[[Path], list[Stretch]] | None = None
