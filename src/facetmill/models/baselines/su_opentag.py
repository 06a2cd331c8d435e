"""SUOpenTag (ScalingUp): one set of tags for all attributes; the attribute's name says which values are meant.

Source: Xu, Wang, Mao, Jiang, Lan. "Scaling Up Open Tagging from Tens to Thousands: Comprehension Empowered Attribute
Value Extraction from Product Title." ACL 2019, section 3.

    title          h_t1 .. h_tn = BiLSTM(encoder(title))
    attribute      h_a          = final states of BiLSTM'(encoder(name))
    attention      c_i          = cos(h_a, h_ti) h_ti
    matching       m_i          = [h_ti ; c_i]
    tags           CRF above a linear layer of m, with O, B and I alone

The paper learns from triples of title, attribute and value, and from ones without a value whose attribute was drawn at
random: `negatives`. One that never saw such (`negatives: 0`) finds a value for everything that it is asked for, so its
share of wrong values is high where a text is asked for more than it has.

Differs from the paper:
 1. A product is asked for what its category has in train, or for all (`category_attributes`); the paper's texts are
    asked for attributes that are given.
 2. The CRF forbids an I without its B, but for a window's first token.

Shapes: as in `parts/asked_model.py`; E width of the encoder, H of the BiLSTMs, G = 3 tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from facetmill.encoders.windows import text_states
from facetmill.models.parts.asked_model import AskedBatch, AskedModel
from facetmill.models.parts.attribute_range import beside_weighed
from facetmill.models.parts.bilstm import BiLstm
from facetmill.models.parts.crf import CRF
from facetmill.models.parts.pairs import Pairs, facets_of_pairs, named
from facetmill.models.parts.tagging import num_tags
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import broken_moves, suggest
from facetmill.models.space import Space
from facetmill.params import SuOpenTagConfig
from facetmill.records import AttributeSchema, Facet, Product


class SuOpenTag(AskedModel):
    key: ClassVar[str] = "su_opentag"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate", "encoder_learning_rate"))
    config: SuOpenTagConfig

    def __init__(
        self, config: SuOpenTagConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        super().__init__(config, schema, text, counts)
        self.title = BiLstm(text.encoder.width, config.hidden_size)
        self.attribute = BiLstm(text.encoder.width, config.hidden_size)
        self.emission = nn.Linear(2 * self.title.width, num_tags(1))
        self.crf = CRF(num_tags(1), broken_moves(1))

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        self._text.prepare(products, features_dir, dtype)

    def forward(self, batch: AskedBatch) -> Tensor:
        """Tag logits of all pairs, in float32 whatever the precision of the rest. [M,T,G]"""
        emission_MTG: Tensor = self.emissions(self.titles(batch), batch.pairs)
        return emission_MTG

    def titles(self, batch: AskedBatch) -> Tensor:
        """[B,T,H]"""
        states_BTE, _ = text_states(batch.text, self.encoder)
        states_BTH: Tensor = self.title(states_BTE, batch.text.mask_BT)[0]
        return states_BTH

    def names(self, attribute_M: Tensor) -> Tensor:
        """h_a of each pair; a name is read once. [M,H]"""
        text, row_M = named(self._text, self.schema.names, attribute_M)
        states_BTE, _ = text_states(text, self.encoder)
        named_BH: Tensor = self.attribute(states_BTE, text.mask_BT)[1]
        return named_BH[row_M]

    def emissions(self, states_BTH: Tensor, pairs: Pairs) -> Tensor:
        if not len(pairs):
            return states_BTH.new_zeros(0, states_BTH.shape[1], num_tags(1))
        matched_MTH = beside_weighed(states_BTH[pairs.row_M], self.names(pairs.attribute_M))  # m
        emission_MTG: Tensor = self.emission(self.dropout(matched_MTH))
        return emission_MTG.float()

    def pair_losses(self, batch: AskedBatch) -> Mapping[str, Tensor]:
        mask_MT = batch.text.token_mask_BT[batch.pairs.row_M]
        return {"tags": self.crf.loss(self(batch), batch.tags_MT, mask_MT)}

    def found(self, batch: AskedBatch) -> list[list[Facet]]:
        states_BTH = self.titles(batch)
        tags, confidences = [batch.tags_MT[:0]], [states_BTH.new_zeros(0, states_BTH.shape[1])]
        for pairs in batch.pairs.parts(self.config.max_pairs):
            emission_MTG, mask_MT = self.emissions(states_BTH, pairs), batch.text.token_mask_BT[pairs.row_M]
            tags.append(self.crf.decode(emission_MTG, mask_MT))
            confidences.append(self.crf.marginals(emission_MTG, mask_MT).gather(2, tags[-1][..., None])[..., 0])
        return facets_of_pairs(
            batch.products, batch.text, batch.pairs, torch.cat(tags), torch.cat(confidences), self.schema.names
        )
