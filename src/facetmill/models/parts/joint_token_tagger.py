"""A token tagger that tells attributes as well, from a state of the whole text: intent detection and slot filling,
where attributes are several intents at once and values are slots.

Where the papers of that task have a softmax over intents, each attribute here has a sigmoid of its own. The loss is the
mean over attributes plus the mean over tokens, as in their authors' code; beside the sum over tokens, as they print it,
attributes are learned late. The attributes of a window are those whose values it holds, and those whose value the text
does not hold. Tags are told whether their attribute is or not, as in the papers.

Shapes: as in `token_tagger.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses
from facetmill.encoders.windows import TextBatch
from facetmill.models.base import Answer
from facetmill.models.parts.labels import TaggedBatch, attributes_told
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import TokenTagger
from facetmill.params import JointTokenTaggerConfig
from facetmill.records import AttributeSchema

IMPOSSIBLE = -1e4  # a logit whose probability is 0; an infinite one would make its loss 0 * inf


class JointTokenTagger(TokenTagger):
    """`width` is that of both states."""

    config: JointTokenTaggerConfig

    def __init__(
        self,
        config: JointTokenTaggerConfig,
        schema: AttributeSchema,
        text: TextInput,
        counts: Mapping[str, int],
        *,
        width: int,
        crf: bool,
    ) -> None:
        super().__init__(config, schema, text, counts, width=width, crf=crf)
        self.attribute = nn.Linear(width, len(schema.names))

    @abstractmethod
    def both_states(self, text: TextBatch) -> tuple[Tensor, Tensor]:
        """What tags are told from [B,T,H], and what attributes are [B,H]."""

    def states(self, text: TextBatch) -> Tensor:
        return self.both_states(text)[0]

    def logits(self, batch: TaggedBatch) -> tuple[Tensor, Tensor]:
        """Attribute logits [B,A] in float32, and tag logits as `forward` gives them [B,T,G]."""
        states_BTH, text_BH = self.both_states(batch.text)
        attribute_BA: Tensor = self.attribute(self.dropout(text_BH)).float()
        return attribute_BA.masked_fill(~batch.possible_BA, IMPOSSIBLE), self.emissions(states_BTH, batch)

    def loss(self, batch: TaggedBatch) -> Losses:
        attribute_BA, emission_BTG = self.logits(batch)
        losses_B = {
            "attribute": F.binary_cross_entropy_with_logits(attribute_BA, batch.attributes_BA, reduction="none").mean(
                1
            ),
            "tags": self.tag_losses(emission_BTG, batch) / batch.text.token_mask_BT.sum(1).clamp(min=1),
        }
        parts = {name: (loss_B * batch.weight_B).sum() / batch.num_products for name, loss_B in losses_B.items()}
        return Losses(torch.stack([*parts.values()]).sum(), {name: part.detach() for name, part in parts.items()})

    def attributes(self, batch: TaggedBatch) -> list[dict[str, float]]:
        """Those above `threshold`; the probability of a long text is the highest of its windows."""
        return [dict(answer.attributes or {}) for answer in self.answer(batch)]

    @torch.no_grad()
    def answer(self, batch: TaggedBatch) -> list[Answer]:
        attribute_BA, emission_BTG = self.logits(batch)
        told = attributes_told(batch, attribute_BA.sigmoid(), self.config.threshold, self.schema.names)
        return [Answer(*both) for both in zip(self.tagged(emission_BTG, batch), told, strict=True)]
