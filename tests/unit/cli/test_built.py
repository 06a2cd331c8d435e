"""How `dataset build` ends in words."""

from __future__ import annotations

from typing import Any

from facetmill.cli.built import ending_of_build


def told(**ingest: Any) -> dict[str, Any]:
    report = {"num_products": 1420, "num_facets": 3272, "num_images": 374, "dropped": {}, "images_dropped": {}}
    return {
        "name": "shop-1a2b",
        "version": "a" * 64,
        "products": {"train": 1312, "validation": 54, "test": 54},
        "stages_run": ["ingest", "match"],
        "stages_cached": ["split"],
        "seconds": 12.4,
        "stages": {"ingest": {**report, "noted": {}, "examples": {}, **ingest}},
        "attributes": {f"a{n}": {"values": 2, "products": n} for n in range(9)},
        "verdict": {"verdicts": [{"passed": True, "reason": "fine"}]},
        "gate_page": "/data/report.html",
    }


def test_a_clean_build_ends_in_seven_lines() -> None:
    assert ending_of_build(told()) == [
        "dataset shop-1a2b, version aaaaaaaaaaaa: the data gate passed",
        "kept: 1,420 products (train 1,312, validation 54, test 54), 3,272 values, 374 pictures",
        "dropped: nothing",
        "warnings: none",
        "attributes: 9, with so many values in train: a8 (8), a7 (7), a6 (6), a5 (5), a4 (4), a3 (3) and 3 more",
        "ran: ingest, match; as before: split (12 s)",
        "page: /data/report.html",
    ]


def test_what_was_dropped_is_told_by_reason_with_its_first_example() -> None:
    dropped = {"missing_title": 2, "bad_id": 30, "too_long": 1, "wrong_type": 1}
    lines = ending_of_build(
        told(
            dropped=dropped,
            images_dropped={"missing_image": 7},
            examples={"bad_id": ["shop.csv, row 7, field id: ''", "another"]},
            noted={"unknown_cells": 12},
        )
    )
    assert [line for line in lines if line.startswith("dropped")] == [
        "dropped: 30 rows, bad id, such as shop.csv, row 7, field id: ''",
        "dropped: 7 pictures, missing image",
        "dropped: 2 rows, missing title",
        "dropped: and 2 more reasons, see --json",
    ]
    assert "noted: 12 unknown cells" in lines


def test_warnings_stand_in_the_gates_own_words() -> None:
    found = told()
    found["verdict"]["verdicts"] += [{"passed": False, "reason": f"share {n}: 0.9\nat most 0.5"} for n in range(4)]
    lines = [line for line in ending_of_build(found) if line.startswith("warning")]
    assert lines[0] == r"warning: share 0: 0.9\nat most 0.5", "in one line"
    assert lines[-1] == "warnings: and 1 more, see the page"
