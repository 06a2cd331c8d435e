"""params.yaml as frozen dataclasses: one class a section, one field a key, every key required.

Stages and flows load parameters once and pass plain values down; libraries never read the file. The model configs
live here too, so that a wrong key is told in a moment, without importing torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from facetmill.errors import ParamsError

_STRICT = ConfigDict(extra="forbid", strict=True)

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DatasetParams:
    format: str
    path: str
    images: str | None
    corrections: str | None
    columns: dict[str, str]
    ignore: list[str]
    max_bad_share: Share
    workers: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DemoParams:
    products: Count
    seed: Seed
    image_size: Annotated[int, Field(ge=32, le=1024)]
    noise: Share
    missing_images: Share
    implicit: Share
    variants: Share
    stock_pictures: Share
    drift: Share


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class OcrParams:
    engine: Literal["rapidocr", "tesseract"] | None
    images: Literal["all", "first"]
    longest_side: Annotated[int, Field(ge=64, le=4096)]
    min_confidence: Share
    workers: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RegionsParams:
    kind: Annotated[str, Field(min_length=1)] | None
    at_most: Annotated[int, Field(ge=1, le=1000)]
    min_confidence: Share
    max_overlap: Share
    longest_side: Annotated[int, Field(ge=64, le=4096)]
    workers: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MatchParams:
    ignore_case: bool
    word_boundary: bool
    fields: list[Literal["title", "text"]]
    workers: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LabellerParams:
    """How `facetmill distant train` learns; the image settings are those of `encoders/vision.py`."""

    seed: Seed
    tasks: Literal["multi", "single"]
    image_encoder: str
    freeze_image_encoder: bool
    image_size: Annotated[int, Field(ge=16, le=1024)]
    image_hidden_size: Count
    image_num_stages: Annotated[int, Field(ge=1, le=5)]
    dropout: Share
    balance: bool
    augment: bool
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)]
    patience: Count
    threads: Count
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DistantParams:
    labeller: str | None
    min_confidence: Share
    workers: Count
    training: LabellerParams


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SplitParams:
    seed: Seed
    validation: Share
    test: Share
    workers: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SaliencyParams:
    """How `dataset/saliency` asks; the settings of the encoders are those of `encoders/text.py` and `vision.py`."""

    seeds: Annotated[list[Seed], Field(min_length=1)] | None
    min_dif: Share
    max_products: Count
    encoder: str
    tokenizer: Literal["auto", "encoder", "characters"]
    freeze_encoder: bool
    hidden_size: Count
    num_layers: Count
    keep_layers: Count | None
    window: Annotated[int, Field(ge=8)]
    image_encoder: str
    freeze_image_encoder: bool
    image_size: Annotated[int, Field(ge=16, le=1024)]
    image_hidden_size: Count
    image_num_stages: Annotated[int, Field(ge=1, le=5)]
    attention_size: Count
    dropout: Share
    augment: bool
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    encoder_learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)]
    threads: Count
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class VisualTokensParams:
    codebook: Annotated[str, Field(min_length=1)] | None
    image_size: Annotated[int, Field(ge=16, le=1024)]
    num_codes: Annotated[int, Field(ge=2, le=2**16)]
    grid: Annotated[int, Field(ge=1, le=128)]
    train_pictures: Count
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    seed: Seed
    threads: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CheckParams:
    min_products: Count
    min_explicit_share: Share
    max_validation_unknown_share: Share
    max_known_title_share: Share
    max_known_picture_share: Share
    max_script_shift: Share
    min_products_per_attribute: Count
    max_bad_image_share: Share
    workers: Count


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DriftParams:
    max_shift: Share
    max_new_share: Share


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DictionaryConfig:
    min_reliability: Share
    match: Literal["longest", "most_frequent"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class JaveConfig:
    encoder: str
    tokenizer: Literal["auto", "encoder", "characters"]
    freeze_encoder: bool
    hidden_size: Count
    num_layers: Count
    keep_layers: Count | None
    window: Annotated[int, Field(ge=8)]
    attention_size: Count
    attn_norm: Literal["softmax", "none"]
    tasks: Literal["joint", "separate", "values_given", "attributes_given"]
    use_attributes: bool
    category_attributes: bool
    kl_weight: Annotated[float, Field(ge=0)]
    kl_tags: Literal["both", "begin"]
    kl_reduction: Literal["sum", "mean"]
    kl_form: Literal["printed", "bernoulli"]
    dropout: Share
    threshold: Share


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MJaveConfig(JaveConfig):
    image_encoder: str
    freeze_image_encoder: bool
    image_size: Annotated[int, Field(ge=16, le=1024)]
    image_hidden_size: Count
    image_num_stages: Annotated[int, Field(ge=1, le=5)]
    global_attention: bool
    global_gate: bool
    regional_attention: bool
    regional_gate: bool


ModelConfig: TypeAlias = DictionaryConfig | JaveConfig | MJaveConfig


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ModelsParams:
    dictionary: DictionaryConfig
    jave: JaveConfig
    m_jave: MJaveConfig


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainingParams:
    seed: Seed
    epochs: Count
    min_epoch_steps: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    encoder_learning_rate: Annotated[float, Field(gt=0)]
    warmup_share: Share
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)]
    patience: Count
    precision: Literal["fp32", "bf16"]
    threads: Count
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SweepParams:
    trials: Count
    workers: Count
    pool: Annotated[str, Field(min_length=1)] | None
    epochs: Count
    train_share: Annotated[float, Field(gt=0, le=1)]
    seed: Seed
    min_gain: Share
    final_seeds: Annotated[list[Seed], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PromotionParams:
    min_gain: Share
    significance: Annotated[float, Field(gt=0, lt=1)] | None
    bootstrap: Annotated[int, Field(ge=100)]  # with fewer no small p-value exists, and nothing could be shown
    protected: list[Literal["attribute", "category", "image", "values"]]
    max_slice_loss: Share
    max_latency_ratio: Annotated[float, Field(gt=0)] | None
    max_latency_seconds: Annotated[float, Field(gt=0)] | None
    max_load_seconds: Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
    model: str
    models: ModelsParams
    training: TrainingParams
    sweep: SweepParams
    promotion: PromotionParams


_PARAMS = TypeAdapter(Params)


def load_params(path: Path) -> Params:
    """Read and check a params.yaml. Raises `ParamsError` naming the file and every wrong key with its value."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: {error}") from error
    return parse_params(raw, str(path))


def parse_params(raw: Any, origin: str) -> Params:
    """Check a parsed params mapping; `origin` stands before each message."""
    if not isinstance(raw, Mapping):
        raise ParamsError(f"{origin}: expected a mapping of sections, got {type(raw).__name__}")
    try:
        return _PARAMS.validate_json(json.dumps(raw, default=str))  # JSON, since strict mode takes no dict in Python
    except ValidationError as error:
        raise ParamsError("\n".join(_explain(origin, detail) for detail in error.errors())) from None


def to_mapping(params: Any) -> dict[str, Any]:
    """Any params dataclass as plain JSON/YAML values."""
    return dataclasses.asdict(params)


#: By model, what a config field means to a model saved before there was one: an old champion must still load. A field
#: added to a config gets its entry here.
FIELDS_ADDED_LATER: Mapping[str, Mapping[str, Any]] = {
    "jave": {"category_attributes": False, "kl_tags": "both", "kl_form": "printed", "tasks": "joint"}
}


def model_config(params: Params, key: str) -> ModelConfig:
    """The config section of one model key. Raises `ParamsError` for a key without a section."""
    try:
        config: ModelConfig = getattr(params.models, key)
    except AttributeError:
        known = ", ".join(field.name for field in dataclasses.fields(ModelsParams))
        raise ParamsError(f"model: unknown key {key!r}; params.yaml has models: {known}") from None
    return config


def _explain(origin: str, detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{origin}: missing key {key!r}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{origin}: unknown key {key!r}"
        case _:
            return f"{origin}: {key} = {detail['input']!r}: {detail['msg']}"
