"""What `torchrun` starts in `test_distributed.py`: the training of `trained`, by as many processes as there are."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

from facetmill.compute.seeding import seed_everything
from facetmill.compute.tensors import save_tensors
from facetmill.files import write_json
from facetmill.models.jave import Jave
from facetmill.training.fit import FitResult, fit
from tests import small
from tests.unit.training.test_fit import SCHEMA, products

#: Sixteen products in batches of five: the last batch of an epoch has one, and one of two processes has none of it.
TRAIN, VALIDATION = products(16), products(6, seed=1)
TRAINING = dataclasses.replace(small.TRAINING, epochs=2, batch_size=5, learning_rate=0.02)


def trained(state_dir: Path | None = None) -> tuple[Jave, FitResult]:
    seed_everything(0)
    config = small.with_text(dataclasses.replace(small.JAVE, dropout=0.0), hidden_size=8)
    model = Jave.fit_vocabulary(config, SCHEMA, TRAIN)
    return model, fit(model, TRAIN, VALIDATION, TRAINING, state_dir=state_dir)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trained()  # a study trains one model after the other
    time.sleep(int(os.environ["RANK"]))  # and no process waits for the others in between
    model, result = trained(folder / "state")
    write_json(folder / f"{os.environ['RANK']}.json", [dataclasses.asdict(epoch) for epoch in result.epochs])
    save_tensors(model.state_dict(), folder / f"{os.environ['RANK']}.safetensors")
