"""What a sweep may vary of a model, and what every model's space is made of.

A space is drawn *around* the values of params.yaml, so these are always in it and can be tried first. With a handful of
trials a small space beats a complete one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facetmill.params import ModelConfig, TrainingParams

if TYPE_CHECKING:
    from optuna.trial import BaseTrial  # whoever trains or serves needs no Optuna


@dataclass(frozen=True)
class Space:
    """`suggest` gives the config and training of one trial; the two lists name the fields that it may vary."""

    suggest: Callable[[BaseTrial, Any, TrainingParams], tuple[ModelConfig, TrainingParams]]
    config_fields: tuple[str, ...] = ()
    training_fields: tuple[str, ...] = ()

    def defaults(self, config: ModelConfig, training: TrainingParams) -> dict[str, Any]:
        """The values of params.yaml, by the parameter names of a trial."""
        return {
            **{name: getattr(config, name) for name in self.config_fields},
            **{name: getattr(training, name) for name in self.training_fields},
        }


def suggest_training(
    trial: BaseTrial, config: ModelConfig, training: TrainingParams
) -> tuple[ModelConfig, TrainingParams]:
    """Batch size and the learning rate of new weights."""
    changed = dataclasses.replace(
        training,
        batch_size=trial.suggest_categorical("batch_size", around(training.batch_size, 16, 32)),
        learning_rate=suggest_rate(trial, "learning_rate", training.learning_rate),
    )
    return config, changed


#: For a model that names no space of its own.
TRAINING_SPACE = Space(suggest_training, training_fields=("batch_size", "learning_rate"))


def suggest_rate(trial: BaseTrial, name: str, rate: float) -> float:
    """A learning rate up to three times smaller or larger than `rate`."""
    return trial.suggest_float(name, rate / 3, rate * 3, log=True)


def around(value: int, *others: int) -> list[int]:
    """The choices of a trial: the value of params.yaml and some others."""
    return sorted({value, *others})
