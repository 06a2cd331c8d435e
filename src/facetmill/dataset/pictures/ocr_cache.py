"""An engine that remembers: each distinct picture is read once, and what was read is kept (`picture_cache.py`)."""

from __future__ import annotations

from dataclasses import astuple
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facetmill.dataset.pictures.picture_cache import PictureCache, digest_of
from facetmill.encoders.pictures import Fault
from facetmill.files import hash_json
from facetmill.perception.ocr_engines import Engine, ReadWord, read_picture
from facetmill.records import Box, OcrToken

FORMAT = 1  # to be raised when the same engine would give other words for the same file: scaling, splitting, order


class CachedReader:
    """Pictures are read with their longer side `longest_side` pixels."""

    def __init__(self, engine: Engine, longest_side: int, cache_dir: Path) -> None:
        identity = hash_json([FORMAT, engine.identity, version("pillow"), longest_side])
        self._cache = PictureCache(cache_dir / f"{engine.name}-{identity[:16]}", _to_json, _from_json)
        self._engine = engine
        self._longest_side = longest_side

    def known(self, digest: str) -> list[ReadWord] | None:
        """The words of a picture that was read before, by `digest_of` its bytes."""
        return self._cache.known(digest)

    def read(self, data: bytes) -> list[ReadWord] | Fault:
        """The words of the picture whose bytes these are, in reading order; `Fault.BROKEN` where it has no pixels."""
        digest = digest_of(data)
        words = self.known(digest)
        if words is not None:
            return words
        found = read_picture(self._engine, data, self._longest_side)
        if not isinstance(found, Fault):
            self._cache.keep(digest, found)
        return found


def _to_json(words: list[ReadWord]) -> Any:
    rows = []
    for word in words:
        assert word.token.box is not None  # an engine knows where it read a word
        rows.append([word.token.text, astuple(word.token.box), word.confidence])
    return rows


def _from_json(rows: Any) -> list[ReadWord]:
    return [ReadWord(OcrToken(text, Box(*edges)), confidence) for text, edges, confidence in rows]
