"""An encoder that reads a prompt and sees a picture, and a decoder that writes an answer (Mul-T5 in DEFLATE's paper).

The picture stands before the text: behind it, its distance to the text (of which T5's attention has a bias) would
depend on how far the text is padded.

Shapes: M prompts, T tokens of one, P pictures, K regions of one, J = K + 1 + T places that are read, F tokens that the
decoder is given to begin with (the last ones of a row), L tokens of an answer, D width, W tokens there are. Masks: 1 =
real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.models.parts.prompts import Written

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import EncoderDecoderCache

    from facetmill.encoders.seq2seq import WritingTokenizer
    from facetmill.encoders.vision import ImageStates
    from facetmill.models.parts.closed_list import ClosedList

NO_TOKEN = -100  # where an answer has ended
WORTH_LEAVING = 0.75  # rows that are done are left out of a step once so few are not: leaving them out takes time, too


@dataclass(frozen=True)
class Memory:
    """What the decoder reads: states [M,J,D] and which are real [M,J]."""

    states_MJD: Tensor
    mask_MJ: Tensor

    def of(self, row_M: Tensor | slice) -> Memory:
        return Memory(self.states_MJD[row_M], self.mask_MJ[row_M])


class Writer(nn.Module):
    """`image_width` is that of a picture's regions; None where none are seen, or they are as wide as tokens (codes).
    `published` says whose weights it has."""

    def __init__(
        self, network: PreTrainedModel, tokenizer: WritingTokenizer, image_width: int | None, *, published: bool
    ) -> None:
        super().__init__()
        self.published = published
        self.network = network
        self.width = int(network.config.d_model)
        self.picture = None if image_width is None else nn.Linear(image_width, self.width)
        self._tokenizer = tokenizer

    def read(self, ids_MT: Tensor, mask_MT: Tensor, seen: ImageStates | None, product_M: Tensor, mark: int) -> Memory:
        """(2), with a picture's codes or its regions. `product_M` is whose picture belongs to a prompt;
        `mark` is <IMG>, which sets it apart."""
        words = self.network.get_input_embeddings()
        embedded_MJD, mask_MJ = words(ids_MT), mask_MT
        if seen is not None:
            region_BKD = seen.region_BKE if self.picture is None else self.picture(seen.region_BKE)
            region_MKD = region_BKD[product_M]
            mark_M1D = words(torch.full_like(ids_MT[:, :1], mark))
            embedded_MJD = torch.cat([region_MKD, mark_M1D, embedded_MJD], dim=1)
            shown_MK = seen.shown_B[product_M][:, None].expand(-1, region_MKD.shape[1] + 1)
            mask_MJ = torch.cat([shown_MK, mask_MT], dim=1)
        states_MJD = self.network.get_encoder()(inputs_embeds=embedded_MJD, attention_mask=mask_MJ).last_hidden_state
        return Memory(states_MJD, mask_MJ)

    def log_p(self, memory: Memory, begin_MF: Tensor, begin_mask_MF: Tensor, answer_ML: Tensor) -> Tensor:
        """Of each token of the answers, 0 where `answer_ML` is negative. [M,L]"""
        real_ML = answer_ML >= 0
        given_ML = answer_ML[:, :-1].clamp(min=0)
        out = self._step(
            memory,
            torch.cat([begin_MF, given_ML], dim=1),
            torch.cat([begin_mask_MF, torch.ones_like(given_ML, dtype=torch.bool)], dim=1),
        )
        logits_MLW = out.logits[:, begin_MF.shape[1] - 1 :].float()
        loss_ML = F.cross_entropy(logits_MLW.transpose(1, 2), answer_ML.clamp(min=0), reduction="none")
        return -loss_ML * real_ML

    @torch.no_grad()
    def write(
        self,
        memory: Memory,
        begin_MF: Tensor,
        begin_mask_MF: Tensor,
        *,
        longest: int,
        row_M: Tensor | None = None,
        closed: Sequence[ClosedList | None] | None = None,
        never: Sequence[int] = (),
    ) -> list[Written]:
        """The likeliest token after token, until the end or for `longest` tokens. Where several answers read the same,
        `row_M` says which row of `memory` each reads. A row that has a `closed` list only says what that allows;
        `never` are tokens that nobody may write."""
        cache = None
        if row_M is not None:
            cache, memory = self._keys_and_values(memory, row_M), memory.of(row_M)
        ids: list[list[int]] = [[] for _ in range(len(begin_MF))]
        log_p: list[list[float]] = [[] for _ in range(len(begin_MF))]
        rows, done = list(range(len(begin_MF))), [False] * len(begin_MF)
        token_MF, mask_MX = begin_MF, begin_mask_MF
        for _ in range(longest):
            out = self._step(memory, token_MF, mask_MX, cache)
            cache = out.past_key_values
            logits_MW = out.logits[:, -1].float()
            logits_MW[:, list(never)] = -torch.inf
            if closed is not None:
                _allow(logits_MW, [closed[row] for row in rows], [ids[row] for row in rows])
            likely_M, token_M = logits_MW.log_softmax(-1).max(-1)
            for row, token, likely in zip(rows, token_M.tolist(), likely_M.tolist(), strict=True):
                if done[row]:
                    continue
                log_p[row].append(likely)
                if token == self._tokenizer.end_id:
                    done[row] = True
                else:
                    ids[row].append(token)
            going = [place for place, row in enumerate(rows) if not done[row]]
            if len(going) <= WORTH_LEAVING * len(rows):
                rows = [rows[place] for place in going]
                place_M = torch.tensor(going, dtype=torch.int64, device=token_M.device)
                if not rows:
                    break
                memory, mask_MX, token_M = memory.of(place_M), mask_MX[place_M], token_M[place_M]
                cache.batch_select_indices(place_M)
            token_MF = token_M[:, None]
            mask_MX = torch.cat([mask_MX, torch.ones_like(mask_MX[:, :1])], dim=1)
        return [Written(said, likely) for said, likely in zip(ids, log_p, strict=True)]

    def _keys_and_values(self, memory: Memory, row_M: Tensor) -> EncoderDecoderCache:
        """What a decoder makes of what it reads before it writes, made once for each row of `memory`."""
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache

        start_R1 = torch.full_like(memory.mask_MJ[:, :1], self._tokenizer.start_id, dtype=torch.int64)
        made = self._step(memory, start_R1, torch.ones_like(start_R1)).past_key_values.cross_attention_cache
        made.batch_select_indices(row_M)
        return EncoderDecoderCache(DynamicCache(config=self.network.config.get_text_config(decoder=True)), made)

    def _step(self, memory: Memory, ids_MF: Tensor, mask_MX: Tensor, cache: Any = None) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return self.network(
            encoder_outputs=BaseModelOutput(memory.states_MJD),
            attention_mask=memory.mask_MJ,
            decoder_input_ids=ids_MF,
            decoder_attention_mask=mask_MX,
            past_key_values=cache,
            use_cache=not self.training,
        )


def _allow(logits_MW: Tensor, closed: Sequence[ClosedList | None], said: Sequence[Sequence[int]]) -> None:
    """Rule out, in place, what the closed list of a row does not allow after what it has said."""
    for row, (values, ids) in enumerate(zip(closed, said, strict=True)):
        if values is not None:
            allowed = torch.tensor(values.after(ids), device=logits_MW.device)
            kept = logits_MW[row, allowed].clone()
            logits_MW[row] = -torch.inf
            logits_MW[row, allowed] = kept
