"""What no file of the project may do, read off its source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest


@pytest.mark.parametrize("folder", ["src", "flows"])
def test_lines_end_at_line_feeds_only(root: Path, folder: str) -> None:
    """A title may hold U+2028, U+2029 or U+0085, at which `str.splitlines` cuts a line of JSON in two."""
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sorted((root / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "splitlines"
    ]
    assert found == []
