"""What was read on pictures, kept on disk: each distinct picture is read once, whatever asks for it.

A reading is a small JSON file, found by the digest of the picture's bytes in a folder of exactly this engine, so any
number of them costs no memory. It is written beside its place, flushed, and moved there whole: a process killed at any
moment loses the picture it was reading and nothing else. Any number of processes may fill the same folder; a picture
that two of them read at once has one reading in the end. The folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facetmill.dataset.ocr_engines import Engine, ReadWord
from facetmill.encoders.pictures import Fault, decode_unstretched
from facetmill.files import hash_json, read_json, write_text
from facetmill.records import Box, OcrToken

FORMAT = 1  # to be raised when the same engine would give other words for the same file: scaling, splitting, order

#: Small print is read better in a picture of twice the size; more adds nothing that was not there.
MAX_ENLARGEMENT = 2.0


class CachedReader:
    """An engine that remembers. Pictures are read with their longer side `longest_side` pixels."""

    def __init__(self, engine: Engine, longest_side: int, cache_dir: Path) -> None:
        identity = hash_json([FORMAT, engine.identity, version("pillow"), longest_side])
        self.folder = cache_dir / f"{engine.name}-{identity[:16]}"
        self._engine = engine
        self._longest_side = longest_side

    def known(self, digest: str) -> list[ReadWord] | None:
        """The words of a picture that was read before, by `digest_of` its bytes."""
        try:
            rows = read_json(self._path(digest))
            return [ReadWord(OcrToken(text, Box(*edges)), confidence) for text, edges, confidence in rows]
        except (FileNotFoundError, ValueError, TypeError):  # not there, or damaged: it is read again
            return None

    def read(self, data: bytes) -> list[ReadWord] | Fault:
        """The words of the picture whose bytes these are, in reading order; `Fault.BROKEN` where it has no pixels."""
        digest = digest_of(data)
        words = self.known(digest)
        if words is not None:
            return words
        pixels = decode_unstretched(data, self._longest_side, max_enlargement=MAX_ENLARGEMENT)
        if isinstance(pixels, Fault):
            return pixels
        words = self._engine.read(pixels)
        write_text(self._path(digest), json.dumps([_row(word) for word in words], ensure_ascii=False))
        return words

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest[2:]}.json"


def _row(word: ReadWord) -> list[Any]:
    assert word.token.box is not None  # an engine knows where it read a word
    return [word.token.text, astuple(word.token.box), word.confidence]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
