"""Files that ask for gigabytes or for hours, read by a process that has neither: each is told, and costs little."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from tests import bombs
from tests.conftest import ROOT

GIB = 2**30
CPU_SECONDS = 60  # of all files together; one of them alone took longer

#: Reads each file and tells, as a line of JSON, how many rows were good, what was said of bad ones, or the error.
PROGRAM = dedent(
    """
    import json, sys
    from pathlib import Path
    from facetmill.dataset.intake.ingest import image_fault
    from facetmill.errors import DataError
    from facetmill.sources import SOURCES
    from facetmill.sources.base import BadRow, SourceOptions

    def told(kind, path):
        if kind == "picture":
            return {"fault": image_fault(path)[0]}
        good, bad = 0, []
        try:
            for row in SOURCES[kind].read(path, SourceOptions(demo=None)):
                if isinstance(row, BadRow):
                    bad.append(str(row))
                else:
                    good += 1
        except DataError as error:
            return {"good": good, "bad": bad[:2], "error": str(error)}
        return {"good": good, "bad": bad[:2]}

    for kind, path in json.loads(sys.stdin.read()):
        print(json.dumps(told(kind, Path(path))), flush=True)
    """
)


#: Of each file how many rows are good, what is said of the bad ones, and of the file.
EXPECTED: dict[str, tuple[int, list[str], str]] = {
    "dictionary": (0, [], "row 1 and on: becomes more than 256 MiB"),
    "page": (0, [], "row group 0 may take 600 MiB for a single row"),
    "same_again": (255, [], "row 256 and on: becomes more than 256 MiB"),
    "long_list": (0, [], "row 1 and on: becomes more than 256 MiB"),
    "many_rows": (0, [], "100,000,000 rows: becomes more than 373 MiB"),
    "wide": (1, [], ""),
    "many_cells": (2, ["row 3, field line: row_too_large"], ""),
    "endless_row": (0, ["row 2, field line: row_too_large", "broken_table_row"], ""),
    "lists": (1, ["row 1, field line: line_too_long"], ""),
    "deep": (1, ["row 1, field line: nested_too_deep", "row 2, field line: broken_json"], ""),
    "array_of_lists": (0, ["row 1, field element: broken_json"], ""),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bombs")
    files = {name: (kind, folder / f"{name}{ending}") for name, (kind, ending, _) in bombs.TABLES.items()}
    files |= {name: ("picture", folder / f"{name}{ending}") for name, (ending, _) in bombs.PICTURES.items()}
    for name, (_, path) in files.items():
        [*_, write] = bombs.TABLES.get(name) or bombs.PICTURES[name]
        write(path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (GIB, GIB))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([(kind, str(path)) for kind, path in files.values()]),
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    for _, path in files.values():
        path.unlink()
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == len(files), f"died at {list(files)[len(lines)]}: {done.stderr}"
    return {name: json.loads(line) for name, line in zip(files, lines, strict=True)}


@pytest.mark.parametrize("name", bombs.TABLES)
def test_a_table_that_asks_for_too_much_is_told_and_costs_little(name: str, told: dict[str, Any]) -> None:
    """Whatever is good beside it is read."""
    good, bad, error = EXPECTED[name]
    found = told[name]
    assert (found["good"], len(found["bad"])) == (good, len(bad)), found
    for said, expected in zip(found["bad"], bad, strict=True):
        assert f"{name}." in said
        assert expected in said
    assert error in found.get("error", "")


@pytest.mark.parametrize("name", bombs.PICTURES)
def test_a_picture_that_asks_for_too_much_is_told_and_costs_little(name: str, told: dict[str, Any]) -> None:
    assert told[name]["fault"] in ("corrupt_image", "image_too_large")
