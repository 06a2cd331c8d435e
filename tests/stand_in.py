"""Tests' own models in place of one that is known, in this process and in every package."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.models import MODELS
from facetmill.serving import package

BEFORE = "class FacetModel("


def stand_in(patch: pytest.MonkeyPatch, key: str, place: str, folder: Path) -> None:
    """Have the model at `place`, as "module:Class", stand in for `key`. A process that loads a package knows no test,
    so the served model's file, written to `folder`, says it too."""
    patch.setitem(MODELS, key, place)
    code = package.MODEL_FILE.read_text(encoding="utf-8")
    assert BEFORE in code
    known = f'import facetmill.models\n\nfacetmill.models.MODELS["{key}"] = "{place}"\n\n\n'
    own = folder / package.MODEL_FILE.name
    own.write_text(code.replace(BEFORE, known + BEFORE), encoding="utf-8")
    patch.setattr(package, "MODEL_FILE", own)
