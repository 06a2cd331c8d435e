"""Closed-choice accuracy, worked by hand."""

from __future__ import annotations

import pytest

from facetmill.metrics.closed_choice import ClosedChoice


@pytest.mark.parametrize(
    ("answer", "gold", "strict", "contained"),
    [
        ("Oval", "Oval", True, True),
        (" oval\n", "Oval", True, True),
        ("It is oval.", "Oval", False, True),
        ("Long Sleeve", "Long", False, True),  # ImplicitAVE's count cannot tell these apart
        ("Long", "Long Sleeve", False, False),
        ("Round", "Oval", False, False),
        ("", "Oval", False, False),
    ],
)
def test_an_answer_is_right_strictly_or_as_implicitave_counts(
    answer: str, gold: str, strict: bool, contained: bool
) -> None:
    assert ClosedChoice.of(answer, gold) == ClosedChoice(strict, contained)


def test_nothing_true_is_no_question() -> None:
    """It would be contained in every answer."""
    with pytest.raises(ValueError, match="a closed choice has a true value"):
        ClosedChoice.of("Oval", " ")
