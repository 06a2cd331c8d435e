"""The answer of a text to a question: a span by its start and its end, or none.

Source: Devlin, Chang, Lee, Toutanova. "BERT." NAACL 2019, sections 4.2 and 4.3: a span is as likely as its start times
its end, and an answer is given where the best span is more likely than that there is none.

Shapes: M questions, T tokens with specials and padding, L the longest span in tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facetmill.models.parts.tagging import OUTSIDE, begin

NEARLY = 0.5  # further answers are at least half as sure as the surest
AT_MOST = 16  # spans of a question that are looked at


@dataclass(frozen=True, slots=True)
class Answer:
    """Tokens [first, end) of question number `question`, and how sure it is (0..1)."""

    question: int
    first: int
    end: int
    sure: float


def bounds(tags_MT: Tensor) -> tuple[Tensor, Tensor]:
    """Where values start and where they end, by their tags O, B and I: bool [M,T] both."""
    value_MT = F.pad(tags_MT, (1, 1), value=OUTSIDE) != OUTSIDE
    new_MT = F.pad(tags_MT == begin(0), (0, 1))
    here_MT = value_MT[:, 1:-1]
    return here_MT & (new_MT[:, :-1] | ~value_MT[:, :-2]), here_MT & (new_MT[:, 1:] | ~value_MT[:, 2:])


def span_scores(start_MT: Tensor, end_MT: Tensor, field_MT: Tensor, longest: int) -> Tensor:
    """log p(start) + log p(end) of each span, by its first token and how many follow; minus infinity of one that is no
    span of one field. `field_MT` numbers them, -1 where there is no token. [M,T,L]"""
    ahead_MTL = F.pad(end_MT, (0, longest - 1)).unfold(1, longest, 1)
    field_MTL = F.pad(field_MT, (0, longest - 1), value=-1).unfold(1, longest, 1)
    inside_MTL = (field_MTL == field_MT[..., None]) & (field_MTL >= 0)
    return (start_MT[..., None] + ahead_MTL).masked_fill(~inside_MTL, -torch.inf)


def likely(score_MTL: Tensor, answerable_M: Tensor) -> list[Answer]:
    """The likeliest spans of each question, at most `AT_MOST`, that are surer than that there is none, which has the
    probability 1 - `answerable_M`. A span is as sure as p(answerable) times the root of p(start) p(end)."""
    longest = score_MTL.shape[2]
    score_MS, place_MS = score_MTL.flatten(1).topk(min(AT_MOST, score_MTL[0].numel()))
    sure_MS = answerable_M[:, None] * (score_MS / 2).exp()
    told_MS = sure_MS > 1 - answerable_M[:, None]
    questions, places, sure = told_MS.nonzero()[:, 0], place_MS[told_MS], sure_MS[told_MS]
    found = zip(questions.tolist(), places.tolist(), sure.tolist(), strict=True)
    return [Answer(n, at // longest, at // longest + at % longest + 1, how) for n, at, how in found]


def chosen(answers: Iterable[Answer], several: bool) -> list[Answer]:
    """Of answers to one question the surest; or also those that overlap no surer one and are nearly as sure."""
    kept: list[Answer] = []
    for answer in sorted(answers, key=lambda each: (-each.sure, each.first, each.end)):
        if kept and (not several or answer.sure < NEARLY * kept[0].sure):
            break
        if all(answer.end <= other.first or other.end <= answer.first for other in kept):
            kept.append(answer)
    return kept
