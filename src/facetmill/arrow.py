"""Arrow columns from numbers and texts, without `pa.array` and `pa.scalar`: those import pandas, which takes as long as
matching ten thousand products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def ints(values: npt.NDArray[Any]) -> pa.Int32Array:
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values.astype(np.int32))])


def offsets(lengths: Iterable[int]) -> pa.Int32Array:
    """Where things of these lengths start, one after the other, and where the last one ends."""
    return ints(np.fromiter(accumulate(lengths, initial=0), np.int64))


def strings(values: Sequence[str]) -> pa.StringArray:
    """Raises `UnicodeEncodeError` for a lone surrogate."""
    joined = "".join(values)
    lengths = map(len, values) if joined.isascii() else (len(value.encode()) for value in values)
    return pa.StringArray.from_buffers(len(values), offsets(lengths).buffers()[1], pa.py_buffer(joined.encode()))


def repeated(value: str, times: int) -> pa.StringArray:
    encoded = value.encode()
    starts = ints(np.arange(times + 1) * len(encoded))
    return pa.StringArray.from_buffers(times, starts.buffers()[1], pa.py_buffer(encoded * times))


def empty(kind: pa.DataType, length: int) -> pa.Array:
    """A column that says nothing: empty lists, or nulls."""
    if not pa.types.is_list(kind):
        return pa.nulls(length, kind)
    return pa.ListArray.from_arrays(ints(np.zeros(length + 1)), pa.nulls(0, kind.value_type), type=kind)
