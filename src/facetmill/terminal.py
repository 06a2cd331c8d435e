"""What leaves for a terminal: names come from data and from strangers' models, and a terminal obeys what it is sent.

A name that holds an escape sequence could clear a line that says FAILED, set the title of a window, or have text read
backwards. So whatever is printed, logged or raised goes through one place, `guard`, where such characters are shown
as JSON writes them (`\\u001b`). What is JSON stays so, with the same value.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from reprlib import Repr
from typing import Any, TextIO, cast

#: Control characters but for tab and line ends, and the marks that make text read in another order than it is written;
#: as the inside of a regular expression's brackets.
UNSEEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"

_OBEYED = re.compile(f"[{UNSEEN}\r\ud800-\udfff]")  # half of a character, too: it cannot be written at all


def visible(text: str) -> str:
    """A text that a terminal shows as it is; tabs and line feeds stay."""
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """A name as part of a line: it cannot begin one of its own, which might look like ours."""
    return visible(text).replace("\n", "\\n")


def brief(value: object) -> str:
    """A foreign value as Python writes it, in a message that stays short: not much of a list, the ends of a text."""
    short = Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


def guard() -> None:
    """From here on this process prints nothing to stdout and stderr that a terminal obeys."""
    sys.stdout, sys.stderr = (cast(TextIO, _Guarded(stream)) for stream in (sys.stdout, sys.stderr))


def unguarded(stream: TextIO) -> TextIO:
    """The stream itself, for what is all our own and moves the cursor: a progress bar."""
    return stream.stream if isinstance(stream, _Guarded) else stream


class _Guarded:
    """A text stream for which everything is made visible."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        # The bars of libraries begin with a carriage return, and no line of ours does.
        bar = "\r" if text.startswith("\r") else ""
        self.stream.write(bar + visible(text[len(bar) :]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
