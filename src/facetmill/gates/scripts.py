"""In which scripts a text is written, by counting its letters: what one tokenizer reads well another cannot."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

SCRIPTS = ("Latin", "CJK", "Cyrillic", "other")

_BY_NAME = {  # the first word of a letter's name in Unicode
    **dict.fromkeys(("LATIN", "FULLWIDTH"), "Latin"),
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"), "CJK"),
    "CYRILLIC": "Cyrillic",
}

Characters = npt.NDArray[np.int64]  # [code point]: how often


def characters_of(texts: Iterable[str | None]) -> Characters:
    """How often each code point stands in some texts, from 0 up to the highest."""
    return np.bincount(np.frombuffer("".join(filter(None, texts)).encode("utf-32-le"), np.uint32))


def added(one: Characters, other: Characters) -> Characters:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total


def letters_by_script(characters: Characters) -> Counter[str]:
    """How many letters of each of `SCRIPTS` there are; digits, signs, marks and spaces are of none."""
    found: Counter[str] = Counter()
    for code in np.flatnonzero(characters).tolist():
        if unicodedata.category(chr(code)).startswith("L"):
            name = unicodedata.name(chr(code), "").partition(" ")[0]
            found[_BY_NAME.get(name, "other")] += int(characters[code])
    return found


def shares(letters: Mapping[str, int]) -> dict[str, float]:
    """The share (0..1) of each script; nothing where there is no letter."""
    total = sum(letters.values())
    return {script: letters.get(script, 0) / total for script in SCRIPTS} if total else {}
