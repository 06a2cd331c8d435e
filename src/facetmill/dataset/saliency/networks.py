"""Which value was masked? A network that guesses it from the text alone, or from the text and the picture.

Source: MuJo-SF, 6.2 of `SYSTEMS.md`; the paper's equations stand beside the lines.

Differs from the paper:
 1. A value has one mask for each mention, and hT is the mean of their states; `questions.py` says what becomes of
    values that stand nowhere in the text.
 2. The regions are those of an image encoder (`encoders/vision.py`), by default a small ResNet trained from nothing;
    the paper's are objects that a Faster R-CNN has found.
 3. U'W_U has a bias that begins at 1, so that the untrained picture changes nothing in (3).

Shapes: X questions, P pictures, S pixels a side, B windows, N tokens of all texts, M masks, K regions, E width of the
text encoder, U of the image encoder, D of the space where they meet, Z values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import ONE_CYCLE, Group, Losses, Optimizer, Phase
from facetmill.dataset.saliency.questions import Answer, Questions
from facetmill.encoders.augment import augment
from facetmill.encoders.text import TextEncoder
from facetmill.encoders.tokens import Tokenizer
from facetmill.encoders.vision import ImageEncoder
from facetmill.encoders.windows import TextBatch, text_batch, text_states
from facetmill.params import SaliencyParams
from facetmill.training.distributed import Processes
from facetmill.training.loop import LoopSettings, train_network

BATCH_READ = 128  # questions answered at once, without gradients
UNKNOWN = -1  # an answer that training does not have


class Guesser(nn.Module):
    """Logits over all values. Without an image encoder it sees the text alone."""

    def __init__(
        self, encoder: TextEncoder, image_encoder: ImageEncoder | None, num_values: int, params: SaliencyParams
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.image_encoder = image_encoder
        self.dropout = nn.Dropout(params.dropout)
        width = encoder.width
        if image_encoder is not None:
            width = params.attention_size
            self.text_in = nn.Linear(encoder.width, width, bias=False)  # W_w
            self.region_in = nn.Linear(image_encoder.width, width)  # W_U
            nn.init.ones_(self.region_in.bias)
        self.out = nn.Linear(width, num_values)

    def forward(
        self, text: TextBatch, masks: Sequence[Sequence[int]], pixels_P3SS: Tensor, picture_X: Tensor
    ) -> Tensor:
        """Logits [X,Z]; `masks` are the places of the masks in each reading of `text`, `picture_X` says which of the
        pictures each question is about."""
        states_BTE, _ = text_states(text, self.encoder)
        hidden_XE = _at_masks(text, masks, states_BTE)
        if self.image_encoder is None:
            return self._values(hidden_XE)
        region_XKU = self.image_encoder(pixels_P3SS)[picture_X]
        asked_XD = self.text_in(hidden_XE)
        match_XK = torch.einsum("xkd,xd->xk", self.region_in(region_XKU), asked_XD) / math.sqrt(asked_XD.shape[1])
        seen_XU = torch.einsum("xk,xku->xu", match_XK.softmax(1), region_XKU)  # (1), (2)
        return self._values(asked_XD * self.region_in(seen_XU))  # (3)

    def _values(self, joint_XD: Tensor) -> Tensor:
        logits_XZ: Tensor = self.out(self.dropout(joint_XD))
        return logits_XZ

    def optimizer(self, params: SaliencyParams) -> Optimizer:
        """What is trained, and how fast: published weights are trained gently."""
        gentle = [part for part in (self.encoder, self.image_encoder) if part is not None and part.pretrained]
        published = [each for part in gentle for each in part.parameters() if each.requires_grad]
        known = {id(each) for each in published}
        fresh = [each for each in self.parameters() if each.requires_grad and id(each) not in known]
        groups = [
            Group("fresh", fresh, params.learning_rate),
            Group("published", published, params.encoder_learning_rate),
        ]
        return Optimizer(
            groups=[group for group in groups if group.parameters],
            schedule=ONE_CYCLE,
            weight_decay=params.weight_decay,
        )


@dataclass(frozen=True)
class Task:
    """Questions with the place of each answer in the list of all that training has, or `UNKNOWN`."""

    questions: Questions
    answer_X: NDArray[np.int64]

    @classmethod
    def of(cls, questions: Questions, values: Sequence[Answer]) -> Task:
        places = {value: place for place, value in enumerate(values)}
        return cls(questions, np.array([places.get(each, UNKNOWN) for each in questions.answers], np.int64))


@dataclass(frozen=True)
class Asked(TensorBatch):
    """A batch: the texts of some questions, the places of their masks, each picture once, which of them a question is
    about, and the place of its answer."""

    text: TextBatch
    masks: Sequence[Sequence[int]]
    pixels_P3SS: Tensor
    picture_X: Tensor
    answer_X: Tensor

    @classmethod
    def of(cls, task: Task, chosen_X: NDArray[np.int64], tokenizer: Tokenizer, window: int) -> Asked:
        questions = task.questions
        text = text_batch([questions.readings[number] for number in chosen_X], tokenizer, window)
        picture_P, picture_X = np.unique(questions.picture_X[chosen_X], return_inverse=True)
        return cls(
            text,
            [questions.masks[number] for number in chosen_X],
            torch.from_numpy(questions.pixels_P3SS[picture_P]),
            torch.from_numpy(picture_X),
            torch.from_numpy(task.answer_X[chosen_X]),
        )


def fit(guesser: Guesser, task: Task, tokenizer: Tokenizer, params: SaliencyParams, seed: int) -> None:
    """Train in place for all epochs: the last weights count, so that nothing that is judged by has chosen them.

    A step is over all questions about some products, so that a picture is encoded once.
    """
    chosen_P = task.questions.by_picture

    def collate(pictures: Sequence[int]) -> Asked:
        chosen_X = np.concatenate([chosen_P[number] for number in pictures])
        asked = Asked.of(task, chosen_X, tokenizer, params.encoder.window)
        if not params.augment or guesser.image_encoder is None:
            return asked
        # the loop seeds this generator for each epoch
        return replace(asked, pixels_P3SS=augment(asked.pixels_P3SS, torch.default_generator))

    def loss(asked: Asked) -> Losses:
        return Losses(functional.cross_entropy(_answer(guesser, asked), asked.answer_X), {})

    phase = Phase(
        name="all",
        epochs=params.epochs,
        optimizers=[guesser.optimizer(params)],
        collate=collate,
        loss=loss,
        keep="last",
    )
    settings = LoopSettings(seed=seed, batch_size=params.batch_size, clip_norm=params.clip_norm)
    device = next(guesser.parameters()).device
    train_network(guesser, [phase], range(len(chosen_P)), settings, Processes(device))


@torch.inference_mode()
def right(guesser: Guesser, task: Task, tokenizer: Tokenizer, params: SaliencyParams) -> NDArray[np.bool_]:
    """Which questions are answered rightly, bool [X]; an answer that training does not have never is."""
    guesser.eval()
    device = next(guesser.parameters()).device
    predicted = []
    for start in range(0, len(task.questions), BATCH_READ):
        chosen_X = np.arange(start, min(start + BATCH_READ, len(task.questions)))
        asked = Asked.of(task, chosen_X, tokenizer, params.encoder.window).to(device)
        predicted.append(_answer(guesser, asked).argmax(1).cpu().numpy())
    hits: NDArray[np.bool_] = np.concatenate(predicted) == task.answer_X if predicted else np.empty(0, np.bool_)
    return hits


def _answer(guesser: Guesser, asked: Asked) -> Tensor:
    """Logits [X,Z]."""
    logits_XZ: Tensor = guesser(asked.text, asked.masks, asked.pixels_P3SS, asked.picture_X)
    return logits_XZ


def _at_masks(text: TextBatch, masks: Sequence[Sequence[int]], states_BTE: Tensor) -> Tensor:
    """hT [X,E]: the mean state of each question's masks."""
    lengths = [len(reading.ids) for reading in text.readings]
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    device = states_BTE.device
    token_M = torch.tensor([first + place for first, places in zip(firsts, masks, strict=True) for place in places])
    owner_M = torch.tensor([number for number, places in enumerate(masks) for _ in places], device=device)
    token_M = token_M.to(device)
    state_ME = states_BTE[text.row_N[token_M], text.column_N[token_M]]
    sum_XE = state_ME.new_zeros(len(masks), state_ME.shape[1]).index_add(0, owner_M, state_ME)
    return sum_XE / torch.bincount(owner_M, minlength=len(masks))[:, None]
