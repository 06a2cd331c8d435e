"""The section of each model key, and all of them by key."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from facetmill.params.fields import STRICT, Count, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DictionaryConfig:
    min_reliability: Share
    match: Literal["longest", "most_frequent", "rarest"]
    negatives: Literal["known", "all"]
    places: Literal["shared", "claimed"]
    values: Literal["one", "all"]
    ocr: bool
    distractors: list[str]


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelsParams:
    dictionary: DictionaryConfig
    jave: JaveConfig
    m_jave: MJaveConfig
