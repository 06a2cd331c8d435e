"""What the README tells a newcomer to type exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from facetmill.cli import app
from facetmill.serving.request import to_products
from facetmill.serving.signature import SIGNATURE


@pytest.fixture(scope="module")
def commands() -> list[str]:
    """Every command of the README's shell blocks, without its comment."""
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_every_make_target_of_the_readme_exists(root: Path, commands: list[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.M))
    used = {command.split()[1] for command in commands if command.startswith("make ")}
    assert used
    assert used <= targets


def test_every_facetmill_command_of_the_readme_has_its_options(commands: list[str]) -> None:
    asked = [command.split()[1:] for command in commands if command.startswith("facetmill ")]
    assert asked
    for words in asked:
        verb = (
            words[:2] if words[0] in ("catalogue", "dataset", "distant", "schedule", "study", "worker") else words[:1]
        )
        done = CliRunner().invoke(app, [*verb, "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
        assert done.exit_code == 0, (words, done.output)
        for option in (word for word in words if word.startswith("--")):
            assert option in done.stdout, (words, option)


def test_every_folder_of_the_file_map_exists(root: Path) -> None:
    readme = (root / "README.md").read_text()
    section = readme.split("## Where things are")[1].split("\n\n| made when needed")[0]
    for row in section.splitlines()[3:]:
        names = re.findall(r"`([^`]+/)`", row.split("|")[1]) if row.startswith("|") else []
        for name in names:
            here = [root / name, root / "src/facetmill" / name]
            assert any(path.is_dir() for path in here), name


def test_every_params_key_of_the_readme_exists(root: Path) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text())
    readme = (root / "README.md").read_text()
    for section, key in re.findall(
        r"`(dataset|training|sweep|split|match|ocr|regions|distant|visual_tokens)\.([a-z_]+)`", readme
    ):
        assert key in params[section], f"{section}.{key}"


def test_the_request_of_the_readme_is_one(root: Path) -> None:
    section = (root / "README.md").read_text().split("## A served model")[1].split("\n## ")[0]
    [request] = re.findall(r"```json\n(.*?)```", section, re.S)
    first, second = to_products(json.loads(request)["dataframe_records"])
    assert [word.text for word in first.ocr] == ["SENCHA", "100g"]
    assert (len(first.regions), second.images) == (1, ("/shop/a2.jpg",))
    told = {name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert told == set(SIGNATURE.inputs.input_names())
    assert all(f"`{name}`" in section for name in SIGNATURE.outputs.input_names())


def test_every_promise_of_the_tests_names_a_test_that_there_is(root: Path) -> None:
    table = (root / "tests" / "README.md").read_text()
    named = re.findall(r"`(\S+\.py)::(\w+)`", table)
    rows = [line for line in table.split("\n") if line.startswith("| ") and not line.startswith("| fault")]
    assert len(named) == len(rows)
    for file, test in named:
        assert f"def {test}(" in (root / "tests" / file).read_text(), f"{file}::{test}"
