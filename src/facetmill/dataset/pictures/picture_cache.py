"""What was found on pictures, kept on disk: each distinct picture is looked at once, whatever asks for it.

A finding is a small JSON file, found by the digest of the picture's bytes in a folder of exactly what finds it, so any
number of them costs no memory. It is written beside its place, flushed, and moved there whole: a process killed at any
moment loses the picture it was looking at and nothing else. Any number of processes may fill the same folder; a picture
that two of them look at once has one finding in the end. The folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from facetmill.compute.pieces import Call
from facetmill.encoders.pictures import Fault, picture_bytes
from facetmill.files import read_json, write_text

T = TypeVar("T")


class PictureCache(Generic[T]):
    """Findings below `folder`, as JSON that `to_json` makes of one; `from_json` raises `ValueError` or `TypeError` for
    what it did not make."""

    def __init__(self, folder: Path, to_json: Callable[[T], Any], from_json: Callable[[Any], T]) -> None:
        self.folder = folder
        self._to_json = to_json
        self._from_json = from_json

    def known(self, digest: str) -> T | None:
        """What was found before on the picture with this `digest_of` its bytes."""
        try:
            return self._from_json(read_json(self._path(digest)))
        except (FileNotFoundError, ValueError, TypeError):  # not there, or damaged: it is looked for again
            return None

    def keep(self, digest: str, finding: T) -> None:
        write_text(self._path(digest), json.dumps(self._to_json(finding), ensure_ascii=False))

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest[2:]}.json"


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def look_at_all(
    paths: Iterable[str], known: Callable[[str], T | None], look: Callable[[str], T | Fault], run: Call[T | Fault]
) -> dict[str, T | Fault]:
    """What is on the picture of each path, or why there is none. Files with the same bytes are one picture.

    `known` answers for a digest; what it does not know is found by `look`, which `run` calls with paths elsewhere.
    """
    findings: dict[str, T | Fault] = {}
    unknown: dict[str, list[str]] = defaultdict(list)  # paths by digest
    for path in sorted(paths):
        data = picture_bytes(path)
        if isinstance(data, Fault):
            findings[path] = data
            continue
        digest = digest_of(data)
        if digest in unknown or (finding := known(digest)) is None:
            unknown[digest].append(path)
        else:
            findings[path] = finding
    found = run(look, [same[0] for same in unknown.values()])
    for same, answer in zip(unknown.values(), found, strict=True):
        findings |= dict.fromkeys(same, answer)
    return findings
