"""The values that an attribute may have, as a tree of tokens: what may be written next, so that nothing else is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from facetmill.models.parts.prompts import Ids


class ClosedList:
    """`values` as tokens each; `separator` stands between two, and `end` after the last."""

    def __init__(self, values: Iterable[Ids], separator: int, end: int) -> None:
        self._separator = separator
        self._end = end
        self._root: dict[int, Any] = {}  # a tree: by token what may follow it; by `end`, that a value may end there
        for value in values:
            node = self._root
            for token in value:
                node = node.setdefault(token, {})
            node[end] = {}

    def after(self, said: Sequence[int]) -> list[int]:
        """The tokens that may follow those said so far, which this list allowed; before any, the end too."""
        node = self._root
        for token in said:
            node = self._root if token == self._separator else node[token]
        allowed = [*node]
        if self._end in node and node is not self._root:
            allowed.append(self._separator)
        if not said and self._end not in node:
            allowed.append(self._end)
        return allowed
