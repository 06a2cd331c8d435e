"""Other values than those of params.yaml, as a catalogue or `--set section.key=value` gives them, and sections that a
preset fills.

A model's section may be the name of a preset: `m_jave: paper` in params.yaml, or `--set models.m_jave=paper`, takes the
section from `papers/m_jave.yaml`, which has the hyper-parameters that the paper gives.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facetmill.errors import ParamsError
from facetmill.params.encoders import KINDS, Place
from facetmill.params.reading import read_yaml

PAPER = "paper"
_PAPERS = Path(__file__).parent / "papers"


@dataclass(frozen=True)
class Change:
    """The place of a key, its value as params.yaml would have it, and who says so, as messages call it: one `--set`,
    or a catalogue's file."""

    place: Place
    value: Any
    origin: str

    @classmethod
    def parse(cls, text: str) -> Change:
        """Raises `ParamsError` where it is not section.key=value with a value that YAML can read."""
        key, equals, value = text.partition("=")
        place = tuple(key.strip().split("."))
        if not equals or not all(place):
            raise ParamsError(f"--set {text}: write section.key=value")
        return cls(place, read_yaml(value, f"--set {text}"), f"--set {text}")


def with_changes(raw: Mapping[str, Any], changes: tuple[Change, ...], origin: str) -> dict[str, Any]:
    """Parsed params with presets filled in and keys changed, one change after the other; `raw` stays as it is.

    Raises `ParamsError` for an unknown preset, or where a change goes below a key that has no keys of its own.
    """
    whole = copy.deepcopy(dict(raw))
    _fill_presets(whole, origin)
    for change in changes:
        section = whole
        for depth, key in enumerate(change.place[:-1], 1):
            inner = section.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ParamsError(f"{change.origin}: {_no_section(change.place[:depth], inner)}")
            section = inner
        section[change.place[-1]] = copy.deepcopy(change.value)
        _fill_presets(whole, change.origin)
    return whole


def origin_of(place: Place, changes: tuple[Change, ...], origin: str) -> str:
    """What set the key at `place`: the last change of it, of a key in it or of a section around it, or the file."""
    made = (change.origin for change in reversed(changes) if _touches(change.place, place))
    return next(made, origin)


def _touches(first: Place, second: Place) -> bool:
    common = min(len(first), len(second))
    return first[:common] == second[:common]


def _fill_presets(whole: dict[str, Any], origin: str) -> None:
    models = whole.get("models")
    if not isinstance(models, dict):
        return
    for key, section in models.items():
        if isinstance(section, str):
            path = _PAPERS / f"{key}.yaml"
            if section != PAPER or not path.is_file():
                known = ", ".join(sorted(found.stem for found in _PAPERS.glob("*.yaml")))
                raise ParamsError(f"{origin}: models.{key} = {section!r}: no such preset; {PAPER!r} is one for {known}")
            models[key] = read_yaml(path.read_text(encoding="utf-8"), str(path))


def _no_section(place: Place, found: Any) -> str:
    said = f"{'.'.join(place)} is {found!r} and has no keys"
    kind = KINDS.get(place[-1])
    return f"{said}; they are those of encoders.{kind}.{found}" if kind and isinstance(found, str) else said
