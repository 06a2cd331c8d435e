"""JSON without what its grammar leaves open: whatever two readers would take differently is refused, and so is what no
honest row holds.

A key that an object has twice, a number that 64 bits cannot hold, NaN and Infinity, half of a character, and nesting
without end. All readers of other people's JSON read it here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NoReturn

import orjson

from facetmill.sources.base import Reason, RowError

MAX_DEPTH = 254  # of lists and objects in one another, as deep as orjson writes; no format here has more than five

_FLOATS = 2.0**63  # orjson makes floats, from here on, of whole numbers that 64 bits cannot hold
_LEAST, _MOST = -(2**63), 2**64 - 1
_DIGITS = 20  # of `_MOST`, and of `_LEAST` with its sign


def loads(text: str, *, nan_is_text: bool = False) -> Any:
    """The value of a JSON text. With `nan_is_text` a NaN, as pandas writes it, is the text "NaN".

    Raises `RowError`, its field the key where one is to blame, else empty.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        with suppress(ValueError, RecursionError):
            _require_bounds(value := (_WITH_NAN if nan_is_text else _DECODER).decode(text))  # which know more reasons
            if nan_is_text:
                return value
        raise RowError("", text, Reason.BROKEN_JSON) from None
    if not _is_all_of(value, text):
        _require_bounds(_DECODER.decode(text))  # names what is wrong
    return value


def plain_array(text: str) -> list[Any]:
    """The elements of a JSON array; none where `raw_value` may have something to say of one."""
    try:
        elements: list[Any] = orjson.loads(text)
        return elements if _is_all_of(elements, text) else []
    except (orjson.JSONDecodeError, RowError):
        return []


def raw_value(text: str, start: int) -> tuple[Any | RowError, int]:
    """The value that begins at `start`, or why it is refused, and where it ends.

    Raises `ValueError` or `RecursionError` where no whole value begins there.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
        _require_bounds(value)
    except RowError as error:
        return error, _LAX.raw_decode(text, start)[1]
    return value, end


def _is_all_of(value: Any, text: str) -> bool:
    """Whether a text says just this value. Where a key stands twice the value has one of them, so fewer quotation
    marks when it is written again. Raises `RowError` for a number out of range."""
    try:
        written = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # nested too deep
        return False
    if "+" in written and "e+" in written:  # how orjson writes large floats, and what may stand in a text
        _require_bounds(value)
    return _quotation_marks(text) == _quotation_marks(written)


def _quotation_marks(text: str) -> int:
    """Those that begin or end a text."""
    if "\\" not in text:  # or else three times as slow
        return text.count('"')
    text = text.replace("\\\\", "")
    return text.count('"') - text.count('\\"')


def _require_bounds(value: Any) -> None:
    """Raises `RowError` for a number out of range, or a value nested too deep."""
    level, depth = [value], 0
    while level:
        for each in level:
            if isinstance(each, float) and not -_FLOATS < each < _FLOATS:
                raise RowError("", each, Reason.NUMBER_OUT_OF_RANGE)
        nested = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list))]
        if nested and depth == MAX_DEPTH:
            raise RowError("", value, Reason.NESTED_TOO_DEEP)
        level, depth = [*chain.from_iterable(nested)], depth + 1


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


def _nan_as_text(name: str) -> str:
    return name if name == "NaN" else _no_number(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, parse_constant=_no_number)
_WITH_NAN = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, parse_constant=_nan_as_text)
_LAX = json.JSONDecoder(parse_int=str)  # finds the end of what the other refuses
