"""How fast values become spans, beside what a person would write first and what the file format allows, and how memory
grows with the data.

    python tests/bench/bench_match.py [products]

Larger data is the same shards several times over.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mae_like import listings
from measuring import ROUNDS, Run, interleaved, own_peak_mb, peak_mb, peak_row, row

from facetmill.dataset.intake.shard_writing import write_shards
from facetmill.dataset.labels.match import match_shards
from facetmill.params import MatchParams
from facetmill.records import PRODUCT_SCHEMA, Facet, Product, read_batches, shards

RULES = MatchParams(ignore_case=True, word_boundary=True, fields=["title", "text"], workers=2)
SHARD_ROWS = 20_000  # as ingest writes them
TIMES = (1, 4, 16)  # how many times the data is matched over: 50,000, 200,000 and 800,000 products


def products(num_products: int) -> Iterator[Product]:
    for listing in listings(num_products):
        facets = tuple(Facet(attribute, value) for attribute, value in listing["specs"].items())
        yield Product(listing["diffbotUri"], "bench", listing["clean_title"], listing["clean_text"], facets=facets)


def naive_row(row: dict[str, Any]) -> dict[str, Any]:
    """One product the plain way: every word of every text tried as the start of every value, longest value first.

    On this data, whose words are letters alone, it finds what `match_batch` finds.
    """
    texts = {name: row[name].lower().split(" ") for name in RULES.fields}
    claimed: list[tuple[str, int, int]] = []
    for facet in sorted(row["facets"], key=lambda facet: -len(facet["value"])):
        wanted = facet["value"].lower().split(" ")
        spans = []
        for name, words in texts.items():
            start = 0
            for place, word in enumerate(words):
                if words[place : place + len(wanted)] == wanted:
                    spans.append((name, start, start + len(facet["value"])))
                start += len(word) + 1
        free = [s for s in spans if all(s[0] != c[0] or c[2] <= s[1] or s[2] <= c[1] for c in claimed)]
        kept = [s for s in spans if s in claimed or s in free] or spans
        claimed += free
        facet["spans"] = [{"field": name, "start": start, "end": end} for name, start, end in kept]
        facet["provenance"] = "matched" if kept else facet["provenance"]
        facet["modality"] = facet["modality"] or ("text" if kept else "image")
    return row


def run_naive(source: Path, target: Path) -> None:
    """A loop over rows, Parquet in and Parquet out as ours."""
    with pq.ParquetWriter(target / "out.parquet", PRODUCT_SCHEMA) as writer:
        for batch in read_batches(source, 2048):
            rows = [naive_row(row) for row in batch.to_pylist()]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=PRODUCT_SCHEMA))


def naive_columns(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """`naive_row` over a batch of columns, as `datasets.map(batched=True)` hands it over."""
    rows = [
        naive_row({"title": t, "text": x, "facets": f})
        for t, x, f in zip(batch["title"], batch["text"], batch["facets"], strict=True)
    ]
    return {"facets": [row["facets"] for row in rows]}


def run_hugging_face(source: Path, target: Path) -> None:
    """The same loop under `datasets.map`, batched, in two processes, its cache in `target`."""
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_parquet([str(p) for p in shards(source)], cache_dir=str(target / "cache"))
    data.map(naive_columns, batched=True, num_proc=2, features=data.features).to_parquet(str(target / "out.parquet"))


def run_polars(source: Path, target: Path) -> None:
    """Part of the job in expressions: the first occurrence in each field, without word boundaries or overlaps."""
    import polars

    facet = polars.col("facets").struct
    value = facet.field("value").str.to_lowercase()
    found = [
        polars.col(name).str.to_lowercase().str.find(value, literal=True, strict=False).alias(f"{name}_at")
        for name in RULES.fields
    ]
    products = polars.scan_parquet([str(path) for path in shards(source)])
    spans = products.select("product_id", *RULES.fields, "facets").explode("facets")
    spans.select("product_id", facet.field("attribute"), facet.field("value"), *found).sink_parquet(
        target / "out.parquet"
    )


def run_reading(source: Path, target: Path) -> None:
    """The limit: products read, the columns that matching needs made Python strings, and the same written."""
    with pq.ParquetWriter(target / "out.parquet", PRODUCT_SCHEMA, compression="snappy", use_dictionary=False) as writer:
        for batch in read_batches(source, 2048):
            for name in RULES.fields:
                batch.column(name).to_pylist()
            writer.write_batch(batch)


def run_ours(source: Path, target: Path) -> None:
    match_shards(source, target / "out", RULES)


def repeat_products(source: Path, folder: Path, times: int) -> None:
    """The shards of `source`, some times over, as links."""
    folder.mkdir()
    for number, path in enumerate(shards(source) * times):
        os.link(path, folder / f"part-{number:05d}.parquet")


def rows(num_products: int = 50_000) -> list[dict[str, Any]]:
    """Products/s against the peers at `num_products`; our own rates, and peak memory, at `TIMES` as many."""
    runs: dict[str, Run] = {"ours": run_ours, "naive": run_naive, "reading": run_reading}
    runs |= {"hugging face": run_hugging_face} if find_spec("datasets") else {}
    runs |= {"polars": run_polars} if find_spec("polars") else {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        base.mkdir()
        write_shards(products(num_products), base, SHARD_ROWS)
        taken = interleaved({name: (run, base) for name, run in runs.items()})
        rates = {name: num_products / seconds for name, seconds in taken.items()}
        own_rates, peaks = [], []
        for times in TIMES:
            data = Path(folder) / str(times)
            repeat_products(base, data, times)
            own_rates.append(times * num_products / interleaved({"ours": (run_ours, data)})["ours"])
            peaks.append(peak_mb(__file__, data))
    ours = rates["ours"]
    how = f"{RULES.workers} processes, start-up included, medians of {ROUNDS}"
    note = f"{num_products} products, {how}"
    sizes = [times * num_products for times in TIMES]
    shown = ", ".join(
        f"{size}: {rate:,.0f}/s, {peak:.0f} MB" for size, rate, peak in zip(sizes, own_rates, peaks, strict=True)
    )
    return [
        row("match: products/s against a naive loop", ours, rates["naive"], 6.0, note),
        row("match: products/s against datasets.map", ours, rates.get("hugging face"), 4.0, note),
        row("match: products/s against Polars on part of the job", ours, rates.get("polars"), 1.0, note),
        row("match: products/s against reading and writing alone", ours, rates["reading"], 0.5, f"one process; {note}"),
        row("match: products/s", own_rates[-1], 35_000.0, 1.0, f"peer = the goal itself; {shown}"),
        row(f"match: products/s, {sizes[-1]} to {sizes[1]}", own_rates[-1], own_rates[1], 0.95, how),
        peak_row(f"match: peak MB, {sizes[-1]} to {sizes[1]}", peaks[-1], peaks[1], "all processes"),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print(own_peak_mb(run_ours, Path(sys.argv[2]), RULES.workers))
    else:
        for result in rows(*map(int, sys.argv[1:2])):
            print(json.dumps(result))
