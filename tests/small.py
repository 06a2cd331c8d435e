"""Configs small enough for a unit test; a new config field is given its value for all of them here."""

from __future__ import annotations

from facetmill.params import JaveConfig, PromotionParams

JAVE = JaveConfig(
    encoder="bilstm",
    tokenizer="auto",
    freeze_encoder=False,
    hidden_size=16,
    num_layers=1,
    keep_layers=None,
    window=16,
    attention_size=8,
    attn_norm="softmax",
    use_attributes=True,
    category_attributes=True,
    kl_weight=0.5,
    kl_tags="both",
    kl_reduction="sum",
    dropout=0.0,
    threshold=0.5,
)

PROMOTION = PromotionParams(
    min_gain=0.0,
    significance=0.05,
    bootstrap=200,
    protected=["attribute", "category", "image"],
    max_slice_loss=0.02,
    max_latency_ratio=3.0,
    max_latency_seconds=1.0,
    max_load_seconds=60.0,
)
