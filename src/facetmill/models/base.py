"""What a model is: it learns from products and answers with facets.

The shared contract is facets, not logits, because some models tag, some classify and some generate. A model is
built once from the train split (`fit_vocabulary` is the only place where it sees all of it), trained by the one loop
in `training/loop.py` phase by phase (`compute/phase.py`), and saved as JSON and safetensors, never as a pickle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn

from facetmill.compute.phase import Group, Losses, Optimizer, Phase, Schedule
from facetmill.errors import ParamsError
from facetmill.models.calibration import Calibration, fitted
from facetmill.models.space import TRAINING_SPACE, Space
from facetmill.params import ModelConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product, Span

if TYPE_CHECKING:
    from facetmill.perception.reader import Reader


class Batch(Protocol):
    """Named tensors of some products; each model has its own frozen dataclass. Masks: 1 = real, 0 = padding."""

    @property
    def num_products(self) -> int: ...

    def to(self, device: torch.device) -> Self: ...


#: How a model answers: it tags places in the text, chooses among known values, or writes them.
Answers: TypeAlias = Literal["tags", "choices", "text"]

#: What a model may read of a product: `regions` are boxes, `codes` the visual tokens of a picture.
Reads: TypeAlias = Literal["title", "text", "category", "images", "ocr", "regions", "codes"]


@dataclass(frozen=True)
class Answer:
    """What a model says of one product. `attributes` are those that it predicts as such, each with its probability
    (0..1), whether it finds a value or not; None of a model that predicts values alone."""

    facets: Sequence[Facet]
    attributes: Mapping[str, float] | None = None


@dataclass(frozen=True)
class PictureMaps:
    """How far a model lets a picture in, 0..1: for each token of the text in its order, and for each region by row and
    column of the picture stretched to a square. A gate that is switched off is 1 everywhere."""

    tokens: tuple[tuple[Span, float], ...]
    regions: tuple[tuple[float, ...], ...]


class LooksUp(Protocol):
    """What tells values that a model finds nothing of (`fallback.py`)."""

    def filled(self, products: Sequence[Product], told: Sequence[Sequence[Facet]]) -> list[list[Facet]]: ...

    def save(self, folder: Path) -> None: ...


class Model(nn.Module, ABC):
    """Base of every entry of `MODELS`.

    `key` is the file, the `MODELS` entry, the params section, the run name and the test id. `space` is what a sweep may
    vary of it. `answers` says how it answers, `reads` what it looks at of a product, which a config may add to.
    `calibration` says how sure it truly is and when to be silent; it changes nothing until `fit` or `calibrate` set it.
    `fallback` tells what a model that tags finds nothing of, where `fit` gave it one.
    `reader` reads pictures as those of its training data were read; None where it needs nothing of them.
    """

    key: ClassVar[str]
    answers: ClassVar[Answers]
    reads: frozenset[Reads]
    space: ClassVar[Space] = TRAINING_SPACE
    config: ModelConfig
    schema: AttributeSchema
    reader: Reader | None = None
    calibration: Calibration = Calibration()
    fallback: LooksUp | None = None

    @classmethod
    @abstractmethod
    def fit_vocabulary(cls, config: Any, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        """A new, untrained model with all it must know of the train split: vocabulary, counts, tokenizer.

        Draws random weights from torch's global generator, so the caller seeds it.
        """

    @abstractmethod
    def collate(self, products: Sequence[Product]) -> Batch:
        """Products as one batch. Labels come from their facets; products without facets give all-empty labels."""

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        """Hear of products that will be collated again and again: a model with frozen encoders keeps what these give
        for them below `features_dir`, as `dtype`, and finds it there from then on. Without this call it works all the
        same."""

    @abstractmethod
    def loss(self, batch: Any) -> Losses:
        """Losses averaged over the products of the batch. A model with nothing to learn returns a zero total."""

    @abstractmethod
    def predict(self, batch: Any) -> list[list[Facet]]:
        """One list of facets per product, in the order of `collate`.

        Each facet has a value, provenance "predicted" and a confidence in 0..1. One that tags has spans; of others
        `training.predict` finds the places of values that stand in the text.
        """

    def attributes(self, batch: Any) -> list[dict[str, float]] | None:
        """Per product the attributes that it has, by what the model predicts of attributes as such: those above its
        threshold, with their probability (0..1). None of a model that predicts values alone."""
        return None

    def answer(self, batch: Any) -> list[Answer]:
        """What `predict` and `attributes` say of each product. A model whose forward pass gives both at once says so
        here, so that it is not run twice."""
        facets, attributes = self.predict(batch), self.attributes(batch)
        return [Answer(found, None if attributes is None else attributes[n]) for n, found in enumerate(facets)]

    def calibrate(self, validation: Sequence[tuple[Product, Answer]]) -> None:
        """Set `calibration` by what the model, uncalibrated, answered about validation products."""
        self.calibration = fitted((product, answer.facets) for product, answer in validation)

    @abstractmethod
    def save_assets(self, folder: Path) -> None:
        """Write what `load_assets` needs beyond config, schema and `state_dict` (tokenizer files, counts) as JSON."""

    @classmethod
    @abstractmethod
    def load_assets(cls, config: Any, schema: AttributeSchema, folder: Path) -> Self:
        """The same model as saved, before its `state_dict` is loaded. Needs only what `save_assets` wrote."""

    @classmethod
    def current_names(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A saved model's weights by their names of today, for one saved when they had others."""
        return dict(weights)

    def read_with(self, reader: Reader | None) -> None:
        """Take the reader of the training data's pictures; before training, and again once it is loaded."""
        self.reader = reader

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Trainable parameters by learning rate: "fresh", any names for published weights ("text", "image"), and
        `RESTING` ones."""
        return {"fresh": [p for p in self.parameters() if p.requires_grad]}

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        """How it is trained, phase by phase. By default one, in which everything learns from `loss`."""
        optimizer = optimizer_of(self.parameter_groups(), training)
        return [
            Phase(
                name="all",
                epochs=training.epochs,
                optimizers=[optimizer],
                collate=self.collate,
                loss=self.loss,
                patience=training.patience,
            )
        ]

    def picture_maps(self, product: Product) -> PictureMaps | None:
        """The gates between text and picture, for a person to look at. None where the model has none, or the product
        no picture that can be read. The model must be in evaluation mode."""
        return None

    def chances(self, product: Product) -> Mapping[str, Mapping[str, float]] | None:
        """Of a model that chooses, each attribute's candidate values with their probability (0..1), the likeliest
        first; that there is none is a candidate, too, called "". None of other models. The model must be in evaluation
        mode."""
        return None

    def report(self) -> Mapping[str, int]:
        """Counts a user must know of: windows made of long texts, spans that could not be tagged, and the like."""
        return {}


#: The group of parameters that rest unless `training.learning_rates` names it.
RESTING = "embeddings"


def optimizer_of(groups: Mapping[str, Sequence[nn.Parameter]], training: TrainingParams) -> Optimizer:
    """The optimizer that `training` asks for. A group has the rate that `learning_rates` gives its name, else `fresh`
    has `learning_rate`, and any other, for it holds published weights, `encoder_learning_rate`. `RESTING` rests unless
    it is named.

    Raises `ParamsError` where `learning_rates` names a group that there is not.
    """
    unknown = sorted(training.learning_rates.keys() - groups.keys())
    if unknown and any(groups.values()):
        raise ParamsError(f"training.learning_rates: {unknown[0]!r} is not a group of this model: {', '.join(groups)}")
    rates = dict.fromkeys(groups, training.encoder_learning_rate) | {"fresh": training.learning_rate}
    rates |= training.learning_rates
    resting = {RESTING} - training.learning_rates.keys()
    learning = {name: list(found) for name, found in groups.items() if found and name not in resting}
    return Optimizer(
        groups=[Group(name, parameters, rates[name]) for name, parameters in learning.items()],
        kind=training.optimizer,
        schedule=Schedule(
            kind=training.schedule,
            warmup_share=training.warmup_share,
            warmup_from=training.warmup_from,
            drop_at=training.drop_at,
            drop_to=training.drop_to,
        ),
        weight_decay=training.weight_decay,
    )
