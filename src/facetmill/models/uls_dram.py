"""ULS-DRAM: encoders that learn on, pictures read as text, and tags for the attributes alone that a product has.

Source: Liu, Zhu, Gao, Gu, Wang, Liu, Yin. "Boosting Multi-Modal E-commerce Attribute Value Extraction via Unified
Learning Scheme and Dynamic Range Minimization." 2022. The text lost the symbols of its equations; their form here was
checked against the authors' code.

The rows of its tables are settings:

    ULS-L                    vision: none, range: none
    ULS-VL                   vision: joined, range: none
    ULS-VL + Self-Attn       the same, self_attention: true
    ULS-VL + TIR             vision: tir, range: none
    + Proto-AR, DyN-AR, BERT-AR (PAR)    range: proto, dynet, bert

Differs from the paper:
 1. The published code hands no mask to the encoder and mixes the channels of a picture with its places; not so here.
 2. (2) may have a softmax (`tir_softmax`); the authors' has none, and the prose names only the scaling.
 3. Attributes are told from the [CLS] of the last two layers, as in the authors' code; a BiLSTM, of one
    layer, gives its final states and the maximum of all.
 4. A long text is several windows, each with a range of its own; a token's tag is that of the window in which it lies
    most central. A product without a picture has no M in (5), and none of its places in a joined sequence.
 5. The range that is learned from is what is predicted and what is true (`train_range`); the paper's is the first
    alone, from which an untrained network learns nothing. Of a batch the `max_pairs` likeliest are learned from.
 6. The decoder of an attribute is `decoder_size` wide each way; the paper's as wide as the text encoder.
 7. An attribute whose value the text does not hold is a positive of the range, and all O in the tags.
 8. Words of a published encoder keep their embeddings, unless `learning_rates` has one for `embeddings`, as in the
    paper, which trains those too.

Shapes: B windows, T tokens with specials and padding, K regions, E width of the text encoder, I of its embeddings, V of
the image encoder, D of TIR, A attributes, G tags, M pairs of a window and an attribute. Masks: 1 = real.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses, Phase
from facetmill.encoders.main_picture import RegionSource, image_states
from facetmill.encoders.text import GivenTextEncoder, TextEncoder, TransformerEncoder, both_directions
from facetmill.encoders.vision import ImageEncoder, ImageStates
from facetmill.errors import ParamsError
from facetmill.files import read_json, write_json
from facetmill.models.base import Answer, Answers, Model, Reads, optimizer_of
from facetmill.models.parts.attribute_range import Guidance, RangeHead
from facetmill.models.parts.crf import CRF
from facetmill.models.parts.joint import Attention
from facetmill.models.parts.labels import (
    TaggedBatch,
    attributes_by_category,
    attributes_told,
    facets_told,
    labelled,
)
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.pairs import Pairs, facets_of_pairs, named
from facetmill.models.parts.sight import Sight, build_regions, load_regions
from facetmill.models.parts.tagging import OUTSIDE, begin, num_tags
from facetmill.models.parts.text_input import TextInput
from facetmill.params import TrainingParams, UlsDramConfig
from facetmill.records import AttributeSchema, Facet, Product

IMPOSSIBLE = -1e4  # a logit whose probability is 0


class Gathered(nn.Module):
    """(1) and (2): what X gathers from Y, in projections of their own."""

    def __init__(self, width: int, other_width: int, size: int, *, softmax: bool) -> None:
        super().__init__()
        self.attention = Attention(width, other_width, size, "softmax" if softmax else "none")
        for parameter in self.attention.parameters():
            nn.init.normal_(parameter, std=0.01)  # N(0, 1) / 100, as in the authors' code

    def forward(self, x_BTI: Tensor, y_BSJ: Tensor, mask_BS: Tensor) -> Tensor:
        """[B,T,D]; what is masked in Y gives nothing."""
        weight_BTS = self.attention(self.attention.query(x_BTI), self.attention.key(y_BSJ), mask_BS)
        gathered_BTD: Tensor = weight_BTS @ self.attention.value(y_BSJ)
        return gathered_BTD


class TextGuided(nn.Module):
    """TIR, (3) to (5): what the text asks of itself and of the picture, added to the embeddings of its tokens."""

    def __init__(self, width: int, image_width: int, size: int, *, softmax: bool) -> None:
        super().__init__()
        self.text = Gathered(width, width, size, softmax=softmax)
        self.picture = Gathered(width, image_width, size, softmax=softmax)
        self.back = nn.Linear(size, width)  # Wp

    def forward(self, embedded_BTI: Tensor, mask_BT: Tensor, image: ImageStates | None) -> Tensor:
        gathered_BTD = self.text(embedded_BTI, embedded_BTI, mask_BT)  # (3)
        if image is not None:
            shown_BK = image.shown_B[:, None].expand(image.region_BKE.shape[:2])
            gathered_BTD = gathered_BTD + self.picture(embedded_BTI, image.region_BKE, shown_BK)  # (4)
        changed_BTI: Tensor = embedded_BTI + self.back(gathered_BTD)  # (5)
        return changed_BTI


class Joined(nn.Module):
    """ULS-VL: the regions of the picture behind the tokens, as more tokens of one kind; read together by the encoder,
    after one more layer of attention where that is asked for."""

    def __init__(self, width: int, image_width: int, *, self_attention: bool) -> None:
        super().__init__()
        self.region = nn.Linear(image_width, width)
        self.kind = nn.Parameter(torch.zeros(width))
        heads = next(heads for heads in (12, 8, 6, 4, 2, 1) if width % heads == 0)
        self.layer = nn.TransformerEncoderLayer(width, heads, batch_first=True) if self_attention else None

    def forward(self, embedded_BTI: Tensor, mask_BT: Tensor, image: ImageStates | None) -> Tensor:
        if image is not None:
            embedded_BTI = torch.cat([embedded_BTI, self.region(image.region_BKE) + self.kind], dim=1)
        if self.layer is not None:
            embedded_BTI = self.layer(embedded_BTI, src_key_padding_mask=~mask_BT)
        return embedded_BTI


class Decoder(nn.Module):
    """BiLSTM, dropout, linear: from states to the scores of tags. [..., G]"""

    def __init__(self, width: int, size: int, dropout: float, num_tags: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(width, size, batch_first=True)
        self.backwards = nn.LSTM(width, size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.tags = nn.Linear(2 * size, num_tags)

    def forward(self, states_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        states_BTH, _ = both_directions(self.forwards, self.backwards, states_BTE, mask_BT)
        emission_BTG: Tensor = self.tags(self.dropout(states_BTH))
        return emission_BTG.float()  # as the CRF wants it, whatever precision the states come in


class UlsDram(Model):
    """`range_head` and `guidance` are there with a range alone; without one, all attributes share one decoder."""

    key: ClassVar[str] = "uls_dram"
    answers: ClassVar[Answers] = "tags"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    config: UlsDramConfig

    def __init__(
        self,
        config: UlsDramConfig,
        schema: AttributeSchema,
        text: TextInput,
        image_encoder: RegionSource | None,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.encoder, self.image_encoder = text.encoder, image_encoder
        width, num_attributes = text.encoder.width, len(schema.names)
        self.fusion: TextGuided | Joined | None = None
        if image_encoder is not None:
            self.reads = self.reads | {"images"}
            inner = text.encoder.embedding_width
            if config.vision == "tir":
                self.fusion = TextGuided(inner, image_encoder.width, config.tir_size, softmax=config.tir_softmax)
            else:
                self.fusion = Joined(inner, image_encoder.width, self_attention=config.self_attention)
        self.range_head: RangeHead | None = None
        self.guidance: Guidance | None = None
        if config.range == "none":
            self.decoder = Decoder(width, width // 2, config.dropout, num_tags(num_attributes))
            self.crf = CRF(num_tags(num_attributes))
        else:
            self.range_head = RangeHead(width, num_attributes)
            self.guidance = Guidance(config.range, width, num_attributes)
            self.decoder = Decoder(2 * width, config.decoder_size, config.dropout, num_tags(1))
            self.crf = CRF(num_tags(1))
        self._text = text
        self._sight = None
        if image_encoder is not None and config.image_encoder is not None:
            self._sight = Sight(image_encoder, config.image_encoder.size)
        self._counts = dict(counts)
        self._numbers = {name: number for number, name in enumerate(schema.names)}
        self._categories = attributes_by_category(schema) if config.category_attributes else {}

    @classmethod
    def fit_vocabulary(cls, config: UlsDramConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        names = schema.names if config.range == "bert" else ()
        text = TextInput.fitted(config.encoder, products, category=False, names=names)
        _require_layers(config, text)
        image_encoder = build_regions(config.image_encoder) if config.vision != "none" else None
        counts = text.count(products, {name: number for number, name in enumerate(schema.names)})
        model = cls(config, schema, text, image_encoder, counts)
        if model._sight is not None:
            model._counts.update(model._sight.count(products))
        return model

    @classmethod
    def load_assets(cls, config: UlsDramConfig, schema: AttributeSchema, folder: Path) -> Self:
        text = TextInput.loaded(config.encoder, folder, category=False)
        image_encoder = load_regions(config.image_encoder, folder) if config.vision != "none" else None
        return cls(config, schema, text, image_encoder, read_json(folder / "report.json"))

    def save_assets(self, folder: Path) -> None:
        self._text.save(folder)
        if self._sight is not None:
            self._sight.save(folder)
        write_json(folder / "report.json", self._counts)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        """The text encoder reads what the picture has changed, so of frozen encoders only that of pictures is kept."""
        if self._sight is not None:
            self._sight.prepare(products, features_dir, dtype)

    def collate(self, products: Sequence[Product]) -> TaggedBatch:
        return labelled(products, self._text, self._sight, self._numbers, self._categories)

    def forward(self, batch: TaggedBatch) -> tuple[Tensor, Tensor | None]:
        """Token states [B,T,E], and the logits of the range [B,A] where there is one."""
        text, image = batch.text, None
        if self.image_encoder is not None and batch.pictures is not None:
            image = image_states(batch.pictures, self.image_encoder)
        mask_BT = text.mask_BT
        if self.config.vision == "joined" and image is not None:
            shown_BK = image.shown_B[:, None].expand(image.region_BKE.shape[:2])
            mask_BT = torch.cat([mask_BT, shown_BK], dim=1)

        def change(embedded_BTI: Tensor) -> Tensor:
            return embedded_BTI if self.fusion is None else self.fusion(embedded_BTI, mask_BT, image)

        states_BTE, last_BE, before_BE = self.encoder.layers(text.ids_BT, mask_BT, text.segment_BT, change)
        states_BTE = states_BTE[:, : text.ids_BT.shape[1]]
        last_BE = last_BE if text.text_BE is None else text.text_BE
        if self.range_head is None:
            return states_BTE, None
        logit_BA = self.range_head(torch.cat([last_BE, before_BE], dim=-1)).float()  # (6)
        return states_BTE, logit_BA.masked_fill(~batch.possible_BA, IMPOSSIBLE)

    def loss(self, batch: TaggedBatch) -> Losses:
        states_BTE, logit_BA = self(batch)
        mask_BT = batch.text.token_mask_BT
        if logit_BA is None:
            loss_B = self.crf.loss(self.decoder(states_BTE, batch.text.mask_BT), batch.tags_BT, mask_BT)
            tags = (loss_B * batch.weight_B).sum() / batch.num_products
            return Losses(tags, {"tags": tags.detach()})
        attributes = self._range_loss(batch, logit_BA)
        chosen_BA = logit_BA.sigmoid() > self.config.range_threshold  # (7)
        if self.config.train_range == "predicted_and_true":
            chosen_BA = chosen_BA | (batch.attributes_BA.bool() & batch.possible_BA)
        pairs = Pairs.selected(logit_BA.sigmoid(), chosen_BA, self.config.max_pairs)
        loss_M = self.crf.loss(
            self._emissions(batch, states_BTE, pairs), _own_tags(batch.tags_BT, pairs), mask_BT[pairs.row_M]
        )
        tags = (loss_M * batch.weight_B[pairs.row_M]).sum() / batch.num_products
        return Losses(attributes + tags, {"attribute": attributes.detach(), "tags": tags.detach()})

    def _range_loss(self, batch: TaggedBatch, logit_BA: Tensor) -> Tensor:
        true_BA = batch.attributes_BA * batch.possible_BA
        loss_B = F.binary_cross_entropy_with_logits(logit_BA, true_BA, reduction="none").mean(1)
        return (loss_B * batch.weight_B).sum() / batch.num_products

    def _emissions(self, batch: TaggedBatch, states_BTE: Tensor, pairs: Pairs) -> Tensor:
        """Scores of O, B and I of each pair's attribute. [M,T,3]"""
        assert self.guidance is not None
        emission_MTG: Tensor = self.decoder(
            self.guidance(states_BTE, pairs, self._names), batch.text.mask_BT[pairs.row_M]
        )
        return emission_MTG

    def _names(self, attribute_M: Tensor) -> Tensor:
        """The encoder's text state of the name of each attribute, which is read once. [M,E]"""
        if not len(attribute_M):
            return torch.zeros(0, self.encoder.width, device=attribute_M.device)
        text, row_M = named(self._text, self.schema.names, attribute_M)
        _, text_BE = self.encoder(text.ids_BT, text.mask_BT, text.segment_BT)
        named_ME: Tensor = text_BE[row_M]
        return named_ME

    def predict(self, batch: TaggedBatch) -> list[list[Facet]]:
        return [list(answer.facets) for answer in self.answer(batch)]

    def attributes(self, batch: TaggedBatch) -> list[dict[str, float]] | None:
        """Those above `threshold`, which need not be the range: that is above `range_threshold`. The probability of a
        long text is the highest of its windows."""
        if self.range_head is None:
            return None
        return [dict(answer.attributes or {}) for answer in self.answer(batch)]

    @torch.no_grad()
    def answer(self, batch: TaggedBatch) -> list[Answer]:
        states_BTE, logit_BA = self(batch)
        if logit_BA is None:
            emission_BTG = self.decoder(states_BTE, batch.text.mask_BT)
            tags_BT, confidence_BT = self._tagged(emission_BTG, batch.text.token_mask_BT)
            return [Answer(facets) for facets in facets_told(batch, tags_BT, confidence_BT, self.schema.names)]
        probability_BA = logit_BA.sigmoid()
        chosen_BA = probability_BA > self.config.range_threshold
        every = Pairs.selected(probability_BA, chosen_BA, int(chosen_BA.sum()))
        tagged = [
            self._tagged(self._emissions(batch, states_BTE, pairs), batch.text.token_mask_BT[pairs.row_M])
            for pairs in every.parts(self.config.max_pairs)
        ]
        facets: list[list[Facet]] = [[] for _ in batch.products]
        if tagged:
            tags_MT, confidence_MT = (torch.cat(parts) for parts in zip(*tagged, strict=True))
            facets = facets_of_pairs(batch.products, batch.text, every, tags_MT, confidence_MT, self.schema.names)
        told = attributes_told(batch, probability_BA, self.config.threshold, self.schema.names)
        return [Answer(own, attributes) for own, attributes in zip(facets, told, strict=True)]

    def _tagged(self, emission_MTG: Tensor, mask_MT: Tensor) -> tuple[Tensor, Tensor]:
        """The best tags, and how sure each is: its marginal. [M,T] both"""
        tags_MT = self.crf.decode(emission_MTG, mask_MT)
        return tags_MT, self.crf.marginals(emission_MTG, mask_MT).gather(2, tags_MT[..., None])[..., 0]

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder, image=ImageEncoder)

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        """First what the range is, then all of it."""
        everything = super().phases(training)
        if self.range_head is None or not self.config.warm_epochs:
            return everything
        tagging = {id(p) for part in (self.guidance, self.decoder, self.crf) if part for p in part.parameters()}
        groups = {name: [p for p in found if id(p) not in tagging] for name, found in self.parameter_groups().items()}
        warm = Phase(
            name="range",
            epochs=self.config.warm_epochs,
            optimizers=[optimizer_of(groups, training)],
            collate=self.collate,
            loss=self._warm_loss,
            keep="last",
        )
        return [warm, *everything]

    def _warm_loss(self, batch: TaggedBatch) -> Losses:
        _, logit_BA = self(batch)
        attributes = self._range_loss(batch, logit_BA)
        return Losses(attributes, {"attribute": attributes.detach()})

    def report(self) -> Mapping[str, int]:
        return self._counts


def _own_tags(tags_BT: Tensor, pairs: Pairs) -> Tensor:
    """The tags of each pair's window as its attribute sees them: O, B or I, int64. [M,T]"""
    own_MT: Tensor = tags_BT[pairs.row_M] - 2 * pairs.attribute_M[:, None]
    return torch.where((own_MT == begin(0)) | (own_MT == begin(0) + 1), own_MT, OUTSIDE)


def _require_layers(config: UlsDramConfig, text: TextInput) -> None:
    if config.vision == "joined" and not isinstance(text.encoder, TransformerEncoder):
        raise ParamsError(
            "models.uls_dram: vision: joined needs a transformer to read text and picture; encoder is a bilstm"
        )
    if isinstance(text.encoder, GivenTextEncoder) and text.encoder.tokens is None:
        raise ParamsError(
            "models.uls_dram: encoder: it changes a text before its layers, which vectors of its tokens are beyond"
        )
