"""A linear-chain CRF over tags: the loss of a tag sequence, the likeliest sequence, and how likely each tag is.

Source: Lafferty, McCallum, Pereira. "Conditional Random Fields." ICML 2001; above a network as in Collobert et al.,
"Natural Language Processing (Almost) from Scratch." JMLR 2011, section 3.3.2. A sequence of tags y has the score

    s(y) = start[y1] + sum_t emission[t, yt] + sum_t transitions[yt, yt+1] + end[yT]

and the probability exp(s(y)) / Z, with Z the sum over all sequences. The gradient of log Z by an emission is the
probability of that tag at that place, so no tape is kept: the forward and the backward recursion, scaled at each step
(Rabiner 1989, section V.A), run side by side as one product of matrices a step, and every gradient follows from them.

They are sums of probabilities in float64. Where an input is so extreme that one could be lost below 1e-308, the same is
computed with logarithms: slower, but never wrong.

Masked places are passed over, wherever they are: what stands there changes nothing and has gradient 0. A score may be
minus infinity, which forbids a move or a tag; an impossible gold sequence has an infinite loss.

Shapes: B sequences, T places (at least 1), G tags; P the places in reading order, real ones first. Masks: 1 = real.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

#: Nothing can be lost while no score is further below the best, and no state less probable. One step multiplies a state
#: by two scores, which makes 1e-300 at worst.
BROADEST, SMALLEST = 230.0, 1e-100
NEVER = -1e30  # for minus infinity, where two are subtracted


class CRF(nn.Module):
    """`forbidden_GG` (bool) says which tag (column) can never follow which (row)."""

    forbidden_GG: Tensor | None

    def __init__(self, num_tags: int, forbidden_GG: Tensor | None = None) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.register_buffer("forbidden_GG", forbidden_GG, persistent=False)

    def loss(self, emission_BTG: Tensor, tags_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """-log p of the tags (int64) of each sequence; 0 where it has no place. In float32, or in float64 for such
        emissions. [B]"""
        order = _Order.of(mask_BT)
        emission_BTG = emission_BTG.masked_fill(~mask_BT[..., None], 0)
        log_z_B = self._log_partition(emission_BTG, order)
        score_B = self._score(emission_BTG, tags_BT.masked_fill(~mask_BT, 0), order)
        loss_B = torch.where(order.length_B > 0, log_z_B - score_B, 0)
        return loss_B.to(torch.promote_types(emission_BTG.dtype, torch.float32))

    @torch.no_grad()
    def decode(self, emission_BTG: Tensor, mask_BT: Tensor) -> Tensor:
        """The likeliest tags (Viterbi), int64; 0 at masked places. [B,T]"""
        order = _Order.of(mask_BT)
        emission_BTG = emission_BTG.float().masked_fill(~mask_BT[..., None], 0)
        emission_BTG = emission_BTG - emission_BTG.amax(-1, keepdim=True)  # long sums stay small, and so exact
        start_G, transitions_GG, end_G = (scores.float() for scores in self._scores())
        arriving_GG = transitions_GG.T.contiguous()  # [to, from]
        emissions = _rows(emission_BTG, order.ahead_PB).unbind()
        best = [start_G + emissions[0]]  # [B,G]: the score of the best way to each tag of each place
        for emission_BG in emissions[1:]:
            best.append((best[-1][:, None] + arriving_GG).amax(2) + emission_BG)
        # No pointers back are kept: what came before a known tag is found again from the scores of one place. What is
        # beyond the last real place is G, the end.
        leaving_GG = torch.cat([arriving_GG, end_G[None]])
        end_B = torch.full_like(order.length_B, len(end_G))
        tag_B, tags = end_B, []
        for best_BG, real_B in zip(reversed(best), reversed(order.real_PB.unbind()), strict=True):
            tag_B = torch.where(real_B, (best_BG + leaving_GG[tag_B]).argmax(1), end_B)
            tags.append(tag_B)
        tags_BP = torch.stack(tags[::-1], 1)
        return torch.zeros_like(tags_BP).scatter_(1, order.place_BP, tags_BP).masked_fill_(~mask_BT, 0)

    @torch.no_grad()
    def marginals(self, emission_BTG: Tensor, mask_BT: Tensor) -> Tensor:
        """The probability of each tag at each place, by the whole sequence; 0 at masked places. In the precision of
        `loss`. [B,T,G]"""
        with torch.inference_mode(False), torch.enable_grad():  # they are a gradient, also for one who wants none
            mask_BT = mask_BT.clone()
            emission_BTG = emission_BTG.detach().clone().to(torch.promote_types(emission_BTG.dtype, torch.float32))
            emission_BTG = emission_BTG.masked_fill(~mask_BT[..., None], 0)
            log_z_B = self._log_partition(emission_BTG.requires_grad_(), _Order.of(mask_BT))
            (probability_BTG,) = torch.autograd.grad(log_z_B.sum(), emission_BTG)
        return probability_BTG * mask_BT[..., None]

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        transitions_GG: Tensor = self.transitions
        if self.forbidden_GG is not None:
            transitions_GG = transitions_GG.masked_fill(self.forbidden_GG, -torch.inf)
        return self.start, transitions_GG, self.end

    def _score(self, emission_BTG: Tensor, tags_BT: Tensor, order: _Order) -> Tensor:
        """s(y), float64 [B]. Emissions and tags of masked places are 0."""
        start_G, transitions_GG, end_G = (scores.double() for scores in self._scores())
        tags_BP = tags_BT.gather(1, order.place_BP)
        emission_B = emission_BTG.gather(2, tags_BT[..., None]).double().sum((1, 2))
        moves_BP = torch.where(order.real_PB.T[:, 1:], transitions_GG[tags_BP[:, :-1], tags_BP[:, 1:]], 0)
        last_B = tags_BP.gather(1, order.last_B[:, None])[:, 0]
        return start_G[tags_BP[:, 0]] + emission_B + moves_BP.sum(1) + end_G[last_B]

    def _log_partition(self, emission_BTG: Tensor, order: _Order) -> Tensor:
        """log Z, float64 [B]. Emissions of masked places are 0."""
        start_G, transitions_GG, end_G = self._scores()
        with torch.no_grad():
            passes = _Passes.of(emission_BTG, start_G, transitions_GG, end_G, order)
        if not passes.exact:
            return _log_partition_by_logarithms(emission_BTG, start_G, transitions_GG, end_G, order)
        log_z_B: Tensor = _LogPartition.apply(emission_BTG, start_G, transitions_GG, end_G, passes)  # type: ignore[no-untyped-call]
        return log_z_B


@dataclass(frozen=True)
class _Order:
    """How sequences are read. `place_BP` (int64) is the column of each place, `real_PB` whether there is one."""

    length_B: Tensor
    place_BP: Tensor
    real_PB: Tensor

    @classmethod
    def of(cls, mask_BT: Tensor) -> Self:
        length_B = mask_BT.sum(1)
        number_P = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        return cls(length_B, (~mask_BT).byte().argsort(dim=1, stable=True), number_P[:, None] < length_B)

    @property
    def last_B(self) -> Tensor:
        return (self.length_B - 1).clamp(min=0)

    @property
    def number_B(self) -> Tensor:
        return torch.arange(len(self.length_B), device=self.length_B.device)

    @property
    def from_end_PB(self) -> Tensor:
        """For each place, the one as far from the end as it is from the start; itself of a place that is not real."""
        number_P1 = torch.arange(len(self.real_PB), device=self.length_B.device)[:, None]
        return torch.where(self.real_PB, self.length_B - 1 - number_P1, number_P1)

    @property
    def ahead_PB(self) -> Tensor:
        """Where each place stands in a flattened [B,T]."""
        return self.place_BP.T + self.place_BP.shape[1] * self.number_B

    @property
    def behind_PB(self) -> Tensor:
        """The same, read from the end."""
        return self.ahead_PB.gather(0, self.from_end_PB)


@dataclass(frozen=True)
class _Passes:
    """Both recursions. [p, 0] is at the p-th place and comes from the start, [p, 1] at the p-th from the end.

    `ahead_P2BG` is how likely each tag is by what was read before, but for a factor; `seen_P2BG` by its own emission
    too, as shares of 1. `moves_GG` are the transitions as weights of at most 1. `exact` is false where something may
    have been lost.
    """

    order: _Order
    moves_GG: Tensor
    ahead_P2BG: Tensor
    seen_P2BG: Tensor
    log_z_B: Tensor
    exact: bool

    @classmethod
    def of(cls, emission_BTG: Tensor, start_G: Tensor, transitions_GG: Tensor, end_G: Tensor, order: _Order) -> Self:
        top_BT = emission_BTG.amax(-1).double().clamp(min=NEVER)
        emission_BTG = emission_BTG.double() - top_BT[..., None]
        top, scores = _below_the_best(start_G, transitions_GG, end_G)
        start_G, moves_GG, end_G = (each.exp() for each in scores)
        weights_P2BG = _rows(emission_BTG.exp(), torch.stack([order.ahead_PB, order.behind_PB], 1))
        ahead_P2BG, seen_P2BG = torch.empty_like(weights_P2BG), torch.empty_like(weights_P2BG)
        sum_P2B1 = weights_P2BG.new_empty(*weights_P2BG.shape[:3], 1)
        moves_2GG = torch.stack([moves_GG, moves_GG.T])
        ahead_P2BG[0] = torch.stack([start_G, end_G])[:, None]
        steps = zip(*(each.unbind() for each in (weights_P2BG, ahead_P2BG, seen_P2BG, sum_P2B1)), strict=True)
        previous_2BG = None
        for weight_2BG, ahead_2BG, seen_2BG, sum_2B1 in steps:
            if previous_2BG is not None:
                torch.bmm(previous_2BG, moves_2GG, out=ahead_2BG)
            torch.mul(ahead_2BG, weight_2BG, out=seen_2BG)
            torch.sum(seen_2BG, -1, keepdim=True, out=sum_2B1)
            previous_2BG = seen_2BG.div_(sum_2B1)
        at_end_B = seen_P2BG[order.last_B, 0, order.number_B] @ end_G
        log_z_B = torch.where(order.real_PB, sum_P2B1[:, 0, :, 0].log(), 0).sum(0) + at_end_B.log()
        log_z_B += top_BT.sum(1) + top[0] + top[1] * order.last_B + top[2]
        broad = [_within(each, -BROADEST, -torch.inf) for each in (emission_BTG, *scores)]
        exact = all(broad) and _within(seen_P2BG, SMALLEST, 0)
        return cls(order, moves_GG, ahead_P2BG, seen_P2BG, log_z_B, exact)


def _below_the_best(*scores: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The best of each, and how far below it the others lie, in float64."""
    tops = [each.double().max().clamp(min=NEVER) for each in scores]
    return tops, [each.double() - top for each, top in zip(scores, tops, strict=True)]


def _within(values: Tensor, least: float, none: float) -> bool:
    """Whether all are above `least`, but for those that are exactly `none`, as what is forbidden is."""
    return bool(((values > least) | (values == none)).all())


class _LogPartition(torch.autograd.Function):
    """log Z of passes, with its gradients: expected numbers of tags at each place, and of moves."""

    @staticmethod
    def forward(
        ctx: Any, emission_BTG: Tensor, start_G: Tensor, transitions_GG: Tensor, end_G: Tensor, passes: _Passes
    ) -> Tensor:
        ctx.passes, ctx.dtypes = passes, [each.dtype for each in (emission_BTG, start_G, transitions_GG, end_G)]
        return passes.log_z_B

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        passes, order = ctx.passes, ctx.passes.order
        num_tags = len(passes.moves_GG)
        seen_PBG = passes.seen_P2BG[:, 0]
        from_end_PB = (2 * order.from_end_PB + 1) * len(order.length_B) + order.number_B
        left_PBG = _rows(passes.ahead_P2BG, from_end_PB)  # by what comes after
        both_PBG = seen_PBG * left_PBG
        weight_PB1 = torch.where(order.real_PB[..., None], grad_B[:, None] / both_PBG.sum(-1, keepdim=True), 0)
        next_PBG = _rows(passes.seen_P2BG, from_end_PB[1:])
        weight_next_PB1 = torch.where(order.real_PB[1:, :, None], weight_PB1[:-1], 0)
        from_GN, to_NG = (seen_PBG[:-1] * weight_next_PB1).flatten(0, 1).T, next_PBG.flatten(0, 1)
        move_GG = (from_GN @ to_NG) * passes.moves_GG
        tag_PBG = both_PBG.mul_(weight_PB1)
        emission_NG = torch.empty_like(tag_PBG).view(-1, num_tags)
        emission_NG.index_copy_(0, order.ahead_PB.flatten(), tag_PBG.view(-1, num_tags))
        emission_BTG = emission_NG.view(*order.place_BP.shape, num_tags)
        end_G = tag_PBG[order.last_B, order.number_B].sum(0)
        grads = (emission_BTG, tag_PBG[0].sum(0), move_GG, end_G)
        return (*(each.to(dtype) for each, dtype in zip(grads, ctx.dtypes, strict=True)), None)


def _log_partition_by_logarithms(
    emission_BTG: Tensor, start_G: Tensor, transitions_GG: Tensor, end_G: Tensor, order: _Order
) -> Tensor:
    """log Z by sums that no range of scores can spoil, float64 [B]."""
    scores = (emission_BTG, start_G, transitions_GG, end_G)
    emission_BTG, start_G, transitions_GG, end_G = (each.double().clamp(min=NEVER) for each in scores)
    emissions = _rows(emission_BTG, order.ahead_PB).unbind()
    seen_BG = start_G + emissions[0]
    for emission_BG, real_B in zip(emissions[1:], order.real_PB[1:], strict=True):
        next_BG = (seen_BG[:, :, None] + transitions_GG).logsumexp(1) + emission_BG
        seen_BG = torch.where(real_B[:, None], next_BG, seen_BG)
    return (seen_BG + end_G).logsumexp(1)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """The vectors at flat indices of all dimensions of `values` but the last."""
    found = values.flatten(0, -2).index_select(0, index.flatten())
    return found.view(*index.shape, values.shape[-1])
