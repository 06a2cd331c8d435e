"""What a labelled picture set is: a reader that yields pictures with the labels people gave them.

As readers of products do (`sources/base.py`), it yields a `BadRow` for every row that is not a labelled picture, skips
none in silence, and raises `DataError` only when the set as a whole cannot be read. Whether a picture can be decoded is
asked later, and only of those whose labels are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facetmill.sources.base import BadRow

Labels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture. `labels` are the set's own words by task ("HeelHeight": ("1in - 1 3/4in",)), at least one; pictures
    of one `group` show the same thing or come from the same hand, and never sit in two splits."""

    path: str
    group: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class LabelSource:
    """One published format. `read` streams; its memory does not grow with the number of rows."""

    name: str
    summary: str
    read: Callable[[Path], Iterator[LabelledPicture | BadRow]]
