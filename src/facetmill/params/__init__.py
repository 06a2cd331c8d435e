"""params.yaml as frozen dataclasses: one class a section, one field a key, every key required.

Stages and flows load parameters once and pass plain values down; libraries never read the file. The model configs
live here too, so that a wrong key is told in a moment, without importing torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from facetmill.errors import ParamsError
from facetmill.params.data import (
    CheckParams,
    DatasetParams,
    DemoParams,
    DistantParams,
    DriftParams,
    LabellerParams,
    MatchParams,
    OcrParams,
    RegionsParams,
    SaliencyParams,
    SplitParams,
    VisualTokensParams,
)
from facetmill.params.encoders import (
    KINDS,
    EncodersParams,
    ImageEncoderParams,
    Place,
    TextEncoderParams,
    known_encoders,
    with_encoders,
)
from facetmill.params.fields import STRICT
from facetmill.params.models import DictionaryConfig, JaveConfig, MJaveConfig, ModelConfig, ModelsParams
from facetmill.params.reading import read_yaml
from facetmill.params.training import PromotionParams, SweepParams, TrainingParams

__all__ = [
    "CheckParams",
    "DatasetParams",
    "DemoParams",
    "DictionaryConfig",
    "DistantParams",
    "DriftParams",
    "EncodersParams",
    "ImageEncoderParams",
    "JaveConfig",
    "LabellerParams",
    "MJaveConfig",
    "MatchParams",
    "ModelConfig",
    "ModelsParams",
    "OcrParams",
    "Params",
    "PromotionParams",
    "RegionsParams",
    "SaliencyParams",
    "SplitParams",
    "SweepParams",
    "TextEncoderParams",
    "TrainingParams",
    "VisualTokensParams",
    "load_params",
    "model_config",
    "parse_params",
    "to_mapping",
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Params:
    dataset: DatasetParams
    demo: DemoParams
    ocr: OcrParams
    regions: RegionsParams
    match: MatchParams
    distant: DistantParams
    split: SplitParams
    saliency: SaliencyParams
    visual_tokens: VisualTokensParams
    check: CheckParams
    drift: DriftParams
    encoders: EncodersParams
    model: str
    models: ModelsParams
    training: TrainingParams
    sweep: SweepParams
    promotion: PromotionParams


_PARAMS = TypeAdapter(Params)


def load_params(path: Path) -> Params:
    """Read and check a params.yaml. Raises `ParamsError` naming the file and every wrong key with its value."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: {error}") from error
    return parse_params(read_yaml(text, str(path)), str(path))


def parse_params(raw: Any, origin: str) -> Params:
    """Check a parsed params mapping; `origin` stands before each message. Sections get the encoders that they name."""
    if not isinstance(raw, Mapping):
        raise ParamsError(f"{origin}: expected a mapping of sections, got {type(raw).__name__}")
    whole, names = with_encoders(raw)
    try:
        return _PARAMS.validate_json(json.dumps(whole, default=str))  # JSON, since strict mode takes no dict in Python
    except ValidationError as error:
        raise ParamsError("\n".join(_explain(origin, error.errors(), raw, names))) from None


def to_mapping(params: Any) -> dict[str, Any]:
    """Any params dataclass as plain JSON/YAML values."""
    return dataclasses.asdict(params)


def model_config(params: Params, key: str) -> ModelConfig:
    """The config section of one model key. Raises `ParamsError` for a key without a section."""
    try:
        config: ModelConfig = getattr(params.models, key)
    except AttributeError:
        known = ", ".join(field.name for field in dataclasses.fields(ModelsParams))
        raise ParamsError(f"model: unknown key {key!r}; params.yaml has models: {known}") from None
    return config


def _explain(origin: str, errors: Sequence[Any], raw: Mapping[str, Any], names: Mapping[Place, str]) -> Iterator[str]:
    """A line for each wrong key; what is wrong with an encoder is told where it is described, not where it is named."""
    for detail in errors:
        place = tuple(map(str, detail["loc"]))
        key = ".".join(place)
        kind = KINDS[place[-1]] if place in names else ""
        if kind and names[place] not in known_encoders(raw, kind):
            known = ", ".join(known_encoders(raw, kind)) or "none"
            yield f"{origin}: {key} = {names[place]!r}: no such {kind} encoder; encoders.{kind} has {known}"
        elif any(place[: len(named)] == named for named in names):
            continue
        elif detail["type"] == "missing":
            yield f"{origin}: missing key {key!r}"
        elif detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            yield f"{origin}: unknown key {key!r}"
        else:
            yield f"{origin}: {key} = {detail['input']!r}: {detail['msg']}"
