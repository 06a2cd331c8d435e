"""What no file of the project may do, read off its source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def attributes(root: Path) -> dict[str, list[str]]:
    """Where each attribute or method is named that any file of ours uses."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for folder in ("src", "flows") for path in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                found.setdefault(node.attr, []).append(f"{path.relative_to(root)}:{node.lineno}")
    return found


def test_lines_end_at_line_feeds_only(attributes: dict[str, list[str]]) -> None:
    """A title may hold U+2028, U+2029 or U+0085, at which `str.splitlines` cuts a line of JSON in two."""
    assert attributes.get("splitlines", []) == []


def test_no_file_of_ours_is_a_table_for_a_spreadsheet(attributes: dict[str, list[str]]) -> None:
    """It runs a cell that begins with = + - or @, and names come from data. We write JSON, Parquet and pages."""
    writers = ("writer", "DictWriter", "to_csv", "write_csv", "to_excel")
    assert {name: attributes[name] for name in writers if name in attributes} == {}
