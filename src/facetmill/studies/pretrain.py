"""A network that writes, before it is asked anything: it learns to restore titles and texts of which parts are missing.

Source: Raffel et al. "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer." JMLR 2020,
section 3.1.4: 15 % of the tokens are dropped, in spans of 3 on the average; a mark stands for each span in what is
read, and what is written are the marks, each with its span. Published weights have learned so from far more text; this
is for where none can be had, and for languages that none has seen.

Shapes: B texts, T tokens that are read, L tokens that are written.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from facetmill.compute.batch import TensorBatch
from facetmill.compute.device import compute_settings, pick_device
from facetmill.compute.phase import Group, Losses, Optimizer, Phase, Schedule
from facetmill.compute.seeding import seed_everything
from facetmill.encoders.seq2seq import WritingTokenizer, new_t5, publish_seq2seq
from facetmill.errors import DataError
from facetmill.files import replace_folder
from facetmill.models.parts.prompts import Ids, padded
from facetmill.models.parts.writer import NO_TOKEN, Writer
from facetmill.params import DeflateConfig, TrainingParams
from facetmill.records import Product
from facetmill.training.distributed import joined
from facetmill.training.loop import LoopSettings, train_network

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DROPPED = 0.15  # share of a text's tokens
SPAN = 3  # tokens of a span, on the average
HELD_OUT = 0.02  # share of texts that only the loss is measured of
FEWEST = 100  # texts


@dataclass(frozen=True)
class Pretrained:
    """`losses` are nats a token of held-out texts after each epoch, with the same parts missing each time."""

    network: Path
    num_texts: int
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Holes(TensorBatch):
    """What is read, and what is to be written (NO_TOKEN where it ends)."""

    ids_BT: Tensor
    mask_BT: Tensor
    wanted_BL: Tensor


class Restorer(nn.Module):
    """A network, and how texts with holes are made for it."""

    def __init__(self, network: PreTrainedModel, tokenizer: WritingTokenizer, window: int, seed: int) -> None:
        super().__init__()
        self.generator = Writer(network, tokenizer, None, published=False)
        self._tokenizer = tokenizer
        self._window = window
        self._draw = random.Random(seed)

    def collate(self, texts: Sequence[str], draw: random.Random | None = None) -> Holes:
        """Other parts are missing each time, unless they are drawn by `draw`."""
        marks, end = self._tokenizer.marks, self._tokenizer.end_id
        rows = [
            holes(ids[: self._window], marks, end, draw or self._draw) for ids in self._tokenizer.encode(list(texts))
        ]
        ids_BT, mask_BT = padded([read for read, _ in rows], self._tokenizer.pad_id)
        wanted_BL, real_BL = padded([wanted for _, wanted in rows], 0)
        return Holes(ids_BT, mask_BT, wanted_BL.masked_fill(~real_BL, NO_TOKEN))

    def loss(self, batch: Holes) -> Losses:
        """Nats a token, the mean over all that is to be written."""
        whose_B = torch.arange(len(batch.ids_BT), device=batch.ids_BT.device)
        memory = self.generator.read(batch.ids_BT, batch.mask_BT, None, whose_B, mark=0)
        start_B1 = torch.full_like(batch.ids_BT[:, :1], self._tokenizer.start_id)
        log_p_BL = self.generator.log_p(memory, start_B1, torch.ones_like(start_B1, dtype=torch.bool), batch.wanted_BL)
        total = -log_p_BL.sum() / (batch.wanted_BL >= 0).sum()
        return Losses(total, {"restore": total.detach()})


def holes(ids: Sequence[int], marks: Sequence[int], end: int, draw: random.Random) -> tuple[Ids, Ids]:
    """A text with spans missing, and what is missing, each behind the mark that stands for it. There is one mark at
    least for a span, and one token at least between two spans."""
    wanted = max(1, round(DROPPED * len(ids)))
    number = min(max(1, round(wanted / SPAN)), len(marks), max(1, len(ids) // 2))
    missing = _divided(wanted, number, draw)
    kept = _divided(max(number, len(ids) - wanted), number, draw)
    read: Ids = []
    written: Ids = []
    at = 0
    for mark, before, length in zip(marks, kept, missing, strict=False):
        read += [*ids[at : at + before], mark]
        written += [mark, *ids[at + before : at + before + length]]
        at += before + length
    return [*read, *ids[at:]], [*written, end]


def _divided(total: int, parts: int, draw: random.Random) -> list[int]:
    """Into so many parts of at least 1, at random."""
    cuts = sorted(draw.sample(range(1, max(total, parts)), parts - 1))
    return [after - before for before, after in zip([0, *cuts], [*cuts, max(total, parts)], strict=True)]


def pretrain(
    config: DeflateConfig,
    training: TrainingParams,
    products: Sequence[Product],
    out: Path,
    log: Callable[[str], None],
) -> Pretrained:
    """Learn from the distinct titles and texts of products, and write `out`, which is replaced: a folder to name as the
    `network` of a generator. Its shape and vocabulary are those of `config.generator`, windows those of `config`.

    Raises `DataError` for too few texts, and where `out` is something else than such a folder.
    """
    if out.exists() and not (out / "tokenizer.json").is_file() and any(out.iterdir()):
        raise DataError(f"{out}: is no network, and it would be replaced")
    texts = list(dict.fromkeys(text for product in products for text in (product.title, product.text) if text.strip()))
    if len(texts) < FEWEST:
        raise DataError(f"{len(texts)} titles and texts to learn from, but at least {FEWEST} are needed")
    random.Random(training.seed).shuffle(texts)
    num_held_out = max(1, round(HELD_OUT * len(texts)))
    held_out, learned = texts[:num_held_out], texts[num_held_out:]
    with compute_settings(training.threads), joined(pick_device(training.device)) as processes:
        seed_everything(training.seed)
        tokenizer = WritingTokenizer.fit(learned, config.generator.vocabulary, spare=True)
        network = new_t5(config.generator, tokenizer, config.dropout)
        restorer = Restorer(network, tokenizer, config.window, training.seed)
        restorer.to(processes.device)
        losses: list[float] = []

        def measure() -> dict[str, float]:
            losses.append(_held_out_loss(restorer, held_out, training.batch_size, processes.device))
            log(f"epoch {len(losses)}/{training.epochs}: {losses[-1]:.3f} nats a token of held-out texts")
            return {"restored": -losses[-1]}

        rate = Schedule(kind=training.schedule, warmup_share=training.warmup_share, warmup_from=training.warmup_from)
        learns = Group("fresh", list(restorer.parameters()), training.learning_rate)
        phase = Phase(
            name="restore",
            epochs=training.epochs,
            optimizers=[
                Optimizer(groups=[learns], kind=training.optimizer, schedule=rate, weight_decay=training.weight_decay)
            ],
            collate=restorer.collate,
            loss=restorer.loss,
        )
        settings = LoopSettings(
            seed=training.seed,
            batch_size=training.batch_size,
            clip_norm=training.clip_norm,
            chosen_by="restored",
            precision="fp32" if training.precision == "auto" else training.precision,
        )
        train_network(restorer, [phase], learned, settings, processes, validate=measure, progress=True)
    with replace_folder(out) as folder:
        publish_seq2seq(network.cpu(), tokenizer, folder)
    return Pretrained(out, len(texts), tuple(losses))


@torch.no_grad()
def _held_out_loss(restorer: Restorer, texts: Sequence[str], batch_size: int, device: torch.device) -> float:
    restorer.eval()
    draw, total = random.Random(0), 0.0
    for start in range(0, len(texts), batch_size):
        part = texts[start : start + batch_size]
        total += len(part) * restorer.loss(restorer.collate(part, draw).to(device)).total.item()
    return total / len(texts)
