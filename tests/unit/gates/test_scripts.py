"""Letters by script, and how far held-out splits may differ from train in them."""

from __future__ import annotations

import pytest

from facetmill.gates.counting import Examples, SplitCounts
from facetmill.gates.measure import _script_shift
from facetmill.gates.scripts import added, characters_of, letters_by_script, shares
from facetmill.records import SPLITS, Product, Split, to_batch


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Straße 42, 5.0 ①", {"Latin": 6}),
        ("Ａ４ ｱｲ 蓝色 あ カ 가 々", {"Latin": 1, "CJK": 8}),
        ("Ёлка", {"Cyrillic": 4}),
        ("Ω שלום", {"other": 5}),
        ("e\u0301 👕 \U00020000", {"Latin": 1, "CJK": 1}),
        ("", {}),
        ("12 %", {}),
    ],
)
def test_letters_are_counted_by_script(text: str, letters: dict[str, int]) -> None:
    assert letters_by_script(characters_of([text, None])) == letters


def test_counts_of_two_texts_add_up_whatever_is_highest_in_them() -> None:
    for texts in (["ab", "色b"], ["色b", "ab"], ["", "色b"]):
        one, other = (characters_of([text]) for text in texts)
        assert added(one, other).tolist() == characters_of(texts).tolist()


def test_shares_are_of_all_letters() -> None:
    assert shares({"Latin": 3, "CJK": 1}) == {"Latin": 0.75, "CJK": 0.25, "Cyrillic": 0.0, "other": 0.0}
    assert shares({}) == {}


def shift(**texts: str) -> tuple[float, list[str]]:
    """Of a dataset with one product a split."""
    examples = Examples()
    splits: dict[Split, SplitCounts] = {}
    for split in SPLITS:
        splits[split] = SplitCounts(None, examples)
        splits[split].add(to_batch([Product("p", "s", "1", texts[split])]), split, 0)
    return _script_shift(splits, examples), examples.found["script_shift"]


def test_the_greatest_difference_of_any_split_and_script_counts() -> None:
    found, examples = shift(train="abcdefgh色色", validation="abcdefgh色色", test="abcde色色色жж")
    assert found == pytest.approx(0.3)  # Latin 0.8 and 0.5, CJK 0.2 and 0.3, Cyrillic 0 and 0.2
    assert examples[:2] == [
        "share of Latin letters of test: 0.500, of train 0.800",
        "share of Cyrillic letters of test: 0.200, of train 0.000",
    ]


@pytest.mark.parametrize("texts", [("", "abc", "色"), ("abc", "", "9")], ids=["none in train", "none held out"])
def test_without_letters_nothing_differs(texts: tuple[str, str, str]) -> None:
    assert shift(**dict(zip(SPLITS, texts, strict=True)))[0] == 0
