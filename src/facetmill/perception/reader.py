"""What a model reads off a picture, read as it was when the model's training data was made.

reader.json         in the folder of a saved model: the sections `ocr`, `regions` and `visual_tokens` of then
reader/detector/    the network that `regions.kind` named
reader/codebook/    the codebook of the dataset's visual tokens

A request that gives words and boxes is believed; where it gives none, these are read here, one picture at a time. A
picture that is missing or broken has neither.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facetmill.encoders.pictures import Fault, decode_picture, picture_bytes
from facetmill.errors import DataError, ParamsError, PlatformError
from facetmill.files import read_json, write_json
from facetmill.imports import unhindered_imports
from facetmill.params import OcrParams, RegionsParams, to_mapping
from facetmill.params.perception import ReaderSettings, parse_reader_settings
from facetmill.perception.boxes import as_recorded
from facetmill.perception.ocr_engines import ENGINES, LIBRARIES, Engine, read_picture, sure_words
from facetmill.perception.region_finders import WITHOUT_WEIGHTS, Finder, best_boxes, finder_of, look_at_picture
from facetmill.records import Box, OcrToken

if TYPE_CHECKING:
    from facetmill.perception.codebooks import Codebook

FILE = "reader.json"
NETWORKS = "reader"
FORMAT_VERSION = 1


class Reader:
    """Making one is cheap: engines and networks are loaded for the first picture that needs them.

    `detector` is the hub name or folder to load the network of `regions.kind` from, where it is not that itself;
    `codebook` the folder of the codebook that `visual_tokens` speaks of.
    """

    def __init__(self, settings: ReaderSettings, *, detector: str | None = None, codebook: Path | None = None) -> None:
        self.settings = settings
        self._detector = detector
        self._codebook = codebook

    @property
    def ocr(self) -> OcrParams | None:
        return self.settings.ocr

    @property
    def regions(self) -> RegionsParams | None:
        """With `kind` as it can be loaded here."""
        found = self.settings.regions
        return found if found is None or self._detector is None else replace(found, kind=self._detector)

    @property
    def libraries(self) -> tuple[str, ...]:
        """The Python packages, beyond Facetmill's own requirements, whose versions decide what is read."""
        return () if self.ocr is None or self.ocr.engine is None else LIBRARIES[self.ocr.engine]

    @cached_property
    def codebook(self) -> Codebook:
        """What gives the codes of `codes_on`; there is one where `settings` speak of visual tokens."""
        with unhindered_imports():
            from facetmill.perception.codebooks import load_codebook
        assert self._codebook is not None
        return load_codebook(self._codebook)

    def words_on(self, images: Sequence[str]) -> tuple[OcrToken, ...]:
        """The words on a product's pictures, one picture after the other.

        Raises `PlatformError` that names the engine, and how to install it, where it is missing.
        """
        if self.ocr is None:
            return ()
        words: list[OcrToken] = []
        for image in images[:1] if self.ocr.images == "first" else images:
            data = picture_bytes(image)
            found = data if isinstance(data, Fault) else read_picture(self._engine, data, self.ocr.longest_side)
            if not isinstance(found, Fault):
                words += sure_words(found, self.ocr.min_confidence)
        return tuple(OcrToken(word.text, word.box and as_recorded(word.box)) for word in words)

    def regions_on(self, images: Sequence[str]) -> tuple[Box, ...]:
        """The boxes on a product's first picture, best first. Raises `ParamsError` where a detector cannot be
        loaded."""
        if self.regions is None or not images:
            return ()
        data = picture_bytes(images[0])
        found = data if isinstance(data, Fault) else look_at_picture(self._finder, data, self.regions.longest_side)
        return () if isinstance(found, Fault) else tuple(map(as_recorded, best_boxes(found, self.regions)))

    def codes_on(self, images: Sequence[str]) -> NDArray[np.uint16] | None:
        """The codes [grid * grid] of a product's first picture, row by row; None where it has none."""
        if self.settings.visual_tokens is None or not images:
            return None
        import torch

        data = picture_bytes(images[0])
        pixels = data if isinstance(data, Fault) else decode_picture(data, self.codebook.size)
        if isinstance(pixels, Fault):
            return None
        codes: NDArray[np.uint16] = (
            self.codebook.encode(torch.from_numpy(pixels)[None]).numpy().astype(np.uint16).ravel()
        )
        return codes

    def save(self, folder: Path) -> None:
        """Write settings and networks into the folder of a model."""
        write_json(folder / FILE, {"format_version": FORMAT_VERSION, **to_mapping(self.settings)})
        if self.regions is not None and self.regions.kind not in WITHOUT_WEIGHTS:
            with unhindered_imports():
                from facetmill.perception.region_detector import Detector
            assert self.regions.kind is not None
            Detector(self.regions.kind).save(folder / NETWORKS / "detector")
        if self.settings.visual_tokens is not None:
            assert self._codebook is not None
            shutil.copytree(self._codebook, folder / NETWORKS / "codebook")

    @cached_property
    def _engine(self) -> Engine:
        assert self.ocr is not None
        assert self.ocr.engine is not None
        try:
            return ENGINES[self.ocr.engine]()
        except PlatformError as error:
            raise PlatformError(f"this model reads the words on pictures, and no `ocr` was given: {error}") from error

    @cached_property
    def _finder(self) -> Finder:
        assert self.regions is not None
        assert self.regions.kind is not None
        return finder_of(self.regions.kind, self.regions.at_most)


def load_reader(folder: Path) -> Reader | None:
    """What the saved model in a folder reads off pictures; None for one that reads nothing, as all did once.

    Raises `DataError` for a reader.json that `Reader.save` did not write.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        raw = read_json(path)
        version = raw.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise DataError(f"{path}: format_version {version!r}, but this Facetmill reads {FORMAT_VERSION}")
        settings = parse_reader_settings(raw, str(path))
    except (OSError, ValueError, AttributeError, TypeError, ParamsError) as error:
        raise DataError(f"{path}: not what a model reads with: {error}") from error
    detector, codebook = folder / NETWORKS / "detector", folder / NETWORKS / "codebook"
    return Reader(
        settings,
        detector=str(detector) if detector.is_dir() else None,
        codebook=codebook if codebook.is_dir() else None,
    )
