"""A text in another form that remembers where its characters stand in the raw text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    """`text[i]` stands for the raw characters [starts[i], ends[i]), or for the one at i where both are None.

    Characters that stand for the same raw ones together ("ss" for "ß") are a unit, which nothing may cut; raw
    characters that no unit covers are not text (a soft hyphen, a tag of HTML).
    """

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def cuts_unit(self, at: int) -> bool:
        """Whether the place before `text[at]` is inside a unit."""
        return self.starts is not None and 0 < at < len(self.text) and self.starts[at - 1] == self.starts[at]

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """The raw characters that `text[start:end]`, which is not empty, stands for."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def covered(self, raw_start: int, raw_end: int) -> tuple[int, int]:
        """The least range of `text` that stands for all text among the raw characters; empty where they hold none."""
        if self.starts is None or self.ends is None:
            return raw_start, raw_end
        return bisect_right(self.ends, raw_start), bisect_left(self.starts, raw_end)

    def of(self, under: View) -> View:
        """This view of the text of another view, as a view of what that one is of."""
        if under.starts is None or under.ends is None:
            return self
        places = [self.raw(at, at + 1) for at in range(len(self.text))]
        ranges = [under.raw(start, end) for start, end in places]
        return View(self.text, [start for start, _ in ranges], [end for _, end in ranges])


class ViewWriter:
    """Writes a view from left to right; raw characters that are passed over are not text."""

    def __init__(self) -> None:
        self._pieces: list[
            tuple[str, int, int | None]
        ] = []  # text, where it starts, and where its unit ends if it is one
        self._at = 0  # raw characters so far
        self._one_for_one = True

    def copy(self, text: str, start: int) -> None:
        """Add `text`, as long as the raw characters from `start` on that it stands for, one for one."""
        if text:
            self._one_for_one = self._one_for_one and start == self._at
            self._at = start + len(text)
            self._pieces.append((text, start, None))

    def unit(self, text: str, start: int, end: int) -> None:
        """Add `text` as one unit that stands for the raw characters [start, end)."""
        if len(text) == 1 == end - start:
            self.copy(text, start)
        elif text:
            self._one_for_one = False
            self._pieces.append((text, start, end))

    def view(self, raw_length: int) -> View:
        """All that was added, of a raw text of that length."""
        text = "".join(piece for piece, _, _ in self._pieces)
        if self._one_for_one and self._at == raw_length:
            return View(text)
        starts: list[int] = []
        ends: list[int] = []
        for piece, start, end in self._pieces:
            if end is None:
                starts.extend(range(start, start + len(piece)))
                ends.extend(range(start + 1, start + len(piece) + 1))
            else:
                starts.extend([start] * len(piece))
                ends.extend([end] * len(piece))
        return View(text, starts, ends)
