"""The text fields of many products as they are compared, so that one search looks in all fields of a product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facetmill.encoders.folding import fold, one_for_one
from facetmill.encoders.view import View

_SEPARATOR = "\n"  # behind each field of a product: no folded text holds one


@dataclass(frozen=True)
class JoinedTexts:
    """The fields of each product joined, a separator behind each.

    `folded` are the texts as they are compared, `views` the same as views of the joined raw fields (None where every
    character stands for the one at its own place), and `field_starts` where the raw fields start [product, field].
    """

    folded: list[str]
    views: Sequence[View | None]
    field_starts: npt.NDArray[np.int64]
    _raw: Sequence[Sequence[str]]  # [field][product]
    _ignore_case: bool

    @classmethod
    def of(cls, columns: Sequence[pa.StringArray], num_rows: int, ignore_case: bool) -> JoinedTexts:
        raw = [column.to_pylist() for column in columns]
        folded: list[list[str]] = []
        views: defaultdict[int, dict[int, View]] = defaultdict(dict)  # by product, then by field
        for field, texts in enumerate(raw):
            column = []
            for product, text in enumerate(texts):
                simple = one_for_one(text, ignore_case)
                if simple is None:
                    view = fold(text, ignore_case)
                    simple = view.text
                    if view.starts is not None:
                        views[product][field] = view
                column.append(simple)
            folded.append(column)
        widths = np.array([list(map(len, texts)) for texts in raw], np.int64).reshape(len(raw), num_rows).T
        field_starts = np.cumsum(widths + len(_SEPARATOR), axis=1) - widths - len(_SEPARATOR)
        nothing = [""] * num_rows  # joined as the last, so that the last field too has its separator
        joined = list(map(_SEPARATOR.join, zip(*folded, nothing, strict=True)))
        joined_views: list[View | None] = [None] * num_rows
        for product, of_fields in views.items():
            edges = field_starts[product].tolist(), widths[product].tolist()
            joined_views[product] = _joined_view(joined[product], of_fields, *edges)
        return cls(joined, joined_views, field_starts, raw, ignore_case)

    def with_markup(self, product: int) -> str:
        """The text of a product as if no tag of HTML were one; empty where there is none."""
        raw = [texts[product] for texts in self._raw]
        if not any("<" in text for text in raw):
            return ""
        return _SEPARATOR.join(fold(text, self._ignore_case, html=False).text for text in raw)


def _joined_view(
    text: str, views: Mapping[int, View], field_starts: Sequence[int], field_widths: Sequence[int]
) -> View:
    starts: list[int] = []
    ends: list[int] = []
    for field, (first, width) in enumerate(zip(field_starts, field_widths, strict=True)):
        view = views.get(field)
        if view is None or view.starts is None or view.ends is None:
            starts += range(first, first + width)
            ends += range(first + 1, first + width + 1)
        else:
            starts += [first + at for at in view.starts]
            ends += [first + at for at in view.ends]
        starts.append(first + width)  # of the separator
        ends.append(first + width + len(_SEPARATOR))
    return View(text, starts, ends)
