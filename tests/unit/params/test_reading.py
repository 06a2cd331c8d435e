"""params.yaml as people write it: numbers in any usual form, and no key that is lost in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.errors import ParamsError
from facetmill.params import load_params
from facetmill.params.reading import read_yaml


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        ("-1e3", -1000.0),
        ("1.5e3", 1500.0),
        ("+2.e2", 200.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1.0e-3", 0.001),
    ],
)
def test_floats_as_people_write_them(text: str, number: float) -> None:
    read = read_yaml(text, "params.yaml")
    assert isinstance(read, float)
    assert read == number


@pytest.mark.parametrize("text", ["1e", "e3", "1.2.3", "1-2", "'1e-3'", "v1e3"])
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert read_yaml(text, "params.yaml") == text.strip("'")


def test_whole_numbers_stay_whole() -> None:
    assert [type(value) for value in read_yaml("[12, -3, 0x1f, 0]", "params.yaml")] == [int] * 4


def test_a_learning_rate_of_1e_3_is_one_in_params_yaml(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((root / "params.yaml").read_text().replace("  learning_rate: 0.001 ", "  learning_rate: 1e-3 "))
    assert load_params(path) == load_params(root / "params.yaml")


def test_a_key_that_stands_twice_is_named_with_its_lines(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (root / "params.yaml").read_text().replace("  ignore: []", "  ignore: [price]\n  ignore: []")
    path.write_text(f"{text}model: dictionary\n")
    lines = path.read_text().splitlines()
    second, last = lines.index("  ignore: [price]") + 2, len(lines)
    first_model = next(number for number, line in enumerate(lines, 1) if line.startswith("model:"))
    with pytest.raises(ParamsError) as error:
        load_params(path)
    assert str(error.value).splitlines() == [
        f"{path}: line {second}: key 'dataset.ignore' is there already, in line {second - 1}",
        f"{path}: line {last}: key 'model' is there already, in line {first_model}",
    ]


def test_the_same_key_in_two_sections_and_over_a_merged_one_is_fine() -> None:
    text = "a: &shared {seed: 1, size: 2}\nb: {<<: *shared, seed: 3}\n"
    assert read_yaml(text, "params.yaml") == {"a": {"seed": 1, "size": 2}, "b": {"seed": 3, "size": 2}}


@pytest.mark.parametrize("key", ["yes", "1", "2.5", "null", "2026-01-01"])
def test_a_key_that_yaml_does_not_read_as_text_is_refused(key: str) -> None:
    with pytest.raises(
        ParamsError, match=rf"params\.yaml: line 2: key 'columns\.{key}' is read as .*; put it in quotes"
    ):
        read_yaml(f"columns:\n  {key}: colour\n", "params.yaml")
    assert read_yaml(f"columns:\n  '{key}': colour\n", "params.yaml") == {"columns": {key: "colour"}}


def test_nesting_without_end_is_told() -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: lists or sections in one another without end"):
        read_yaml("a: " + "[" * 5000 + "]" * 5000, "params.yaml")
