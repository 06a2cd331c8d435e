"""Spans by hand: their bounds, their scores, when none is told, and when several are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from facetmill.models.parts.span_choice import Answer, bounds, chosen, likely, span_scores

NEVER = -torch.inf


def logs(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities]).log()


def test_values_begin_and_end_where_their_tags_say() -> None:
    """B I, then B alone beside it; a window may begin inside a value, and end with one."""
    tags = torch.tensor([[0, 1, 2, 1, 0, 1], [2, 2, 0, 0, 0, 0]])
    starts, ends = bounds(tags)
    assert starts.int().tolist() == [[0, 1, 0, 1, 0, 1], [1, 0, 0, 0, 0, 0]]
    assert ends.int().tolist() == [[0, 0, 1, 1, 0, 1], [0, 1, 0, 0, 0, 0]]


def test_a_span_is_as_likely_as_its_start_times_its_end() -> None:
    """It begins at a token, ends there or later but not too late, and keeps to its field."""
    field = torch.tensor([[-1, 0, 0, -1, 1, -1]])  # [CLS] and two words, [SEP] and one, [SEP]
    start, end = logs(0, 0.3, 0.5, 0, 0.2, 0), logs(0, 0.6, 0.1, 0, 0.3, 0)
    scores = span_scores(start, end, field, longest=2)[0].exp()
    expected = [[0, 0], [0.18, 0.03], [0.05, 0], [0, 0], [0.06, 0], [0, 0]]
    torch.testing.assert_close(scores, torch.tensor(expected))
    assert span_scores(start, end, field, longest=1)[0, 1].exp().tolist() == pytest.approx([0.18])


@pytest.mark.parametrize(("answerable", "told"), [(0.74, False), (0.76, True)])
def test_the_best_span_is_told_if_it_is_surer_than_that_there_is_none(answerable: float, told: bool) -> None:
    """The best one has 1/3 * 1/3: 0.75 is as sure as the other 0.25. The end before the start, likelier, is no span."""
    start, end = logs(0.05, 1 / 3, 0.6), logs(0.65, 0.05, 1 / 3)
    scores = span_scores(start, end, torch.tensor([[0, 0, 0]]), longest=2)
    scores[0, 2] = NEVER  # the last token alone
    found = likely(scores, torch.tensor([answerable]))
    assert [(each.question, each.first, each.end) for each in found] == ([(0, 1, 3)] if told else [])
    if told:
        assert found[0].sure == pytest.approx(answerable / 3)


def test_a_text_without_words_has_no_answer_however_sure_one_is() -> None:
    scores = span_scores(logs(0.5, 0.5), logs(0.5, 0.5), torch.tensor([[-1, -1]]), longest=2)
    assert likely(scores, torch.tensor([1.0])) == []


def test_one_answer_is_the_surest_and_several_overlap_none_and_are_nearly_as_sure() -> None:
    best, overlapping, nearly, doubtful = (
        Answer(0, 2, 4, 0.8),
        Answer(0, 3, 6, 0.7),
        Answer(0, 4, 5, 0.4),
        Answer(0, 8, 9, 0.39),
    )
    answers = [doubtful, overlapping, nearly, best]
    assert chosen(answers, several=False) == [best]
    assert chosen(answers, several=True) == [best, nearly]
    assert chosen([], several=True) == []


def test_two_values_that_share_the_probability_are_both_told() -> None:
    """Each starts with 1/2 and ends with 1/2; from the first to the second is a span as likely, but not as short."""
    start, end = logs(0.5, 0, 0.5, 0), logs(0, 0.5, 0, 0.5)
    found = likely(span_scores(start, end, torch.zeros(1, 4, dtype=torch.int64), longest=4), torch.tensor([0.9]))
    assert [(a.first, a.end) for a in chosen(found, several=True)] == [(0, 2), (2, 4)]
    assert {round(a.sure, 6) for a in found} == {round(0.9 * math.sqrt(0.25), 6)}
