"""AVEQA: the attribute's name is a question to the text, and its value the span that answers it, if any does.

Source: Wang, Yang, Kanagal, Sanghai, Sivakumar, Shu, Yu, Elsas. "Learning to Extract Attribute Value from Product via
Question Answering: A Multi-task Approach." KDD 2020.

    input        [CLS] attribute [SEP] title [SEP] text [SEP]
    no answer    sigmoid of a linear layer above [CLS]
    answer       softmax over the tokens of title and text for the start, and one for the end

Differs from the paper:
 1. Its third task, a masked language model that is distilled from the pretrained encoder, is left out.
 2. A value that stands at several places, or several values, share the probability of start and end; the paper has one
    span. `values: all` tells several, if they are nearly as sure as the surest (`parts/span_choice.py`).
 3. A span is told if it is surer than that there is none, so a sure "no answer" and unsure bounds both say nothing.
 4. A quarter of a window is for the name, its [SEP] included; a longer name is cut, which `report()` counts. Of a value
    that a window cuts its part is the answer there.
 5. An encoder that is a BiLSTM has its final states in place of [CLS].

Shapes: as in `parts/asked_model.py`; Q tokens of a name with [CLS] and [SEP], J of name and window together, E width
of the encoder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from facetmill.encoders.windows import TextBatch
from facetmill.models.parts.asked_model import AskedBatch, AskedModel
from facetmill.models.parts.pairs import Pairs
from facetmill.models.parts.span_choice import Answer, bounds, chosen, likely, span_scores
from facetmill.models.parts.tagging import OUTSIDE, begin, decode, inside
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.token_tagger import suggest
from facetmill.models.space import Space
from facetmill.params import AskedConfig, AveqaConfig
from facetmill.records import AttributeSchema, Facet

IMPOSSIBLE = -1e4  # a logit whose probability is 0


class Aveqa(AskedModel):
    """`question_AQ` (int64) has the name of each attribute, -1 where it ends."""

    key: ClassVar[str] = "aveqa"
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate", "encoder_learning_rate"))
    config: AveqaConfig
    question_AQ: Tensor

    def __init__(
        self, config: AveqaConfig, schema: AttributeSchema, text: TextInput, counts: Mapping[str, int]
    ) -> None:
        super().__init__(config, schema, text, counts)
        self.answerable = nn.Linear(text.encoder.width, 1)
        self.bounds = nn.Linear(text.encoder.width, 2)

    @classmethod
    def room(cls, config: AskedConfig) -> int:
        return config.encoder.window // 4

    def ask(self, schema: AttributeSchema) -> None:
        super().ask(schema)
        tokenizer, longest = self._text.tokenizer, self.room(self.config) - 1
        names = [pieces.ids for pieces in tokenizer.encode(schema.names)]
        self._counts["names_cut"] = sum(len(name) > longest for name in names)
        framed = [torch.tensor([tokenizer.cls_id, *name[:longest], tokenizer.sep_id]) for name in names]
        question_AQ = pad_sequence(framed, batch_first=True, padding_value=-1)
        device = next(self.encoder.parameters()).device
        self.register_buffer("question_AQ", question_AQ.to(device), persistent=False)

    def forward(self, text: TextBatch, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of whether there is an answer [M], and log p of where it starts and where it ends [M,T], by the
        columns of the window; in float32 whatever the precision of the rest."""
        ids_MJ, mask_MJ, name_M = self._joined(text, pairs)
        context_MJ = torch.arange(ids_MJ.shape[1], device=ids_MJ.device) >= name_M[:, None]
        states_MJE, text_ME = self.encoder(ids_MJ, mask_MJ, (context_MJ & mask_MJ).long())
        answerable_M = self.answerable(self.dropout(text_ME))[:, 0].float()
        bounds_MJ2 = self.bounds(self.dropout(states_MJE)).float()
        # the column of a window is that many after the [SEP] of the name, which stands for the window's own [CLS]
        column_MT = name_M[:, None] - 1 + torch.arange(text.ids_BT.shape[1], device=ids_MJ.device)
        column_MT = column_MT.clamp(max=ids_MJ.shape[1] - 1)
        start_MT, end_MT = (bound.gather(1, column_MT) for bound in bounds_MJ2.unbind(-1))
        nothing_MT = ~text.token_mask_BT[pairs.row_M]
        start_MT, end_MT = (bound.masked_fill(nothing_MT, IMPOSSIBLE).log_softmax(1) for bound in (start_MT, end_MT))
        return answerable_M, start_MT, end_MT

    def _joined(self, text: TextBatch, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        """The name and the window of each pair as one sequence without a gap: ids, mask, and tokens of the name."""
        question_MQ = self.question_AQ[pairs.attribute_M]
        ids_MJ = torch.cat([question_MQ, text.ids_BT[pairs.row_M, 1:]], dim=1)
        mask_MJ = torch.cat([question_MQ >= 0, text.mask_BT[pairs.row_M, 1:]], dim=1)
        place_MJ = (~mask_MJ).byte().argsort(dim=1, stable=True)[:, : mask_MJ.sum(1).max()]
        ids_MJ, mask_MJ = ids_MJ.gather(1, place_MJ), mask_MJ.gather(1, place_MJ)
        return ids_MJ.masked_fill(~mask_MJ, self._text.tokenizer.pad_id), mask_MJ, (question_MQ >= 0).sum(1)

    def pair_losses(self, batch: AskedBatch) -> Mapping[str, Tensor]:
        if not len(batch.pairs):
            return {"answer": self.answerable.weight[:0, 0]}
        answerable_M, start_MT, end_MT = self(batch.text, batch.pairs)
        true_start_MT, true_end_MT = (bound.float() for bound in bounds(batch.tags_MT))
        num_M = true_start_MT.sum(1)
        share_MT = 1 / num_M.clamp(min=1)[:, None]
        span_M = -(share_MT * (true_start_MT * start_MT + true_end_MT * end_MT)).sum(1) / 2
        answer_M = F.binary_cross_entropy_with_logits(answerable_M, (num_M > 0).float(), reduction="none")
        return {"answer": answer_M, "span": span_M}

    def found(self, batch: AskedBatch) -> list[list[Facet]]:
        text, product_of = batch.text, batch.text.products_of_rows
        answers: defaultdict[tuple[int, int], list[Answer]] = defaultdict(list)
        for pairs in batch.pairs.parts(self.config.max_pairs):
            answerable_M, start_MT, end_MT = self(text, pairs)
            field_MT = text.segment_BT.masked_fill(~text.token_mask_BT, -1)[pairs.row_M]
            scores = span_scores(start_MT, end_MT, field_MT, self.config.longest_value)
            rows, attributes = pairs.row_M.tolist(), pairs.attribute_M.tolist()
            for answer in likely(scores, answerable_M.sigmoid()):
                row, attribute = rows[answer.question], attributes[answer.question]
                shift = text.pieces[row][1].start - 1  # from columns of the window to tokens of the product
                there = Answer(row, answer.first + shift, answer.end + shift, answer.sure)
                answers[product_of[row], attribute].append(there)
        facets: list[list[Facet]] = [[] for _ in batch.products]
        for number, attribute in sorted(answers):
            tokens = text.readings[number].tokens
            tags, confidences = [OUTSIDE] * len(tokens), [0.0] * len(tokens)
            for answer in chosen(answers[number, attribute], self.config.values == "all"):
                length = answer.end - answer.first
                tags[answer.first : answer.end] = [begin(0)] + [inside(0)] * (length - 1)
                confidences[answer.first : answer.end] = [answer.sure] * length
            facets[number] += decode(batch.products[number], tokens, tags, confidences, [self.schema.names[attribute]])
        return facets
