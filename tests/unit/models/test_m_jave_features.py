"""Frozen encoders of M-JAVE: asked once, cached by content, and never to be told from the encoders themselves."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from facetmill.compute.device import compute_settings
from facetmill.encoders.pictures import data_uri
from facetmill.encoders.text import TransformerEncoder
from facetmill.encoders.vision import ImageEncoder
from facetmill.models.m_jave import MJave
from facetmill.params import MJaveConfig
from facetmill.training.fit import FitResult, fit
from facetmill.training.state import EpochResult
from tests import published, small
from tests.unit.models.test_m_jave import SHOWN, TRAINING, ambiguous, built, clear, picture


@pytest.fixture
def frozen(tmp_path: Path) -> MJaveConfig:
    """Settings with published encoders of random weights for text and pictures, both frozen."""
    settings = small.with_text(small.M_JAVE, network="packaged", keep_layers=1, freeze=True)
    return small.with_image(settings, network=published.image_encoder(tmp_path / "resnet"), freeze=True)


class Calls:
    """How many windows and pictures the encoders were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: Counter[str] = Counter()
        for kind in (TransformerEncoder, ImageEncoder):
            monkeypatch.setattr(kind, "forward", self._counting(kind))

    def _counting(self, kind: Any) -> Any:
        forward = kind.forward

        def counted(encoder: Any, first: torch.Tensor, *rest: torch.Tensor) -> Any:
            self.rows[kind.__name__] += len(first)
            return forward(encoder, first, *rest)

        return counted


def test_frozen_encoders_are_asked_once_for_all_trainings(
    frozen: MJaveConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [*ambiguous(12, 1), *clear(3, 2), dataclasses.replace(SHOWN[0], images=(data_uri(b"x"),))]
    validation = ambiguous(5, 3)
    model, other = built(frozen, train), built(frozen, train)
    distinct = len({product.title for product in [*train, *validation]})
    pictures = len({product.images for product in [*train, *validation] if product.images}) - 1  # one is broken
    calls = Calls(monkeypatch)
    training = dataclasses.replace(TRAINING, epochs=3)
    fit(model, train, validation, training, features_dir=tmp_path / "features")
    assert calls.rows == {"TransformerEncoder": distinct, "ImageEncoder": pictures}
    fit(other, train, validation, dataclasses.replace(training, seed=1), features_dir=tmp_path / "features")
    assert calls.rows == {"TransformerEncoder": distinct, "ImageEncoder": pictures}


def test_a_cache_changes_no_answer(frozen: MJaveConfig, tmp_path: Path) -> None:
    train = [*ambiguous(12, 1), *clear(3, 2)]
    cached, live = built(frozen, train).eval(), built(frozen, train).eval()
    cached.prepare(train, tmp_path / "features")
    asked = cached.collate(train)
    assert asked.text.states_BTE is not None
    assert asked.pictures is not None
    assert asked.pictures.region_PKE is not None
    (attributes, tags), (live_attributes, live_tags) = cached(asked), live(live.collate(train))
    torch.testing.assert_close(attributes, live_attributes, atol=1e-5, rtol=1e-4)
    real = asked.text.token_mask_BT
    torch.testing.assert_close(tags[real], live_tags[real], atol=1e-5, rtol=1e-4)
    partly = cached.collate([*train, *ambiguous(1, 9)])
    assert partly.pictures is not None
    assert partly.pictures.region_PKE is None, "one that is not there: all are encoded"
    assert cached(partly)[0].isfinite().all()


@pytest.mark.usefixtures("bf16")
def test_training_in_bf16_keeps_features_in_bf16_and_answers_from_exact_ones(
    frozen: MJaveConfig, tmp_path: Path
) -> None:
    train = [*ambiguous(12, 1), *clear(3, 2)]
    model = built(frozen, train)
    training = dataclasses.replace(TRAINING, epochs=2, precision="bf16", device="cpu")
    assert fit(model, train, train[:5], training, features_dir=tmp_path / "features").epochs
    kept = model.collate(train)
    assert kept.text.states_BTE is not None
    assert kept.text.states_BTE.dtype == torch.bfloat16
    assert kept.pictures is not None
    assert kept.pictures.region_PKE is not None
    assert kept.pictures.region_PKE.dtype == torch.bfloat16
    rounded = model(kept)[0]
    model.prepare(train, tmp_path / "features")
    exact = model(model.collate(train))[0]
    live = built(frozen, train).eval()
    live.load_state_dict(model.state_dict())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(exact, live(live.collate(train))[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.1)
    assert not torch.equal(rounded, exact)


def test_a_picture_that_changes_under_its_name_is_another_picture(frozen: MJaveConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    product = dataclasses.replace(SHOWN[0], images=(str(path),))
    path.write_bytes(picture("red", random.Random(0)))
    model = built(frozen, [product]).eval()
    model.prepare([product], tmp_path / "features")
    before = model(model.collate([product]))[0]
    path.write_bytes(picture("blue", random.Random(0)))
    live = model(model.collate([product]))[0]
    assert not torch.equal(before, live)
    model.prepare([product], tmp_path / "features")
    torch.testing.assert_close(model(model.collate([product]))[0], live)


class Killed(Exception):
    pass


def test_a_killed_training_with_a_cache_ends_as_an_uninterrupted_one(frozen: MJaveConfig, tmp_path: Path) -> None:
    """Bit for bit, whether its features came from one cache or from two, half filled by an earlier training."""
    train, validation = [*ambiguous(20, 1), *clear(4, 2)], ambiguous(6, 3)
    training = dataclasses.replace(TRAINING, epochs=4)
    settings = dataclasses.replace(frozen, dropout=0.2)

    def run(name: str, on_epoch: Any = None) -> tuple[MJave, FitResult]:
        model = built(settings, train)
        folders = {"state_dir": tmp_path / name / "state", "features_dir": tmp_path / name / "features"}
        return model, fit(model, train, validation, training, on_epoch=on_epoch, **folders)

    def kill(epoch: EpochResult) -> None:
        if epoch.epoch == 2:
            raise Killed

    whole, expected = run("whole")
    with compute_settings(training.threads):
        built(settings, train).prepare(train[::3], tmp_path / "killed" / "features")
    with pytest.raises(Killed):
        run("killed", kill)
    resumed, result = run("killed")
    assert [(e.losses, e.scores) for e in result.epochs] == [(e.losses, e.scores) for e in expected.epochs]
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
