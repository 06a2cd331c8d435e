"""Configs small enough for a unit test; a new config field is given its value for all of them here."""

from __future__ import annotations

import dataclasses
from typing import Any

from facetmill.params import (
    AveqaConfig,
    BiLstmCrfConfig,
    ButdConfig,
    DeflateConfig,
    DemoParams,
    DictionaryConfig,
    FusionParams,
    GeneratorParams,
    ImageEncoderParams,
    JaveConfig,
    JointBertConfig,
    LabellerParams,
    MaeModelConfig,
    MJaveConfig,
    MujoSfConfig,
    PamConfig,
    PromotionParams,
    SaliencyParams,
    SlotGatedConfig,
    SplitParams,
    SuOpenTagConfig,
    TaggerConfig,
    TextEncoderParams,
    TrainingParams,
)

DICTIONARY = DictionaryConfig(
    min_reliability=0.3, match="longest", negatives="known", places="shared", values="one", ocr=False, distractors=[]
)

SPLIT = SplitParams(seed=0, validation=0.1, test=0.2, keep_published=False, pictures_together=True, workers=1)
TEXT = TextEncoderParams(
    network="bilstm",
    tokenizer="auto",
    freeze=False,
    hidden_size=16,
    num_layers=1,
    keep_layers=None,
    frozen_layers=0,
    window=16,
)

IMAGE = ImageEncoderParams(network="config", freeze=False, size=32, hidden_size=8, num_stages=2)

JAVE = JaveConfig(
    encoder=TEXT,
    attention_size=8,
    attn_norm="softmax",
    tasks="joint",
    use_attributes=True,
    category_attributes=True,
    kl_weight=0.5,
    kl_tags="both",
    kl_reduction="sum",
    kl_form="printed",
    dropout=0.0,
    threshold=0.5,
)

PROMOTION = PromotionParams(
    dictionary="baseline",
    approval="none",
    approval_days=7.0,
    metric="pair_f1",
    min_gain=0.0,
    significance=0.05,
    min_unseen_products=10,
    bootstrap=200,
    protected=["attribute", "category", "image"],
    max_slice_loss=0.02,
    max_latency_ratio=3.0,
    max_latency_seconds=1.0,
    max_load_seconds=60.0,
)

M_JAVE = MJaveConfig(
    **vars(JAVE),
    image_encoder=IMAGE,
    global_attention=True,
    global_gate=True,
    regional_attention=True,
    regional_gate=True,
)

MUJO_SF = MujoSfConfig(
    encoder=TEXT,
    value_encoder=None,
    value_pooling="mean",
    value_scale="standard",
    image_encoder=IMAGE,
    heads="separate",
    ca="patches",
    image_slots="schema",
    image_slots_read="picture",
    text_by="states",
    pack_words=False,
    text_weight=1.0,
    image_weight=1.0,
    synonyms={},
    unsaid="none",
    balance="none",
    category_input=False,
    category_attributes=True,
    dropout=0.0,
)

GENERATOR = GeneratorParams(network="config", hidden_size=64, num_layers=1, vocabulary=400)

DEFLATE = DeflateConfig(
    generator=GENERATOR,
    image="patches",
    image_encoder=IMAGE,
    code_pooling=1,
    precision="fp32",
    question="encoder",
    separator="token",
    closed="none",
    window=48,
    longest_answer=8,
    discriminator="trained",
    discriminator_pooling="mean",
    discriminator_epochs=4,
    negatives=4,
    max_pairs=64,
    category_attributes=True,
    dropout=0.0,
    threshold=0.5,
)

FUSION = FusionParams(hidden_size=32, num_layers=2, num_heads=4)

PAM = PamConfig(
    targets="all",
    text=True,
    encoder=TEXT,
    text_words=40,
    ocr="seen",
    ocr_words=10,
    ocr_norm="once",
    objects="patches",
    image_encoder=IMAGE,
    fusion=FUSION,
    copies=["text", "ocr"],
    vocabulary="category",
    vocabulary_vectors="words",
    word_vectors=None,
    min_count=1,
    most_words=5000,
    category="prefix",
    category_weight=1.0,
    edit_weight=0.05,
    longest_answer=6,
    negatives=None,
    category_attributes=True,
    dropout=0.0,
)

#: What all that only read text have.
READS: dict[str, Any] = {"encoder": TEXT, "category_input": False, "category_attributes": True, "dropout": 0.0}

TAGGER = TaggerConfig(**READS, decoder="softmax")
BILSTM_CRF = BiLstmCrfConfig(**READS, hidden_size=16, attention_size=None, attention_form="beside")
JOINT_BERT = JointBertConfig(**READS, threshold=0.5, tasks="joint", decoder="softmax")
SLOT_GATED = SlotGatedConfig(**READS, threshold=0.5, hidden_size=16, context="gated", attention_size=8)
SU_OPENTAG = SuOpenTagConfig(**READS, negatives=None, max_pairs=512, hidden_size=16)
AVEQA = AveqaConfig(**READS, negatives=None, max_pairs=512, longest_value=4, values="one")

#: What those have that look at the picture and choose.
CHOOSES: dict[str, Any] = {
    "word_size": 16,
    "hidden_size": 16,
    "image_encoder": IMAGE,
    "category_attributes": True,
    "dropout": 0.0,
}

BUTD = ButdConfig(**CHOOSES, objects="patches")
MAE_MODEL = MaeModelConfig(**CHOOSES, filters=16, filter_widths=[3, 4], margin=0.5, negatives=None)

TRAINING = TrainingParams(
    seed=0,
    epochs=6,
    min_epoch_steps=1,
    batch_size=16,
    optimizer="adamw",
    learning_rate=0.005,
    encoder_learning_rate=0.005,
    learning_rates={},
    schedule="linear",
    warmup_share=0.1,
    warmup_from=0.0,
    drop_at=[],
    drop_to=0.1,
    weight_decay=0.01,
    clip_norm=5.0,
    patience=20,
    calibrate=False,
    one_value=False,
    dictionary_fills=None,
    validate_every=1,
    validate_products=None,
    precision="fp32",
    threads=1,
    device="cpu",
)

LABELLER = LabellerParams(
    seed=0,
    tasks="multi",
    image_encoder=dataclasses.replace(IMAGE, size=24, hidden_size=16),
    dropout=0.0,
    balance=True,
    augment=False,
    epochs=12,
    batch_size=32,
    learning_rate=0.01,
    weight_decay=0.01,
    clip_norm=5.0,
    patience=12,
    threads=1,
    device="cpu",
)

DEMO = DemoParams(
    products=1,
    seed=0,
    image_size=32,
    noise=0.0,
    missing_images=0.0,
    implicit=0.0,
    variants=0.0,
    stock_pictures=0.0,
    drift=0.0,
)

SALIENCY = SaliencyParams(
    seeds=[0],
    min_dif=0.09,
    max_products=1000,
    encoder=TEXT,
    image_encoder=dataclasses.replace(IMAGE, size=16, num_stages=1),
    attention_size=16,
    dropout=0.0,
    augment=False,
    epochs=12,
    batch_size=8,
    learning_rate=0.01,
    encoder_learning_rate=0.001,
    weight_decay=0.0,
    clip_norm=5.0,
    threads=1,
    device="cpu",
)


def with_text(config: Any, **changes: Any) -> Any:
    """A config whose text encoder is otherwise."""
    return dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, **changes))


def with_image(config: Any, **changes: Any) -> Any:
    """A config whose image encoder is otherwise."""
    return dataclasses.replace(config, image_encoder=dataclasses.replace(config.image_encoder, **changes))
