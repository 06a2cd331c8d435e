"""Checked reading that the file sources share: bytes to rows, rows to products, nothing skipped in silence.

A reader hands `build_each` a stream of rows and one function that builds a product from a row. That function calls
the checkers below; each raises `RowError` at the first thing that is wrong, which becomes the `BadRow` of that row.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, TypeVar, overload
from unicodedata import normalize
from urllib.parse import unquote

from facetmill.errors import DataError
from facetmill.records import Facet, Place, Product, Split, is_unicode
from facetmill.sources import strict_json
from facetmill.sources.base import BadRow, Reason, RowError, Stretch
from facetmill.sources.plain import PlainProducts

#: No honest row comes near this; a longer one is reported without ever being held in memory as a whole. Python holds
#: some twenty bytes for each byte of the worst JSON ("[],[],[]").
MAX_ROW_BYTES = 8 * 2**20

#: Characters of a title, a description or a value; books are shorter than this, and models read some hundreds.
MAX_TEXT = 2**20

#: From here on a float no longer tells one whole number from the next.
MAX_NUMBER = 2.0**53

#: How public sets write "an annotator looked and there is no such value".
ABSENT = "n/a"

_CHUNK = 2**20  # bytes at a time: lines are read a third faster than by Python's own 8 KiB, a vast one six times
_STRETCH_BYTES = 16 * 2**20
_SHOWN = 80  # characters of a line that is refused


@dataclass(frozen=True, slots=True)
class Row:
    """One row as its file holds it. `number` counts from 1: the line, or the element of a JSON array."""

    number: int
    fields: Mapping[str, Any]


T = TypeVar("T")
#: Opens a file as the bytes of UTF-8.
Opened: TypeAlias = Callable[[], AbstractContextManager[IO[bytes]]]
Rows: TypeAlias = Iterator[Row | BadRow]


def bad_row(path: Path, number: int, field: str, value: object, reason: Reason) -> BadRow:
    """A `BadRow` that keeps only the start of a value, so that a report never holds a whole broken file.

    What no encoding can hold is shown as "?": the report itself must be writable.
    """
    shown = str(value)[:200].encode(errors="replace").decode()
    return BadRow(str(path), number, field, shown, reason)


@overload
def build_each(path: Path, rows: Rows, build: Callable[[Row], T]) -> Iterator[T | BadRow]: ...
@overload
def build_each(
    path: Path, rows: Iterator[Row | PlainProducts | BadRow], build: Callable[[Row], T]
) -> Iterator[T | PlainProducts | BadRow]: ...
def build_each(path: Path, rows: Iterator[Any], build: Callable[[Row], T]) -> Iterator[T | Any]:
    """What `build` makes of each row of `path`, a product with its place; a row that it refuses becomes a `BadRow`. All
    else is passed on."""
    file = str(path)
    for row in rows:
        if not isinstance(row, Row):
            yield row
            continue
        try:
            built = build(row)
        except RowError as error:
            yield bad_row(path, row.number, error.field, error.value, error.reason)
            continue
        yield replace(built, place=Place(file, row.number)) if isinstance(built, Product) else built


# --- files ------------------------------------------------------------------------------------------------------------


def input_file(path: Path) -> Path:
    """`path` itself. Raises `DataError` when it is not a file, or one whose name no report can hold."""
    if not is_unicode(str(path)):
        raise DataError(f"{os.fsencode(path)!r}: the name of the file is no UTF-8; rename it")
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, expected a file' if path.is_dir() else 'no such file'}")
    return path


def input_files(path: Path, *suffixes: str, only: Stretch | None = None) -> list[Path]:
    """`path`, or every file below the folder `path` that ends in one of `suffixes`, in whatever case, sorted by name;
    just that of the stretch `only` where there is one.

    Raises `DataError` when there is none, and as `input_file` does.
    """
    if only:
        return [only.file]
    if not path.is_dir():
        return [input_file(path)]
    found = [input_file(file) for file in sorted(path.rglob("*")) if file.suffix.lower() in suffixes and file.is_file()]
    if not found:
        raise DataError(f"{path}: no file ending in {' or '.join(suffixes)}")
    return found


def named_split(name: str) -> Split | None:
    """The split that people call so, as in the name of a file or a cell of a table; None for other names."""
    match name.strip().casefold():
        case "train":
            return "train"
        case "validation" | "valid" | "val" | "dev":
            return "validation"
        case "test":
            return "test"
        case _:
            return None


def cut_files(path: Path, *suffixes: str) -> list[Stretch]:
    """Every file as one stretch, in their order. Raises `DataError` as `input_files` does."""
    return [Stretch(file) for file in input_files(path, *suffixes)]


def cut_lines(path: Path, stretch_bytes: int = _STRETCH_BYTES) -> list[Stretch]:
    """A file of which each line is a row, cut at the first line end behind every `stretch_bytes` bytes.

    Raises `DataError` when there is no such file.
    """
    begins, line = [(0, 1)], 1  # byte and line number
    with input_file(path).open("rb", buffering=_CHUNK) as stream:
        while len(block := stream.read(stretch_bytes)) == stretch_bytes:
            line += block.count(b"\n")
            while (rest := stream.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass  # a line may be longer than memory
            line += 1
            begins.append((stream.tell(), line))
    ends = [*(start for start, _ in begins[1:]), None]
    return [Stretch(path, start, end, first) for (start, first), end in zip(begins, ends, strict=True)]


# --- rows of a file ---------------------------------------------------------------------------------------------------


def whole_lines(
    path: Path, only: Stretch | None = None, opened: Opened | None = None
) -> Iterator[tuple[int, str, Reason | None]]:
    """Stream (line number, line with its end, what is wrong with it) of a UTF-8 file, or of a stretch of it. `opened`
    gives the UTF-8 of a file that is another.

    A BOM is dropped. Of a line that is too long only the beginning is given; what is no UTF-8 is U+FFFD.
    """
    only = only or Stretch(path)
    end = math.inf if only.end is None else only.end
    with opened() if opened else path.open("rb", buffering=_CHUNK) as stream:
        at, number = stream.seek(only.start) if only.start else 0, only.first_line - 1
        while at < end and (raw := stream.readline(MAX_ROW_BYTES + 1)):
            at += len(raw)
            number += 1
            encoding = "utf-8-sig" if number == 1 else "utf-8"
            if len(raw) > MAX_ROW_BYTES:
                yield number, raw[:_SHOWN].decode(encoding, errors="replace"), Reason.LINE_TOO_LONG
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(_CHUNK)
                    at += len(raw)
                continue
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError:
                yield number, raw.decode(encoding, errors="replace"), Reason.WRONG_ENCODING
                continue
            yield number, text, Reason.NUL_BYTE if "\0" in text else None


def read_lines(
    path: Path, only: Stretch | None = None, opened: Opened | None = None
) -> Iterator[tuple[int, str] | BadRow]:
    """Stream (line number, line without its end) of a UTF-8 file, or of a stretch of it. Blank lines are no rows; a BOM
    is dropped."""
    for number, text, fault in whole_lines(path, only, opened):
        if fault:
            yield bad_row(path, number, "line", text[:_SHOWN], fault)
        elif text.strip():
            yield number, text.rstrip("\r\n")


def read_json_lines(
    path: Path, only: Stretch | None = None, opened: Opened | None = None, *, nan_is_text: bool = False
) -> Rows:
    """Stream the objects of a JSON-lines file, or of a stretch of it; `opened` as in `whole_lines`, `nan_is_text` as in
    `strict_json.loads`."""
    for line in read_lines(path, only, opened):
        if isinstance(line, BadRow):
            yield line
            continue
        number, text = line
        try:
            yield object_row(path, number, strict_json.loads(text, nan_is_text=nan_is_text))
        except RowError as error:
            yield bad_row(path, number, error.field or "line", error.value, error.reason)


def object_row(path: Path, number: int, value: object) -> Row | BadRow:
    if isinstance(value, dict):
        return Row(number, value)
    return bad_row(path, number, "row", f"{type(value).__name__}, expected an object", Reason.WRONG_TYPE)


def without_unknown(path: Path, rows: Rows) -> Rows:
    """Rows without the cells that say that nothing is known, as null; each is counted by a note.

    Those are what spreadsheets and databases put where a value is missing or cannot be computed: `#N/A`, `#REF!`,
    `Err:502`, `NULL`, `NaN`, `\\N`, and dashes alone. "None" and "unknown" are values, `n/a` is absent.
    """
    for row in rows:
        if isinstance(row, BadRow) or not any(map(_may_hold_unknown, row.fields.values())):
            yield row
            continue
        known = dict(row.fields)
        for name, cell in row.fields.items():
            match cell:
                case list():
                    unknown = list(filter(is_unknown, cell))
                    known[name] = [value for value in cell if not is_unknown(value)]
                case dict():
                    unknown = list(filter(is_unknown, cell.values()))
                    known[name] = {key: value for key, value in cell.items() if not is_unknown(value)}
                case _:
                    unknown = [cell] if is_unknown(cell) else []
                    known[name] = None if unknown else cell
            for value in unknown:
                yield bad_row(path, row.number, name, value, Reason.UNKNOWN_VALUE)
        yield Row(row.number, known)


_UNKNOWN = re.compile(
    r"\#[¡¿]?[A-ZÀ-Þ/0-9_]+[!?]|\#N/?[AD]|\#NV|\#GETTING_DATA|Err:[0-9]{3}|(?i:null|nan|nat|<na>)|\\N|[-‐‑–—]+"
)
_LONGEST_UNKNOWN = 24


def is_unknown(cell: object) -> bool:
    """Whether a cell says that nothing is known."""
    return isinstance(cell, str) and len(cell) <= _LONGEST_UNKNOWN and _says_nothing(cell)


@lru_cache(maxsize=1 << 14)  # a catalogue has few words of this length
def _says_nothing(text: str) -> bool:
    return _UNKNOWN.fullmatch(text.strip()) is not None


def _may_hold_unknown(cell: object) -> bool:
    return is_unknown(cell) if isinstance(cell, str) else isinstance(cell, (list, dict))


# --- fields of a row --------------------------------------------------------------------------------------------------


def checked(field: str, value: object) -> str:
    """`value` if it is text that can be stored: a string of real characters without NUL."""
    if not isinstance(value, str):
        raise RowError(field, value, Reason.WRONG_TYPE)
    if not is_storable(value):
        raise RowError(field, value, Reason.NUL_BYTE if "\0" in value else Reason.WRONG_ENCODING)
    if len(value) > MAX_TEXT:
        raise RowError(field, value, Reason.TEXT_TOO_LONG)
    return value


def is_storable(text: str) -> bool:
    """Whether text has neither NUL nor lone surrogates."""
    return "\0" not in text and is_unicode(text)


def required(fields: Mapping[str, Any], name: str) -> Any:
    """The value of a field that must be there and not null."""
    value = fields.get(name)
    if value is None:
        raise RowError(name, "", Reason.MISSING_FIELD)
    return value


def title(fields: Mapping[str, Any], name: str) -> str:
    text = checked(name, required(fields, name))
    if not text.strip():
        raise RowError(name, text, Reason.EMPTY_TITLE)
    return text


def optional_text(fields: Mapping[str, Any], name: str) -> str:
    """Text that may be missing or null; then it is empty."""
    value = fields.get(name)
    return "" if value is None else checked(name, value)


def optional_identifier(fields: Mapping[str, Any], name: str) -> str:
    """A string or whole number (also written 17.0, as tables with gaps do) as text; empty when missing or null."""
    value = fields.get(name)
    if isinstance(value, float) and value.is_integer():
        if not -MAX_NUMBER < value < MAX_NUMBER:
            raise RowError(name, value, Reason.NUMBER_OUT_OF_RANGE)
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return "" if value is None else checked(name, value).strip()


def identifier(fields: Mapping[str, Any], name: str) -> str:
    found = optional_identifier(fields, name)
    if not found:
        raise RowError(name, "", Reason.MISSING_FIELD)
    return found


_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")  # of "ü": one letter, or, as Apple writes names, two signs


_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def _file_name(address: str) -> str:
    """What a picture on the web would be called in a folder; empty for what is no address."""
    return unquote(address.partition("?")[0].partition("#")[0]).rpartition("/")[2] if _ADDRESS.match(address) else ""


class ImageFolder:
    """The folder that rows name their pictures in. Whether a picture exists is ingest's question; composed and
    decomposed letters of a name are the same, and of an address on the web the file of its name is the picture."""

    def __init__(self, folder: Path) -> None:
        self._home = os.path.realpath(folder)

    def paths(self, field: str, names: object) -> tuple[str, ...]:
        """Absolute paths of the pictures a row names; `names` should be a list of strings.

        Raises `RowError` (PATH_LEAVES_FOLDER) for an absolute name, and where `..` or a link leads out of the folder.
        """
        if not isinstance(names, list):
            raise RowError(field, names, Reason.WRONG_TYPE)
        return tuple(self._path(field, checked(field, name)) for name in names)

    def _path(self, field: str, name: str) -> str:
        if (in_folder := _file_name(name)) and os.path.exists(f"{self._home}{os.sep}{in_folder}"):
            name = in_folder
        path = f"{self._home}{os.sep}{name}"
        if not name.isascii() and not os.path.exists(path):
            path = next(
                filter(os.path.exists, (f"{self._home}{os.sep}{normalize(form, name)}" for form in _FORMS)), path
            )
        plain = os.sep not in name and name not in (".", "..") and not os.path.islink(path)
        # A plain file name cannot leave, and following every part of every path would be most of the time of reading.
        if not plain and (os.path.isabs(name) or not Path(os.path.realpath(path)).is_relative_to(self._home)):
            raise RowError(field, name, Reason.PATH_LEAVES_FOLDER)
        return path


def collect_facets(
    pairs: Iterable[tuple[str, str | None]], *, first_decides: bool = False
) -> tuple[tuple[Facet, ...], tuple[str, ...]]:
    """Facets without spans, and the absent attributes, of (attribute, value) pairs.

    None or "n/a" says that the attribute is absent, unless another pair gives it a value; an empty value says
    nothing. With `first_decides`, an attribute that is first said to be absent stays so, and has its values as well:
    so the n/a-aware metric takes it. Values are stripped, repeats are merged, order is kept.
    """
    facets: dict[tuple[str, str], Facet] = {}
    absent: dict[str, None] = {}
    present: set[str] = set()
    for attribute, value in pairs:
        name = checked("attribute", attribute).strip()
        text = ABSENT if value is None else checked(name, value).strip()
        if not name:
            raise RowError("attribute", attribute, Reason.MISSING_FIELD)
        if text.lower() == ABSENT:
            if not first_decides or name not in present:
                absent[name] = None
        elif text:
            facets[name, text] = Facet(name, text)
            present.add(name)
    if first_decides:
        return tuple(facets.values()), tuple(absent)
    return tuple(facets.values()), tuple(name for name in absent if name not in present)


def plain_products(
    source: str,
    ids: Sequence[str],
    titles: Sequence[str],
    texts: Sequence[str],
    specs: Sequence[Mapping[str, str]],
) -> PlainProducts | None:
    """The products of rows that the rules above leave as they are, but for spaces around ids and values; None where
    they would do more to any of them. `specs` are {attribute: value}.

    Raises `AttributeError` or `TypeError` where anything is of another type.
    """
    ids = list(map(str.strip, ids))
    attributes = list(chain.from_iterable(specs))
    values = list(map(str.strip, chain.from_iterable(pairs.values() for pairs in specs)))
    if not (all(ids) and all(map(str.strip, titles)) and all(attributes) and all(values)):
        return None
    if attributes != list(map(str.strip, attributes)):  # else none of them stands twice in a row
        return None
    if ABSENT in map(str.lower, values) or not is_storable("".join(chain(ids, titles, texts, attributes, values))):
        return None
    return PlainProducts(source, ids, titles, texts, attributes, values, list(map(len, specs)))


def spec_pairs(field: str, specs: object) -> Iterator[tuple[str, str | None]]:
    """The pairs of an object {attribute: value, [values] or null}."""
    if not isinstance(specs, dict):
        raise RowError(field, specs, Reason.WRONG_TYPE)
    for attribute, values in specs.items():
        for value in values if isinstance(values, list) else [values]:
            yield attribute, value
