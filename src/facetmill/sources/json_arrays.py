"""Files that are one JSON array of objects, of which only a stretch is held at a time.

Elements come in blocks, which are parsed at once, where that can be and whoever asked takes them together. All others
are parsed one by one, so that a broken element costs itself: reading goes on at the next place that looks like the
start of an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from facetmill.errors import DataError
from facetmill.records import is_unicode
from facetmill.sources import strict_json
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.plain import PlainProducts
from facetmill.sources.rows import MAX_ROW_BYTES, Row, bad_row, object_row

_CHUNK = 2**20  # characters read at a time
_BLOCK = 2**16  # characters that are parsed at once; one unusual row makes the whole of them slow
_STRING, _SCALAR = r'"(?:[^"\\]|\\.)*+"', r"[\w.+-]++"
_PAIR = rf"{_STRING}\s*+:\s*+(?:{_STRING}|{_SCALAR})"
#: What stands before and behind the list of an object that has one list, and beside it nothing but single values.
_BEFORE_LIST = re.compile(rf"\{{\s*+(?:{_PAIR}\s*+,\s*+)*+{_STRING}\s*+:\s*+(?=\[)")
_BEHIND_LIST = re.compile(rf"(?:\s*+,\s*+{_PAIR})*+\s*+\}}\s*+")
_NEXT_OBJECT = re.compile(r',\s*(?=\{\s*")')

#: What elements become together; None = they are to come one by one.
Together: TypeAlias = Callable[[list[Any]], PlainProducts | None]


def read_json_array(
    path: Path, together: Together = lambda elements: None, *, may_be_wrapped: bool = False
) -> Iterator[PlainProducts | Row | BadRow]:
    """Stream the objects of a file that is one JSON array of objects: what `together` makes of many, or row by row.
    With `may_be_wrapped` it may be an object with one list, as APIs answer: {"total": 2, "products": [...], "page": 1}.

    Raises `DataError` where the file does not start as an array.
    """
    # Undecodable bytes travel as lone surrogates, so that they spoil the element they stand in and no other.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        buffer, at, number, ended = stream.read(_CHUNK).lstrip(), 1, 0, False
        slow_until = 0  # where in the buffer the next block may start
        wrapped = _BEFORE_LIST.match(buffer) if may_be_wrapped else None
        if wrapped:
            buffer = buffer[wrapped.end() :]
        if not buffer.startswith("["):
            raise DataError(f"{path}: expected a JSON array, found {buffer[:40]!r}")
        while True:
            if at >= slow_until and not ended and len(buffer) - at < 2 * _BLOCK:
                more = stream.read(_CHUNK)
                buffer, at, ended, slow_until = buffer[at:] + more, 0, not more, 0
            while at < len(buffer) and buffer[at] in " \t\r\n,":
                at += 1
            if buffer.startswith("]", at):
                rest = (buffer[at + 1 :] + stream.read(_CHUNK)).strip()
                if rest and not (wrapped and _BEHIND_LIST.fullmatch(rest)):
                    yield bad_row(path, number + 1, "file", f"after the array: {rest[:80]}", Reason.BROKEN_JSON)
                return
            if at >= slow_until:
                end = _end_of_block(buffer, at, ended)
                # Text that is whole in brackets is so in a longer array too, so the cut was at the end of an element.
                elements = strict_json.plain_array(f"[{buffer[at:end]}]")
                if elements and (taken := together(elements)):
                    yield replace(taken, file=str(path), first_row=number + 1)
                    number += len(elements)
                    at = end
                    continue
                slow_until = end
            start = at
            try:
                value, at = strict_json.raw_value(buffer, start)
            except (ValueError, RecursionError):
                if not ended and (held := len(buffer) - start) <= MAX_ROW_BYTES:
                    # Four times as much, so that a long element is not slow.
                    more = stream.read(min(max(_CHUNK, 3 * held), MAX_ROW_BYTES + 1 - held))
                    buffer, at, ended, slow_until = buffer[start:] + more, 0, not more, slow_until - start
                    continue
                number += 1
                following = _NEXT_OBJECT.search(buffer, start)
                at = following.end() if following else len(buffer)
                reason = Reason.NUL_BYTE if "\0" in buffer[start:at] else Reason.BROKEN_JSON
                yield bad_row(path, number, "element", buffer[start : start + 80], reason)
                if not following:
                    return
                continue
            number += 1
            if not is_unicode(element := buffer[start:at]):
                yield bad_row(path, number, "element", element[:80], Reason.WRONG_ENCODING)
            elif isinstance(value, RowError):
                yield bad_row(path, number, value.field or "element", value.value, value.reason)
            else:
                yield object_row(path, number, value)


def _end_of_block(buffer: str, at: int, ended: bool) -> int:
    """Behind `_BLOCK` characters from `at`, what looks like the end of an element; the end of the array, or else of the
    buffer, where nothing does."""
    if following := _NEXT_OBJECT.search(buffer, at + _BLOCK):
        return following.start()
    return buffer.rfind("]", at) if ended and buffer.rstrip().endswith("]") else len(buffer)
