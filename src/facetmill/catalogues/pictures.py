"""Where the pictures of a shop's file lie: beside it, as readers expect, or in a folder below."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from facetmill.catalogues.columns import MAX_ROWS, Looked
from facetmill.catalogues.proposal import NAMES, plain
from facetmill.sources.base import BadRow
from facetmill.sources.merchant import items

MOST_FILES = 200_000  # that are looked at; in a larger tree a person says where pictures are
_IMAGE_COLUMNS = {*NAMES["images"], "product image url"}


def names_in_feed(path: Path) -> set[str]:
    """The file names of the pictures of a feed's first items."""
    rows = (row for row in islice(items(path), MAX_ROWS) if not isinstance(row, BadRow))
    return {name for row in rows for cell in row.fields.get("image_link", ()) if (name := _file_name(cell))}


def names_of_pictures(looked: Looked) -> set[str]:
    """The file names, without folders or the rest of an address, in columns that are called as pictures are."""
    cells = (
        cell for column in looked.columns.values() if plain(column.name) in _IMAGE_COLUMNS for cell in column.cells
    )
    parts = (part.strip() for cell in cells for part in cell.split(","))
    return {name for part in parts if (name := _file_name(part))}


def _file_name(address: str) -> str:
    """What an address or a path ends with; empty for one that is none."""
    try:
        return PurePosixPath(unquote(urlsplit(address).path)).name
    except ValueError:
        return ""


def folder_of_pictures(beside: Path, names: Collection[str]) -> Path | None:
    """The folder that has most of the pictures of these `names`, `beside` or one below it; None where none has half of
    them."""
    if not names:
        return None
    found: Counter[Path] = Counter()
    num_files = 0
    for folder, folders, files in os.walk(beside):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        num_files += len(files)
        if num_files > MOST_FILES:
            return None
        found[Path(folder)] = len({*files} & {*names})
    best, number = max(found.items(), key=lambda each: each[1])  # of equals, the highest folder: it comes first
    return best if number >= len(names) / 2 else None
