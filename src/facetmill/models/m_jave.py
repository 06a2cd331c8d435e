"""M-JAVE: JAVE with the product's main picture, which tells what a word means where the text alone does not.

Source: Zhu, Wang, Li, Wu, He, Zhou. "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce
Product." EMNLP 2020. The equations stand in `parts/joint.py` under the paper's numbers; everything that does not need a
picture is in `jave.py`, with the rows of Table 5. Those of Table 6 are settings:

    M-JAVE                   as params.yaml has it
    w/o visual               the model jave
    w/o global CrossMAtt     global_attention: false
    w/o regional CrossMAtt   regional_attention: false
    w/o global gate          global_gate: false
    w/o regional gate        regional_gate: false

Differs from the paper, beyond what `jave.py` lists:
 1. A product whose picture is missing, or cannot be read, has no regions: its image terms are 0 and it is read as JAVE
    reads it. The paper has a picture of every product.
 2. The paper takes a frozen ResNet-101 at 224 pixels. Here that is one setting (a hub name); the default is a small
    ResNet that is trained from nothing, since no published one comes with a package. Dropout is applied to regions too.
 3. vG is the mean of the regions; for a ResNet these are the pooled activations of the paper.
 4. The regional term needs neither the global one nor attributes; the authors' code drops it without either.
 5. (4) may go without softmax (`attn_norm: none`), as in the authors' code.
 6. Pictures are stretched to a square, not cropped, so that no edge of a product is lost.

Shapes: as in `jave.py`; K regions in n rows of n.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch

from facetmill.encoders.main_picture import RegionSource
from facetmill.encoders.vision import is_pretrained_image
from facetmill.models.base import PictureMaps, Reads
from facetmill.models.jave import JointTagger, suggest, text_encoder_learns
from facetmill.models.parts.joint import ImageTerms
from facetmill.models.parts.labels import TaggedBatch
from facetmill.models.parts.sight import Sight, build_regions, load_regions
from facetmill.models.space import Space
from facetmill.params import MJaveConfig, TrainingParams
from facetmill.records import AttributeSchema, Product

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def looks(config: MJaveConfig) -> bool:
    """Without either attention nothing of a picture is used, so none is read."""
    return config.global_attention or config.regional_attention


def sight(config: MJaveConfig, encoder: RegionSource) -> Sight:
    """An image encoder with the image terms of a config."""
    terms = ImageTerms(
        encoder.width,
        in_text=config.global_attention,
        gate_in_text=config.global_gate,
        in_tags=config.regional_attention,
        gate_in_tags=config.regional_gate,
    )
    return Sight(encoder, config.image_encoder.size, terms)


def suggest_m_jave(
    trial: BaseTrial, config: MJaveConfig, training: TrainingParams
) -> tuple[MJaveConfig, TrainingParams]:
    """As for JAVE; either encoder may be the one that is trained further."""
    image_encoder_learns = is_pretrained_image(config.image_encoder) and not config.image_encoder.freeze
    return suggest(trial, config, training, encoder_learns=text_encoder_learns(config) or image_encoder_learns)


class MJave(JointTagger):
    key: ClassVar[str] = "m_jave"
    reads: frozenset[Reads] = JointTagger.reads | {"images"}
    space: ClassVar[Space] = replace(JointTagger.space, suggest=suggest_m_jave)
    config: MJaveConfig

    @classmethod
    def fit_vocabulary(cls, config: MJaveConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        if not looks(config):
            return cls.fitted(config, schema, train, None)
        return cls.fitted(config, schema, train, sight(config, build_regions(config.image_encoder)))

    @classmethod
    def load_assets(cls, config: MJaveConfig, schema: AttributeSchema, folder: Path) -> Self:
        if not looks(config):
            return cls.loaded(config, schema, folder, None)
        return cls.loaded(config, schema, folder, sight(config, load_regions(config.image_encoder, folder)))

    @torch.no_grad()
    def picture_maps(self, product: Product) -> PictureMaps | None:
        """gG (6) of each token and gR (10) of each region. A long text has several windows: each token's gate is that
        of the window in which it is tagged, each region's the mean over windows."""
        batch: TaggedBatch = self.collate([product]).to(next(self.parameters()).device)
        read = self.trunk(batch.text, batch.pictures)
        encoder = self.trunk.image_encoder
        if read.look is None or encoder is None:
            return None
        gate_BT = torch.ones(batch.tags_BT.shape) if read.look.gate_BT is None else read.look.gate_BT
        tokens = batch.text.readings[0].tokens
        gates = gate_BT[batch.text.row_N.to(gate_BT.device), batch.text.column_N.to(gate_BT.device)].tolist()
        gate_K = torch.ones(encoder.grid**2)
        if self.value_head is not None and self.value_head.gate is not None:
            attribute_BA, _ = self(batch)
            gate_K = self.value_head.gate(attribute_BA.sigmoid(), read.look.region_BK).mean(0)
        rows = gate_K.reshape(encoder.grid, encoder.grid).tolist()
        return PictureMaps(
            tuple((token, gate) for token, gate in zip(tokens, gates, strict=True) if token is not None),
            tuple(tuple(row) for row in rows),
        )
