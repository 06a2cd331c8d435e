"""The equations of JAVE and M-JAVE: one network that tells which attributes a product has and tags their values.

Source: Zhu, Wang, Li, Wu, He, Zhou. "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce
Product." EMNLP 2020. `jave.py` and `m_jave.py` say where they differ from it. Without a picture every image term is 0,
and the rest are JAVE's equations.

Shapes: B windows, T tokens with specials and padding, K regions, E width of the text encoder, V width of the image
encoder, D attention size, A attributes, G = 2A + 1 tags. Masks: 1 = real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.encoders.vision import ImageStates
from facetmill.models.parts.tagging import num_tags

SMALLEST = 1e-8  # both sides of (13) are clipped to [SMALLEST, 1], as in the authors' code
TILE = 32  # columns of a product that are multiplied at once, at the most

AttnNorm = Literal["softmax", "none"]


def projected(states: Tensor, layers: Mapping[str, nn.Linear]) -> dict[str, Tensor]:
    """What the weights of layers make of the same states [..., E], without bias: by name, [..., width of the layer].

    As one product, which reads wide states once. For oneDNN, which does bf16 and the precision "medium", it is padded
    to whole tiles, and its parts are laid out apart: else they would be copied wherever they are multiplied.
    """
    widths = [layer.out_features for layer in layers.values()]
    weight = torch.cat([layer.weight for layer in layers.values()])
    if states.dtype != torch.bfloat16 and torch.get_float32_matmul_precision() == "highest":
        return dict(zip(layers, F.linear(states, weight).split(widths, dim=-1), strict=True))
    weight = F.pad(weight, (0, 0, 0, -sum(widths) % TILE))
    parts = F.linear(states, weight)[..., : sum(widths)].split(widths, dim=-1)
    return {name: part.contiguous() for name, part in zip(layers, parts, strict=True)}


class Attention(nn.Module):
    """How much each token looks at each of S places, and the weights of what a place has to give: (1), (2) with tokens
    as places, (3), (4) with regions."""

    def __init__(self, width: int, place_width: int, size: int, norm: AttnNorm) -> None:
        super().__init__()
        self.query = nn.Linear(width, size, bias=False)  # Wqt, Wqv
        self.key = nn.Linear(place_width, size, bias=False)  # Wkt, Wkv
        self.value = nn.Linear(place_width, size, bias=False)  # Wvt, Wvv
        self._norm = norm

    def forward(self, query_BTD: Tensor, key_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        """At or Av [B,T,S]: rows sum to 1 over real places with softmax, and are 0 on others with either norm."""
        score_BTS: Tensor = query_BTD @ key_BSD.transpose(1, 2) / sqrt(query_BTD.shape[-1])  # (1), (3)
        mask_B1S = mask_BS[:, None]
        if self._norm == "none":
            return score_BTS * mask_B1S
        # multiplied as well, so that where no place is real nothing is gathered, and not an average of padding
        return score_BTS.masked_fill(~mask_B1S, torch.finfo(score_BTS.dtype).min).softmax(-1) * mask_B1S  # (2), (4)


@dataclass(frozen=True)
class ImageTerms:
    """Which image terms there are, of regions `width` wide: those of (5) and (9), and their gates (6) and (10). There
    is no gate where there is nothing to let in."""

    width: int
    in_text: bool = True
    gate_in_text: bool = True
    in_tags: bool = True
    gate_in_tags: bool = True

    @property
    def global_gate(self) -> bool:
        return self.in_text and self.gate_in_text

    @property
    def regional_gate(self) -> bool:
        return self.in_tags and self.gate_in_tags


class GlobalGate(nn.Module):
    """(6): how much of the picture each token lets in. [B,T] in 0..1"""

    def __init__(self, width: int, image_width: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, 1)  # w1, b
        self.picture = nn.Linear(image_width, 1, bias=False)  # w2

    def forward(self, token_BT1: Tensor, picture_BK1: Tensor) -> Tensor:
        """From h w1 and v w2, whose mean over regions is vG w2."""
        gate_BT: Tensor = (token_BT1 + picture_BK1.mean(1, keepdim=True) + self.token.bias)[..., 0].sigmoid()
        return gate_BT


class RegionalGate(nn.Module):
    """(10): how much of each region the predicted attributes let in. [B,K] in 0..1"""

    def __init__(self, num_attributes: int, use_attributes: bool) -> None:
        super().__init__()
        self.attributes = nn.Linear(num_attributes, 1, bias=False) if use_attributes else None  # w9

    def forward(self, attribute_BA: Tensor, region_BK: Tensor) -> Tensor:
        """From attributes (0..1) and v w10."""
        if self.attributes is not None:
            region_BK = region_BK + self.attributes(attribute_BA)
        return region_BK.sigmoid()


@dataclass(frozen=True)
class Look:
    """What the tokens of a batch see of their pictures: Av, v Wvv, gG, v w10 (None: no such gate, that is 1)."""

    weight_BTK: Tensor
    value_BKD: Tensor
    gate_BT: Tensor | None
    region_BK: Tensor | None


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
        self.text = Attention(width, width, size, norm)
        self.image = None if terms is None else Attention(width, terms.width, size, norm)
        self.gate = None if terms is None or not terms.global_gate else GlobalGate(width, terms.width)
        # w10 of (10): it stands here because all that reads the regions is one product
        self.region = None if terms is None or not terms.regional_gate else nn.Linear(terms.width, 1, bias=False)
        self._in_text = terms is not None and terms.in_text

    def forward(self, states_BTE: Tensor, text_BE: Tensor, mask_BT: Tensor, image: ImageStates | None) -> Gathered:
        of_tokens = {"query": self.text.query, "key": self.text.key, "value": self.text.value}
        of_regions = {}
        if self.image is not None and image is not None:
            of_tokens["look"] = self.image.query
            of_regions = {"key": self.image.key, "value": self.image.value}
            if self.gate is not None:
                of_tokens["gate"], of_regions["gate"] = self.gate.token, self.gate.picture
            if self.region is not None:
                of_regions["regional"] = self.region
        token = projected(states_BTE, of_tokens)
        gathered_BTD = self.text(token["query"], token["key"], mask_BT) @ token["value"]
        if self.image is None or image is None:
            return Gathered(states_BTE, text_BE, mask_BT, gathered_BTD, None)
        region = projected(image.region_BKE, of_regions)
        look = Look(
            weight_BTK=self.image(token["look"], region["key"], image.shown_B[:, None]),
            value_BKD=region["value"],
            gate_BT=None if self.gate is None else self.gate(token["gate"], region["gate"]),
            region_BK=None if self.region is None else region["regional"][..., 0],
        )
        if self._in_text:
            let_in_BTK = look.weight_BTK if look.gate_BT is None else look.gate_BT[..., None] * look.weight_BTK
            gathered_BTD = torch.baddbmm(gathered_BTD, let_in_BTK, look.value_BKD)  # (5)
        return Gathered(states_BTE, text_BE, mask_BT, gathered_BTD, look)


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
        gated = terms is not None and terms.regional_gate
        self.gate = RegionalGate(num_attributes, use_attributes) if gated else None
        self._in_tags = terms is not None and terms.in_tags

    def forward(self, read: Gathered, attribute_BA: Tensor) -> Tensor:
        inner_BTD: Tensor = self.token(read.states_BTE) + self.gathered(read.gathered_BTD)  # (9)
        if self.attributes is not None:
            inner_BTD = inner_BTD + self.attributes(attribute_BA)[:, None]
        if self._in_tags and read.look is not None:
            weight_BTK = read.look.weight_BTK
            if self.gate is not None:
                weight_BTK = weight_BTK * self.gate(attribute_BA, read.look.region_BK)[:, None]  # (10)
            inner_BTD = torch.baddbmm(inner_BTD, weight_BTK, read.look.value_BKD)  # u, with the Av and Wvv of (5)
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
    mask_BT: Tensor,
    reduction: Literal["sum", "mean"],
    form: Literal["printed", "bernoulli"] = "printed",
) -> Tensor:
    """(13): KL(ya || q) of attribute logits, over the attributes to agree on; 0 of a window without tokens, which has
    no tags to agree with. [B]

    As printed it lacks the complementary term and so may be negative; with "bernoulli" it is a true divergence.
    """
    predicted_BA, other_BA = attribute_BA.sigmoid(), (-attribute_BA).sigmoid()
    terms_BA = _relative(predicted_BA, tagged_BA)
    if form == "bernoulli":
        terms_BA = terms_BA + _relative(other_BA, 1 - tagged_BA)
    terms_BA = terms_BA * agree_BA * mask_BT.any(1, keepdim=True)
    return terms_BA.sum(1) if reduction == "sum" else terms_BA.mean(1)


def _relative(left: Tensor, right: Tensor) -> Tensor:
    left = left.clamp(SMALLEST, 1)
    return left * (left.log() - right.clamp(SMALLEST, 1).log())
