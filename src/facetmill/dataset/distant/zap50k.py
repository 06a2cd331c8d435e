"""UT-Zap50K: 50,025 catalogue pictures of shoes on white, with what the shop said of each.

`meta-data.csv` with header `CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle`; every column
but CID is a task, a cell may hold several labels ("Lace up;Velcro") or none. The picture of CID `100627-72` is
`100627.72.jpg` somewhere below a folder `ut-zap50k-images*`. Source: Yu, Grauman. "Fine-Grained Visual Comparisons with
Local Learning." CVPR 2014; MuJo-SF takes closure, toecap and heel height from it.

The first number of a CID is the shoe, the second its colour, so the shoe is the group.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.errors import DataError
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    build_each,
    checked,
    identifier,
    input_file,
)
from facetmill.sources.tables import read_table, require_columns


def read(path: Path) -> Iterator[LabelledPicture | BadRow]:
    """Stream the rows of `meta-data.csv`, in a folder or its `ut-zap50k-data/`; only the pictures' names are held.

    Raises `DataError` when there is no such file, it has no column CID, or no folder of pictures is beside it.
    """
    inner = path / "ut-zap50k-data" / "meta-data.csv"
    file = input_file(inner if inner.is_file() else path / "meta-data.csv")
    header, rows = read_table(file, ",")
    require_columns(file, header, "CID")
    folders = sorted(folder for folder in path.glob("ut-zap50k-images*") if folder.is_dir())
    if not folders:
        raise DataError(f"{path}: no folder ut-zap50k-images*")
    images, places = ImageFolder(folders[0]), _places(folders[0])

    def build(row: Row) -> LabelledPicture:
        cid = identifier(row.fields, "CID")
        labels = {task: _labels(task, row.fields[task]) for task in header if task != "CID"}
        if not any(labels.values()):
            raise RowError("CID", cid, Reason.NO_LABEL)
        if cid not in places:
            raise RowError("CID", cid, Reason.MISSING_IMAGE)
        (picture,) = images.paths("CID", [places[cid]])
        return LabelledPicture(picture, cid.partition("-")[0], {task: given for task, given in labels.items() if given})

    yield from build_each(file, rows, build)


def _labels(task: str, cell: str) -> tuple[str, ...]:
    parts = (part.strip() for part in checked(task, cell).split(";"))
    return tuple(dict.fromkeys(part for part in parts if part and part.lower() != "nan"))


def _places(folder: Path) -> dict[str, str]:
    """Where each CID's picture lies, relative to the folder."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            stem, _, suffix = name.rpartition(".")
            if suffix.lower() == "jpg":
                found[stem.replace(".", "-")] = os.path.relpath(os.path.join(parent, name), folder)
    return found
