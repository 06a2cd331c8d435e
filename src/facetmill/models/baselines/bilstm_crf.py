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

Shapes: as in `parts/token_tagger.py`; S places that a token attends to (S = T), D attention size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

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
    """OpenTag's: each token gathers a sum of all states. Their weights sum to 1 (`softmax`) or need not (`sigmoid`)."""

    def __init__(self, width: int, size: int, norm: Literal["softmax", "sigmoid"]) -> None:
        super().__init__()
        self.token = nn.Linear(width, size)  # Wg, bg
        self.place = nn.Linear(width, size, bias=False)  # Wg'
        self.weight = nn.Linear(size, 1, bias=norm == "sigmoid")  # Wa, ba; a softmax is the same with any ba
        self._norm = norm

    def forward(self, states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        both_BTSD = (self.token(states_BTH)[:, :, None] + self.place(states_BTH)[:, None]).tanh()
        score_BTS = self.weight(both_BTSD)[..., 0].masked_fill(~mask_BT[:, None], -torch.inf)
        weight_BTS = score_BTS.softmax(-1) if self._norm == "softmax" else score_BTS.sigmoid()
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
        size, beside = config.attention_size, config.attention_form == "beside"
        super().__init__(config, schema, text, counts, width=2 * width if size and beside else width, crf=True)
        self.bilstm = None if has_bilstm else BiLstm(text.encoder.width, config.hidden_size)
        self.attention = AdditiveAttention(width, size, "softmax" if beside else "sigmoid") if size else None

    @classmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        return cls(config, schema, text, counts)

    def states(self, text: TextBatch) -> Tensor:
        states_BTH, _ = text_states(text, self.encoder)
        if self.bilstm is not None:
            states_BTH = self.bilstm(states_BTH, text.mask_BT)
        if self.attention is not None:
            attended_BTH = self.attention(states_BTH, text.mask_BT)
            beside = self.config.attention_form == "beside"
            states_BTH = torch.cat([states_BTH, attended_BTH], -1) if beside else attended_BTH
        return states_BTH
