"""PHOC, the pyramidal histogram of characters: which letters stand in which part of a word.

Source: Almazán, Gordo, Fornés, Valveny. "Word Spotting and Recognition with Embedded Attributes." TPAMI 2014. The
word is cut into 2, 3, 4 and 5 parts, and each part says which of a..z and 0..9 it holds; its halves also say which of
the 50 commonest English bigrams they hold. A letter is in a part that covers half of it at least.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_LETTERS = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789")}
_COMMON = (
    "th he in er an re es on st nt en at ed nd to or ea ti ar te ng al it as is ha et se ou of le sa ve ro ra ri hi ne "
    "me de co ta ec si ll so na li la el"
)
_BIGRAMS = {pair: number for number, pair in enumerate(_COMMON.split(" "))}
_LEVELS, _BIGRAM_PARTS = (2, 3, 4, 5), 2
WIDTH = sum(_LEVELS) * len(_LETTERS) + _BIGRAM_PARTS * len(_BIGRAMS)  # 604


@lru_cache(maxsize=1 << 16)
def phoc(word: str) -> NDArray[np.float32]:
    """0 or 1 for each part and letter, then for each half and bigram, of a folded word. [604]"""
    found = np.zeros(WIDTH, dtype=np.float32)
    before = 0
    for parts in _LEVELS:
        for at, letter in enumerate(word):
            if letter in _LETTERS:
                for part in _covering(at, at + 1, len(word), parts):
                    found[before + part * len(_LETTERS) + _LETTERS[letter]] = 1
        before += parts * len(_LETTERS)
    for at in range(len(word) - 1):
        if word[at : at + 2] in _BIGRAMS:
            for part in _covering(at, at + 2, len(word), _BIGRAM_PARTS):
                found[before + part * len(_BIGRAMS) + _BIGRAMS[word[at : at + 2]]] = 1
    found.setflags(write=False)
    return found


def _covering(start: int, end: int, length: int, parts: int) -> list[int]:
    """The parts of a word that cover half of its letters [start, end) at least; in parts of a letter, to be exact."""
    start, end, whole = start * parts, end * parts, length  # a part is `whole` long
    return [
        part for part in range(parts) if 2 * (min(end, (part + 1) * whole) - max(start, part * whole)) >= end - start
    ]
