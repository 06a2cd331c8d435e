"""Phases as they are described, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from facetmill.compute.phase import Group, Losses, Optimizer, Phase, Schedule
from facetmill.training.phases import Descent, only_learning, rate_at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [  # shares of the full rate at the ten steps of a phase
        (Schedule(), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        (Schedule(warmup_share=0.2), [0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        (Schedule(kind="constant", warmup_share=0.4, warmup_from=0.2), [0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1, 1]),
        (Schedule(kind="steps", drop_at=[0.6, 0.8]), [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        (
            Schedule(kind="steps", drop_at=[0.5], drop_to=0.5, warmup_share=0.1),
            [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5],
        ),
        (
            Schedule(kind="cosine", warmup_share=0.2),
            [0.5, 1.0, 1.0, *((1 + math.cos(math.pi * step / 8)) / 2 for step in range(1, 8))],
        ),
    ],
)
def test_schedules(schedule: Schedule, expected: list[float]) -> None:
    assert [rate_at(schedule, step, 10) for step in range(10)] == pytest.approx(expected)


def phase(*optimizers: Optimizer) -> Phase:
    return Phase(name="p", epochs=1, optimizers=optimizers, collate=torch.tensor, loss=lambda b: Losses(b, {}))  # type: ignore[arg-type]


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape))


@pytest.mark.parametrize("kind", ["adamw", "adam", "adamax"])
def test_each_group_moves_at_its_own_rate(kind: str) -> None:
    """The first step of all three is the learning rate, against the sign of the gradient."""
    text, image, fresh = parameter(3), parameter(3), parameter(3)
    groups = [Group("text", [text], 0.001), Group("image", [image], 0.0001), Group("fresh", [fresh], 0.1)]
    half = Schedule(kind="constant", warmup_share=0.2)  # of ten steps the first one has half the rate
    descent = Descent(phase(Optimizer(groups=groups, kind=kind, schedule=half)), 10, clip_norm=100.0)  # type: ignore[arg-type]
    (text.sum() - image.sum() + 5 * fresh.sum()).backward()
    descent.step(0)
    for moved, by in ((text, -0.0005), (image, 0.00005), (fresh, -0.05)):
        torch.testing.assert_close(moved.data - 1, torch.full((3,), by), rtol=1e-3, atol=1e-8)
    assert descent.learning_rates(1) == {"text": 0.001, "image": 0.0001, "fresh": 0.1}


def test_several_optimizers_step_together_each_by_its_own_schedule() -> None:
    first, second = parameter(2), parameter(2)
    described = phase(
        Optimizer(groups=[Group("first", [first], 0.1)], kind="adam", schedule=Schedule(kind="constant")),
        Optimizer(groups=[Group("second", [second], 0.1)], kind="adamax", schedule=Schedule(warmup_share=0.5)),
    )
    descent = Descent(described, 4, clip_norm=100.0)
    for step in range(2):
        descent.zero_grad()
        (first.sum() + second.sum()).backward()
        descent.step(step)
    torch.testing.assert_close(first.data, torch.full((2,), 0.8), rtol=0, atol=1e-5)
    torch.testing.assert_close(second.data, torch.full((2,), 0.85), rtol=0, atol=1e-5)


def test_gradients_of_all_optimizers_are_clipped_to_one_norm() -> None:
    first, second = parameter(1), parameter(1)
    optimizers = [Optimizer(groups=[Group(str(n), [p], 1.0)]) for n, p in enumerate((first, second))]
    descent = Descent(phase(*optimizers), 1, clip_norm=1.0)
    (3 * first + 4 * second).backward()
    assert descent.clip().item() == pytest.approx(5.0)
    assert first.grad is not None
    assert second.grad is not None
    assert (first.grad.item(), second.grad.item()) == pytest.approx((0.6, 0.8), abs=1e-4)


def test_matrices_decay_and_biases_do_not() -> None:
    matrix, bias = parameter(2, 2), parameter(2)
    decaying = Optimizer(
        groups=[Group("all", [matrix, bias], 0.1)], weight_decay=0.5, schedule=Schedule(kind="constant")
    )
    descent = Descent(phase(decaying), 1, clip_norm=1.0)
    (0 * matrix.sum() + 0 * bias.sum()).backward()
    descent.step(0)
    assert matrix.data.unique().tolist() == pytest.approx([0.95])
    assert bias.data.unique().tolist() == [1.0]


def test_only_what_a_phase_names_learns_in_it_and_afterwards_all_is_as_before() -> None:
    network = nn.ModuleDict({name: nn.Linear(1, 1) for name in ("trained", "resting", "frozen")})
    network["frozen"].requires_grad_(False)
    described = phase(Optimizer(groups=[Group("some", list(network["trained"].parameters()), 0.1)]))

    def learning() -> dict[str, bool]:
        return {name: p.requires_grad for name, p in network.named_parameters() if name.endswith("weight")}

    before = learning()
    with only_learning(network, described):
        assert learning() == {"trained.weight": True, "resting.weight": False, "frozen.weight": False}
    assert learning() == before == {"trained.weight": True, "resting.weight": True, "frozen.weight": False}
