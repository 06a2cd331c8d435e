"""How the pictures behind a model's training data were read: three sections of the params.yaml of then."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from facetmill.errors import ParamsError
from facetmill.params.data import OcrParams, RegionsParams, VisualTokensParams
from facetmill.params.fields import STRICT
from facetmill.params.reading import read_yaml


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReaderSettings:
    """A section is None where nothing was read, or where the model has no use for it."""

    ocr: OcrParams | None = None
    regions: RegionsParams | None = None
    visual_tokens: VisualTokensParams | None = None

    def of_use_to(self, reads: Collection[str]) -> ReaderSettings:
        """What a model that reads these (`Model.reads`) needs of it."""
        return ReaderSettings(
            ocr=self.ocr if "ocr" in reads else None,
            regions=self.regions if "regions" in reads else None,
            visual_tokens=self.visual_tokens if "codes" in reads else None,
        )


_SETTINGS = TypeAdapter(ReaderSettings)
_SECTIONS = ("ocr", "regions", "visual_tokens")


def reader_settings(path: Path) -> ReaderSettings:
    """How a dataset's pictures were read, from the params.yaml that it was built by; the rest of it may be of another
    time. The number of `workers`, which changes nothing, is 1. Raises `ParamsError` naming the file."""
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: {error}") from error
    sections = {name: raw.get(name) for name in _SECTIONS} if isinstance(raw, Mapping) else {}
    if lacking := [name for name in _SECTIONS if sections.get(name) is None]:
        raise ParamsError(f"{path}: no section {lacking[0]!r}, so how pictures were read is not known")
    found = parse_reader_settings(sections, str(path))
    assert found.ocr is not None
    assert found.regions is not None
    assert found.visual_tokens is not None
    return ReaderSettings(
        ocr=replace(found.ocr, workers=1) if found.ocr.engine is not None else None,
        regions=replace(found.regions, workers=1) if found.regions.kind is not None else None,
        visual_tokens=found.visual_tokens if found.visual_tokens.codebook is not None else None,
    )


def parse_reader_settings(raw: object, origin: str) -> ReaderSettings:
    """Check parsed settings. Raises `ParamsError`; `origin` stands before the message."""
    try:
        return _SETTINGS.validate_json(json.dumps(raw, default=str))  # JSON: strict mode takes no dict in Python
    except (ValidationError, ValueError) as error:
        raise ParamsError(f"{origin}: {error}") from None
