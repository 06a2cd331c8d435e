"""The whole way from MAE's JSON to spans: stages `ingest` and `match` as `facetmill dataset build` runs them.

python tests/bench/bench_build.py [products]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from mae_like import write_listings
from measuring import ROUNDS, interleaved, peak_row, row

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
WORKERS = max(PARAMS["dataset"]["workers"], PARAMS["match"]["workers"])
STAGES = (
    "ingest --out ingested --report reports/ingest.json",
    "match --source ingested --out matched --report reports/match.json",
)
GOAL = 35_000.0  # products/s on two cores
TIMES = 4  # the larger data to the smaller


class Stages:
    """Runs both stages, and remembers of all runs what the last cost and the most that any process held."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.peak_mb = 0.0

    def __call__(self, source: Path, target: Path) -> None:
        dataset = PARAMS["dataset"] | {"format": "mae", "path": str(source)}
        (target / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"dataset": dataset}), encoding="utf-8")
        self.cpu_seconds = 0.0
        for stage in STAGES:
            command = [sys.executable, "-m", *f"facetmill.stages.{stage}".split()]
            process = subprocess.Popen(command, cwd=target)
            _, status, usage = os.wait4(process.pid, 0)  # with what its own processes used
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, command)
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            self.peak_mb = max(self.peak_mb, usage.ru_maxrss / 1024)


def rows(num_products: int = 50_000) -> list[dict[str, Any]]:
    """Products/s against the goal, and rate and peak memory at `TIMES` as many products."""
    more = TIMES * num_products
    on_small, on_large = Stages(), Stages()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        write_listings(small, num_products)
        write_listings(large, more)
        times = interleaved({"small": (on_small, small), "large": (on_large, large)})
    ours, fewer = more / times["large"], num_products / times["small"]
    cost = f"{1e6 * on_large.cpu_seconds / more:.0f} us of processor time a product"
    how = f"{WORKERS} processes, start-up included, medians of {ROUNDS}"
    peaks = WORKERS * on_large.peak_mb, WORKERS * on_small.peak_mb
    return [
        row("build: products/s from JSON to spans", ours, GOAL, 1.0, f"peer = the goal itself; {more}, {cost}, {how}"),
        row(f"build: products/s, {more} to {num_products}", ours, fewer, 0.95, how),
        peak_row(f"build: peak MB, {more} to {num_products}", *peaks, f"{WORKERS} times the largest process"),
    ]


if __name__ == "__main__":
    for result in rows(*map(int, sys.argv[1:2])):
        print(json.dumps(result))
