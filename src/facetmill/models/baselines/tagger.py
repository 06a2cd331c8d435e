"""A plain fine-tuned encoder that tags tokens: what anyone could write in an hour, and what others must be better than.

Source: Devlin, Chang, Lee, Toutanova. "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding." NAACL 2019, section 5.3: a linear layer above the encoder, one softmax a token, with BIO tags of all
attributes. It stands in for K-PLUG's tagger, too, whose weights cannot be had (`decoder: crf` is its other head).

Differs from the paper: all pieces of a word are tagged, not its first alone. The category may be read before the title
(`category_input`); attributes that it lacks in train can be ruled out (`category_attributes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor

from facetmill.encoders.windows import TextBatch, text_states
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import TokenTagger, suggest
from facetmill.models.space import Space
from facetmill.params import TaggerConfig
from facetmill.records import AttributeSchema


class Tagger(TokenTagger):
    key: ClassVar[str] = "tagger"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate", "encoder_learning_rate"))
    config: TaggerConfig

    @classmethod
    def of(cls, config: Any, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]) -> Self:
        return cls(config, schema, text, counts, width=text.encoder.width, crf=config.decoder == "crf")

    def states(self, text: TextBatch) -> Tensor:
        states_BTH, _ = text_states(text, self.encoder)
        return states_BTH
