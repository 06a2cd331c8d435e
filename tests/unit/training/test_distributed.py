"""A training in two processes, as torchrun starts them, is that of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facetmill.compute.tensors import load_tensors
from facetmill.files import read_json
from facetmill.training.distributed import Processes
from tests.unit.training.two_processes import trained


def test_a_batch_is_shared_out_and_every_product_weighs_the_same() -> None:
    two = [Processes(torch.device("cpu"), 2, rank) for rank in range(2)]
    assert [process.part_of([7, 8, 9]) for process in two] == [([7, 9], 4 / 3), ([8], 2 / 3)]
    assert [process.part_of([7]) for process in two] == [([7], 2.0), ([7], 0.0)]
    assert Processes(torch.device("cpu")).part_of([7, 8, 9]) == ([7, 8, 9], 1.0)


@pytest.mark.timeout(300)
def test_two_processes_give_the_losses_and_weights_of_one(root: Path, tmp_path: Path) -> None:
    program = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *program, "-m", "tests.unit.training.two_processes", str(tmp_path)],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    model, expected = trained()
    for rank in range(2):
        found = read_json(tmp_path / f"{rank}.json")
        assert len(found) == len(expected.epochs) == 2
        for epoch, alone in zip(found, expected.epochs, strict=True):
            assert epoch["losses"] == pytest.approx(alone.losses, abs=1e-5)
            assert epoch["scores"] == alone.scores
        weights = load_tensors(tmp_path / f"{rank}.safetensors")
        assert all(torch.allclose(weights[name], tensor, atol=1e-4) for name, tensor in model.state_dict().items())
    assert len(read_json(tmp_path / "state" / "state.json")["epochs"]) == 2
