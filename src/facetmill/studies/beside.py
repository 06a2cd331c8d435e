"""What others have published, by the data that it is of; shown beside a table of ours, never among its rows.

A file of `published/` holds what is known of one data set: papers' tables, and which study each belongs to. A figure is
shown only by a user's asking for that data set, and only in the metrics that the study shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facetmill.errors import DataError
from facetmill.params.reading import read_yaml

_FOLDER = Path(__file__).parent / "published"


@dataclass(frozen=True)
class PublishedRow:
    """One row of a paper's table. `scores` are in percent, by the names of ours, such as `value_f1` and
    `value_precision`; `value_spread` is a standard deviation. `scored_on` says of which products they are."""

    data: str
    paper: str
    table: str
    scored_on: str
    studies: tuple[str, ...]
    name: str
    scores: Mapping[str, float]


def known_data() -> list[str]:
    """The data sets of which something is published here."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def published(data: str) -> list[PublishedRow]:
    """All that is known of a data set. Raises `DataError` for another name than those of `known_data`."""
    if data not in known_data():
        raise DataError(f"figures are known beside {', '.join(known_data())}, not {data!r}")
    path = _FOLDER / f"{data}.yaml"
    tables: list[dict[str, Any]] = read_yaml(path.read_text(encoding="utf-8"), str(path))
    return [
        PublishedRow(data, **{**table, "studies": tuple(table["studies"])}, name=name, scores=scores)
        for table in tables
        for name, scores in table.pop("rows").items()
    ]


def published_beside(data: str, study: str, metrics: Sequence[str]) -> list[PublishedRow]:
    """What belongs beside a study that shows these metrics, with their scores alone.

    Raises `DataError` where that is nothing.
    """
    stems = tuple(metric.removesuffix("_f1") for metric in metrics)
    found = []
    for row in published(data):
        scores = {name: score for name, score in row.scores.items() if name.rpartition("_")[0] in stems}
        if study in row.studies and scores:
            found.append(replace(row, scores=scores))
    if not found:
        raise DataError(f"nothing is known of {data} beside the study {study} in {' or '.join(metrics)}")
    return found
