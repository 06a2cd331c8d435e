"""BUTD: the title asks, the objects on the picture are attended to, and each attribute's value is one of train's.

Source: Anderson, He, Buehler, Teney, Johnson, Gould, Zhang. "Bottom-Up and Top-Down Attention for Image Captioning and
Visual Question Answering." CVPR 2018, section 3.3; as PAM is compared with it: the title is the question.

Differs from the paper: there is a head for each attribute, whose candidates are train's values and that there is none.
Words have vectors that are learned, not GloVe's. Objects are boxes of stage `regions` or all regions of the picture
(`objects`), seen by any image encoder; a product without any has zeros in their place.

Shapes: P products, T words, R objects, H width, E width of the image encoder, S slots, V candidates.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses
from facetmill.encoders.box_features import box_features
from facetmill.encoders.main_picture import image_states
from facetmill.models.parts.slot_chooser import ChooserBatch, SlotChooser
from facetmill.models.parts.slot_filling import Heads
from facetmill.params import ButdConfig


class GatedTanh(nn.Module):
    """(1) to (3): tanh(Wx + b), let through by sigmoid(W'x + b')."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(width, out_width), nn.Linear(width, out_width)

    def forward(self, x: Tensor) -> Tensor:
        through: Tensor = torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))
        return through


class Butd(SlotChooser):
    key: ClassVar[str] = "butd"
    config: ButdConfig

    def build(self) -> None:
        width, seen = self.config.hidden_size, self.image_encoder.width
        if self.config.objects == "boxes":
            self.reads = self.reads | {"regions"}
        self.question = nn.GRU(self.config.word_size, width, batch_first=True)
        self.attention = nn.Sequential(GatedTanh(seen + width, width), nn.Linear(width, 1, bias=False))
        self.of_question, self.of_picture = GatedTanh(width, width), GatedTanh(seen, width)
        self.joint = GatedTanh(width, width)
        self.heads = Heads(width, self.candidates.sizes)

    def scores(self, batch: ChooserBatch) -> Tensor:
        """(4) to (7), before their sigmoid. [P,S,V]"""
        state_PTH, _ = self.question(self.words(batch.word_PT))
        last_P = (batch.word_mask_PT.sum(1) - 1).clamp(min=0)
        question_PH = state_PTH[torch.arange(len(last_P), device=last_P.device), last_P]
        joint_PH = self.of_question(question_PH) * self.of_picture(self._attended(batch, question_PH))
        logit_PSV: Tensor = self.heads(self.dropout(self.joint(joint_PH)), self.candidates.most)
        return logit_PSV

    def _attended(self, batch: ChooserBatch, question_PH: Tensor) -> Tensor:
        """[P,E]"""
        if batch.pictures is None:
            return question_PH.new_zeros(len(question_PH), self.image_encoder.width)
        seen = image_states(batch.pictures, self.image_encoder)
        object_PRE, there_PR = seen.region_BKE, seen.shown_B[:, None].expand(seen.region_BKE.shape[:2])
        if self.config.objects == "boxes":
            object_PRE = box_features(seen.region_BKE, batch.object_box_PR4)
            there_PR = batch.object_PR & seen.shown_B[:, None]
        asked_PRH = question_PH[:, None].expand(-1, object_PRE.shape[1], -1)
        score_PR = self.attention(torch.cat([object_PRE, asked_PRH], dim=2))[..., 0]
        weight_PR = score_PR.masked_fill(~there_PR, torch.finfo(score_PR.dtype).min).softmax(1) * there_PR
        attended_PE: Tensor = (weight_PR[:, None] @ object_PRE)[:, 0]
        return attended_PE

    def confidence(self, score: Tensor) -> Tensor:
        return score.sigmoid()

    def loss(self, batch: ChooserBatch) -> Losses:
        """Of each known slot, whether each candidate is true."""
        score_PSV = self.scores(batch)
        there_PSV = score_PSV.isfinite() & batch.known_PS[..., None]
        each_PSV = F.binary_cross_entropy_with_logits(
            score_PSV.masked_fill(~there_PSV, 0), batch.true_PSV.to(score_PSV.dtype), reduction="none"
        )
        total = (each_PSV * there_PSV).sum() / max(1, batch.num_products)
        return Losses(total, {"value": total.detach()})
