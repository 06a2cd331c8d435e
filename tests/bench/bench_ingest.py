"""How fast MAE's layout becomes shards of products, beside parsing it and nothing more, and how memory grows.

    python tests/bench/bench_ingest.py [products]

The data imitates MAE: files of 600 listings, 1.5 KB of text, a title, seven pairs a product of which three stand in
the text. There are no pictures: to check one takes longer than to read a hundred products.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from facetmill.dataset.ingest import ingest
from facetmill.params import load_params
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
WORKERS = PARAMS.dataset.workers
ROUNDS = 5
FILE_ROWS = 600
TIMES = 4  # the larger data to the smaller


def listings(num_products: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """MAE-like listings from a seeded vocabulary of invented words."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvw", k=draw.randint(2, 9))) for _ in range(8000)]
    for number in range(num_products):
        text = draw.choices(words, k=220)
        specs = {}
        for pair in range(7):
            length = draw.randint(1, 2)
            start = draw.randrange(len(text) - length)
            value = text[start : start + length] if pair < 3 else [*draw.choices(words, k=length), "zz"]
            specs[f"attribute {draw.randrange(200)}"] = " ".join(value)
        yield {
            "diffbotUri": f"item|{number}",
            "clean_title": " ".join(draw.choices(words, k=10)).title(),
            "clean_text": " ".join(text),
            "images": [],
            "specs": specs,
        }


def write_listings(folder: Path, num_products: int) -> None:
    """JSON arrays of `FILE_ROWS` listings."""
    folder.mkdir(parents=True)
    stream = listings(num_products)
    number = 0
    while rows_of_file := list(islice(stream, FILE_ROWS)):
        (folder / f"{number:05d}.json").write_text(json.dumps(rows_of_file), encoding="utf-8")
        number += 1


def run_ours(source: Path, target: Path) -> None:
    report = target / "report.json"
    options = SourceOptions(demo=PARAMS.demo)
    ingest(SOURCES["mae"], source, options, target / "ingested", report, max_bad_share=0, workers=WORKERS)


def run_parsing(source: Path, target: Path) -> None:
    """The limit: every file parsed whole, nothing checked, built or written."""
    for path in sorted(source.glob("*.json")):
        json.loads(path.read_bytes())


def seconds(run: Callable[[Path, Path], None], source: Path) -> float:
    with tempfile.TemporaryDirectory() as target:
        started = time.perf_counter()
        run(source, Path(target))
        return time.perf_counter() - started


def interleaved(runs: dict[str, tuple[Callable[[Path, Path], None], Path]]) -> dict[str, float]:
    """Median seconds of each, in rounds of changing order, so that a busy minute hits all alike."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    draw = random.Random(0)
    for _ in range(ROUNDS):
        for name in draw.sample(sorted(runs), len(runs)):
            samples[name].append(seconds(*runs[name]))
    return {name: statistics.median(times) for name, times in samples.items()}


def peak_mb(source: Path) -> float:
    """Peak resident memory of ours in MB: this process's, and the largest other's for each of the others."""
    command = [sys.executable, __file__, "--peak", str(source)]
    return float(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def own_peak_mb(source: Path) -> float:
    import resource

    with tempfile.TemporaryDirectory() as target:
        run_ours(source, Path(target))
    own, other = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own + (WORKERS - 1) * other) / 1024


def rows(num_products: int = 20_000) -> list[dict[str, Any]]:
    """Products/s against parsing alone, and rate and peak memory at `TIMES` as many products."""
    more = TIMES * num_products
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        write_listings(small, num_products)
        write_listings(large, more)
        runs = {"small": (run_ours, small), "large": (run_ours, large), "parsing": (run_parsing, large)}
        times = interleaved(runs)
        peaks = [peak_mb(small), peak_mb(large)]
    ours, fewer, parsing = more / times["large"], num_products / times["small"], more / times["parsing"]
    how = f"{WORKERS} processes, start-up included, medians of {ROUNDS}"
    return [
        _row(
            "ingest: products/s against json.loads alone", ours, parsing, 0.15, f"one process; {more} products, {how}"
        ),
        _row(f"ingest: products/s, {more} to {num_products}", ours, fewer, 0.95, how),
        {
            **_row(f"ingest: peak MB, {more} to {num_products}", peaks[1], peaks[0], 1.15, "at most; all processes"),
            "met": peaks[1] / peaks[0] <= 1.15,
        },
    ]


def _row(name: str, ours: float, peer: float, target: float, note: str) -> dict[str, Any]:
    ratio = ours / peer
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "target": target,
        "met": ratio >= target,
        "note": note,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print(own_peak_mb(Path(sys.argv[2])))
    else:
        for result in rows(*map(int, sys.argv[1:2])):
            print(json.dumps(result))
