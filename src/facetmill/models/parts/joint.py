"""The equations of JAVE and M-JAVE: one network that tells which attributes a product has and tags their values.

Source: Zhu, Wang, Li, Wu, He, Zhou. "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce
Product." EMNLP 2020. `jave.py` and `m_jave.py` say where they differ from it. Without a picture every image term is 0,
and the rest are JAVE's equations.

Shapes: B windows, T tokens with specials and padding, K regions, E width of the text encoder, V width of the image
encoder, D attention size, A attributes, G = 2A + 1 tags. Masks: 1 = real.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.encoders.vision import ImageStates
from facetmill.models.parts.tagging import num_tags

SMALLEST = 1e-8  # both sides of (13) are clipped to [SMALLEST, 1], as in the authors' code

AttnNorm = Literal["softmax", "none"]


def projected(states: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """What layers without bias make of the same states [..., E]: of each, [..., its width].

    MKL multiplies them faster as one matrix; oneDNN, which does bf16 and the precision "medium", would first copy every
    part of what comes out.
    """
    if states.dtype != torch.float32 or torch.get_float32_matmul_precision() != "highest":
        return tuple(layer(states) for layer in layers)
    joined = F.linear(states, torch.cat([layer.weight for layer in layers]))
    parts: tuple[Tensor, ...] = joined.split([layer.out_features for layer in layers], dim=-1)
    return parts


class TextAttention(nn.Module):
    """(1), (2) and the text term of (5): each token gathers from all tokens of its window."""

    def __init__(self, width: int, size: int, norm: AttnNorm) -> None:
        super().__init__()
        self.query = nn.Linear(width, size, bias=False)  # Wqt
        self.key = nn.Linear(width, size, bias=False)  # Wkt
        self.value = nn.Linear(width, size, bias=False)  # Wvt
        self._norm = norm

    def weights(self, query_BTD: Tensor, key_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """At [B,T,T]: rows sum to 1 over real tokens with softmax, and are 0 on padding with either norm."""
        score_BTT: Tensor = query_BTD @ key_BTD.transpose(1, 2) / sqrt(query_BTD.shape[-1])  # (1)
        mask_B1T = mask_BT[:, None]
        if self._norm == "none":
            return score_BTT * mask_B1T
        # multiplied as well, so that a window without tokens gathers nothing instead of an average of padding
        return score_BTT.masked_fill(~mask_B1T, torch.finfo(score_BTT.dtype).min).softmax(-1) * mask_B1T  # (2)

    def forward(self, states_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        query_BTD, key_BTD, value_BTD = projected(states_BTE, self.query, self.key, self.value)
        return self.weights(query_BTD, key_BTD, mask_BT) @ value_BTD  # (5)


@dataclass(frozen=True)
class ImageTerms:
    """Which image terms there are, of regions `width` wide: those of (5) and (9), and their gates (6) and (10)."""

    width: int
    in_text: bool = True
    gate_in_text: bool = True
    in_tags: bool = True
    gate_in_tags: bool = True


class ImageAttention(nn.Module):
    """(3), (4): how much each token looks at each region, and what each region has to give."""

    def __init__(self, width: int, image_width: int, size: int, norm: AttnNorm) -> None:
        super().__init__()
        self.query = nn.Linear(width, size, bias=False)  # Wqv
        self.key = nn.Linear(image_width, size, bias=False)  # Wkv
        self.value = nn.Linear(image_width, size, bias=False)  # Wvv
        self._norm = norm

    def forward(self, states_BTE: Tensor, image: ImageStates) -> tuple[Tensor, Tensor]:
        """Av [B,T,K], all 0 where there is no picture, and v Wvv [B,K,D]."""
        query_BTD = self.query(states_BTE)
        key_BKD, value_BKD = projected(image.region_BKE, self.key, self.value)
        score_BTK: Tensor = query_BTD @ key_BKD.transpose(1, 2) / sqrt(query_BTD.shape[-1])  # (3)
        weight_BTK = score_BTK if self._norm == "none" else score_BTK.softmax(-1)  # (4)
        return weight_BTK * image.shown_B[:, None, None], value_BKD


class GlobalGate(nn.Module):
    """(6): how much of the picture each token lets in. [B,T] in 0..1"""

    def __init__(self, width: int, image_width: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, 1)  # w1, b
        self.picture = nn.Linear(image_width, 1, bias=False)  # w2

    def forward(self, states_BTE: Tensor, image: ImageStates) -> Tensor:
        gate_BT: Tensor = (self.token(states_BTE)[..., 0] + self.picture(image.pooled_BE)).sigmoid()
        return gate_BT


class RegionalGate(nn.Module):
    """(10): how much of each region the predicted attributes let in. [B,K] in 0..1"""

    def __init__(self, num_attributes: int, image_width: int, use_attributes: bool) -> None:
        super().__init__()
        self.attributes = nn.Linear(num_attributes, 1, bias=False) if use_attributes else None  # w9
        self.region = nn.Linear(image_width, 1, bias=False)  # w10

    def forward(self, attribute_BA: Tensor, image: ImageStates) -> Tensor:
        score_BK: Tensor = self.region(image.region_BKE)[..., 0]
        if self.attributes is not None:
            score_BK = score_BK + self.attributes(attribute_BA)
        return score_BK.sigmoid()


@dataclass(frozen=True)
class Look:
    """What the tokens of a batch see of their pictures: Av, v Wvv, and gG (None: not used, that is 1)."""

    image: ImageStates
    weight_BTK: Tensor
    value_BKD: Tensor
    gate_BT: Tensor | None


@dataclass(frozen=True)
class Gathered:
    """States h [B,T,E] and h0 [B,E] of the text, h' [B,T,D], and what was seen (None: no picture in the batch)."""

    states_BTE: Tensor
    text_BE: Tensor
    mask_BT: Tensor
    gathered_BTD: Tensor
    look: Look | None


class Gathering(nn.Module):
    """(1) to (6): what each token gathers from its text and, where there are image terms, its picture."""

    def __init__(self, width: int, size: int, norm: AttnNorm, terms: ImageTerms | None = None) -> None:
        super().__init__()
        self.text = TextAttention(width, size, norm)
        self.image = None if terms is None else ImageAttention(width, terms.width, size, norm)
        gated = terms is not None and terms.in_text and terms.gate_in_text
        self.gate = GlobalGate(width, terms.width) if terms is not None and gated else None
        self._in_text = terms is not None and terms.in_text

    def forward(self, states_BTE: Tensor, text_BE: Tensor, mask_BT: Tensor, image: ImageStates | None) -> Gathered:
        gathered_BTD = self.text(states_BTE, mask_BT)
        if self.image is None or image is None:
            return Gathered(states_BTE, text_BE, mask_BT, gathered_BTD, None)
        weight_BTK, value_BKD = self.image(states_BTE, image)
        gate_BT = None if self.gate is None else self.gate(states_BTE, image)
        if self._in_text:
            let_in_BTK = weight_BTK if gate_BT is None else gate_BT[..., None] * weight_BTK
            gathered_BTD = gathered_BTD + let_in_BTK @ value_BKD  # (5)
        return Gathered(states_BTE, text_BE, mask_BT, gathered_BTD, Look(image, weight_BTK, value_BKD, gate_BT))


class AttributeHead(nn.Module):
    """(7) before its sigmoid: attribute logits [B,A]."""

    def __init__(self, width: int, num_attributes: int, size: int) -> None:
        super().__init__()
        self.pool_tokens = nn.Linear(width, size, bias=False)  # W3
        self.pool_gathered = nn.Linear(size, size, bias=False)  # W4
        self.pool_text = nn.Linear(width, size, bias=False)  # W5
        self.attributes = nn.Linear(size, num_attributes)  # Wo_a, b_a

    def forward(self, read: Gathered) -> Tensor:
        mask_B1T = read.mask_BT[:, None].to(read.states_BTE.dtype)
        logit_BA: Tensor = self.attributes(
            self.pool_tokens((mask_B1T @ read.states_BTE)[:, 0])
            + self.pool_gathered((mask_B1T @ read.gathered_BTD)[:, 0])
            + self.pool_text(read.text_BE)
        )
        return logit_BA


class ValueHead(nn.Module):
    """(9) before its softmax: tag logits [B,T,G] from what was gathered and attributes [B,A] (0..1)."""

    def __init__(
        self, width: int, num_attributes: int, size: int, *, use_attributes: bool, terms: ImageTerms | None = None
    ) -> None:
        super().__init__()
        self.token = nn.Linear(width, size, bias=False)  # W6
        self.gathered = nn.Linear(size, size, bias=False)  # W7
        self.attributes = nn.Linear(num_attributes, size, bias=False) if use_attributes else None  # W8
        self.tags = nn.Linear(size, num_tags(num_attributes))  # Wo_v, b_v
        gated = terms is not None and terms.in_tags and terms.gate_in_tags
        self.gate = RegionalGate(num_attributes, terms.width, use_attributes) if terms is not None and gated else None
        self._in_tags = terms is not None and terms.in_tags

    def forward(self, read: Gathered, attribute_BA: Tensor) -> Tensor:
        inner_BTD = self.token(read.states_BTE) + self.gathered(read.gathered_BTD)  # (9)
        if self.attributes is not None:
            inner_BTD = inner_BTD + self.attributes(attribute_BA)[:, None]
        if self._in_tags and read.look is not None:
            weight_BTK = read.look.weight_BTK
            if self.gate is not None:
                weight_BTK = weight_BTK * self.gate(attribute_BA, read.look.image)[:, None]  # (10)
            inner_BTD = inner_BTD + weight_BTK @ read.look.value_BKD  # u, with the Av and Wvv of (5)
        logit_BTG: Tensor = self.tags(inner_BTD)
        return logit_BTG


def attribute_loss(attribute_BA: Tensor, gold_BA: Tensor) -> Tensor:
    """(8): binary cross-entropy of logits, averaged over attributes. [B]"""
    return F.binary_cross_entropy_with_logits(attribute_BA, gold_BA, reduction="none").mean(1)


def value_loss(tag_BTG: Tensor, gold_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """(11): cross-entropy of tag logits, averaged over the real tokens of each window. [B]"""
    loss_BT = F.cross_entropy(tag_BTG.flatten(0, 1), gold_BT.flatten(), reduction="none").view_as(gold_BT)
    return (loss_BT * mask_BT).sum(1) / mask_BT.sum(1).clamp(min=1)


def tagged_attributes(tag_BTG: Tensor, mask_BT: Tensor, asked: Literal["both", "begin"]) -> Tensor:
    """(12): how surely the tags of a window hold each attribute: the mean of its best B and its best I, or the best B
    alone. [B,A]"""
    best_BG = (tag_BTG.softmax(-1) * mask_BT[..., None]).amax(1)
    return best_BG[:, 1::2] if asked == "begin" else 0.5 * (best_BG[:, 1::2] + best_BG[:, 2::2])


def agreement_loss(
    attribute_BA: Tensor,
    tagged_BA: Tensor,
    agree_BA: Tensor,
    reduction: Literal["sum", "mean"],
    form: Literal["printed", "bernoulli"] = "printed",
) -> Tensor:
    """(13): KL(ya || q) of attribute logits, over the attributes to agree on. [B]

    As printed it lacks the complementary term and so may be negative; with "bernoulli" it is a true divergence.
    """
    predicted_BA, other_BA = attribute_BA.sigmoid(), (-attribute_BA).sigmoid()
    terms_BA = _relative(predicted_BA, tagged_BA)
    if form == "bernoulli":
        terms_BA = terms_BA + _relative(other_BA, 1 - tagged_BA)
    terms_BA = terms_BA * agree_BA
    return terms_BA.sum(1) if reduction == "sum" else terms_BA.mean(1)


def _relative(left: Tensor, right: Tensor) -> Tensor:
    left = left.clamp(SMALLEST, 1)
    return left * (left.log() - right.clamp(SMALLEST, 1).log())
