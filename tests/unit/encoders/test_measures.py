"""Numbers with units: what is the same to a reader has one form, and nothing else has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.encoders.folding import fold_value
from facetmill.encoders.measures import normal_value


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("1500 ml", ["1.5 L", "1,5 l", "1500 ml", "1500ml", "150 cl", "1½ litres", "1 1/2 l", "1.500,0 ml", "１.５Ｌ"]),
        ("127 mm", ['5"', "5 inch", "5-inch", "5 in", "12.7 cm", "12,7cm", "0.127 m", "5″"]),
        ("453.592 g", ["1 lb", "16 oz", "16 Ounces", "1 pound"]),
        ("1234567 g", ["1,234,567 g", "1.234.567 g", "1 234 567 g", "1'234'567 g", "1234.567 kg"]),
        ("100 mm x 200 mm x 300 mm", ["10 x 20 x 30 cm", "10×20×30cm", "100mm x 20 cm x 0.3 m", "10 by 20 by 30 cm"]),
        ("100 mm - 200 mm", ["10-20 cm", "10 – 20 cm", "10 cm - 20 cm"]),
        ("2 x 1500 ml", ["2 x 1.5 l", "2x1500 ml", "2 × 1,5 L"]),
        ("5000 mah", ["5 Ah", "5000mAh", "5.0 Ah"]),
        ("cotton, 127 mm wide", ["Cotton, 5 inch wide", "cotton,  12.7 cm wide"]),
    ],
)
def test_what_is_the_same_has_one_form(form: str, written: list[str]) -> None:
    assert [normal_value(value) for value in written] == [form] * len(written)


@pytest.mark.parametrize(
    "value",
    [
        *("1,500 l", "1.500 kg"),  # thousands to one shop, a decimal to another
        *("2 in 1", "size 42", "100 % cotton", "5 km/h", "1920 x 1080", "1.2.3 l", "3/0 l", "1,00,00 g", "M", "24/7"),
        *("4k", "5 gallons", "16 fl oz", "v2 mm", "A4", "", "12 months", "RED"),
        "5 cm " * 100,  # a text, not a value
    ],
)
def test_what_may_be_read_in_two_ways_or_is_no_measure_stays_as_it_is(value: str) -> None:
    assert normal_value(value) == fold_value(value)


def test_what_differs_stays_apart() -> None:
    values = ["1 l", "1 ml", "1.5 l", "15 l", "1 kg", "1 g", "10 x 20 cm", "20 x 10 cm", "1 h", "1 min", "1 in", "1 ft"]
    assert len({normal_value(value) for value in values}) == len(values)


@given(st.text(st.sampled_from("0123456789.,/x- ½²'\"lmgoinck"), max_size=24))
def test_any_value_has_a_form(value: str) -> None:
    assert isinstance(normal_value(value), str)
