"""The CRF against a sum over every tag sequence there is."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from facetmill.models.parts.crf import CRF

TAGS = 4
LENGTHS = [5, 1, 3, 2, 4]
LAST = 9  # columns: more than any row needs, so that rows have holes


def masked(lengths: list[int] = LENGTHS) -> Tensor:
    """Rows with so many real places, some of them not next to one another and not at the start."""
    mask_BT = torch.zeros(len(lengths), LAST, dtype=torch.bool)
    for row, length in enumerate(lengths):
        mask_BT[row, torch.randperm(LAST)[:length]] = True
    return mask_BT


def drawn(scale: float = 1.0, forbidden_GG: Tensor | None = None) -> tuple[CRF, Tensor, Tensor, Tensor]:
    """A CRF with emissions, tags and mask; whatever stands under the mask is no number and no tag."""
    torch.manual_seed(0)
    crf = CRF(TAGS, forbidden_GG).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    mask_BT = masked()
    emission_BTG = scale * torch.randn(len(LENGTHS), LAST, TAGS, dtype=torch.float64)
    tags_BT = torch.randint(TAGS, mask_BT.shape)
    emission_BTG[~mask_BT] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e300], dtype=torch.float64)
    return crf, emission_BTG, tags_BT.masked_fill(~mask_BT, -100), mask_BT


@torch.no_grad()
def every(crf: CRF, emission_TG: Tensor) -> dict[tuple[int, ...], Tensor]:
    """The score of each sequence of tags, from the definition."""
    scores: dict[tuple[int, ...], Tensor] = {}
    for tags in product(range(TAGS), repeat=len(emission_TG)):
        score = crf.start[tags[0]] + crf.end[tags[-1]]
        score = score + sum(emission_TG[place, tag] for place, tag in enumerate(tags))
        score = score + sum((crf.transitions[move] for move in pairwise(tags)), torch.zeros(()))
        if crf.forbidden_GG is None or not any(crf.forbidden_GG[move] for move in pairwise(tags)):
            scores[tags] = score
    return scores


# A little, as after a night's training, and beyond what probabilities in float64 can hold.
SCALES = [1.0, 30.0, 2000.0]
NO_RETURN = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=torch.bool)


@pytest.mark.parametrize("forbidden_GG", [None, NO_RETURN], ids=["free", "forbidden"])
@pytest.mark.parametrize("scale", SCALES)
def test_loss_best_tags_and_marginals_are_those_of_all_sequences(scale: float, forbidden_GG: Tensor | None) -> None:
    crf, emission_BTG, _, mask_BT = drawn(scale, forbidden_GG)
    decoded_BT = crf.decode(emission_BTG, mask_BT)
    marginal_BTG = crf.marginals(emission_BTG, mask_BT)
    assert decoded_BT[~mask_BT].eq(0).all()
    assert marginal_BTG[~mask_BT].eq(0).all()
    torch.testing.assert_close(marginal_BTG.sum(-1), mask_BT.double())
    for row, mask_T in enumerate(mask_BT):
        scores = every(crf, emission_BTG[row, mask_T])
        log_z = torch.stack(list(scores.values())).logsumexp(0)
        best = max(scores, key=lambda tags: float(scores[tags]))
        assert tuple(decoded_BT[row, mask_T].tolist()) == best
        tags_BT = torch.full(mask_BT.shape, -100)
        for tags in (best, min(scores, key=lambda tags: float(scores[tags]))):
            tags_BT[row, mask_T] = torch.tensor(tags)
            only_row = mask_BT & (torch.arange(len(mask_BT)) == row)[:, None]
            loss_B = crf.loss(emission_BTG, tags_BT, only_row)
            torch.testing.assert_close(loss_B[row], log_z - scores[tags])
            assert loss_B.count_nonzero() <= 1  # a row without places costs nothing
        expected_TG = torch.zeros(int(mask_T.sum()), TAGS, dtype=torch.float64)
        for tags, score in scores.items():
            expected_TG[range(len(tags)), tags] += (score - log_z).exp()
        torch.testing.assert_close(marginal_BTG[row, mask_T], expected_TG)


@pytest.mark.parametrize("scale", [1.0, 2000.0], ids=["probabilities", "logarithms"])
def test_gradients_are_those_of_finite_differences_and_0_at_masked_places(scale: float) -> None:
    crf, emission_BTG, tags_BT, mask_BT = drawn()
    real_NG = emission_BTG[mask_BT].requires_grad_()
    with torch.no_grad():
        crf.transitions[0, 1] = -scale

    def loss(real_NG: Tensor, *_: Tensor) -> Tensor:
        filled_BTG = emission_BTG.masked_scatter(mask_BT[..., None], real_NG)
        return crf.loss(filled_BTG, tags_BT, mask_BT)

    assert torch.autograd.gradcheck(loss, (real_NG, crf.start, crf.transitions, crf.end))
    emission_BTG = emission_BTG.clone().requires_grad_()
    crf.loss(emission_BTG, tags_BT, mask_BT).sum().backward()
    assert emission_BTG.grad is not None
    assert emission_BTG.grad[~mask_BT].eq(0).all()
    assert emission_BTG.grad[mask_BT].ne(0).all()


def test_a_chain_without_its_holes_is_the_same_chain() -> None:
    crf, emission_BTG, tags_BT, mask_BT = drawn()
    for row, mask_T in enumerate(mask_BT):
        alone = (emission_BTG[row, mask_T][None], torch.ones(1, int(mask_T.sum()), dtype=torch.bool))
        one_loss = crf.loss(alone[0], tags_BT[row, mask_T][None], alone[1])
        torch.testing.assert_close(crf.loss(emission_BTG, tags_BT, mask_BT)[row], one_loss[0])
        torch.testing.assert_close(crf.marginals(emission_BTG, mask_BT)[row, mask_T], crf.marginals(*alone)[0])


def test_a_tag_that_is_ruled_out_has_no_probability_and_costs_no_number() -> None:
    crf, emission_BTG, _, mask_BT = drawn(forbidden_GG=NO_RETURN)
    emission_BTG[..., 3] = -torch.inf
    assert crf.decode(emission_BTG, mask_BT).ne(3).all()
    assert crf.marginals(emission_BTG, mask_BT)[..., 3].eq(0).all()
    emission_BTG.requires_grad_()
    loss_B = crf.loss(emission_BTG, torch.ones(mask_BT.shape, dtype=torch.int64), mask_BT)
    loss_B.sum().backward()
    assert loss_B.isfinite().all()
    assert emission_BTG.grad is not None
    grads = [emission_BTG.grad, *(parameter.grad for parameter in crf.parameters())]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


def test_a_gold_sequence_that_is_forbidden_has_probability_0() -> None:
    crf, emission_BTG, _, _ = drawn(forbidden_GG=NO_RETURN)
    mask_BT = torch.ones(len(LENGTHS), LAST, dtype=torch.bool)
    loss_B = crf.loss(torch.zeros_like(emission_BTG), torch.tensor([0, 2] * LAST)[:LAST].expand(5, -1), mask_BT)
    assert loss_B.eq(torch.inf).all()


def test_a_way_that_looks_hopeless_for_long_and_wins_in_the_end_is_not_lost() -> None:
    """Who starts with tag 1 keeps it: at first 1e-347 times as likely as tag 0, then as much more so, and a little."""
    crf = CRF(2, ~torch.eye(2, dtype=torch.bool))
    for parameter in crf.parameters():
        torch.nn.init.zeros_(parameter)
    emission_BTG = torch.zeros(1, 9, 2)
    emission_BTG[0, :, 1] = torch.tensor([-200.0] * 4 + [1.0] + [200.0] * 4)
    mask_BT = torch.ones(1, 9, dtype=torch.bool)
    assert crf.decode(emission_BTG, mask_BT).eq(1).all()
    probability = torch.tensor([1.0]).sigmoid()
    torch.testing.assert_close(crf.marginals(emission_BTG, mask_BT)[..., 1], probability.expand(1, 9))
    loss_B = crf.loss(emission_BTG, torch.ones(1, 9, dtype=torch.int64), mask_BT)
    torch.testing.assert_close(loss_B, -probability.log())


def test_long_texts_neither_overflow_nor_vanish() -> None:
    """Uniform scores: every one of 4^3000 sequences is as likely as any other."""
    crf = CRF(TAGS)
    for parameter in crf.parameters():
        torch.nn.init.zeros_(parameter)
    mask_BT = torch.ones(1, 3000, dtype=torch.bool)
    emission_BTG = torch.full((1, 3000, TAGS), 50.0)
    loss_B = crf.loss(emission_BTG, torch.zeros(1, 3000, dtype=torch.int64), mask_BT)
    torch.testing.assert_close(loss_B, 3000 * torch.tensor([4.0]).log())
    torch.testing.assert_close(crf.marginals(emission_BTG, mask_BT), torch.full((1, 3000, TAGS), 0.25))


def test_bf16_emissions_are_computed_as_if_they_were_float32() -> None:
    crf, emission_BTG, tags_BT, mask_BT = drawn()
    crf.float()
    half_BTG = emission_BTG.bfloat16()
    exact_BTG = half_BTG.float()
    with torch.autocast("cpu", torch.bfloat16):
        loss_B = crf.loss(half_BTG.requires_grad_(), tags_BT, mask_BT)
        marginal_BTG = crf.marginals(half_BTG, mask_BT)
    assert loss_B.dtype == marginal_BTG.dtype == torch.float32
    assert torch.equal(loss_B, crf.loss(exact_BTG, tags_BT, mask_BT))
    assert torch.equal(marginal_BTG, crf.marginals(exact_BTG, mask_BT))
    loss_B.sum().backward()
    assert half_BTG.grad is not None
    assert half_BTG.grad.dtype == torch.bfloat16


def test_what_is_forbidden_is_no_weight_of_a_saved_model() -> None:
    assert list(CRF(TAGS, NO_RETURN).state_dict()) == ["start", "transitions", "end"]
