"""Which precision is chosen by measuring, and that measuring changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from facetmill.compute.seeding import seed_everything
from facetmill.models.m_jave import MJave
from facetmill.training import fit as fitting
from facetmill.training import precision
from facetmill.training.fit import fit
from facetmill.training.precision import faster_precision, step_seconds
from facetmill.training.state import EpochResult, Precision
from tests import drawn, small
from tests.unit.training.test_fit import SCHEMA, TRAIN, TRAINING, VALIDATION, Killed, built, same_weights

CPU = torch.device("cpu")
AUTO = dataclasses.replace(TRAINING, precision="auto")


@pytest.mark.parametrize(("bf16_seconds", "chosen"), [(0.5, "bf16"), (0.94, "bf16"), (0.97, "fp32"), (1.4, "fp32")])
def test_bf16_is_chosen_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, bf16_seconds: float, chosen: str
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(precision, "step_seconds", lambda *given: {"fp32": 1.0, "bf16": bf16_seconds}[given[-1]])
    model = built()
    assert faster_precision(model, model.phases(TRAINING)[0], TRAIN, None, CPU) == chosen


def test_a_cpu_without_bf16_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    monkeypatch.setattr(precision, "step_seconds", lambda *given: pytest.fail("measured"))
    model = built()
    assert faster_precision(model, model.phases(TRAINING)[0], TRAIN, None, CPU) == "fp32"


def test_measuring_leaves_weights_statistics_and_gradients_as_they_were(tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    picture.write_bytes(drawn.encoded(Image.new("RGB", (16, 16), "red")))
    products = [dataclasses.replace(product, images=(str(picture),)) for product in TRAIN]
    seed_everything(0)
    model = MJave.fit_vocabulary(small.M_JAVE, SCHEMA, products)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert any("running_mean" in name for name in before), "batch norm, which a step changes"
    assert step_seconds(model, model.phases(TRAINING)[0], products, None, CPU, "fp32") > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_was_chosen_is_told_and_kept_with_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy another time may choose otherwise: a training goes on in what it was begun in."""
    answers: list[Precision] = ["fp32"]
    monkeypatch.setattr(fitting, "faster_precision", lambda *given: answers.pop())

    def kill(epoch: EpochResult) -> None:
        raise Killed

    with pytest.raises(Killed):
        fit(built(), TRAIN, VALIDATION, AUTO, state_dir=tmp_path / "state", on_epoch=kill)
    assert answers == []
    whole, resumed = built(), built()
    result = fit(resumed, TRAIN, VALIDATION, AUTO, state_dir=tmp_path / "state")
    assert result.precision == "fp32"
    assert fit(whole, TRAIN, VALIDATION, TRAINING).precision == "fp32"
    assert same_weights(whole, resumed)


@pytest.mark.usefixtures("bf16")
def test_a_machine_that_has_bf16_is_measured() -> None:
    assert fit(built(), TRAIN, VALIDATION, dataclasses.replace(AUTO, epochs=1)).precision in ("fp32", "bf16")
