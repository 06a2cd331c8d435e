"""A catalogue: what one shop's data and policy are where they differ from params.yaml, as `catalogues/<name>.yaml`.

Its keys are those of params.yaml and `schedule`; what it does not say params.yaml says. Each has a champion of its own.
`demo` is there without a file. Data that is named by `--data` alone makes a catalogue that nobody saved; its name is
made of the file's name and a hash of where it lies, so that it is found again and never takes another's champion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from facetmill.errors import ParamsError
from facetmill.params.changes import Change
from facetmill.params.problems import did_you_mean
from facetmill.params.reading import read_yaml
from facetmill.params.schedule import SCHEDULE, Schedule, parse_schedule

FOLDER = "catalogues"
DEMO = "demo"
DEMO_PATH = "src/facetmill/sources/demo"  # of its data: the code that draws it, so that DVC watches that
MAX_NAME = 48  # characters
CANDIDATES = "-candidates"  # ends the name of a registered model, so it ends that of no catalogue

_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9_-]{{0,{MAX_NAME - 2}}}[a-z0-9])?")
_TAKEN = ("facets", "dictionary")  # other things are called so where a catalogue could stand
_WHOLE = "dataset"  # whose values are replaced, not merged: one shop's columns are not another's
_MAX_BYTES = 2**20
_DEMO: Mapping[str, Any] = {
    "format": DEMO,
    "path": DEMO_PATH,
    "images": None,
    "corrections": None,
    "columns": {},
    "ignore": [],
    "categories": {},
}


def catalogue_path(root: Path, name: str) -> Path:
    return root / FOLDER / f"{name}.yaml"


def saved_names(root: Path) -> list[str]:
    """The catalogues that there are: `demo`, and one for each file, by name."""
    files = (path.stem for path in (root / FOLDER).glob("*.yaml") if not path.name.startswith("."))
    return sorted({DEMO, *files})


def require_name(name: str) -> None:
    """Raises `ParamsError` for what cannot be the name of a catalogue, and so of a registered model."""
    if not _NAME.fullmatch(name) or name.endswith(CANDIDATES) or name in _TAKEN:
        raise ParamsError(
            f"catalogue {name!r}: a name has up to {MAX_NAME} small letters (a to z), digits, '-' and '_', ends in "
            f"no sign and not in {CANDIDATES!r}, and is not {' or '.join(_TAKEN)}"
        )


def read_catalogue(root: Path, name: str) -> tuple[Change, ...]:
    """What a saved catalogue, or `demo`, says otherwise than params.yaml.

    Raises `ParamsError` for a name that there is not, saying which is near, for a file that is no mapping, and for a
    schedule that is none; what its other keys hold is checked with params.yaml.
    """
    if name == DEMO and not catalogue_path(root, name).is_file():
        return tuple(_changes(_DEMO, ("dataset",), "the built-in catalogue demo"))
    raw, shown = _read(root, name)
    dataset = raw.get("dataset")
    if not isinstance(dataset, Mapping) or not {"format", "path"} <= dataset.keys():
        raise ParamsError(f"{shown}: dataset.format and dataset.path must say what its data is")
    _schedule(raw, shown)
    return tuple(_changes({key: value for key, value in raw.items() if key != SCHEDULE}, (), shown))


def read_schedules(root: Path) -> dict[str, Schedule]:
    """When catalogues retrain by themselves, by name. Raises `ParamsError` as `read_catalogue`."""
    found = {name: read_schedule(root, name) for name in saved_names(root)}
    return {name: schedule for name, schedule in found.items() if schedule is not None}


def read_schedule(root: Path, name: str) -> Schedule | None:
    """When a catalogue retrains by itself, if its file says so. Raises `ParamsError` as `read_catalogue`."""
    if name == DEMO and not catalogue_path(root, name).is_file():
        return None
    return _schedule(*_read(root, name))


def _schedule(raw: Mapping[str, Any], shown: str) -> Schedule | None:
    return parse_schedule(raw[SCHEDULE], shown) if raw.get(SCHEDULE) is not None else None


def _read(root: Path, name: str) -> tuple[Mapping[str, Any], str]:
    """The file of a catalogue, and what to call it."""
    require_name(name)
    path = catalogue_path(root, name)
    if not path.is_file():
        known = saved_names(root)
        raise ParamsError(
            f"no catalogue {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}. "
            "`facetmill catalogue add FILE --name NAME` makes one"
        )
    shown = f"{FOLDER}/{path.name}"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ParamsError(f"{shown}: more than {_MAX_BYTES:,} bytes, so it is no catalogue")
        raw = read_yaml(path.read_text(encoding="utf-8"), shown)
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{shown}: {error}") from error
    if not isinstance(raw, Mapping):
        raise ParamsError(f"{shown}: expected a mapping of sections of params.yaml, got {type(raw).__name__}")
    return raw, shown


def unsaved_name(data_format: str, path: Path) -> str:
    """What a catalogue is called that nobody saved: `path` is the absolute one of its data."""
    if data_format == DEMO:
        return DEMO
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:32].strip("-")
    return f"{slug or data_format}-{sha256(f'{data_format}:{path}'.encode(errors='surrogatepass')).hexdigest()[:6]}"


def _changes(raw: Mapping[str, Any], place: tuple[str, ...], origin: str) -> Iterator[Change]:
    for key, value in raw.items():
        here = (*place, key)
        if isinstance(value, Mapping) and value and place != (_WHOLE,):
            yield from _changes(value, here, origin)
        else:
            yield Change(here, value, origin)
