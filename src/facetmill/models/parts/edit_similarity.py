"""How like each other two words are, letter by letter: FuzzyWuzzy's ratio, of one word with many at once.

The ratio is twice the length of the longest common subsequence, as a share of the letters of both words: what is not in
it must be deleted or inserted. It is found by Hyyrö's bits: of a word, 64 letters fit into a number, and one pass over
the letters of all other words updates a number for each.

Source: Hyyrö. "Bit-Parallel LCS-length Computation Revisited." 2004.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST = 64  # letters of a word that are looked at


class Similarity:
    """To the words of one vocabulary."""

    def __init__(self, words: Sequence[str]) -> None:
        cut = [word[:LONGEST] for word in words]
        self._lengths = np.array([len(word) for word in cut], dtype=np.int64)
        self._letters = np.zeros((max([1, *map(len, cut)]), len(cut)), dtype=np.uint32)
        for row, word in enumerate(cut):
            self._letters[: len(word), row] = [ord(letter) for letter in word]
        self._known: dict[str, float] = dict.fromkeys(cut, 100.0)

    def nearest(self, word: str) -> float:
        """The ratio (0..100) to the word of the vocabulary that is most like it; 0 where there is none."""
        word = word[:LONGEST]
        if word not in self._known:
            ratios = self.ratios(word)
            self._known[word] = float(ratios.max()) if len(ratios) else 0.0
        return self._known[word]

    def ratios(self, word: str) -> NDArray[np.float64]:
        """The ratio (0..100) to each word of the vocabulary, in its order."""
        word = word[:LONGEST]
        full = np.uint64((1 << len(word)) - 1) if len(word) < LONGEST else np.uint64(0xFFFFFFFFFFFFFFFF)
        places = {letter: sum(1 << at for at, here in enumerate(word) if here == letter) for letter in set(word)}
        unmatched = np.full(len(self._lengths), full, dtype=np.uint64)
        for letters in self._letters:
            here = np.zeros(len(letters), dtype=np.uint64)
            for letter, bits in places.items():
                here[letters == ord(letter)] = np.uint64(bits)
            common = unmatched & here
            unmatched = ((unmatched + common) | (unmatched - common)) & full
        length = len(word) - np.bitwise_count(unmatched).astype(np.int64)
        both = np.maximum(self._lengths + len(word), 1)
        return 200.0 * length / both
