"""FuzzyWuzzy's ratio, against a slow one."""

from __future__ import annotations

import random

import numpy as np
import pytest

from facetmill.models.parts.edit_similarity import Similarity


def slow_ratio(left: str, right: str) -> float:
    longest = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left, start=1):
        for j, b in enumerate(right, start=1):
            longest[i][j] = longest[i - 1][j - 1] + 1 if a == b else max(longest[i - 1][j], longest[i][j - 1])
    return 200 * longest[-1][-1] / max(1, len(left) + len(right))


def test_known_ratios() -> None:
    """As Levenshtein.ratio gives them, which FuzzyWuzzy uses where it is installed."""
    similar = Similarity(["spray", "stick", "off"])
    assert similar.ratios("spay").tolist() == [pytest.approx(800 / 9), pytest.approx(200 / 9), 0]
    assert similar.nearest("spay") == pytest.approx(800 / 9)
    assert similar.nearest("off") == 100
    assert Similarity([]).nearest("off") == 0
    assert Similarity([""]).ratios("").tolist() == [0]


def test_any_words_have_the_ratio_of_their_longest_common_subsequence() -> None:
    drawn = random.Random(0)
    for length in (1, 5, 63, 64):
        word = "".join(drawn.choice("abcé") for _ in range(length))
        others = ["".join(drawn.choice("abcé红") for _ in range(drawn.randint(0, 64))) for _ in range(30)]
        np.testing.assert_allclose(Similarity(others).ratios(word), [slow_ratio(word, other) for other in others])
