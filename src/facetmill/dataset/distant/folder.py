"""A folder of pictures sorted by hand or crawled by a label's name: `<task>/<label>/<picture>`.

MuJo-SF labels the upper height of boots from 20,000 pictures of this kind. A search engine gives the same picture for
several names; those that are equal byte for byte are one group, so that none is learned and tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.errors import DataError
from facetmill.files import hash_file
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.rows import ImageFolder, Row, build_each, checked


def read(path: Path) -> Iterator[LabelledPicture | BadRow]:
    """Stream the pictures in the order of their names; hidden files are none. Rows count the pictures.

    Raises `DataError` where there is no such folder, or no picture two folders below it.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    names = [file.relative_to(path) for file in sorted(path.glob("*/*/*"))]
    rows = [Row(number, {"picture": name}) for number, name in enumerate(_visible(names), start=1)]
    if not rows:
        raise DataError(f"{path}: no <task>/<label>/<picture> in it")
    images = ImageFolder(path)

    def build(row: Row) -> LabelledPicture:
        name: Path = row.fields["picture"]
        task, label = (checked("picture", part) for part in name.parts[:2])
        (picture,) = images.paths("picture", [name.as_posix()])
        if not Path(picture).is_file():
            raise RowError("picture", name, Reason.MISSING_IMAGE)
        return LabelledPicture(picture, hash_file(Path(picture)), {task: (label,)})

    yield from build_each(path, iter(rows), build)


def _visible(names: list[Path]) -> Iterator[Path]:
    return (name for name in names if not any(part.startswith(".") for part in name.parts))
