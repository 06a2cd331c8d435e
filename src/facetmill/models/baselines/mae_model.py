"""The MAE-model: an attribute is asked for, and values are ranked by how near they lie to what text and picture answer.

Source: Logan, Humeau, Singh. "Multimodal Attribute Extraction." 2017, section 3; what M-JAVE's and ULS-DRAM's papers
compare with on MAE. It is scored by hit@k, how often the true value is among the k nearest (`metrics/hits.py`).

Differs from the paper: its queries all have an answer; here "no value" is a value of each attribute. What is answered
is the nearest of an attribute's own values, though it learns to lie farther from those of all attributes. Words have
vectors that are learned, not GloVe's; the one picture is the mean of the regions of any image encoder, not the last
layers of VGG-16 for four of them.

Shapes: P products, T words, H width, S slots, V candidates of the slot that has the most, C of all, N negatives.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses
from facetmill.encoders.main_picture import image_states
from facetmill.models.parts.slot_chooser import ChooserBatch, SlotChooser
from facetmill.models.parts.slot_filling import by_slot
from facetmill.params import MaeModelConfig


class MaeModel(SlotChooser):
    key: ClassVar[str] = "mae_model"
    config: MaeModelConfig

    def build(self) -> None:
        width = self.config.hidden_size
        self.query = nn.Embedding(max(1, len(self.candidates.slots)), width)
        self.values = nn.Embedding(max(1, sum(self.candidates.sizes)), width)
        self.filters = nn.ModuleList(
            nn.Conv1d(self.config.word_size, self.config.filters, wide, padding=wide // 2)
            for wide in self.config.filter_widths
        )
        self.seen = nn.Linear(self.image_encoder.width, width)
        read = self.config.filters * len(self.filters)
        self.fused = nn.Sequential(
            nn.Linear(width + read + width, width), nn.ReLU(), nn.Dropout(self.config.dropout), nn.Linear(width, width)
        )

    def answers_to(self, batch: ChooserBatch) -> Tensor:
        """What text and picture answer each query, as a direction. [P,S,H]"""
        there_P1T = batch.word_mask_PT[:, None]
        word_PWT = self.words(batch.word_PT).mT * there_P1T
        around = [filtered(word_PWT)[..., : there_P1T.shape[2]].relu() * there_P1T for filtered in self.filters]
        read_PR = torch.cat([found_PRT.amax(2) for found_PRT in around], dim=1)
        query_SH = self.query.weight[: len(self.candidates.slots)]
        seen_PH = query_SH.new_zeros(len(read_PR), query_SH.shape[1])
        if batch.pictures is not None:
            states = image_states(batch.pictures, self.image_encoder)
            seen_PH = self.seen(states.region_BKE.mean(1)).relu() * states.shown_B[:, None]
        shape = (len(read_PR), len(query_SH), -1)
        parts = (query_SH.expand(*shape), read_PR[:, None].expand(*shape), seen_PH[:, None].expand(*shape))
        fused_PSH: Tensor = self.fused(torch.cat(parts, dim=2))
        return F.normalize(fused_PSH, dim=2)

    def _cosines(self, batch: ChooserBatch) -> Tensor:
        """Of each query's answer and every value of every slot. [P,S,C]"""
        return self.answers_to(batch) @ F.normalize(self.values.weight, dim=1).T

    def scores(self, batch: ChooserBatch) -> Tensor:
        """The cosine of each candidate. [P,S,V]"""
        own = self._cosines(batch).float().split(self.candidates.sizes, dim=2)
        return by_slot([part[:, slot] for slot, part in enumerate(own)], self.candidates.most)

    def confidence(self, score: Tensor) -> Tensor:
        return ((1 + score) / 2).clamp(0, 1)

    def loss(self, batch: ChooserBatch) -> Losses:
        """By how much other values, drawn by torch's generator, are not `margin` less near than a true one: the mean
        over a product's known slots, then over products."""
        every_PSC = self._cosines(batch).float()
        first_S = torch.tensor([0, *self.candidates.sizes[:-1]], device=every_PSC.device).cumsum(0)
        row_M, slot_M = batch.known_PS.nonzero(as_tuple=True)
        if not len(row_M):
            total = every_PSC.sum() * 0
            return Losses(total, {"value": total.detach()})
        cosine_MC, true_MV = every_PSC[row_M, slot_M], batch.true_PSV[row_M, slot_M]
        true_MC = torch.zeros_like(cosine_MC, dtype=torch.bool)
        place_M, number_M = true_MV.nonzero(as_tuple=True)
        true_MC[place_M, first_S[slot_M[place_M]] + number_M] = True
        true_M = cosine_MC.masked_fill(~true_MC, -2).amax(1, keepdim=True)
        drawn_MC = self._negatives(true_MC)
        wrong_MC = (self.config.margin - true_M + cosine_MC).relu() * drawn_MC
        loss_M = wrong_MC.sum(1) / drawn_MC.sum(1).clamp(min=1)
        total = (loss_M / batch.known_PS.sum(1)[row_M]).sum() / batch.num_products
        return Losses(total, {"value": total.detach()})

    def _negatives(self, true_MC: Tensor) -> Tensor:
        """Which values count as wrong ones: all, or `negatives` for each query."""
        wrong_MC = ~true_MC
        if not self.training or self.config.negatives is None:
            return wrong_MC
        order_MC = torch.rand(true_MC.shape, device=true_MC.device).masked_fill(true_MC, 2)
        return wrong_MC & (order_MC.argsort(1).argsort(1) < self.config.negatives)
