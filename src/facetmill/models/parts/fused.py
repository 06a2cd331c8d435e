"""One transformer that reads and writes: places that are read see one another, steps that are written see what is read
and the steps before them.

Source: Hu, Singh, Darrell, Rohrbach. "Iterative Answer Prediction with Pointer-Augmented Multimodal Transformers for
TextVQA." CVPR 2020 (M4C); layers as BERT's. Since no place sees a step, places are computed once for all that is asked
of a product, and its questions stand side by side, of which none sees another.

Shapes: P products, J places that are read, Q questions, T steps, D width, H heads, I = D / H. Masks: 1 = real.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from facetmill.params import FusionParams


@dataclass(frozen=True)
class Seen:
    """What a layer has seen of places or steps: keys and values, [P,H,J,I] or [P,H,Q,T,I] each."""

    keys: Tensor
    values: Tensor

    def then(self, later: Seen) -> Seen:
        """With the steps that follow."""
        return Seen(torch.cat([self.keys, later.keys], dim=-2), torch.cat([self.values, later.values], dim=-2))


class Layer(nn.Module):
    def __init__(self, params: FusionParams, dropout: float) -> None:
        super().__init__()
        width = params.hidden_size
        self._heads = params.num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm_attention, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def read(self, state_PJD: Tensor, mask_PJ: Tensor) -> tuple[Tensor, Seen]:
        """Places that see all real places. [P,J,D]"""
        seen = self._seen(state_PJD)
        score_PHJJ = self._scaled_query(state_PJD) @ seen.keys.mT
        weight_PHJJ = self.dropout(_softmax(score_PHJJ, mask_PJ[:, None, None]))
        return self._finished(state_PJD, weight_PHJJ @ seen.values), seen

    def write(self, state_PQTD: Tensor, places: Seen, mask_PJ: Tensor, before: Seen | None) -> tuple[Tensor, Seen]:
        """Steps that see all real places, those `before`, and of these themselves and earlier ones. [P,Q,T,D]"""
        own = self._seen(state_PQTD)
        own = own if before is None else before.then(own)
        query_PHQTI = self._scaled_query(state_PQTD)
        num_steps, num_all = query_PHQTI.shape[3], own.keys.shape[3]
        to_places_PHQTJ = (query_PHQTI.flatten(2, 3) @ places.keys.mT).unflatten(2, query_PHQTI.shape[2:4])
        to_steps_PHQTX = query_PHQTI @ own.keys.mT
        past_TX = torch.ones(num_steps, num_all, dtype=torch.bool, device=mask_PJ.device).tril(num_all - num_steps)
        mask_PTJ = mask_PJ[:, None].expand(-1, num_steps, -1)
        mask_PTY = torch.cat([mask_PTJ, past_TX.expand(len(mask_PJ), -1, -1)], dim=-1)
        weight_PHQTY = self.dropout(
            _softmax(torch.cat([to_places_PHQTJ, to_steps_PHQTX], dim=-1), mask_PTY[:, None, None])
        )
        of_places_PHQTJ, of_steps_PHQTX = weight_PHQTY.split([mask_PJ.shape[1], num_all], dim=-1)
        found_PHQTI = of_steps_PHQTX @ own.values
        found_PHQTI = found_PHQTI + (of_places_PHQTJ.flatten(2, 3) @ places.values).view_as(found_PHQTI)
        return self._finished(state_PQTD, found_PHQTI), own

    def _scaled_query(self, state: Tensor) -> Tensor:
        query: Tensor = self._by_head(self.query(state))
        return query / sqrt(query.shape[-1])

    def _seen(self, state: Tensor) -> Seen:
        return Seen(self._by_head(self.key(state)), self._by_head(self.value(state)))

    def _by_head(self, state: Tensor) -> Tensor:
        by_head: Tensor = state.unflatten(-1, (self._heads, -1)).movedim(-2, 1)
        return by_head

    def _finished(self, state: Tensor, found: Tensor) -> Tensor:
        attended = self.norm_attention(state + self.dropout(self.out(found.movedim(1, -2).flatten(-2))))
        finished: Tensor = self.norm(attended + self.dropout(self.narrow(nn.functional.gelu(self.wide(attended)))))
        return finished


class Fused(nn.Module):
    """Raises `ValueError` for a width that is no multiple of the number of heads."""

    def __init__(self, params: FusionParams, dropout: float) -> None:
        super().__init__()
        self._layers = [Layer(params, dropout) for _ in range(params.num_layers)]
        self.layers = nn.ModuleList(self._layers)

    def read(self, state_PJD: Tensor, mask_PJ: Tensor) -> tuple[Tensor, list[Seen]]:
        """The states of places after the last layer, undefined where they are not real, and what steps may see."""
        places: list[Seen] = []
        for layer in self._layers:
            state_PJD, seen = layer.read(state_PJD, mask_PJ)
            places.append(seen)
        return state_PJD, places

    def write(
        self, state_PQTD: Tensor, places: list[Seen], mask_PJ: Tensor, before: list[Seen] | None = None
    ) -> tuple[Tensor, list[Seen]]:
        """The states of steps after the last layer, and what later steps may see of all so far."""
        steps: list[Seen] = []
        for number, layer in enumerate(self._layers):
            state_PQTD, seen = layer.write(
                state_PQTD, places[number], mask_PJ, None if before is None else before[number]
            )
            steps.append(seen)
        return state_PQTD, steps


def _softmax(score: Tensor, mask: Tensor) -> Tensor:
    return score.masked_fill(~mask, torch.finfo(score.dtype).min).softmax(-1)
