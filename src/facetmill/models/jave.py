"""JAVE: joint attribute and value extraction, the text-only form of M-JAVE.

Source: Zhu, Wang, Li, Wu, He, Zhou. "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce
Product." EMNLP 2020. Equation numbers are the paper's; (3), (4), (6), (10) and the image terms of (5) and (9) need an
image and are not in this file.

Differs from the paper:
 1. Output projections stand before the sigmoid of (7) and the softmax of (9), as in the authors' code: without them the
    printed shapes do not fit.
 2. The text encoder may be trained further; the authors' features are frozen. Dropout is applied to its states.
 3. (2) may go without softmax (`attn_norm: none`), (13) may be a mean (`kl_reduction: mean`): so in the authors' code.
 4. A long text is several windows. Each is tagged on its own, weighs as its share of the product in the loss, and its
    attributes are those whose values it holds. The paper cuts texts off at 46 characters.
 5. An attribute whose value the text does not hold (an implicit facet) is a positive of the attribute task, in every
    window, but is left out of (13): its tags should not agree that it is there. The paper has none.
 6. A value of one token has no I, so its q of (12) stays below 0.5 unless a wrong token is tagged I, which (13) then
    rewards. `kl_tags: begin` asks B alone; see README.md for what it is worth.
 7. A decoded value that begins or ends inside a word is widened to the whole word; the paper tags Chinese characters.
 8. Tags are decoded by argmax, and attribute predictions do not filter them, as in the paper. What is predicted are
    facets, so an attribute without a value in the text is none; `predict_attributes` tells those.
 9. A product of a known category can only have attributes that this category has in train (`category_attributes`); the
    paper's products are all clothing.

Shapes: B windows, T tokens with specials and padding, E width of the encoder, D attention size, A attributes,
G = 2A + 1 tags, N tokens of all products. Masks: 1 = real.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.encoders.text import (
    TextEncoder,
    build_text_encoder,
    is_pretrained,
    load_text_encoder,
    save_text_encoder,
)
from facetmill.encoders.tokens import Tokenizer
from facetmill.files import read_json, write_json
from facetmill.models.base import Losses, Model
from facetmill.models.parts.tagging import OUTSIDE, begin, decode, num_tags, tag_tokens
from facetmill.models.parts.windows import TextBatch, read, text_batch, windows
from facetmill.params import JaveConfig
from facetmill.records import AttributeSchema, Facet, Product

IMPOSSIBLE = -1e4  # a logit whose probability is 0; an infinite one would make 0 * inf of its loss
SMALLEST = 1e-8  # both sides of (13) are clipped to [SMALLEST, 1], as in the authors' code


@dataclass(frozen=True)
class JaveBatch:
    """`tags_BT` (int64) is O wherever there is no token. `attributes_BA` (0/1) marks the attributes of a window,
    `agree_BA` (0/1) those that (13) compares, `weight_B` the share of each window in its product (sums to products).
    `possible_BA` (bool) is 0 on attributes that the product's category does not have."""

    products: tuple[Product, ...]
    text: TextBatch
    tags_BT: Tensor
    attributes_BA: Tensor
    agree_BA: Tensor
    possible_BA: Tensor
    weight_B: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)

    def to(self, device: torch.device) -> Self:
        return replace(
            self,
            text=self.text.to(device),
            tags_BT=self.tags_BT.to(device),
            attributes_BA=self.attributes_BA.to(device),
            agree_BA=self.agree_BA.to(device),
            possible_BA=self.possible_BA.to(device),
            weight_B=self.weight_B.to(device),
        )


class TextAttention(nn.Module):
    """(1), (2) and the text term of (5): each token gathers from all tokens of its window."""

    def __init__(self, width: int, size: int, norm: Literal["softmax", "none"]) -> None:
        super().__init__()
        self.query = nn.Linear(width, size, bias=False)  # Wqt
        self.key = nn.Linear(width, size, bias=False)  # Wkt
        self.value = nn.Linear(width, size, bias=False)  # Wvt
        self._norm = norm

    def weights(self, states_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """At [B,T,T]: rows sum to 1 over real tokens with softmax, and are 0 on padding with either norm."""
        query_BTD, key_BTD = self.query(states_BTE), self.key(states_BTE)
        score_BTT: Tensor = query_BTD @ key_BTD.transpose(1, 2) / sqrt(query_BTD.shape[-1])  # (1)
        mask_B1T = mask_BT[:, None]
        if self._norm == "none":
            return score_BTT * mask_B1T
        # multiplied as well, so that a window without tokens gathers nothing instead of an average of padding
        return score_BTT.masked_fill(~mask_B1T, torch.finfo(score_BTT.dtype).min).softmax(-1) * mask_B1T  # (2)

    def forward(self, states_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        gathered: Tensor = self.weights(states_BTE, mask_BT) @ self.value(states_BTE)  # (5)
        return gathered


class JaveHead(nn.Module):
    """Everything after the encoder: attribute logits [B,A] and tag logits [B,T,G] from token and text states."""

    def __init__(self, width: int, num_attributes: int, config: JaveConfig) -> None:
        super().__init__()
        size = config.attention_size
        self.attention = TextAttention(width, size, config.attn_norm)
        self.pool_tokens = nn.Linear(width, size, bias=False)  # W3
        self.pool_gathered = nn.Linear(size, size, bias=False)  # W4
        self.pool_text = nn.Linear(width, size, bias=False)  # W5
        self.attributes = nn.Linear(size, num_attributes)  # Wo_a, b_a
        self.tag_token = nn.Linear(width, size, bias=False)  # W6
        self.tag_gathered = nn.Linear(size, size, bias=False)  # W7
        self.tag_attributes = nn.Linear(num_attributes, size, bias=False) if config.use_attributes else None  # W8
        self.tags = nn.Linear(size, num_tags(num_attributes))  # Wo_v, b_v

    def forward(
        self, states_BTE: Tensor, text_BE: Tensor, mask_BT: Tensor, possible_BA: Tensor
    ) -> tuple[Tensor, Tensor]:
        gathered_BTD = self.attention(states_BTE, mask_BT)  # h'
        mask_BT1 = mask_BT[..., None]
        pooled_BD = (  # (7)
            self.pool_tokens((states_BTE * mask_BT1).sum(1))
            + self.pool_gathered((gathered_BTD * mask_BT1).sum(1))
            + self.pool_text(text_BE)
        )
        attribute_BA = self.attributes(pooled_BD).masked_fill(~possible_BA, IMPOSSIBLE)
        tag_BTD = self.tag_token(states_BTE) + self.tag_gathered(gathered_BTD)  # (9)
        if self.tag_attributes is not None:
            tag_BTD = tag_BTD + self.tag_attributes(attribute_BA.sigmoid())[:, None]
        tag_BTG = self.tags(tag_BTD).masked_fill(~possible_tags(possible_BA)[:, None], IMPOSSIBLE)
        return attribute_BA, tag_BTG


def possible_tags(possible_BA: Tensor) -> Tensor:
    """O, and B and I of each possible attribute. [B,G]"""
    outside_B1 = torch.ones_like(possible_BA[:, :1])
    return torch.cat([outside_B1, possible_BA.repeat_interleave(2, dim=1)], dim=1)


def attribute_loss(attribute_BA: Tensor, gold_BA: Tensor) -> Tensor:
    """(8): binary cross-entropy of logits, averaged over attributes. [B]"""
    return F.binary_cross_entropy_with_logits(attribute_BA, gold_BA, reduction="none").mean(1)


def value_loss(tag_BTG: Tensor, gold_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """(11): cross-entropy of tag logits, averaged over the real tokens of each window. [B]"""
    loss_BT = F.cross_entropy(tag_BTG.transpose(1, 2), gold_BT, reduction="none")
    return (loss_BT * mask_BT).sum(1) / mask_BT.sum(1).clamp(min=1)


def tagged_attributes(tag_BTG: Tensor, mask_BT: Tensor, asked: Literal["both", "begin"]) -> Tensor:
    """(12): how surely the tags of a window hold each attribute: the mean of its best B and its best I, or the best B
    alone. [B,A]"""
    best_BG = (tag_BTG.softmax(-1) * mask_BT[..., None]).amax(1)
    return best_BG[:, 1::2] if asked == "begin" else 0.5 * (best_BG[:, 1::2] + best_BG[:, 2::2])


def agreement_loss(
    attribute_BA: Tensor, tagged_BA: Tensor, agree_BA: Tensor, reduction: Literal["sum", "mean"]
) -> Tensor:
    """(13): KL(ya || q) as printed, without the complementary term, over the attributes to agree on. [B]"""
    predicted_BA = attribute_BA.sigmoid().clamp(SMALLEST, 1)
    terms_BA = predicted_BA * (predicted_BA.log() - tagged_BA.clamp(SMALLEST, 1).log()) * agree_BA
    return terms_BA.sum(1) if reduction == "sum" else terms_BA.mean(1)


class Jave(Model):
    key: ClassVar[str] = "jave"
    config: JaveConfig

    def __init__(
        self,
        config: JaveConfig,
        schema: AttributeSchema,
        encoder: TextEncoder,
        tokenizer: Tokenizer,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.dropout = nn.Dropout(config.dropout)
        self.head = JaveHead(encoder.width, len(schema.names), config)
        self._numbers = {name: number for number, name in enumerate(schema.names)}
        self._categories = _attributes_by_category(schema) if config.category_attributes else {}
        self._counts = dict(counts)

    @classmethod
    def fit_vocabulary(cls, config: JaveConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        texts = [product.title for product in products] + [product.text for product in products]
        encoder, tokenizer = build_text_encoder(config, texts)
        counts = Counter(encoder_replaced_by_bilstm=int(is_pretrained(config) and not encoder.pretrained))
        model = cls(config, schema, encoder, tokenizer, {})
        for reading, product in zip(read(products, tokenizer), products, strict=True):
            num_windows = len(windows(len(reading.ids), config.window))
            counts["train_products_in_windows"] += num_windows > 1
            counts["train_windows"] += num_windows
            counts.update(tag_tokens(reading.tokens, product.facets, model._numbers)[1])
        model._counts = dict(counts)
        return model

    def collate(self, products: Sequence[Product]) -> JaveBatch:
        readings = read(products, self.tokenizer)
        text = text_batch(readings, self.tokenizer, self.config.window)
        product_tags = [
            tag_tokens(reading.tokens, product.facets, self._numbers)[0]
            for reading, product in zip(readings, products, strict=True)
        ]
        num_windows = Counter(number for number, _ in text.pieces)
        tags_BT = torch.full(text.ids_BT.shape, OUTSIDE, dtype=torch.int64)
        attributes_BA = torch.zeros(len(text.pieces), len(self._numbers))
        agree_BA = torch.ones_like(attributes_BA)
        for row, (number, cut) in enumerate(text.pieces):
            tags = product_tags[number][cut.start : cut.stop]
            tags_BT[row, 1 : 1 + len(tags)] = torch.tensor(tags, dtype=torch.int64)
            here, anywhere = _attributes_of(tags), _attributes_of(product_tags[number])
            true = {self._numbers[f.attribute] for f in products[number].facets if f.attribute in self._numbers}
            attributes_BA[row, sorted(here | (true - anywhere))] = 1
            agree_BA[row, sorted(true - anywhere)] = 0
        weight_B = torch.tensor([1 / num_windows[number] for number, _ in text.pieces])
        everything = torch.ones(len(self._numbers), dtype=torch.bool)
        possible = [self._categories.get(products[number].category or "", everything) for number, _ in text.pieces]
        possible_BA = torch.stack(possible) if possible else torch.ones_like(attributes_BA, dtype=torch.bool)
        return JaveBatch(tuple(products), text, tags_BT, attributes_BA, agree_BA, possible_BA, weight_B)

    def forward(self, batch: JaveBatch) -> tuple[Tensor, Tensor]:
        """Attribute logits [B,A] and tag logits [B,T,G]."""
        text = batch.text
        states_BTE, text_BE = self.encoder(text.ids_BT, text.mask_BT, text.segment_BT)
        attribute_BA, tag_BTG = self.head(
            self.dropout(states_BTE), self.dropout(text_BE), text.token_mask_BT, batch.possible_BA
        )
        return attribute_BA, tag_BTG

    def loss(self, batch: JaveBatch) -> Losses:
        attribute_BA, tag_BTG = self(batch)
        mask_BT = batch.text.token_mask_BT
        losses_B = {
            "attribute": attribute_loss(attribute_BA, batch.attributes_BA),
            "value": value_loss(tag_BTG, batch.tags_BT, mask_BT),
        }
        if self.config.kl_weight > 0:
            tagged_BA = tagged_attributes(tag_BTG, mask_BT, self.config.kl_tags)
            losses_B["kl"] = agreement_loss(attribute_BA, tagged_BA, batch.agree_BA, self.config.kl_reduction)
        parts = {name: (loss_B * batch.weight_B).sum() / batch.num_products for name, loss_B in losses_B.items()}
        total = parts["attribute"] + parts["value"]
        if "kl" in parts:
            total = total + self.config.kl_weight * parts["kl"]  # (14)
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    @torch.no_grad()
    def predict(self, batch: JaveBatch) -> list[list[Facet]]:
        _, tag_BTG = self(batch)
        confidence_BT, tag_BT = tag_BTG.softmax(-1).max(-1)
        where = (batch.text.row_N, batch.text.column_N)
        tags, confidences = tag_BT[where].tolist(), confidence_BT[where].tolist()
        answers, start = [], 0
        for product, reading in zip(batch.products, batch.text.readings, strict=True):
            part = slice(start, start + len(reading.tokens))
            answers.append(decode(product, reading.tokens, tags[part], confidences[part], self.schema.names))
            start = part.stop
        return answers

    @torch.no_grad()
    def predict_attributes(self, batch: JaveBatch) -> list[dict[str, float]]:
        """Per product the attributes above `threshold`, with their probability, whether their value was found or not.

        That of a long text is the highest of its windows.
        """
        attribute_BA, _ = self(batch)
        answers: list[dict[str, float]] = [{} for _ in batch.products]
        for (number, _), row in zip(batch.text.pieces, attribute_BA.sigmoid().tolist(), strict=True):
            for name, probability in zip(self.schema.names, row, strict=True):
                if probability > max(self.config.threshold, answers[number].get(name, 0.0)):
                    answers[number][name] = probability
        return answers

    def save_assets(self, folder: Path) -> None:
        save_text_encoder(self.encoder, self.tokenizer, folder)
        write_json(folder / "report.json", self._counts)

    @classmethod
    def load_assets(cls, config: JaveConfig, schema: AttributeSchema, folder: Path) -> Self:
        encoder, tokenizer = load_text_encoder(folder, freeze=config.freeze_encoder)
        return cls(config, schema, encoder, tokenizer, read_json(folder / "report.json"))

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        encoder = [p for p in self.encoder.parameters() if p.requires_grad]
        head = list(self.head.parameters())
        return (
            {"encoder": encoder, "fresh": head} if self.encoder.pretrained else {"encoder": [], "fresh": encoder + head}
        )

    def report(self) -> Mapping[str, int]:
        return self._counts


def _attributes_of(tags: Sequence[int]) -> set[int]:
    return {(tag - begin(0)) // 2 for tag in tags if tag != OUTSIDE}


def _attributes_by_category(schema: AttributeSchema) -> dict[str, Tensor]:
    """Each category of train to the attributes that it has there, bool [A]."""
    names = sorted({category for attribute in schema.attributes for category in attribute.categories})
    return {name: torch.tensor([name in attribute.categories for attribute in schema.attributes]) for name in names}
