"""Encoders, described once in `encoders` of params.yaml and referred to by name, or described where they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from facetmill.params.fields import STRICT, Count

#: The keys by which any section refers to an encoder, and where such are described.
KINDS = {"encoder": "text", "value_encoder": "text", "image_encoder": "image"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TextEncoderParams:
    """What `encoders/text.py` builds."""

    network: Annotated[str, Field(min_length=1)]
    tokenizer: Literal["auto", "encoder", "characters"]
    freeze: bool
    hidden_size: Count
    num_layers: Count
    keep_layers: Count | None
    frozen_layers: Annotated[int, Field(ge=0)]
    window: Annotated[int, Field(ge=8)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ImageEncoderParams:
    """What `encoders/vision.py` builds."""

    network: Annotated[str, Field(min_length=1)]
    freeze: bool
    size: Annotated[int, Field(ge=16, le=1024)]
    hidden_size: Count
    num_stages: Annotated[int, Field(ge=1, le=5)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GeneratorParams:
    """What `encoders/seq2seq.py` builds, for models that write; described where it is used."""

    network: Annotated[str, Field(min_length=1)]
    hidden_size: Count
    num_layers: Count
    vocabulary: Annotated[int, Field(ge=300)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FusionParams:
    """What `models/parts/fused.py` builds, from nothing."""

    hidden_size: Count
    num_layers: Count
    num_heads: Count

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of num_heads {self.num_heads}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EncodersParams:
    text: dict[str, TextEncoderParams]
    image: dict[str, ImageEncoderParams]


#: The sections that refer to encoders.
_SECTIONS = ("saliency", "distant", "models")

Place = tuple[str, ...]  # of a key, from the outermost section inwards


def with_encoders(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Place, str]]:
    """Parsed params with each encoder's name replaced by its description, so that every section stands by itself; and
    the name that stood at each place. One that `encoders` does not have stays."""
    names: dict[Place, str] = {}

    def filled(section: Any, place: Place) -> Any:
        if not isinstance(section, Mapping):
            return section
        return {key: described(key, value, (*place, str(key))) for key, value in section.items()}

    def described(key: Any, value: Any, place: Place) -> Any:
        if key not in KINDS or not isinstance(value, str):
            return filled(value, place)
        names[place] = value
        return known_encoders(raw, KINDS[key]).get(value, value)

    return {key: filled(value, (key,)) if key in _SECTIONS else value for key, value in raw.items()}, names


def known_encoders(raw: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """What `encoders.text` or `encoders.image` of parsed params describes, by name."""
    encoders = raw.get("encoders")
    described = encoders.get(kind) if isinstance(encoders, Mapping) else None
    return described if isinstance(described, Mapping) else {}
