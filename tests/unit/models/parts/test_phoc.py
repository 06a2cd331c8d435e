"""PHOC, worked by hand."""

from __future__ import annotations

from facetmill.models.parts.phoc import WIDTH, phoc


def held(word: str) -> list[tuple[str, int, str]]:
    """(of how many parts, which, what) of each 1."""
    letters, pairs = "abcdefghijklmnopqrstuvwxyz0123456789", ["th", "he"]
    found = []
    for place in phoc(word).nonzero()[0].tolist():
        for parts in (2, 3, 4, 5):
            if place < parts * 36:
                found.append((str(parts), place // 36, letters[place % 36]))
                break
            place -= parts * 36
        else:
            found.append(("pairs", place // 50, pairs[place % 50]))
    return found


def test_letters_stand_in_the_parts_that_cover_half_of_them() -> None:
    assert WIDTH == 604
    assert held("a1") == [
        ("2", 0, "a"),
        ("2", 1, "1"),
        ("3", 0, "a"),  # two thirds of it
        ("3", 2, "1"),
        ("4", 0, "a"),
        ("4", 1, "a"),  # half
        ("4", 2, "1"),
        ("4", 3, "1"),
    ]  # of five parts each covers two fifths of a letter at most


def test_common_pairs_stand_in_halves_and_other_signs_nowhere() -> None:
    assert [each for each in held("the") if each[0] == "pairs"] == [("pairs", 0, "th"), ("pairs", 1, "he")]
    assert held("é-红") == held("") == []
