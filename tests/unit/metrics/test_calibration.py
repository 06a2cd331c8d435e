"""Expected calibration error, worked by hand."""

from __future__ import annotations

import pytest

from facetmill.metrics.calibration import calibration_error


def test_each_bin_counts_by_how_many_values_it_holds() -> None:
    confidences = [0.95, 0.95, 0.95, 0.95, 0.25, 0.35]
    right = [True, True, True, False, False, True]
    by_hand = (4 * abs(0.95 - 0.75) + 1 * abs(0.25 - 0.0) + 1 * abs(0.35 - 1.0)) / 6
    assert calibration_error(confidences, right) == pytest.approx(by_hand)


def test_a_model_that_knows_how_sure_it_is_has_none() -> None:
    assert calibration_error([0.5, 0.5, 1.0], [True, False, True]) == pytest.approx(0)


def test_nothing_told_has_no_error() -> None:
    assert calibration_error([], []) is None
