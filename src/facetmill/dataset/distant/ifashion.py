"""iFashion-attribute (iMaterialist 2018): a million fashion pictures, 228 labels in 8 tasks, several a picture.

`train.json` and `validation.json`, objects whose `annotations` are `{"labelId": ["62", "17"], "imageId": "1"}`, and
`iMat_fashion_2018_label_map_228.csv` (`labelId,taskId,labelName,taskName`), which names them. The set is published as
addresses; whoever downloaded picture 1 of train has it as `images/train/1.jpg`. Source: Guo, Huang, Zhang, Srikhanta,
Cui, Li, Adam, Scott, Belongie. "The iMaterialist Fashion Attribute Dataset." ICCV Workshops 2019; MuJo-SF takes colour
from it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.errors import DataError
from facetmill.sources import strict_json
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    Rows,
    bad_row,
    build_each,
    identifier,
    input_file,
)
from facetmill.sources.tables import read_table, require_columns

LABEL_MAP = "iMat_fashion_2018_label_map_228.csv"
SPLITS = ("train", "validation")
_COLUMNS = ("labelId", "taskId", "labelName", "taskName")

_BEGIN = re.compile(rb'"annotations"\s*:\s*\[')
_OBJECT = re.compile(rb"[\s,]*(\{[^{}]*\})")  # annotations are flat
_CHUNK = 2**20
_MAX_OBJECT = 2**16  # bytes; with 228 labels no honest one comes near


def read(path: Path) -> Iterator[LabelledPicture | BadRow]:
    """Stream the annotations of the splits that a folder has. Raises `DataError` when it has none or no label map."""
    names = _names(path / LABEL_MAP)
    files = [(split, path / f"{split}.json") for split in SPLITS if (path / f"{split}.json").is_file()]
    if not files:
        raise DataError(f"{path}: no {' or '.join(f'{split}.json' for split in SPLITS)}")
    for split, file in files:
        yield from build_each(file, _annotations(file), _Build(split, ImageFolder(path / "images" / split), names))


class _Build:
    """A picture from an annotation of one split."""

    def __init__(self, split: str, images: ImageFolder, names: Mapping[str, tuple[str, str]]) -> None:
        self._split, self._images, self._names = split, images, names

    def __call__(self, row: Row) -> LabelledPicture:
        image, numbers = identifier(row.fields, "imageId"), row.fields.get("labelId")
        if not isinstance(numbers, list):
            raise RowError("labelId", numbers, Reason.WRONG_TYPE)
        if not numbers:
            raise RowError("labelId", numbers, Reason.NO_LABEL)
        labels: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for number in numbers:
            if str(number) not in self._names:
                raise RowError("labelId", number, Reason.WRONG_TYPE)
            task, label = self._names[str(number)]
            labels[task][label] = None
        (picture,) = self._images.paths("imageId", [f"{image}.jpg"])
        given = {task: tuple(found) for task, found in labels.items()}
        return LabelledPicture(picture, f"{self._split}/{image}", given)


def _names(file: Path) -> dict[str, tuple[str, str]]:
    """Task and name of each label by its number."""
    header, rows = read_table(input_file(file), ",")
    require_columns(file, header, *_COLUMNS)
    found = {}
    for row in rows:
        if isinstance(row, BadRow):  # every picture needs it
            raise DataError(str(row))
        found[row.fields["labelId"].strip()] = (row.fields["taskName"].strip(), row.fields["labelName"].strip())
    return found


def _annotations(file: Path) -> Rows:
    """Stream the objects of `annotations`, wherever in the file's one object it stands; none is held after its turn."""
    with file.open("rb") as stream:
        buffer = stream.read(_CHUNK)
        while not (begin := _BEGIN.search(buffer)):
            more = stream.read(_CHUNK)
            if not more:
                raise DataError(f'{file}: no "annotations" list in it')
            buffer = buffer[-64:] + more
        at, number = begin.end(), 0
        while True:
            if found := _OBJECT.match(buffer, at):
                at, number = found.end(), number + 1
                yield _row(file, number, found[1])
            elif buffer[at:].lstrip(b" \t\r\n,")[:1] == b"]":
                return
            elif len(buffer) - at <= _MAX_OBJECT and (more := stream.read(_CHUNK)):
                buffer, at = buffer[at:] + more, 0
            else:
                shown = buffer[at : at + 80].decode(errors="replace")
                yield bad_row(file, number + 1, "annotations", shown, Reason.BROKEN_JSON)
                return


def _row(file: Path, number: int, text: bytes) -> Row | BadRow:
    try:
        return Row(number, strict_json.loads(text.decode()))
    except UnicodeDecodeError:
        return bad_row(file, number, "annotations", text.decode(errors="replace"), Reason.WRONG_ENCODING)
    except RowError as error:
        return bad_row(file, number, error.field or "annotations", error.value, error.reason)
