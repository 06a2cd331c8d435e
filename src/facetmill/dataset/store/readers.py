"""A dataset's pictures as a model reads them: the reader that a model is saved with, and products read by another's.

The same words and boxes that a model learned from are what it is judged and scored with. Where a dataset was read with
other settings than the model's, its pictures are read again with those, from the same caches that the stages fill; only
what its source gave stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill.dataset.pictures.ocr import read_shards
from facetmill.dataset.pictures.regions import find_regions
from facetmill.dataset.store.version import Dataset
from facetmill.params.perception import ReaderSettings, reader_settings
from facetmill.perception.reader import Reader
from facetmill.records import Box, OcrToken, Product, read_batches, read_products, to_batch

_READ_OFF_PICTURES = frozenset({"ocr", "regions", "codes"})
_ROW_GROUP = 2000  # products; as `ingest` writes them

_Given = tuple[tuple[OcrToken, ...], tuple[Box, ...]]


def settings_of(dataset: Dataset) -> ReaderSettings:
    """How the pictures of a dataset were read. Raises `ParamsError` where its params.yaml does not say it."""
    return reader_settings(dataset.dir / "params.yaml")


def reader_of(dataset: Dataset, reads: Collection[str]) -> Reader | None:
    """What a model that reads these (`Model.reads`) and is trained on a dataset is saved with; None for nothing.

    Raises `ParamsError` where the dataset's params.yaml cannot be read.
    """
    if _READ_OFF_PICTURES.isdisjoint(reads):
        return None
    settings = settings_of(dataset).of_use_to(reads)
    if settings == ReaderSettings():
        return None
    return Reader(settings, codebook=dataset.dir / "visual_tokens" / "codebook")


def as_sent(dataset: Dataset, products: Iterable[Product]) -> list[Product]:
    """The products as a shop sends them: with the words and boxes that their source gave, and no others."""
    return list(_as_sent(dataset, products, settings_of(dataset), words=True, boxes=True))


def as_read_by(
    reader: Reader | None, dataset: Dataset, products: Iterable[Product], cache_dir: Path, workers: int
) -> Iterable[Product]:
    """Products of a dataset, their paths absolute, with the words and boxes that a model with this reader sees.

    Where pictures are read again, `workers` processes do it, and all products are held in memory. Raises
    `PlatformError` for an engine that is not installed.
    """
    mine, its = settings_of(dataset), ReaderSettings() if reader is None else reader.settings
    words, boxes = mine.ocr != its.ocr, mine.regions != its.regions
    if not words and not boxes:
        return products
    sent = _as_sent(dataset, products, mine, words=words, boxes=boxes)
    if reader is None:
        return sent
    again = ReaderSettings(ocr=reader.ocr if words else None, regions=reader.regions if boxes else None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sent").mkdir()
        table = pa.Table.from_batches([to_batch(sent)])
        pq.write_table(table, folder / "sent" / "part-00000.parquet", row_group_size=_ROW_GROUP)
        return list(read_products(read_pictures(Reader(again), folder / "sent", cache_dir, workers)))


def read_pictures(reader: Reader, source_dir: Path, cache_dir: Path, workers: int) -> Path:
    """The stages `ocr` and `regions` with a model's settings, from shards to folders beside them; the last of them."""
    found = source_dir
    if reader.ocr is not None:
        found = source_dir.with_name("read")
        read_shards(source_dir, found, replace(reader.ocr, workers=workers), cache_dir / "ocr")
    if reader.regions is not None:
        source, found = found, source_dir.with_name("located")
        find_regions(source, found, replace(reader.regions, workers=workers), cache_dir / "regions")
    return found


def _as_sent(
    dataset: Dataset, products: Iterable[Product], settings: ReaderSettings, *, words: bool, boxes: bool
) -> Iterable[Product]:
    """The products without the words, the boxes or both that the dataset's own stages have read."""
    words, boxes = words and settings.ocr is not None, boxes and settings.regions is not None
    return _stripped(dataset, products, words=words, boxes=boxes) if words or boxes else products


def _stripped(dataset: Dataset, products: Iterable[Product], *, words: bool, boxes: bool) -> Iterator[Product]:
    given = _given(dataset)
    for product in products:
        ocr, regions = given.get(product.product_id, ((), ()))
        yield replace(product, ocr=ocr if words else product.ocr, regions=regions if boxes else product.regions)


def _given(dataset: Dataset) -> dict[str, _Given]:
    """The words and boxes of each product whose source came with some; few do."""
    found: dict[str, _Given] = {}
    for batch in read_batches(dataset.dir / "ingested", columns=["product_id", "ocr", "regions"]):
        lengths = (pc.list_value_length(batch.column(name)) for name in ("ocr", "regions"))
        has_any = pc.greater(pc.add(*lengths), 0)
        for row in batch.filter(has_any).to_pylist():
            words = tuple(OcrToken(word["text"], Box(**word["box"]) if word["box"] else None) for word in row["ocr"])
            found[row["product_id"]] = words, tuple(Box(**box) for box in row["regions"])
    return found
