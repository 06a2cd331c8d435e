"""How a model is trained, its hyper-parameters are searched, and a candidate is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from facetmill.params.fields import STRICT, Count, Seed, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingParams:
    seed: Seed
    epochs: Count
    min_epoch_steps: Count
    batch_size: Count
    optimizer: Literal["adamw", "adam", "adamax"]
    learning_rate: Annotated[float, Field(gt=0)]
    encoder_learning_rate: Annotated[float, Field(gt=0)]
    learning_rates: dict[str, Annotated[float, Field(gt=0)]]
    schedule: Literal["linear", "cosine", "steps", "constant"]
    warmup_share: Share
    warmup_from: Share
    drop_at: list[Share]
    drop_to: Share
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)]
    patience: Count
    calibrate: bool
    one_value: bool
    dictionary_fills: Share | None
    validate_every: Count
    validate_products: Count | None
    precision: Literal["fp32", "bf16", "auto"]
    threads: Count
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SweepParams:
    trials: Count
    workers: Count
    pool: Annotated[str, Field(min_length=1)] | None
    epochs: Count
    train_share: Annotated[float, Field(gt=0, le=1)]
    seed: Seed
    min_gain: Share
    final_seeds: Annotated[list[Seed], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PromotionParams:
    metric: Literal["pair_f1", "value_f1", "na_f1"]
    dictionary: Literal["baseline", "may_go_live"]
    approval: Literal["none", "required"]
    approval_days: Annotated[float, Field(gt=0, le=3650)]
    min_gain: Share
    significance: Annotated[float, Field(gt=0, lt=1)] | None
    min_unseen_products: Annotated[int, Field(ge=1)]
    bootstrap: Annotated[int, Field(ge=100)]  # with fewer no small p-value exists, and nothing could be shown
    protected: list[Literal["attribute", "category", "image", "place", "values"]]
    max_slice_loss: Share
    max_latency_ratio: Annotated[float, Field(gt=0)] | None
    max_latency_seconds: Annotated[float, Field(gt=0)] | None
    max_load_seconds: Annotated[float, Field(gt=0)]


def without_own_training(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parsed params without `models.<key>.training`, and what stood there by model key; an empty one says nothing."""
    models = raw.get("models")
    if not isinstance(models, Mapping):
        return dict(raw), {}
    own = {key: said["training"] for key, said in models.items() if isinstance(said, Mapping) and "training" in said}
    rest = {
        key: {name: value for name, value in said.items() if name != "training"} if key in own else said
        for key, said in models.items()
    }
    return {**raw, "models": rest}, {key: said for key, said in own.items() if said is not None and said != {}}
