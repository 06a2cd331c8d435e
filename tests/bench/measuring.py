"""Times that are taken by turns, peak memory, and the row that both become."""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

ROUNDS = 5

#: What is measured: it reads one folder and writes below another, which is empty.
Run: TypeAlias = Callable[[Path, Path], None]


def seconds(run: Run, source: Path) -> float:
    with tempfile.TemporaryDirectory() as target:
        started = time.perf_counter()
        run(source, Path(target))
        return time.perf_counter() - started


def interleaved(runs: Mapping[str, tuple[Run, Path]]) -> dict[str, float]:
    """Median seconds of each, in rounds of changing order, so that a busy minute hits all alike."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    draw = random.Random(0)
    for _ in range(ROUNDS):
        for name in draw.sample(sorted(runs), len(runs)):
            samples[name].append(seconds(*runs[name]))
    return {name: statistics.median(times) for name, times in samples.items()}


def peak_mb(bench: str, source: Path) -> float:
    """`own_peak_mb` of a benchmark's file that is run with `--peak` and the source."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(bench).parent), *sys.path])}
    command = [sys.executable, bench, "--peak", str(source)]
    return float(json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout))


def own_peak_mb(run: Run, source: Path, workers: int) -> float:
    """Peak resident memory in MB: this process's, and the largest other's for each of the other `workers`."""
    with tempfile.TemporaryDirectory() as target:
        run(source, Path(target))
    own, other = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own + (workers - 1) * other) / 1024


def row(name: str, ours: float, peer: float | None, target: float, note: str) -> dict[str, Any]:
    """`peer` is None where it is not installed."""
    ratio = None if peer is None else ours / peer
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "target": target,
        "met": None if ratio is None else ratio >= target,
        "note": "the peer is not installed (extra: bench)" if peer is None else note,
    }


def peak_row(name: str, more_mb: float, fewer_mb: float, note: str) -> dict[str, Any]:
    """Memory with more data against fewer: flat, and below a gigabyte."""
    flat = more_mb / fewer_mb <= 1.15 and more_mb < 1000
    return {**row(name, more_mb, fewer_mb, 1.15, f"at most; {note}"), "met": flat}
