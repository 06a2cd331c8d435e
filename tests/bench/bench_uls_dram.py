"""A step of ULS-DRAM with as many attributes in the range of each text, of 26, of 200 and of 2,000 that there are.

python tests/bench/bench_uls_dram.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import ROUNDS, Run, interleaved, peak_mb, row
from torch import nn

from facetmill.compute.seeding import seed_everything
from facetmill.models.uls_dram import UlsDram
from facetmill.params import load_params
from facetmill.records import Attribute, AttributeSchema, Product

ROOT = Path(__file__).resolve().parents[2]
FEWEST, SOME, MOST = 26, 200, 2000  # MEPAVE has 26, MAE 2,000
IN_RANGE = 3  # attributes of each text
TEXTS, WORDS = 32, 60
STEPS = 2
TIME_TARGET, MEMORY_TARGET = 1.15, 1.15  # at most


def step_of(num_attributes: int) -> Callable[[], None]:
    """A training step: loss, gradients, AdamW. Which attributes are in the range is set, not learned."""
    torch.set_num_threads(1)
    seed_everything(0)
    settings = load_params(ROOT / "params.yaml").models.uls_dram
    encoder = replace(settings.encoder, network="config", tokenizer="encoder", hidden_size=192, num_layers=2)
    config = replace(settings, encoder=encoder, vision="none", train_range="predicted", warm_epochs=0)
    texts = [Product(f"p{text}", "s", " ".join(f"w{(text + n) % 97}" for n in range(WORDS))) for text in range(TEXTS)]
    schema = AttributeSchema(tuple(Attribute(f"a{number}", {}) for number in range(num_attributes)))
    model = UlsDram.fit_vocabulary(config, schema, texts)
    assert model.range_head is not None
    last = model.range_head.layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([20.0] * IN_RANGE + [-20.0] * (num_attributes - IN_RANGE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    batch = model.collate(texts)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model.loss(batch).total.backward()
        optimizer.step()

    return step


def several(step: Callable[[], None], source: Path, target: Path) -> None:
    for _ in range(STEPS):
        step()


def rows() -> list[dict[str, Any]]:
    runs: dict[str, tuple[Run, Path]] = {
        str(number): (partial(several, step_of(number)), Path()) for number in (FEWEST, SOME, MOST)
    }
    seconds = interleaved(runs)
    megabytes = {number: peak_mb(__file__, Path(str(number))) for number in (FEWEST, MOST)}
    grows = ", ".join(f"{1000 * seconds[name] / STEPS:.0f} ms with {name}" for name in runs)
    note = f"at most; {IN_RANGE} in the range of each of {TEXTS} texts; one thread, medians of {ROUNDS}"
    time, memory = seconds[str(MOST)] / STEPS, megabytes[MOST]
    found = [
        row(f"uls_dram: seconds of a step, {MOST} attributes to {FEWEST}", time, seconds[str(FEWEST)] / STEPS, 1, note),
        row(f"uls_dram: MB that steps take, {MOST} attributes to {FEWEST}", memory, megabytes[FEWEST], 1, note),
    ]
    for result, target in zip(found, (TIME_TARGET, MEMORY_TARGET), strict=True):
        result |= {"target": target, "met": result["ratio"] <= target}
    found[0]["note"] += f"; {grows}"
    return found


def print_peak(num_attributes: int) -> None:
    """The MB by which steps raise the peak of a process that has its model."""
    step = step_of(num_attributes)
    before = resident_peak_mb()
    several(step, Path(), Path())
    print(json.dumps(resident_peak_mb() - before))


def resident_peak_mb() -> float:
    """Of this process alone: what `getrusage` says begins with the peak of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(int(sys.argv[2]))
    else:
        for result in rows():
            print(result)
