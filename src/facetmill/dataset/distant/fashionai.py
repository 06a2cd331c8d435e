"""FashionAI attributes: women's clothes, eight tasks of which each picture has one.

`Annotations/label.csv` without header, one row `Images/<task>/<name>.jpg,<task>,nnynm` a picture, paths relative to the
folder that holds `Annotations`. The letters go by the task's values in their published order: y is the value, m one
that a second look might take for it, n none. Source: Zou, Kong, Wong, Wang, Liu, Cao. "FashionAI: A Hierarchical
Dataset for Fashion Understanding." CVPR Workshops 2019; MuJo-SF takes neckline, sleeve, skirt and pants from it.

"Invisible" (the picture does not show the part) is a label like the others; a mapping that leaves it out drops those
pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facetmill.dataset.distant.base import LabelledPicture
from facetmill.sources.base import BadRow, Reason, RowError
from facetmill.sources.rows import ImageFolder, Row, Rows, bad_row, build_each, input_file, read_lines

VALUES = {
    "coat_length_labels": (
        *("Invisible", "High Waist Length", "Regular Length", "Long Length"),
        *("Micro Length", "Knee Length", "Midi Length", "Ankle&Floor Length"),
    ),
    "collar_design_labels": ("Invisible", "Shirt Collar", "Peter Pan", "Puritan Collar", "Rib Collar"),
    "lapel_design_labels": ("Invisible", "Notched", "Collarless", "Shawl Collar", "Plus Size Shawl"),
    "neck_design_labels": ("Invisible", "Turtle Neck", "Ruffle Semi-High Collar", "Low Turtle Neck", "Draped Collar"),
    "neckline_design_labels": (
        *("Invisible", "Strapless Neck", "Deep V Neckline", "Straight Neck", "V Neckline"),
        *("Square Neckline", "Off Shoulder", "Round Neckline", "Sweat Heart Neck", "One Shoulder Neckline"),
    ),
    "pant_length_labels": ("Invisible", "Short Pant", "Mid Length", "3/4 Length", "Cropped Pant", "Full Length"),
    "skirt_length_labels": (
        *("Invisible", "Short Length", "Knee Length", "Midi Length", "Ankle Length", "Floor Length"),
    ),
    "sleeve_length_labels": (
        *("Invisible", "Sleeveless", "Cup Sleeves", "Short Sleeves", "Elbow Sleeves"),
        *("3/4 Sleeves", "Wrist Length", "Long Sleeves", "Extra Long Sleeves"),
    ),
}


def read(path: Path) -> Iterator[LabelledPicture | BadRow]:
    """Stream the rows of `Annotations/label.csv` in a folder. Raises `DataError` when it is not there."""
    file = input_file(path / "Annotations" / "label.csv")
    images = ImageFolder(path)

    def build(row: Row) -> LabelledPicture:
        name, task, marks = row.fields["image"], row.fields["task"], row.fields["marks"]
        if task not in VALUES:
            raise RowError("task", task, Reason.WRONG_TYPE)
        if len(marks) != len(VALUES[task]) or not set(marks) <= set("ynm") or marks.count("y") > 1:
            raise RowError("marks", marks, Reason.WRONG_TYPE)
        if "y" not in marks:
            raise RowError("marks", marks, Reason.NO_LABEL)
        (picture,) = images.paths("image", [name])
        return LabelledPicture(picture, Path(name).stem, {task: (VALUES[task][marks.index("y")],)})

    yield from build_each(file, _rows(file), build)


def _rows(file: Path) -> Rows:
    for line in read_lines(file):
        if isinstance(line, BadRow):
            yield line
            continue
        number, text = line
        cells = text.split(",")
        if len(cells) == 3:
            yield Row(number, dict(zip(("image", "task", "marks"), cells, strict=True)))
        else:
            yield bad_row(file, number, "line", text, Reason.BROKEN_TABLE_ROW)
