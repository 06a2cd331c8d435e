"""BiLSTM-CRF, and OpenTag, which is the same with attention.

Sources: Huang, Xu, Yu. "Bidirectional LSTM-CRF Models for Sequence Tagging." 2015. Zheng, Mukherjee, Dong, Li.
"OpenTag: Open Attribute Value Extraction from Product Profiles." KDD 2018, sections 3.1 to 3.3.

    BiLSTM-CRF           attention_size: null
    OpenTag              attention_size: any; with one attribute in the schema as in the paper, else its tags of several
    OpenTag as printed   the same, attention_form: printed

Differs from the papers:
 1. A token's own state stands beside what it attends to, and weights are a softmax. The paper tells tags from what is
    attended to alone, a sum over all places with a sigmoid for each: tokens look alike in it, and it hardly learns. Its
    code is not public; public reimplementations have the softmax. A token's own state is kept as by its successor (Xu
    et al. 2019). Pair F1 on a fold of OA-Mine's titles, 10 epochs, one seed: BiLSTM-CRF 60.9, so 61.3, as printed 28.7,
    with a softmax alone 25.0, as printed beside the own state 57.1.
 2. Tags are BIO, OpenTag's BIOE.
 3. Words are learned from nothing, or come from the encoder that is named: one that has no BiLSTM is given one.
 4. Active learning is left out.

Shapes: as in `parts/token_tagger.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from facetmill.encoders.windows import TextBatch
from facetmill.models.parts.additive_attention import AdditiveAttention
from facetmill.models.parts.bilstm import bilstm_above, bilstm_states
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import TokenTagger, suggest
from facetmill.models.space import Space
from facetmill.params import BiLstmCrfConfig
from facetmill.records import AttributeSchema


class BiLstmCrf(TokenTagger):
    key: ClassVar[str] = "bilstm_crf"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate"))
    config: BiLstmCrfConfig

    def __init__(
        self, config: BiLstmCrfConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        bilstm = bilstm_above(text.encoder, config.hidden_size)
        width = text.encoder.width if bilstm is None else bilstm.width
        size, beside = config.attention_size, config.attention_form == "beside"
        super().__init__(config, schema, text, counts, width=2 * width if size and beside else width, crf=True)
        self.bilstm = bilstm
        self.attention = AdditiveAttention(width, size, "softmax" if beside else "sigmoid") if size else None

    @classmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        return cls(config, schema, text, counts)

    def states(self, text: TextBatch) -> Tensor:
        states_BTH, _ = bilstm_states(text, self.encoder, self.bilstm)
        if self.attention is not None:
            attended_BTH = self.attention(states_BTH, states_BTH, text.mask_BT)
            beside = self.config.attention_form == "beside"
            states_BTH = torch.cat([states_BTH, attended_BTH], -1) if beside else attended_BTH
        return states_BTH
