"""Slot-Gated, and what came before it: a BiLSTM that tells attributes and tags tokens, with attention and a gate.

Sources, all rows of Table 3 in Zhu et al., "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce
Product", EMNLP 2020:

    RNN-LSTM      context: none            Hakkani-Tur, Tur, Celikyilmaz, Chen, Gao, Deng, Wang. "Multi-Domain Joint
                                           Semantic Frame Parsing using Bi-directional RNN-LSTM." Interspeech 2016
    Attn-BiRNN    context: attention       Liu, Lane. "Attention-Based Recurrent Neural Network Models for Joint Intent
                                           Detection and Slot Filling." Interspeech 2016
    Slot-Gated    context: gated           Goo, Gao, Hsu, Huo, Chen, Hsu, Chen. "Slot-Gated Modeling for Joint Slot
                                           Filling and Intent Prediction." NAACL 2018, full attention
                  context: gated_states    the same, intent attention only

The equations are Goo's, whose numbers here are ours; e(q, s) is additive attention, h_T both final states:

    (1)  c_t = sum_s softmax_s e(h_t, h_s) h_s        what token t gathers
    (2)  c   = sum_s softmax_s e'(h_T, h_s) h_s       what the attributes are told from
    (3)  g_t = v . tanh(c_t + W c)                    how far they concern token t
    (4)  tags from h_t + g_t c_t, attributes from h_T + c

"gated_states" has h_t in the place of c_t; without a gate g_t is 1, without attention c_t and c are 0.

Differs from the papers: attributes are several at once, each with a sigmoid (`parts/joint_token_tagger.py`). Goo prints
scores as sigma(W h); these are the authors' code's, which on the other hand joins h and c where (4) adds them. RNN-LSTM
tells the intent from an end mark that it appends: the [SEP] that ends every text, whose state h_T holds. Attn-BiRNN
tells it from (2) alone and feeds each tag to the next token; here it is what Goo compares with. Words are learned from
nothing, or come from the encoder that is named: one that has no BiLSTM is given one.

Shapes: as in `parts/token_tagger.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from facetmill.encoders.windows import TextBatch
from facetmill.models.parts.additive_attention import AdditiveAttention
from facetmill.models.parts.bilstm import bilstm_above, bilstm_states
from facetmill.models.parts.joint_token_tagger import JointTokenTagger
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import suggest
from facetmill.models.space import Space
from facetmill.params import SlotGatedConfig
from facetmill.records import AttributeSchema


class SlotGate(nn.Module):
    """(3): one number a token, of any sign."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attributes = nn.Linear(width, width, bias=False)  # W
        self.weight = nn.Linear(width, 1, bias=False)  # v

    def forward(self, token_BTH: Tensor, attributes_B1H: Tensor) -> Tensor:
        gate_BT1: Tensor = self.weight((token_BTH + self.attributes(attributes_B1H)).tanh())
        return gate_BT1


class SlotGated(JointTokenTagger):
    key: ClassVar[str] = "slot_gated"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate"))
    config: SlotGatedConfig

    def __init__(
        self, config: SlotGatedConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        bilstm = bilstm_above(text.encoder, config.hidden_size)
        width = text.encoder.width if bilstm is None else bilstm.width
        super().__init__(config, schema, text, counts, width=width, crf=False)
        self.bilstm = bilstm
        self.token_attention: AdditiveAttention | None = None
        self.attribute_attention: AdditiveAttention | None = None
        self.gate: SlotGate | None = None
        if config.context != "none":
            self.attribute_attention = AdditiveAttention(width, config.attention_size, "softmax")
        if config.context in ("attention", "gated"):
            self.token_attention = AdditiveAttention(width, config.attention_size, "softmax")
        if config.context in ("gated", "gated_states"):
            self.gate = SlotGate(width)

    @classmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        return cls(config, schema, text, counts)

    def both_states(self, text: TextBatch) -> tuple[Tensor, Tensor]:
        states_BTH, last_BH = bilstm_states(text, self.encoder, self.bilstm)
        if self.attribute_attention is None:
            return states_BTH, last_BH
        attributes_B1H = self.attribute_attention(last_BH[:, None], states_BTH, text.mask_BT)  # (2)
        token_BTH = states_BTH
        if self.token_attention is not None:
            token_BTH = self.token_attention(states_BTH, states_BTH, text.mask_BT)  # (1)
        if self.gate is not None:
            token_BTH = self.gate(token_BTH, attributes_B1H) * token_BTH  # (3)
        return states_BTH + token_BTH, last_BH + attributes_B1H[:, 0]  # (4)
