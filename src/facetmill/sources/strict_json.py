"""JSON without what its grammar leaves open: whatever two readers would take differently is refused, and so is what no
honest row holds.

A key that an object has twice, a number that 64 bits cannot hold, NaN and Infinity, half of a character, and nesting
without end. All readers of other people's JSON read it here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import compress
from typing import Any, NoReturn

import orjson

from facetmill.sources.base import Reason, RowError

MAX_DEPTH = 100  # of lists and objects in one another; no format here has more than five

_UNPROVEN = frozenset({dict, list, float})
_FLOATS = 2.0**63  # orjson makes floats, from here on, of whole numbers that 64 bits cannot hold
_LEAST, _MOST = -(2**63), 2**64 - 1
_DIGITS = 20  # of `_MOST`, and of `_LEAST` with its sign


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises `RowError`, its field the key where one is to blame, else empty.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        with suppress(ValueError, RecursionError):
            _num_texts(_DECODER.decode(text))  # which know more reasons
        raise RowError("", text, Reason.BROKEN_JSON) from None
    if _has_twice(text, value):
        _DECODER.decode(text)  # names it
    return value


def plain_array(text: str) -> list[Any]:
    """The elements of a JSON array; none where `raw_value` may have something to say of one."""
    try:
        elements: list[Any] = orjson.loads(text)
        return [] if _has_twice(text, elements) else elements
    except (orjson.JSONDecodeError, RowError):
        return []


def raw_value(text: str, start: int) -> tuple[Any | RowError, int]:
    """The value that begins at `start`, or why it is refused, and where it ends.

    Raises `ValueError` or `RecursionError` where no whole value begins there.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
        _num_texts(value)
    except RowError as error:
        return error, _LAX.raw_decode(text, start)[1]
    return value, end


def _has_twice(text: str, value: Any) -> bool:
    """Whether an object in a text has a key twice: its value lacks one of them, and so two quotation marks."""
    if "\\" in text:
        text = text.replace("\\\\", "")
    return text.count('"') - text.count('\\"') != 2 * _num_texts(value)


def _num_texts(value: Any) -> int:
    """How many texts there are in a value, keys among them. Raises `RowError` for what only the value shows."""
    num_texts = depth = 0
    level = [value]
    while level:
        kinds = [*map(type, level)]
        num_texts += kinds.count(str)
        unproven = [*compress(level, map(_UNPROVEN.__contains__, kinds))]
        if unproven and (depth := depth + 1) > MAX_DEPTH:
            raise RowError("", value, Reason.NESTED_TOO_DEEP)
        level = []
        for each in unproven:
            if type(each) is dict:
                num_texts += len(each)
                level += each.values()
            elif type(each) is list:
                level += each
            elif not -_FLOATS < each < _FLOATS:
                raise RowError("", each, Reason.NUMBER_OUT_OF_RANGE)
    return num_texts


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RowError(key, key, Reason.DUPLICATE_KEY)
        found[key] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS or not _LEAST <= int(digits) <= _MOST:
        raise RowError("", digits, Reason.NUMBER_OUT_OF_RANGE)
    return int(digits)


def _no_number(name: str) -> NoReturn:
    raise RowError("", name, Reason.BROKEN_JSON)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, parse_constant=_no_number)
_LAX = json.JSONDecoder(parse_int=str)  # finds the end of what the other refuses
