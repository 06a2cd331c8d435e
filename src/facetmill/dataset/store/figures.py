"""What the page of the data gate draws of a dataset, by its schema, its manifest and the reports of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from facetmill.errors import DataError
from facetmill.files import read_json
from facetmill.records import SPLITS, AttributeSchema
from facetmill.report.page import section, table, text
from facetmill.report.saliency_figure import saliency_figure

MAX_ROWS = 40  # of a figure; the largest ones
_LONGEST_NAME = 60
_BAR = 100  # pixels of the longest
_UNREADABLE = (DataError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def figures(dataset_dir: Path, reports_dir: Path, *, min_dif: float) -> list[str]:
    """Sections of a page: facets by split, products of train by attribute, what ingest dropped and, where stage
    `saliency` has asked, what pictures add, with the line at `min_dif` (0..1).

    A section whose numbers cannot be read is left out; the verdict of the data gate says why.
    """
    drawn: list[Callable[[], str]] = [
        lambda: _amounts("Facets by split, in the text or not", "Where", "Facets", _facets(dataset_dir)),
        lambda: _amounts("Products of train by attribute", "Attribute", "Products", _largest(_attributes(dataset_dir))),
        lambda: _amounts("What ingest dropped", "Why", "Rows", _largest(_dropped(reports_dir))),
        lambda: _saliency(reports_dir, min_dif),
    ]
    return [found for each in drawn if (found := _or_nothing(each))]


def _or_nothing(draw: Callable[[], str]) -> str:
    try:
        return draw()
    except _UNREADABLE:
        return ""


def _facets(dataset_dir: Path) -> dict[str, int]:
    splits = read_json(dataset_dir / "manifest.json")["splits"]
    kinds = {"in the text": "num_explicit", "not in the text": "num_implicit"}
    return {f"{split}, {where}": int(splits[split][name]) for split in SPLITS for where, name in kinds.items()}


def _attributes(dataset_dir: Path) -> dict[str, int]:
    schema = AttributeSchema.from_json((dataset_dir / "schema.json").read_text(encoding="utf-8"))
    return {attribute.name: sum(attribute.values.values()) for attribute in schema.attributes}


def _dropped(reports_dir: Path) -> dict[str, int]:
    report = read_json(reports_dir / "ingest.json")
    return {**report["dropped"], **report["images_dropped"]}


def _saliency(reports_dir: Path, min_dif: float) -> str:
    path = reports_dir / "saliency.json"
    slots = read_json(path)["slots"][:MAX_ROWS] if path.exists() else []
    return section("What seeing the picture adds", saliency_figure(slots, min_dif)) if slots else ""


def _largest(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_ROWS])


def _amounts(heading: str, what: str, unit: str, counts: Mapping[str, int]) -> str:
    """Numbers by name, each with a bar; nothing where there are none."""
    if not counts:
        return ""
    most = max(counts.values()) or 1
    rows = ([text(name[:_LONGEST_NAME]), f"{number:,}", _bar(number / most)] for name, number in counts.items())
    return section(heading, table([what, unit, ""], rows))


def _bar(share: float) -> str:
    """Hidden from screen readers, which read the number beside it."""
    return (
        f'<svg width="{_BAR}" height="10" aria-hidden="true" focusable="false">'
        f'<rect width="{_BAR * share:.1f}" height="10" fill="currentColor" opacity=".4"/></svg>'
    )
