"""How fast the command line answers, beside the command lines of the tools that it drives."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
OURS = [str(BIN / "facetmill"), "--help"]
PEERS = {"dvc --help": [str(BIN / "dvc"), "--help"], "mlflow --help": [str(BIN / "mlflow"), "--help"]}
TARGETS = {"dvc --help": 1.2, "mlflow --help": 0.15}  # 0.3 s against 0.25 s and 2.9 s in PERFORMANCE.md


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def rows(rounds: int = 5) -> list[dict[str, Any]]:
    """Medians of interleaved rounds after one warm-up each."""
    commands = {"ours": OURS, **PEERS}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            taken = seconds(command)
            if turn:
                times[name].append(taken)
    ours = statistics.median(times["ours"])
    return [
        {
            "name": f"start-up: facetmill --help against {peer}",
            "ours": round(ours, 3),
            "peer": round(statistics.median(times[peer]), 3),
            "ratio": round(ours / statistics.median(times[peer]), 3),
            "target": f"<= {TARGETS[peer]}",
            "met": ours / statistics.median(times[peer]) <= TARGETS[peer],
            "note": "seconds, whole process; lower is better",
        }
        for peer in PEERS
    ]
