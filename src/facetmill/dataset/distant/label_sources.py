"""Where labels come from: one reader per published picture set, all in the list `LABEL_SOURCES`."""

from __future__ import annotations

from pathlib import Path

from facetmill.archives import require_unpacked
from facetmill.dataset.distant import clothing, fashionai, folder, ifashion, zap50k
from facetmill.dataset.distant.base import LabelSource
from facetmill.errors import DataError

LABEL_SOURCES: dict[str, LabelSource] = {
    "clothing": LabelSource("clothing", "Clothing Dataset: garments at home, twenty labels", clothing.read),
    "fashionai": LabelSource("fashionai", "FashionAI: necklines, collars, lengths of clothes", fashionai.read),
    "zap50k": LabelSource("zap50k", "UT-Zap50K: heel, closure, toe and more of shoes", zap50k.read),
    "ifashion": LabelSource("ifashion", "iFashion-attribute: 228 labels, several a picture", ifashion.read),
    "folder": LabelSource("folder", "your own pictures: <task>/<label>/<picture>", folder.read),
}


def parse_labels(text: str) -> tuple[str, Path]:
    """(format, folder) of a picture set named `format:folder`.

    Raises `DataError` for a name without a colon or a folder, for an unknown format, and for an archive.
    """
    name, _, path = text.partition(":")
    if not path:
        raise DataError(f"labels {text!r}: expected format:folder, such as clothing:pictures/clothing")
    if name not in LABEL_SOURCES:
        raise DataError(f"labels {text!r}: unknown format {name!r}; known are {', '.join(LABEL_SOURCES)}")
    require_unpacked(Path(path))
    return name, Path(path)
