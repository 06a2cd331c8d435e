"""The loop on a network of two phases: their order, who learns, what is kept, and going on after a kill."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facetmill.compute.phase import Group, Losses, Optimizer, Phase
from facetmill.compute.seeding import seed_everything
from facetmill.errors import PlatformError
from facetmill.files import hash_files, read_json
from facetmill.records import Facet, Product
from facetmill.training import loop
from facetmill.training.distributed import Processes
from facetmill.training.finite import LOOK_EVERY, Diverged, FiniteCheck
from facetmill.training.loop import LoopSettings, Trained, train_network
from facetmill.training.state import EpochResult, StateFolder
from tests.damage import flip_byte

CPU = torch.device("cpu")
SETTINGS = LoopSettings(seed=3, batch_size=4, clip_norm=10.0, chosen_by="score")
PRODUCTS = [Product(f"p{number}", "s", str(number / 10)) for number in range(10)]


@dataclass(frozen=True)
class Numbers:
    """x, and the confidence of the first facet, if there is one."""

    x_B: Tensor
    sure_B: Tensor

    def to(self, device: torch.device) -> Numbers:
        return self


class TwoPhases(nn.Module):
    """Learns y = 2x, then how sure that is, from products that its first half has written on."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.sure = nn.Linear(1, 1)
        self.begun: list[str] = []

    def collate(self, products: Sequence[Product]) -> Numbers:
        drawn = torch.rand(len(products)) / 100  # as a model does that chooses among several true answers
        sure = [product.facets[0].confidence or 0.0 if product.facets else 0.0 for product in products]
        return Numbers(torch.tensor([float(product.title) for product in products]) + drawn, torch.tensor(sure))

    def value_loss(self, batch: Numbers) -> Losses:
        total = (self.values(batch.x_B[:, None])[:, 0] - 2 * batch.x_B).square().mean()
        return Losses(total, {"value": total.detach()})

    def sure_loss(self, batch: Numbers) -> Losses:
        return Losses((self.sure(batch.x_B[:, None])[:, 0] - batch.sure_B).square().mean(), {})

    def write(self, products: Sequence[Product]) -> Sequence[Product]:
        self.begun.append("sure")
        self.eval()
        with torch.no_grad():
            written = self.values(self.collate(products).x_B[:, None])[:, 0].tolist()
        facets = [(Facet("y", "v", provenance="predicted", confidence=value),) for value in written]
        return [dataclasses.replace(p, facets=f) for p, f in zip(products, facets, strict=True)]

    def phases(self, **changes: Any) -> list[Phase]:
        def optimizer(name: str, kind: Any = "adamw") -> Optimizer:
            parameters = list(getattr(self, name).parameters())
            return Optimizer(groups=[Group(name, parameters, 0.05)], kind=kind)

        described: dict[str, Any] = {"collate": self.collate, **changes}
        return [
            Phase(name="values", epochs=2, optimizers=[optimizer("values")], loss=self.value_loss, **described),
            Phase(
                name="sure",
                epochs=3,
                optimizers=[optimizer("sure", "adamax")],
                loss=self.sure_loss,
                begin=self.write,
                **described,
            ),
        ]


def built() -> TwoPhases:
    seed_everything(0)
    return TwoPhases()


def trained(
    network: TwoPhases, settings: LoopSettings = SETTINGS, phases: Sequence[Phase] = (), **more: Any
) -> Trained:
    return train_network(network, phases or network.phases(), PRODUCTS, settings, Processes(CPU), **more)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor], part: str = "") -> bool:
    return all(torch.equal(left[name], right[name]) for name in left if name.startswith(part))


def without_speed(result: Trained) -> list[EpochResult]:
    return [dataclasses.replace(epoch, items_per_second=0.0) for epoch in result.epochs]


class Killed(Exception):
    pass


def kill_at(number: int) -> Callable[[EpochResult], None]:
    def kill(epoch: EpochResult) -> None:
        if epoch.epoch == number:
            raise Killed

    return kill


def test_phases_run_in_order_and_each_learns_its_own_part() -> None:
    network, seen = built(), []
    seen.append(weights(network))
    result = trained(network, on_epoch=lambda epoch: seen.append(weights(network)))
    assert [(epoch.epoch, epoch.phase) for epoch in result.epochs] == [
        (1, "values"), (2, "values"), (3, "sure"), (4, "sure"), (5, "sure"),
    ]  # fmt: skip
    assert network.begun == ["sure"]
    assert same(seen[0], seen[2], "sure")
    assert not same(seen[1], seen[2], "values")
    assert same(seen[2], seen[5], "values")
    assert not same(seen[4], seen[5], "sure")
    assert [list(epoch.losses) for epoch in result.epochs] == [["total", "value"]] * 2 + [["total"]] * 3
    assert [list(epoch.learning_rates) for epoch in result.epochs] == [["values"]] * 2 + [["sure"]] * 3
    assert result.kept == 5
    assert not network.training


def test_the_second_phase_learns_from_what_its_beginning_made() -> None:
    """Its products are those that the first half, best at 2x, has written on: so "sure" comes to be 2x as well."""
    network = built()
    first, second = network.phases()
    trained(network, phases=[dataclasses.replace(first, epochs=60), dataclasses.replace(second, epochs=200)])
    with torch.no_grad():
        assert network.sure(torch.tensor([[0.5]])).item() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("killed_after", [1, 2, 3, 4, 5])
def test_a_training_killed_in_any_phase_ends_as_an_uninterrupted_one(tmp_path: Path, killed_after: int) -> None:
    whole, state = built(), StateFolder(tmp_path / "state", "this one")
    expected = trained(whole)
    with pytest.raises(Killed):
        trained(built(), state=state, on_epoch=kill_at(killed_after))
    resumed, heard = built(), []
    result = trained(resumed, state=state, on_epoch=heard.append)
    assert same(weights(whole), weights(resumed))
    assert without_speed(result) == without_speed(expected)
    assert [epoch.epoch for epoch in heard] == [1, 2, 3, 4, 5]
    assert resumed.begun == (["sure"] if killed_after < 3 else []), "what a phase began with is kept"
    assert {path.suffix for path in (tmp_path / "state").rglob("*") if path.is_file()} == {
        ".json", ".safetensors", *([".parquet"] if read_json(tmp_path / "state" / "state.json")["phase"] else []),
    }  # fmt: skip


def test_what_a_phase_begins_with_is_kept_before_its_first_epoch(tmp_path: Path) -> None:
    whole, interrupted = built(), built()
    trained(whole)
    state = StateFolder(tmp_path / "state", "this one")
    first, second = interrupted.phases()

    def fail(batch: Numbers) -> Losses:
        raise Killed

    with pytest.raises(Killed):
        trained(interrupted, phases=[first, dataclasses.replace(second, loss=fail)], state=state)
    resumed = built()
    trained(resumed, state=state)
    assert resumed.begun == []
    assert same(weights(whole), weights(resumed))


def test_the_state_of_another_training_is_not_read(tmp_path: Path) -> None:
    trained(built(), state=StateFolder(tmp_path / "state", "another"))
    whole, begun_anew = built(), built()
    trained(whole)
    trained(begun_anew, state=StateFolder(tmp_path / "state", "this one"))
    assert begun_anew.begun == ["sure"]
    assert same(weights(whole), weights(begun_anew))


def spoil(name: str, how: str, folder: Path) -> None:
    path = folder / name
    if how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "emptied":
        os.truncate(path, 0)
    elif how == "gone":
        path.unlink()
    else:
        flip_byte(path)


@pytest.mark.parametrize("how", ["cut", "emptied", "gone", "flipped"])
@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "best.safetensors", "optimizers.safetensors",
                                  "products/part-00000.parquet"])  # fmt: skip
def test_a_damaged_state_is_named_and_neither_read_nor_replaced(tmp_path: Path, name: str, how: str) -> None:
    folder = tmp_path / "state"
    state = StateFolder(folder, "this one")
    scored = {"validate": lambda: {"score": 1.0}}  # the first epoch of each phase is its best
    with pytest.raises(Killed):
        trained(built(), state=state, on_epoch=kill_at(4), **scored)
    spoil(name, how, folder)
    damaged = hash_files(folder)
    with pytest.raises(PlatformError, match=rf"{folder}/{name}: .*\. Remove {folder} and the training begins anew"):
        trained(built(), state=state, **scored)
    assert hash_files(folder) == damaged
    shutil.rmtree(folder)  # as it says
    whole, anew = built(), built()
    trained(whole, **scored)
    trained(anew, state=state, **scored)
    assert same(weights(whole), weights(anew))


def test_a_phase_keeps_its_best_epoch_or_its_last_and_the_next_begins_there() -> None:
    scores = iter([0.5, 0.2, 0.1, 0.3, 0.2])
    network, seen = built(), []
    result = trained(
        network, validate=lambda: {"score": next(scores)}, on_epoch=lambda epoch: seen.append(weights(network))
    )
    assert result.kept == 4
    assert same(seen[2], seen[0], "values")
    assert same(weights(network), seen[3])
    scores = iter([0.5, 0.2, 0.1, 0.3, 0.2])
    network, seen = built(), []
    last = trained(
        network,
        phases=network.phases(keep="last"),
        validate=lambda: {"score": next(scores)},
        on_epoch=lambda epoch: seen.append(weights(network)),
    )
    assert last.kept == 5
    assert same(seen[2], seen[1], "values")
    assert same(weights(network), seen[4])


def test_two_phases_of_one_name_are_refused() -> None:
    network = built()
    first, second = network.phases()
    with pytest.raises(ValueError, match="same name: values, values"):
        trained(network, phases=[first, dataclasses.replace(second, name="values")])


def test_patience_counts_within_a_phase() -> None:
    scores = iter([0.5, 0.2, 0.1, 0.1, 0.1])
    network = built()
    result = trained(network, phases=network.phases(patience=1), validate=lambda: {"score": next(scores)})
    assert [epoch.phase for epoch in result.epochs] == ["values", "values", "sure", "sure"]


def test_only_every_nth_epoch_of_a_phase_is_validated_and_its_last() -> None:
    network = built()
    settings = dataclasses.replace(SETTINGS, validate_every=2)
    result = trained(network, settings, validate=lambda: {"score": 0.5})
    assert [bool(epoch.scores) for epoch in result.epochs] == [False, True, False, True, True]


def test_the_same_seed_gives_the_same_weights_whether_or_not_batches_are_made_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, other = built(), built(), built()
    makers: set[str] = set()

    def collate(network: TwoPhases, products: Sequence[Product]) -> Numbers:
        makers.add(threading.current_thread().name.partition("_")[0])
        return network.collate(products)

    monkeypatch.setattr(loop, "has_spare_core", lambda: True)
    trained(first, phases=first.phases(collate=partial(collate, first)))
    monkeypatch.setattr(loop, "has_spare_core", lambda: False)
    trained(second, phases=second.phases(collate=partial(collate, second)))
    assert makers == {"collate", "MainThread"}
    trained(other, dataclasses.replace(SETTINGS, seed=4))
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


def test_a_step_that_is_not_finite_is_told_by_its_number() -> None:
    network = built()
    steps = []

    def broken(batch: Numbers) -> Losses:
        steps.append(len(batch.x_B))
        losses = network.value_loss(batch)
        return Losses(losses.total * (float("inf") if len(steps) == 5 else 1.0), losses.parts)

    first, second = network.phases()
    with pytest.raises(Diverged, match=r"epoch 2, step 2: loss inf, .*learning_rate.*'values': 0\.0"):
        trained(network, phases=[dataclasses.replace(first, loss=broken), second])


def test_the_first_step_that_is_not_finite_is_told_though_it_is_looked_at_later() -> None:
    check = FiniteCheck(CPU, look_every=LOOK_EVERY)
    good, bad = torch.tensor(1.5), torch.tensor(float("nan"))
    for step, (loss, norm) in enumerate([(good, good), (good, bad), (bad, bad)], start=1):
        check.add(step, loss, norm)
    assert not check.is_due
    with pytest.raises(Diverged, match=r"epoch 1, step 2: loss 1\.5, gradient norm nan; rest"):
        check.require("epoch 1", "rest")
    sound = FiniteCheck(CPU, look_every=2)
    sound.add(1, good, good)
    sound.add(2, good, good)
    assert sound.is_due
    sound.require("epoch 1", "rest")
    assert not sound.is_due
