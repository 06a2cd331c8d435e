"""BiLSTM-CRF, and OpenTag, which is the same with attention.

Sources: Huang, Xu, Yu. "Bidirectional LSTM-CRF Models for Sequence Tagging." 2015. Zheng, Mukherjee, Dong, Li.
"OpenTag: Open Attribute Value Extraction from Product Profiles." KDD 2018, sections 3.1 to 3.3.

    BiLSTM-CRF    attention_size: null
    OpenTag       attention_size: any; with one attribute in the schema as in the paper, else its tags of several

Differs from the papers: tags are BIO, OpenTag's BIOE. Words are learned from nothing, or come from the encoder that is
named: one that has no BiLSTM is given one. Active learning is left out.

Shapes: as in `parts/token_tagger.py`; S places that a token attends to (S = T), D attention size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from facetmill.encoders.text import BiLstmEncoder, both_directions
from facetmill.encoders.windows import TextBatch, text_states
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import TokenTagger, suggest
from facetmill.models.space import Space
from facetmill.params import BiLstmCrfConfig
from facetmill.records import AttributeSchema


class BiLstm(nn.Module):
    """One LSTM per direction above any encoder's states."""

    def __init__(self, width: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(width, hidden_size // 2, batch_first=True)
        self.backwards = nn.LSTM(width, hidden_size // 2, batch_first=True)

    def forward(self, states_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        return both_directions(self.forwards, self.backwards, states_BTE, mask_BT)[0]


class AdditiveAttention(nn.Module):
    """OpenTag's: each token becomes a sum of all states, each by its own sigmoid, so weights need not sum to 1."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, size)  # Wg, bg
        self.place = nn.Linear(width, size, bias=False)  # Wg'
        self.weight = nn.Linear(size, 1)  # Wa, ba

    def forward(self, states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        both_BTSD = (self.token(states_BTH)[:, :, None] + self.place(states_BTH)[:, None]).tanh()
        weight_BTS = self.weight(both_BTSD)[..., 0].sigmoid().masked_fill(~mask_BT[:, None], 0)
        states_BTH = states_BTH.masked_fill(~mask_BT[..., None], 0)  # what stands under padding is undefined
        return torch.bmm(weight_BTS, states_BTH)


class BiLstmCrf(TokenTagger):
    key: ClassVar[str] = "bilstm_crf"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate"))
    config: BiLstmCrfConfig

    def __init__(
        self, config: BiLstmCrfConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        has_bilstm = isinstance(text.encoder, BiLstmEncoder)
        width = text.encoder.width if has_bilstm else 2 * (config.hidden_size // 2)
        super().__init__(config, schema, text, counts, width=width, crf=True)
        self.bilstm = None if has_bilstm else BiLstm(text.encoder.width, config.hidden_size)
        size = config.attention_size
        self.attention = None if size is None else AdditiveAttention(width, size)

    @classmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        return cls(config, schema, text, counts)

    def states(self, text: TextBatch) -> Tensor:
        states_BTH, _ = text_states(text, self.encoder)
        if self.bilstm is not None:
            states_BTH = self.bilstm(states_BTH, text.mask_BT)
        if self.attention is not None:
            states_BTH = self.attention(states_BTH, text.mask_BT)
        return states_BTH
