"""The section of each model key, and all of them by key."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from facetmill.params.encoders import FusionParams, GeneratorParams, ImageEncoderParams, TextEncoderParams
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
    encoder: TextEncoderParams
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
    image_encoder: ImageEncoderParams
    global_attention: bool
    global_gate: bool
    regional_attention: bool
    regional_gate: bool


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UlsDramConfig:
    encoder: TextEncoderParams
    image_encoder: ImageEncoderParams
    vision: Literal["none", "joined", "tir"]
    self_attention: bool
    tir_size: Count
    tir_softmax: bool
    range: Literal["none", "proto", "dynet", "bert"]
    train_range: Literal["predicted", "predicted_and_true"]
    max_pairs: Count
    warm_epochs: Annotated[int, Field(ge=0)]
    category_attributes: bool
    decoder_size: Count
    dropout: Share
    range_threshold: Share
    threshold: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MujoSfConfig:
    encoder: TextEncoderParams
    value_encoder: TextEncoderParams | None
    value_pooling: Literal["cls", "mean"]
    value_scale: Literal["printed", "standard"]
    image_encoder: ImageEncoderParams
    heads: Literal["separate", "one"]
    ca: Literal["patches", "pooled", "none"]
    image_slots: Literal["schema", "all"] | list[str]
    image_slots_read: Literal["picture", "both"]
    text_by: Literal["states", "words", "both"]
    pack_words: bool
    text_weight: Annotated[float, Field(ge=0)]
    image_weight: Annotated[float, Field(ge=0)]
    synonyms: dict[str, dict[str, str]]
    unsaid: Literal["none", "unknown"]
    balance: Literal["none", "balanced", "logit_adjusted"]
    category_input: bool
    category_attributes: bool
    dropout: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TokenTaggerConfig:
    encoder: TextEncoderParams
    category_input: bool
    category_attributes: bool
    dropout: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaggerConfig(TokenTaggerConfig):
    decoder: Literal["softmax", "crf"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BiLstmCrfConfig(TokenTaggerConfig):
    hidden_size: Count
    attention_size: Count | None
    attention_form: Literal["printed", "beside"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class JointTokenTaggerConfig(TokenTaggerConfig):
    threshold: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class JointBertConfig(JointTokenTaggerConfig):
    tasks: Literal["joint", "separate"]
    decoder: Literal["softmax", "crf"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SlotGatedConfig(JointTokenTaggerConfig):
    hidden_size: Count
    context: Literal["none", "attention", "gated", "gated_states"]
    attention_size: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AskedConfig(TokenTaggerConfig):
    negatives: Annotated[int, Field(ge=0)] | None
    max_pairs: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SuOpenTagConfig(AskedConfig):
    hidden_size: Annotated[int, Field(ge=2)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AveqaConfig(AskedConfig):
    longest_value: Count
    values: Literal["one", "all"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WrittenConfig:
    """What all models that write have."""

    generator: GeneratorParams
    image: Literal["none", "patches", "codes"]
    image_encoder: ImageEncoderParams
    code_pooling: Count
    separator: Literal["token", "comma"]
    window: Annotated[int, Field(ge=16)]
    longest_answer: Count
    precision: Literal["fp32", "bf16"]
    category_attributes: bool
    dropout: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DeflateConfig(WrittenConfig):
    question: Literal["encoder", "decoder"]
    closed: Literal["none", "all"] | list[str]
    discriminator: Literal["none", "frozen", "trained"]
    discriminator_pooling: Literal["cls", "mean"]
    discriminator_epochs: Count
    negatives: Count
    max_pairs: Count
    threshold: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PamConfig:
    targets: Literal["all"] | list[str]
    text: bool
    encoder: TextEncoderParams
    text_words: Count
    ocr: Literal["none", "words", "seen"]
    ocr_words: Count
    ocr_norm: Literal["once", "twice"]
    objects: Literal["none", "boxes", "patches"]
    image_encoder: ImageEncoderParams
    fusion: FusionParams
    copies: list[Literal["text", "ocr"]]
    vocabulary: Literal["category", "shared"]
    vocabulary_vectors: Literal["words", "learned"]
    word_vectors: str | None
    min_count: Count
    most_words: Count
    category: Literal["prefix", "auxiliary", "none"]
    category_weight: Annotated[float, Field(ge=0)]
    edit_weight: Annotated[float, Field(ge=0)]
    longest_answer: Annotated[int, Field(ge=2)]
    negatives: Annotated[int, Field(ge=0)] | None
    category_attributes: bool
    dropout: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SlotChooserConfig:
    """What models have that read words learned from nothing, look at the picture, and choose."""

    word_size: Count
    hidden_size: Count
    image_encoder: ImageEncoderParams
    category_attributes: bool
    dropout: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ButdConfig(SlotChooserConfig):
    objects: Literal["boxes", "patches"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MaeModelConfig(SlotChooserConfig):
    filters: Count
    filter_widths: Annotated[list[Count], Field(min_length=1)]
    margin: Annotated[float, Field(gt=0, le=2)]
    negatives: Count | None


ModelConfig: TypeAlias = (
    DictionaryConfig
    | JaveConfig
    | MJaveConfig
    | UlsDramConfig
    | MujoSfConfig
    | WrittenConfig
    | TokenTaggerConfig
    | PamConfig
    | SlotChooserConfig
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelsParams:
    dictionary: DictionaryConfig
    jave: JaveConfig
    m_jave: MJaveConfig
    uls_dram: UlsDramConfig
    mujo_sf: MujoSfConfig
    deflate: DeflateConfig
    pam: PamConfig
    tagger: TaggerConfig
    bilstm_crf: BiLstmCrfConfig
    joint_bert: JointBertConfig
    slot_gated: SlotGatedConfig
    su_opentag: SuOpenTagConfig
    aveqa: AveqaConfig
    jg_ave: WrittenConfig
    butd: ButdConfig
    mae_model: MaeModelConfig
