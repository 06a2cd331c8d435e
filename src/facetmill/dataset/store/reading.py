"""Labelled data in any known format, read as a dataset's is, without making a dataset of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from facetmill.dataset.intake.corrections import read_corrections
from facetmill.dataset.intake.ingest import IngestReport, ingest
from facetmill.dataset.labels.match import match_shards
from facetmill.dataset.store.readers import read_pictures
from facetmill.params import Params
from facetmill.perception.reader import Reader
from facetmill.records import Product, read_products
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions


@contextmanager
def reading_data(
    params: Params, reader: Reader | None = None, cache_dir: Path | None = None
) -> Iterator[tuple[Iterator[Product], IngestReport]]:
    """The products that `params.dataset` names, ingested and matched as a dataset's are, in their order; and what was
    dropped on the way. A model's `reader` reads their pictures, and what it finds is kept below `cache_dir`.

    Raises `DataError`, before there is a first product, when more rows are bad than `dataset.max_bad_share` allows, and
    `PlatformError` for an OCR engine that is not installed.
    """
    dataset = params.dataset
    options = SourceOptions(
        demo=params.demo,
        images=Path(dataset.images) if dataset.images else None,
        columns=dataset.columns,
        ignore=dataset.ignore,
        categories=dataset.categories,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = ingest(
            SOURCES[dataset.format],
            Path(dataset.path),
            options,
            folder / "ingested",
            folder / "report.json",
            max_bad_share=dataset.max_bad_share,
            corrections=read_corrections(Path(dataset.corrections)) if dataset.corrections else None,
            workers=dataset.workers,
        )
        source = folder / "ingested"
        if reader is not None:
            source = read_pictures(reader, source, cache_dir or folder / "cache", dataset.workers)
        match_shards(source, folder / "matched", params.match)
        products = read_products(folder / "matched")
        yield (replace(p, images=tuple(str(folder / image) for image in p.images)) for p in products), report
