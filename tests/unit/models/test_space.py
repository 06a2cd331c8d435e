"""Search spaces: every model has one, params.yaml lies in it, and a trial's values land where they belong."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest

from facetmill.models import MODELS, model_class
from facetmill.params import Params, load_params, model_config
from tests import small


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


def suggest(key: str, config: Any, params: Params, values: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """One real trial with these values fixed; a value outside of the space is an error."""
    study = optuna.create_study()
    study.enqueue_trial(values)
    trial = study.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return (*model_class(key).space.suggest(trial, config, params.training), trial.params)


@pytest.mark.parametrize("key", MODELS)
def test_defaults_are_in_the_space_and_change_nothing(key: str, params: Params) -> None:
    config = model_config(params, key)
    defaults = model_class(key).space.defaults(config, params.training)
    assert suggest(key, config, params, defaults) == (config, params.training, defaults)


def test_unusual_params_are_in_the_space(params: Params) -> None:
    """A batch of 48 or a dropout of 0.7 in params.yaml must not break the sweep that is to improve on it."""
    config = dataclasses.replace(params.models.jave, dropout=0.7, kl_weight=3.0, attention_size=77)
    unusual = dataclasses.replace(params, training=dataclasses.replace(params.training, batch_size=48))
    defaults = model_class("jave").space.defaults(config, unusual.training)
    assert suggest("jave", config, unusual, defaults)[:2] == (config, unusual.training)


def test_values_land_in_config_and_training(params: Params) -> None:
    values = {
        "attention_size": 300,
        "dropout": 0.25,
        "kl_weight": 0.75,
        "batch_size": 16,
        "learning_rate": 0.002,
        "encoder_learning_rate": 0.0003,
    }
    config, training, _ = suggest("jave", params.models.jave, params, values)
    assert (config.attention_size, config.dropout, config.kl_weight) == (300, 0.25, 0.75)
    assert (training.batch_size, training.learning_rate, training.encoder_learning_rate) == (16, 0.002, 0.0003)
    assert dataclasses.replace(config, attention_size=200, dropout=0.1, kl_weight=params.models.jave.kl_weight) == (
        params.models.jave
    )


@pytest.mark.parametrize("change", [{"network": "bilstm"}, {"network": "config"}, {"freeze": True}])
def test_encoder_rate_is_varied_only_where_an_encoder_learns(change: dict[str, Any], params: Params) -> None:
    config = small.with_text(params.models.jave, **change)
    _, training, drawn = suggest("jave", config, params, {})
    assert "encoder_learning_rate" not in drawn
    assert training.encoder_learning_rate == params.training.encoder_learning_rate


@pytest.mark.parametrize("change", [{"heads": "one"}, {"image_weight": 0.0}, {"text_weight": 0.0}])
def test_the_weight_of_a_loss_is_varied_only_beside_another(change: dict[str, Any], params: Params) -> None:
    config = dataclasses.replace(params.models.mujo_sf, **change)
    suggested, _, drawn = suggest("mujo_sf", config, params, {"dropout": 0.55})
    assert "image_weight" not in drawn
    assert suggested == dataclasses.replace(config, dropout=0.55)
