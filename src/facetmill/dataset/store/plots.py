"""What `dvc plots show` draws of a dataset: small files made of its schema, its manifest and stage reports."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from facetmill.errors import DataError
from facetmill.files import read_json, replace_folder, write_text
from facetmill.records import SPLITS, AttributeSchema
from facetmill.report.saliency_figure import saliency_figure

MAX_ROWS = 40  # of a plot; the largest ones
_LONGEST_NAME = 60
_UNREADABLE = (DataError, OSError, ValueError, KeyError, TypeError, AttributeError)

_Rows = Iterable[Mapping[str, Any]]


def write_plots(dataset_dir: Path, reports_dir: Path, out_dir: Path, *, min_dif: float) -> None:
    """Write `facets.csv`, `attributes.csv`, `dropped.csv`, `saliency.csv` and `saliency.svg` to `out_dir`, replaced as
    a whole. `min_dif` (0..1) is the line of the last one.

    Where the dataset cannot be read a file has its header alone; the verdict of the data gate says why.
    """
    with replace_folder(out_dir) as folder:
        _write(folder / "facets.csv", ("where", "facets"), lambda: _facets(dataset_dir))
        _write(folder / "attributes.csv", ("attribute", "products"), lambda: _attributes(dataset_dir))
        _write(folder / "dropped.csv", ("reason", "rows"), lambda: _dropped(reports_dir))
        header = ("attribute", "questions", "text", "picture", "dif", "low", "high", "modality")
        rows = _write(folder / "saliency.csv", header, lambda: read_json(reports_dir / "saliency.json")["slots"])
        write_text(folder / "saliency.svg", saliency_figure(rows[:MAX_ROWS], min_dif))


def _facets(dataset_dir: Path) -> _Rows:
    splits = read_json(dataset_dir / "manifest.json")["splits"]
    for split in SPLITS:
        yield {"where": f"{split}, in the text", "facets": int(splits[split]["num_explicit"])}
        yield {"where": f"{split}, not in the text", "facets": int(splits[split]["num_implicit"])}


def _attributes(dataset_dir: Path) -> _Rows:
    schema = AttributeSchema.from_json((dataset_dir / "schema.json").read_text(encoding="utf-8"))
    products = {attribute.name: sum(attribute.values.values()) for attribute in schema.attributes}
    return [{"attribute": name, "products": num} for name, num in _largest(products)]


def _dropped(reports_dir: Path) -> _Rows:
    report = read_json(reports_dir / "ingest.json")
    dropped = {**report["dropped"], **report["images_dropped"]}
    return [{"reason": reason, "rows": num} for reason, num in _largest(dropped)]


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_ROWS]


def _write(path: Path, header: tuple[str, ...], read: Callable[[], _Rows]) -> list[dict[str, Any]]:
    try:
        rows = [{name: _cell(row[name]) for name in header} for row in read()]
    except _UNREADABLE:
        rows = []
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _cell(value: Any) -> Any:
    """Names come from data, and DVC puts them into a web page: nothing in them may be taken for a tag."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str):
        return " ".join(value.split()).replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")[:_LONGEST_NAME]
    return value
