"""params.yaml as frozen dataclasses: one class a section, one field a key, every key required.

Stages and flows load parameters once and pass plain values down; libraries never read the file. The model configs
live here too, so that a wrong key is told in a moment, without importing torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from facetmill.errors import ParamsError
from facetmill.params.changes import Change, origin_of, with_changes
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
    EncodersParams,
    FusionParams,
    GeneratorParams,
    ImageEncoderParams,
    Place,
    TextEncoderParams,
    with_encoders,
)
from facetmill.params.fields import STRICT
from facetmill.params.models import (
    AskedConfig,
    AveqaConfig,
    BiLstmCrfConfig,
    ButdConfig,
    DeflateConfig,
    DictionaryConfig,
    JaveConfig,
    JointBertConfig,
    JointTokenTaggerConfig,
    MaeModelConfig,
    MJaveConfig,
    ModelConfig,
    ModelsParams,
    MujoSfConfig,
    PamConfig,
    SlotChooserConfig,
    SlotGatedConfig,
    SuOpenTagConfig,
    TaggerConfig,
    TokenTaggerConfig,
    UlsDramConfig,
    WrittenConfig,
)
from facetmill.params.problems import did_you_mean, explain
from facetmill.params.reading import read_yaml
from facetmill.params.training import PromotionParams, SweepParams, TrainingParams, without_own_training

__all__ = [
    "AskedConfig",
    "AveqaConfig",
    "BiLstmCrfConfig",
    "ButdConfig",
    "CheckParams",
    "DatasetParams",
    "DeflateConfig",
    "DemoParams",
    "DictionaryConfig",
    "DistantParams",
    "DriftParams",
    "EncodersParams",
    "FusionParams",
    "GeneratorParams",
    "ImageEncoderParams",
    "JaveConfig",
    "JointBertConfig",
    "JointTokenTaggerConfig",
    "LabellerParams",
    "MJaveConfig",
    "MaeModelConfig",
    "MatchParams",
    "ModelConfig",
    "ModelsParams",
    "MujoSfConfig",
    "OcrParams",
    "PamConfig",
    "Params",
    "PromotionParams",
    "RegionsParams",
    "SaliencyParams",
    "SlotChooserConfig",
    "SlotGatedConfig",
    "SplitParams",
    "SuOpenTagConfig",
    "SweepParams",
    "TaggerConfig",
    "TextEncoderParams",
    "TokenTaggerConfig",
    "TrainingParams",
    "UlsDramConfig",
    "VisualTokensParams",
    "WrittenConfig",
    "load_params",
    "model_config",
    "parse_params",
    "to_mapping",
    "training_of",
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Sections:
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Params(_Sections):
    """All sections. `own_training` is what `models.<key>.training` says, by model key; see `training_of`."""

    own_training: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


_SECTIONS, _TRAINING = TypeAdapter(_Sections), TypeAdapter(TrainingParams)


def load_params(path: Path, changes: Sequence[str] = (), catalogue: Sequence[Change] = ()) -> Params:
    """Read and check a params.yaml, with other values where a `catalogue` says so, or `changes`: "section.key=value".

    Raises `ParamsError` naming the file, or the change, and every wrong key with its value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: {error}") from error
    return parse_params(read_yaml(text, str(path)), str(path), changes, catalogue)


def parse_params(raw: Any, origin: str, changes: Sequence[str] = (), catalogue: Sequence[Change] = ()) -> Params:
    """Check a parsed params mapping; `origin` stands before each message. Sections get the encoders that they name."""
    if not isinstance(raw, Mapping):
        raise ParamsError(f"{origin}: expected a mapping of sections, got {type(raw).__name__}")
    parsed = (*catalogue, *map(Change.parse, changes))
    whole, names = with_encoders(with_changes(raw, parsed, origin))
    whole, own = without_own_training(whole)
    errors: list[Any] = []
    sections = _checked(_SECTIONS, whole, (), errors)
    checked = {key: _own_training(whole.get("training"), said, key, errors) for key, said in own.items()}
    if sections is None or errors:
        lines = explain(errors, whole, names, lambda place: origin_of(place, parsed, origin))
        raise ParamsError("\n".join(dict.fromkeys(lines)))
    return Params(**vars(sections), own_training=checked)


def _checked(adapter: TypeAdapter[Any], raw: Mapping[str, Any], place: Place, errors: list[Any]) -> Any:
    """The dataclass of a mapping that stands at `place`; None where `errors` were found and added."""
    try:
        return adapter.validate_json(json.dumps(raw, default=str))  # JSON, since strict mode takes no dict in Python
    except ValidationError as error:
        errors += [detail | {"loc": (*place, *detail["loc"])} for detail in error.errors()]
        return None


def _own_training(shared: Any, said: Any, key: str, errors: list[Any]) -> dict[str, Any]:
    """The checked values of a model's own training section, which says something else than the `shared` one."""
    place = ("models", key, "training")
    if not isinstance(said, Mapping):
        errors.append({"type": "mapping", "loc": place, "input": said, "msg": "Input should be some keys of training"})
        return {}
    found: list[Any] = []
    whole = _checked(_TRAINING, {**(shared if isinstance(shared, Mapping) else {}), **said}, place, found)
    errors += [detail for detail in found if detail["loc"][len(place)] in said]  # the rest is told of the shared one
    return {name: getattr(whole, name) for name in said} if whole is not None else {}


def to_mapping(params: Any) -> dict[str, Any]:
    """Any params dataclass as plain JSON/YAML values; of all params, what params.yaml would say."""
    mapping = dataclasses.asdict(params)
    for key, own in mapping.pop("own_training", {}).items():
        mapping["models"][key]["training"] = own
    return mapping


def training_of(params: Params, key: str) -> TrainingParams:
    """How a model is trained: the shared section, and what the model's own section says otherwise."""
    return dataclasses.replace(params.training, **params.own_training.get(key, {}))


def model_config(params: Params, key: str) -> ModelConfig:
    """The config section of one model key. Raises `ParamsError` for a key without a section."""
    try:
        config: ModelConfig = getattr(params.models, key)
    except AttributeError:
        known = [field.name for field in dataclasses.fields(ModelsParams)]
        near = did_you_mean(key, known)
        raise ParamsError(f"model: unknown key {key!r}{near}; params.yaml has models: {', '.join(known)}") from None
    return config
