"""How fast MAE's layout becomes shards of products, beside parsing it and nothing more, and how memory grows.

python tests/bench/bench_ingest.py [products]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from mae_like import write_listings
from measuring import ROUNDS, interleaved, own_peak_mb, peak_mb, peak_row, row

from facetmill.dataset.intake.ingest import ingest
from facetmill.params import load_params
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
WORKERS = PARAMS.dataset.workers
TIMES = 4  # the larger data to the smaller


def run_ours(source: Path, target: Path) -> None:
    report = target / "report.json"
    options = SourceOptions(demo=PARAMS.demo)
    ingest(SOURCES["mae"], source, options, target / "ingested", report, max_bad_share=0, workers=WORKERS)


def run_parsing(source: Path, target: Path) -> None:
    """The limit: every file parsed whole, nothing checked, built or written."""
    for path in sorted(source.glob("*.json")):
        json.loads(path.read_bytes())


def rows(num_products: int = 20_000) -> list[dict[str, Any]]:
    """Products/s against parsing alone, and rate and peak memory at `TIMES` as many products."""
    more = TIMES * num_products
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        write_listings(small, num_products)
        write_listings(large, more)
        times = interleaved({"small": (run_ours, small), "large": (run_ours, large), "parsing": (run_parsing, large)})
        peaks = [peak_mb(__file__, small), peak_mb(__file__, large)]
    ours, fewer, parsing = more / times["large"], num_products / times["small"], more / times["parsing"]
    how = f"{WORKERS} processes, start-up included, medians of {ROUNDS}"
    note = f"one process; {more} products, {how}"
    return [
        row("ingest: products/s against json.loads alone", ours, parsing, 0.15, note),
        row(f"ingest: products/s, {more} to {num_products}", ours, fewer, 0.95, how),
        peak_row(f"ingest: peak MB, {more} to {num_products}", peaks[1], peaks[0], "all processes"),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print(own_peak_mb(run_ours, Path(sys.argv[2]), WORKERS))
    else:
        for result in rows(*map(int, sys.argv[1:2])):
            print(json.dumps(result))
