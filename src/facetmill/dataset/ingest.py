"""From any source to shards of products: check what readers cannot see alone, count what is not taken, by reason.

A row is dropped when its reader refuses it, its id was there before, or a span lies outside its text. A picture is
dropped when it is missing or does not decode; its product stays. Memory grows with neither rows nor ids.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from facetmill.dataset.corrections import Corrections
from facetmill.encoders.pictures import IMAGE_FORMATS, MAX_PIXELS, UNDECODABLE
from facetmill.errors import DataError
from facetmill.files import replace_file, replace_folder, write_json
from facetmill.records import PRODUCT_SCHEMA, Product, to_batch
from facetmill.sources.base import IMAGE_REASONS, BadRow, Reason, Source, SourceOptions

MAX_EXAMPLES = 10

_BATCH_ROWS = 2_000  # a row group in the shards, which `match` shares out over processes


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """What was taken and what was not. `dropped` counts rows by reason, `images_dropped` pictures.

    `num_corrected` counts products that people have set right, `num_corrections_unused` those that were to be and are
    not there. `examples` holds the first `MAX_EXAMPLES` of each reason. Nothing in it depends on time or chance.
    """

    num_products: int
    num_facets: int
    num_images: int
    num_corrected: int
    num_corrections_unused: int
    dropped: Mapping[str, int]
    images_dropped: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]

    @property
    def num_dropped(self) -> int:
        return sum(self.dropped.values())

    @property
    def num_rows(self) -> int:
        return self.num_products + self.num_dropped

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def ingest(
    source: Source,
    path: Path,
    options: SourceOptions,
    out_dir: Path,
    report_path: Path,
    *,
    max_bad_share: float,
    corrections: Corrections | None = None,
    shard_rows: int = 20_000,
) -> IngestReport:
    """Stream a source into `out_dir/part-00000.parquet` and on (zstd, PRODUCT_SCHEMA), and report to `report_path`.

    Pictures outside are stored as absolute paths. A source that draws its own writes them below `options.scratch`,
    which is `images/` inside the output here, and may name them relative to that; they are stored relative to the
    folder that holds `out_dir` ("ingested/images/x.png").

    Raises `DataError`, and leaves neither output, when no product is left, when more than `max_bad_share` (0..1) of
    the rows are bad, or when the input as a whole cannot be read.
    """
    if options.images is not None and not options.images.is_dir():
        raise DataError(f"{options.images}: no such folder of images")
    with replace_file(report_path) as report_file, replace_folder(out_dir) as folder:
        scratch = folder.absolute() / "images"
        intake = _Intake(path, scratch, f"{out_dir.name}/{scratch.name}", corrections)
        rows = source.read(path, dataclasses.replace(options, scratch=scratch))
        _write_shards(intake.products(rows), folder, shard_rows)
        report = intake.report()
        _require_enough(report, f"{source.name}:{path}", max_bad_share)
        write_json(report_file, report.to_json())
    return report


class _Intake:
    """One pass over a source's rows: lets good products through and keeps count."""

    def __init__(self, path: Path, scratch: Path, stored_scratch: str, corrections: Corrections | None) -> None:
        self._path = path
        self._corrections = corrections or Corrections(path, {})
        self._scratch = os.path.realpath(scratch)
        self._stored_scratch = stored_scratch
        self._row = 0
        self._num_products = self._num_facets = self._num_images = 0
        self._reasons: Counter[Reason] = Counter()
        self._examples: dict[Reason, list[str]] = {}

    def products(self, rows: Iterator[Product | BadRow]) -> Iterator[Product]:
        with closing(_SeenIds()) as seen:
            for row in rows:
                if isinstance(row, BadRow):
                    self._row += row.reason not in IMAGE_REASONS
                    self._drop(row)
                    continue
                self._row += 1
                if bad := self._misplaced_span(row):
                    self._drop(bad)
                elif not seen.add(row.product_id):
                    self._drop(self._bad("product_id", row.product_id, Reason.DUPLICATE_ID))
                else:
                    product = self._corrections.apply(row)
                    images = self._checked_images(product)
                    self._num_products += 1
                    self._num_facets += len(product.facets)
                    self._num_images += len(images)
                    yield dataclasses.replace(product, images=images) if product.images else product

    def report(self) -> IngestReport:
        counts = {reason.value: count for reason, count in sorted(self._reasons.items())}
        of_images = {reason.value for reason in IMAGE_REASONS}
        examples = {reason.value: tuple(found) for reason, found in sorted(self._examples.items())}
        unused = self._corrections.unused
        if unused:
            examples["unused_correction"] = tuple(f"no product {product_id!r}" for product_id in unused[:MAX_EXAMPLES])
        return IngestReport(
            num_products=self._num_products,
            num_facets=self._num_facets,
            num_images=self._num_images,
            num_corrected=len(self._corrections.used),
            num_corrections_unused=len(unused),
            dropped={reason: count for reason, count in counts.items() if reason not in of_images},
            images_dropped={reason: count for reason, count in counts.items() if reason in of_images},
            examples=examples,
        )

    def _bad(self, field: str, value: str, reason: Reason) -> BadRow:
        """A product no longer knows its line: it is named by its place among the rows that were read."""
        return BadRow(str(self._path), self._row, field, value, reason)

    def _drop(self, bad: BadRow) -> None:
        self._reasons[bad.reason] += 1
        examples = self._examples.setdefault(bad.reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(str(bad))

    def _misplaced_span(self, product: Product) -> BadRow | None:
        for facet in product.facets:
            for span in facet.spans:
                if not 0 <= span.start < span.end <= len(product.field(span.field)):
                    shown = f"{facet.attribute} {span.field}[{span.start}:{span.end}]"
                    return self._bad("facets", shown, Reason.SPAN_OUT_OF_TEXT)
        return None

    def _checked_images(self, product: Product) -> tuple[str, ...]:
        kept = []
        for name in product.images:
            image = os.path.join(self._scratch, name)  # an absolute name stays as it is
            if reason := image_fault(Path(image)):
                self._drop(self._bad("images", os.path.basename(name), reason))
            else:
                kept.append(self._stored(image))
        return tuple(kept)

    def _stored(self, image: str) -> str:
        inside = os.path.realpath(image)
        if inside.startswith(self._scratch + os.sep):
            return f"{self._stored_scratch}/{Path(inside).relative_to(self._scratch).as_posix()}"
        return image


def image_fault(path: Path) -> Reason | None:
    """Why a picture cannot be used, or None. It is decoded to its end, so that a cut-off file is found."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return Reason.CORRUPT_IMAGE
    except (OSError, ValueError):
        return Reason.MISSING_IMAGE
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return Reason.CORRUPT_IMAGE
            image.verify()  # PNG only: its checksums, which decoding does not look at; afterwards it must be reopened
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            image.draft("RGB", (64, 64))  # JPEG only: decode an eighth of each side, all that a check needs
            image.load()
    except UNDECODABLE:
        return Reason.CORRUPT_IMAGE
    return None


class _SeenIds:
    """The ids so far, in a private temporary database on disk, so that millions of them cost no memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # an empty name: on disk, gone when closed
        self._database.execute("PRAGMA cache_size = -65536")  # KiB; what does not fit goes to disk
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, product_id: str) -> bool:
        """Whether the id is new."""
        return self._database.execute("INSERT OR IGNORE INTO ids VALUES (?)", (product_id,)).rowcount == 1

    def close(self) -> None:
        self._database.close()


def _write_shards(products: Iterator[Product], folder: Path, shard_rows: int) -> None:
    """Write shards of `shard_rows` products; only a batch of them is in memory at a time."""
    first = next(products, None)
    number = 0
    while first is not None:
        with pq.ParquetWriter(folder / f"part-{number:05d}.parquet", PRODUCT_SCHEMA, compression="zstd") as writer:
            for batch in _batches(first, products, shard_rows):
                writer.write_batch(batch)
        first = next(products, None)
        number += 1


def _batches(first: Product, rest: Iterator[Product], shard_rows: int) -> Iterator[pa.RecordBatch]:
    buffer = [first]
    for _ in range(shard_rows - 1):
        if len(buffer) == _BATCH_ROWS:
            yield to_batch(buffer)
            buffer = []
        if (product := next(rest, None)) is None:
            break
        buffer.append(product)
    if buffer:
        yield to_batch(buffer)


def _require_enough(report: IngestReport, data: str, max_bad_share: float) -> None:
    if report.num_products and report.num_dropped <= max_bad_share * report.num_rows:
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in report.dropped.items())
    problem = (
        f"{report.num_dropped} of {report.num_rows} rows are bad ({counts}); dataset.max_bad_share is {max_bad_share}"
        if report.num_dropped
        else "no product in it"
    )
    shown = "".join(f"\n  {text}" for reason in report.dropped for text in report.examples[reason][:3])
    raise DataError(f"{data}: {problem}; nothing was written{shown}")
