"""Joint-BERT: one fine-tuned encoder tells attributes by its [CLS] and tags tokens. Sep-BERT: one encoder for each.

Source: Chen, Zhuo, Wang. "BERT for Joint Intent Classification and Slot Filling." 2019, equations (1) and (2). Both are
rows of Table 3 in Zhu et al., "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce Product",
EMNLP 2020.

    Joint-BERT          tasks: joint
    Joint-BERT + CRF    tasks: joint, decoder: crf
    Sep-BERT            tasks: separate

Differs from the papers: attributes are several at once, each with a sigmoid (`parts/joint_token_tagger.py`). All pieces
of a word are tagged, not its first alone. The two networks of Sep-BERT learn side by side, and one epoch is kept of
both: the best by `promotion.metric`. A frozen encoder is shared, for it learns nothing.

Shapes: as in `parts/token_tagger.py`; E width of the encoder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor

from facetmill.encoders.windows import TextBatch, text_states
from facetmill.models.parts.joint_token_tagger import JointTokenTagger
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import suggest
from facetmill.models.space import Space
from facetmill.params import JointBertConfig
from facetmill.records import AttributeSchema


class JointBert(JointTokenTagger):
    """`attribute_encoder` is there with `tasks: separate` alone."""

    key: ClassVar[str] = "joint_bert"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate", "encoder_learning_rate"))
    config: JointBertConfig

    def __init__(
        self, config: JointBertConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        super().__init__(config, schema, text, counts, width=text.encoder.width, crf=config.decoder == "crf")
        apart = config.tasks == "separate" and not text.encoder.frozen
        self.attribute_encoder = copy.deepcopy(text.encoder) if apart else None

    @classmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        return cls(config, schema, text, counts)

    def both_states(self, text: TextBatch) -> tuple[Tensor, Tensor]:
        states_BTE, text_BE = text_states(text, self.encoder)  # h_2 to h_T of (2), h_1 of (1)
        if self.attribute_encoder is not None:
            _, text_BE = text_states(text, self.attribute_encoder)
        return states_BTE, text_BE
