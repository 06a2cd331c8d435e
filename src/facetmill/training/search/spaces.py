"""What a sweep may vary, one function per model.

A space is drawn *around* the values of params.yaml, so these are always in it and can be tried first. With a handful of
trials a small space beats a complete one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial

from facetmill.encoders.text import is_pretrained
from facetmill.encoders.vision import is_pretrained_image
from facetmill.params import DictionaryConfig, JaveConfig, MJaveConfig, ModelConfig, TrainingParams


@dataclass(frozen=True)
class Space:
    """`suggest` gives the config and training of one trial; the two lists name the fields that it may vary."""

    suggest: Callable[[BaseTrial, Any, TrainingParams], tuple[ModelConfig, TrainingParams]]
    config_fields: tuple[str, ...]
    training_fields: tuple[str, ...] = ()

    def defaults(self, config: ModelConfig, training: TrainingParams) -> dict[str, Any]:
        """The values of params.yaml, by the parameter names of a trial."""
        return {
            **{name: getattr(config, name) for name in self.config_fields},
            **{name: getattr(training, name) for name in self.training_fields},
        }


def suggest_dictionary(
    trial: BaseTrial, config: DictionaryConfig, training: TrainingParams
) -> tuple[DictionaryConfig, TrainingParams]:
    """How sure a value must be, and which of several wins."""
    match: Any = trial.suggest_categorical("match", ["longest", "most_frequent"])  # Optuna types it as any string
    reliability = trial.suggest_float("min_reliability", 0.0, 1.0)
    return dataclasses.replace(config, min_reliability=reliability, match=match), training


def suggest_jave(trial: BaseTrial, config: JaveConfig, training: TrainingParams) -> tuple[JaveConfig, TrainingParams]:
    """Learning rates and batch size, then what regularises: dropout, the KL term, the width of attention.

    `encoder_learning_rate` is varied only where there is a pretrained encoder that is trained further. With pictures
    (M-JAVE) the same is varied.
    """
    config = dataclasses.replace(
        config,
        attention_size=trial.suggest_categorical("attention_size", _with(config.attention_size, 100, 200, 300)),
        dropout=trial.suggest_float("dropout", 0.0, max(0.5, config.dropout)),
        kl_weight=trial.suggest_float("kl_weight", 0.0, max(1.0, config.kl_weight)),
    )
    training = dataclasses.replace(
        training,
        batch_size=trial.suggest_categorical("batch_size", _with(training.batch_size, 16, 32)),
        learning_rate=_suggest_rate(trial, "learning_rate", training.learning_rate),
    )
    if _trains_pretrained(config):
        rate = _suggest_rate(trial, "encoder_learning_rate", training.encoder_learning_rate)
        training = dataclasses.replace(training, encoder_learning_rate=rate)
    return config, training


_JAVE = Space(
    suggest_jave,
    ("attention_size", "dropout", "kl_weight"),
    ("batch_size", "learning_rate", "encoder_learning_rate"),
)

SPACES: dict[str, Space] = {
    "dictionary": Space(suggest_dictionary, ("min_reliability", "match")),
    "jave": _JAVE,
    "m_jave": _JAVE,
}


def _trains_pretrained(config: JaveConfig) -> bool:
    if is_pretrained(config) and not config.freeze_encoder:
        return True
    return isinstance(config, MJaveConfig) and is_pretrained_image(config) and not config.freeze_image_encoder


def _suggest_rate(trial: BaseTrial, name: str, rate: float) -> float:
    """A learning rate up to three times smaller or larger than `rate`."""
    return trial.suggest_float(name, rate / 3, rate * 3, log=True)


def _with(value: int, *others: int) -> list[int]:
    return sorted({value, *others})
