"""What the sections of params.yaml say that shape, look at and judge a dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from facetmill.params.encoders import ImageEncoderParams, TextEncoderParams
from facetmill.params.fields import STRICT, Count, Seed, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DatasetParams:
    format: str
    path: str
    images: str | None
    corrections: str | None
    columns: dict[str, str]
    ignore: list[str]
    categories: dict[str, str]
    max_bad_share: Share
    workers: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OcrParams:
    engine: Literal["rapidocr", "tesseract"] | None
    images: Literal["all", "first"]
    longest_side: Annotated[int, Field(ge=64, le=4096)]
    min_confidence: Share
    workers: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RegionsParams:
    kind: Annotated[str, Field(min_length=1)] | None
    at_most: Annotated[int, Field(ge=1, le=1000)]
    min_confidence: Share
    max_overlap: Share
    longest_side: Annotated[int, Field(ge=64, le=4096)]
    workers: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatchParams:
    ignore_case: bool
    word_boundary: bool
    fields: list[Literal["title", "text"]]
    workers: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LabellerParams:
    """How `facetmill distant train` learns."""

    seed: Seed
    tasks: Literal["multi", "single"]
    image_encoder: ImageEncoderParams
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DistantParams:
    labeller: str | None
    min_confidence: Share
    workers: Count
    training: LabellerParams


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SplitParams:
    seed: Seed
    validation: Share
    test: Share
    keep_published: bool
    pictures_together: bool
    workers: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SaliencyParams:
    """How `dataset/saliency` asks."""

    seeds: Annotated[list[Seed], Field(min_length=1)] | None
    min_dif: Share
    max_products: Count
    encoder: TextEncoderParams
    image_encoder: ImageEncoderParams
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DriftParams:
    max_shift: Share
    max_new_share: Share
