"""The dataset card: what it says of a real build, and that nothing in a product can write on it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from facetmill.dataset.store.card import card, cell
from facetmill.dataset.store.workspace import build, resolve
from facetmill.params import load_params
from facetmill.sources import SOURCES


def test_the_card_of_a_build_says_what_is_in_it_and_what_is_wrong(root: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "src").symlink_to(root / "src")
    (project / "dvc.yaml").write_text((root / "dvc.yaml").read_text())
    rows = [
        {"id": f"p{i}", "title": f"{c.title()} hat {i}", "category": "hat", "facets": {"Colour": c, "Fit": "loose"}}
        for i, c in enumerate(["red", "RED", "blue"] * 10)
    ]
    lines = [json.dumps(row) for row in [*rows, {"id": "bad", "title": " "}]]
    (tmp_path / "shop.jsonl").write_text("\n".join(lines) + "\n")
    params = load_params(root / "params.yaml")
    params = replace(params, dataset=replace(params.dataset, max_bad_share=0.1))
    resolved = resolve(project, params, f"products:{tmp_path / 'shop.jsonl'}")
    dataset = build(project, resolved, log=lambda _: None).dataset

    page = card(dataset, SOURCES["products"])
    assert page == card(dataset, SOURCES["products"])
    assert f"Version `{dataset.version}`" in page
    assert "Licence: yours." in page
    counts = dataset.manifest["splits"]["train"]
    assert f"| train | {counts['num_products']} | {counts['num_groups']} | {counts['num_facets']} |" in page
    assert "Where facets come from: 30 annotated, 30 matched." in page
    assert "Letters: 100.0% Latin." in page
    assert "| Colour | " in page
    assert re.search(r"\| Colour \| (red|RED) \\\(\d+\\\), (red|RED) \\\(\d+\\\) \| one value \|", page)
    assert "| row dropped: empty\\_title | 1 | shop.jsonl, row 31, field title" in page
    assert "The data gate: passed" in page
    assert str(tmp_path) not in page


def test_a_cell_is_text_whatever_it_holds() -> None:
    assert cell("a | b\n# <b>*x*</b> [l](javascript:x)") == (
        "a \\| b \\# &lt;b\\>\\*x\\*&lt;/b\\> \\[l\\]\\(javascript:x\\)"
    )
    assert len(cell("x" * 500)) == 160
