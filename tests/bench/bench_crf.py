"""The CRF beside pytorch-crf: the loss with its gradients, and decoding, by turns in one process on one thread.

Two shapes: BIO tags of 26 attributes (MEPAVE) over titles, and B, I, O of one attribute over longer texts (ULS-DRAM's
decoder). A bench whose two sides do not agree measures nothing, so that is asserted first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from measuring import ROUNDS, Run, interleaved, row

from facetmill.models.parts.crf import CRF

REPEATS = 10
SHAPES = ((128, 46, 53, 5.0, 1.4), (32, 128, 3, 3.0, 2.0))  # sequences, places, tags; targets of loss and of decoding


def several(work: Callable[[], object], source: Path, target: Path) -> None:
    for _ in range(REPEATS):
        work()


def rows() -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    return [found for shape in SHAPES for found in rows_of(*shape)]


def rows_of(sequences: int, places: int, tags: int, loss_target: float, decode_target: float) -> list[dict[str, Any]]:
    """Sequences per second; lengths are drawn between half of `places` and all of it."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(places // 2, places + 1, (sequences,), generator=draw)
    lengths[0] = places
    mask = torch.arange(places) < lengths[:, None]
    emissions = torch.randn(sequences, places, tags, generator=draw).requires_grad_()
    gold = torch.randint(tags, mask.shape, generator=draw)
    ours = CRF(tags)

    def learn() -> torch.Tensor:
        loss = ours.loss(emissions, gold, mask).sum()
        loss.backward()
        return loss

    works: dict[str, Callable[[], object]] = {"loss": learn, "decode": lambda: ours.decode(emissions, mask)}
    if find_spec("torchcrf"):
        import torchcrf

        peer = torchcrf.CRF(tags, batch_first=True)
        weights = {"start_transitions": ours.start, "transitions": ours.transitions, "end_transitions": ours.end}
        peer.load_state_dict(weights)

        def peer_learn() -> torch.Tensor:
            loss = -peer(emissions, gold, mask, reduction="sum")
            loss.backward()
            return loss

        torch.testing.assert_close(learn(), peer_learn())
        found = ours.decode(emissions, mask)
        assert [t[:n].tolist() for t, n in zip(found, lengths, strict=True)] == peer.decode(emissions, mask)
        works |= {"peer loss": peer_learn, "peer decode": lambda: peer.decode(emissions, mask)}
    runs: dict[str, tuple[Run, Path]] = {name: (partial(several, work), Path()) for name, work in works.items()}
    rates = {name: REPEATS * sequences / seconds for name, seconds in interleaved(runs).items()}
    note = f"pytorch-crf; batches of {sequences}, {places} places, one thread, medians of {ROUNDS}"
    return [
        row(f"crf: loss and gradients, {tags} tags", rates["loss"], rates.get("peer loss"), loss_target, note),
        row(f"crf: decoding, {tags} tags", rates["decode"], rates.get("peer decode"), decode_target, note),
    ]


if __name__ == "__main__":
    for result in rows():
        print(result)
