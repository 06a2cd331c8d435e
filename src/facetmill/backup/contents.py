"""What is in the folder of a back-up, and the hash of every file there.

backup.json      when, of what, and the SHA-256 of every other file
ledger.jsonl     the rows of the promotion ledger, whichever database they are kept in
mlflow.db        runs, versions and the alias: SQLite's own online copy of the embedded store
artifacts/       files of runs and packages of models
studies.journal  the studies of sweeps, as Optuna's journal
objects/         the files of every dataset that a registered model was trained on, by MD5 as in DVC's cache
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from facetmill.errors import PlatformError
from facetmill.files import hash_file, read_json, write_json

FORMAT = 1
MANIFEST, LEDGER, MLFLOW_DB, ARTIFACTS, STUDIES, OBJECTS = (
    *("backup.json", "ledger.jsonl", "mlflow.db", "artifacts", "studies.journal", "objects"),
)

Part = Literal["ledger", "runs", "studies", "datasets"]
PARTS: tuple[Part, ...] = get_args(Part)

_OF_PART: Mapping[Part, tuple[str, ...]] = {
    "ledger": (LEDGER,),
    "runs": (MLFLOW_DB, ARTIFACTS),
    "studies": (STUDIES,),
    "datasets": (OBJECTS,),
}
_CHUNK = 2**20


@dataclass(frozen=True)
class Contents:
    """`champion` is what was live; `left_out` says in words what is not in it, and where that is; `hashes` are by the
    path in the folder."""

    made: str
    project: str
    champion: str | None
    counts: Mapping[str, int]
    left_out: Sequence[str]
    hashes: Mapping[str, str]

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, {"format": FORMAT, **asdict(self)})

    def brief(self) -> dict[str, Any]:
        """What a person wants to know."""
        return {name: value for name, value in asdict(self).items() if name != "hashes"} | {"files": len(self.hashes)}

    def of(self, part: Part) -> list[str]:
        """The files of one part."""
        return sorted(name for name in self.hashes if PurePosixPath(name).parts[0] in _OF_PART[part])


def parse_parts(names: Sequence[str]) -> list[Part]:
    """Raises `PlatformError` for a name that is none."""
    parts: list[Part] = [part for part in PARTS if part in names]
    if unknown := set(names) - set(PARTS):
        raise PlatformError(f"--only {', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    return parts


def read_contents(folder: Path, parts: Sequence[Part]) -> Contents:
    """The contents of a back-up. Raises `PlatformError` for what is no back-up, and for the first file of these parts
    that is missing or not what it was."""
    path = folder / MANIFEST
    try:
        raw = read_json(path)
        if raw.pop("format") != FORMAT:
            raise ValueError("its format is that of another Facetmill")
        contents = Contents(**raw)
        names = [(name, str(contents.hashes[name])) for part in parts for name in contents.of(part)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PlatformError(f"{folder}: no back-up of facetmill's: {path.name}: {error}") from error
    for name, expected in names:
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise PlatformError(f"{path}: {name!r} is no file of a back-up")
        if not (folder / name).is_file():
            raise PlatformError(f"{folder / name}: missing; this back-up is not whole, take another")
        if hash_file(folder / name) != expected:
            raise PlatformError(f"{folder / name}: changed since it was backed up; take another back-up")
    return contents


def copy_hashed(source: Path, target: Path) -> str:
    """Copy a file, and return the SHA-256 of what was copied, in hexadecimal."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
    return digest.hexdigest()
