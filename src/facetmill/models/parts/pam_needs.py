"""What a PAM reads, by its config."""

from __future__ import annotations

from facetmill.models.base import Reads
from facetmill.params import PamConfig


def reads_packs(config: PamConfig) -> bool:
    return config.ocr != "none"


def looks(config: PamConfig) -> bool:
    return config.ocr == "seen" or config.objects != "none"


def needs_vectors(config: PamConfig) -> bool:
    return reads_packs(config) or config.vocabulary_vectors == "words"


def reads_words_of(config: PamConfig) -> set[str]:
    return {*(["text"] if config.text else []), *(["ocr"] if reads_packs(config) else [])}


def reads_of(config: PamConfig) -> frozenset[Reads]:
    found: set[Reads] = set()
    if config.text:
        found |= {"title", "text"}
    if reads_packs(config):
        found.add("ocr")
    if looks(config):
        found.add("images")
    if config.objects == "boxes":
        found.add("regions")
    return frozenset(found)
