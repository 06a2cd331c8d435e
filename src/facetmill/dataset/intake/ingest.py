"""From any source to shards of products: check what readers cannot see alone, count what is not taken, by reason.

A row is dropped when its reader refuses it, its id was there before, or a span lies outside its text. A picture is
dropped when it is missing, does not decode, or is of a format or size that is not read; its product stays.

A source that can be cut is read in pieces, by several processes: each piece becomes one shard. What a shard holds does
not depend on who reads it, nor on the number of processes. An id that an earlier piece has is found when all are read,
and its piece is read once more without it. Memory grows with neither rows nor ids, but for sixteen bytes for each
product of a source that is cut.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from facetmill.compute.pieces import map_pieces
from facetmill.dataset.intake.corrections import Corrections
from facetmill.dataset.intake.seen_ids import SeenIds
from facetmill.dataset.intake.shard_writing import write_shard, write_shards
from facetmill.encoders.pictures import MAX_BYTES, Fault, Unread, other_format, picture_bytes, unread
from facetmill.errors import DataError
from facetmill.files import replace_file, replace_folder, write_json
from facetmill.records import Product
from facetmill.sources.base import IMAGE_REASONS, NOTES, BadRow, Reason, Source, SourceOptions, Stretch
from facetmill.sources.plain import PlainProducts

MAX_EXAMPLES = 10
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*")


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """What was taken and what was not. `dropped` counts rows by reason, `images_dropped` pictures.

    `noted` counts what costs no row: values that say that nothing is known, files and sheets that are not read,
    corrections of an attribute that the data has not.
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
    noted: Mapping[str, int]
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
    workers: int = 1,
    shard_rows: int = 20_000,
    piece_bytes: int = 16 * 2**20,
) -> IngestReport:
    """Stream a source into `out_dir/part-00000.parquet` and on (zstd, PRODUCT_SCHEMA), and report to `report_path`.

    Pictures outside are stored as absolute paths. A source that draws its own writes them below `options.scratch`,
    which is `images/` inside the output here, and may name them relative to that; they are stored relative to the
    folder that holds `out_dir` ("ingested/images/x.png").

    A source of more than one piece of about `piece_bytes` is read by `workers` processes, or by a cluster
    (`engine.py`), and has a shard for each piece; any other has shards of `shard_rows` products.

    Raises `DataError`, and leaves neither output, when no product is left, when more than `max_bad_share` (0..1) of
    the rows are bad, or when the input as a whole cannot be read.
    """
    if options.images is not None and not options.images.is_dir():
        raise DataError(f"{options.images}: no such folder of images")
    with replace_file(report_path) as report_file, replace_folder(out_dir) as folder:
        scratch = folder.absolute() / "images"
        corrections = corrections or Corrections(path, {})
        pieces = _pieces(source.cut(path) if source.cut else [], folder.absolute(), piece_bytes)
        if len(pieces) > 1:
            read = partial(_take_piece, source=source, path=path, options=options, corrections=corrections)
            taken = _take_pieces(pieces, read, workers)
        else:
            stored = f"{out_dir.name}/{scratch.name}"
            intake = _Intake(path, corrections, categories=options.categories, scratch=scratch, stored_scratch=stored)
            rows = source.read(path, dataclasses.replace(options, scratch=scratch))
            write_shards(intake.products(rows), folder, shard_rows)
            taken = intake.taken
        report = taken.report(corrections)
        _require_enough(report, f"{source.name}:{path}", max_bad_share)
        write_json(report_file, report.to_json())
    return report


@dataclasses.dataclass
class _Taken:
    """What was taken of some rows and what was not, and which ids were corrected; where any are to be, `attributes` are
    those of the data."""

    num_products: int = 0
    num_facets: int = 0
    num_images: int = 0
    reasons: Counter[Reason] = dataclasses.field(default_factory=Counter)
    examples: dict[Reason, list[BadRow]] = dataclasses.field(default_factory=dict)
    corrected: set[str] = dataclasses.field(default_factory=set)
    attributes: set[str] = dataclasses.field(default_factory=set)

    def drop(self, bad: BadRow) -> None:
        self.reasons[bad.reason] += 1
        self._show(bad)

    def add(self, later: _Taken) -> None:
        """Add what was taken of the rows that follow these."""
        for bad in chain.from_iterable(later.examples.values()):
            self._show(bad)
        self.num_products += later.num_products
        self.num_facets += later.num_facets
        self.num_images += later.num_images
        self.reasons += later.reasons
        self.corrected |= later.corrected
        self.attributes |= later.attributes

    def _show(self, bad: BadRow) -> None:
        examples = self.examples.setdefault(bad.reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(bad)

    def report(self, corrections: Corrections) -> IngestReport:
        counts = {reason.value: count for reason, count in sorted(self.reasons.items())}
        apart = IMAGE_REASONS | NOTES
        examples = {reason.value: tuple(map(str, found)) for reason, found in sorted(self.examples.items())}
        unknown = corrections.unknown_attributes(self.attributes)
        if unknown:
            examples["unknown_attribute"] = unknown[:MAX_EXAMPLES]
        unused = corrections.unused(self.corrected)
        if unused:
            examples["unused_correction"] = tuple(f"no product {product_id!r}" for product_id in unused[:MAX_EXAMPLES])
        return IngestReport(
            num_products=self.num_products,
            num_facets=self.num_facets,
            num_images=self.num_images,
            num_corrected=len(self.corrected),
            num_corrections_unused=len(unused),
            dropped={reason: count for reason, count in counts.items() if reason not in apart},
            images_dropped={reason: count for reason, count in counts.items() if reason in IMAGE_REASONS},
            noted={reason: count for reason, count in counts.items() if reason in NOTES}
            | ({"unknown_attribute": len(unknown)} if unknown else {}),
            examples=examples,
        )


class _Intake:
    """One pass over rows of a source: lets good products through and keeps count. Ids in `known` were there before."""

    def __init__(
        self,
        path: Path,
        corrections: Corrections,
        *,
        categories: Mapping[str, str],
        known: Collection[str] = (),
        scratch: Path | None = None,
        stored_scratch: str = "",
    ) -> None:
        self.taken = _Taken()
        self._path = path
        self._corrections = corrections
        self._categories = categories
        self._known = known
        self._scratch = os.path.realpath(scratch) if scratch else ""
        self._stored_scratch = stored_scratch
        self._row = 0

    def products(self, rows: Iterator[Product | PlainProducts | BadRow]) -> Iterator[Product | PlainProducts]:
        with closing(SeenIds()) as seen:
            for product_id in self._known:
                seen.add([product_id])
            for row in rows:
                if isinstance(row, BadRow):
                    self._row += row.reason not in NOTES
                    self.taken.drop(row)
                elif isinstance(row, Product):
                    yield from self._product(row, seen)
                elif self._corrections.of_product.keys().isdisjoint(row.ids) and seen.add(row.ids):
                    self._row += len(row.ids)
                    self.taken.num_products += len(row.ids)
                    self.taken.num_facets += len(row.values)
                    if self._corrections.of_product:
                        self.taken.attributes.update(row.attributes)
                    yield row
                else:
                    for product in row.products():
                        yield from self._product(product, seen)

    def _product(self, product: Product, seen: SeenIds) -> Iterator[Product]:
        """The product as it is stored, if it is to be."""
        self._row += 1
        if misplaced := _misplaced_span(product):
            self._drop(product, "facets", misplaced, Reason.SPAN_OUT_OF_TEXT)
        elif not seen.add([product.product_id]):
            self._drop(product, "product_id", product.product_id, Reason.DUPLICATE_ID)
        else:
            self.taken.corrected |= {product.product_id} & self._corrections.of_product.keys()
            if self._corrections.of_product:
                self.taken.attributes.update([*(facet.attribute for facet in product.facets), *product.absent])
            product = self._corrections.apply(product)
            if product.category is not None and product.category in self._categories:
                product = dataclasses.replace(product, category=self._categories[product.category])
            images = self._checked_images(product)
            self.taken.num_products += 1
            self.taken.num_facets += len(product.facets)
            self.taken.num_images += len(images)
            yield dataclasses.replace(product, images=images) if product.images else product

    def _drop(self, product: Product, field: str, value: str, reason: Reason) -> None:
        """A product that came without a place is named by that among the rows that were read."""
        file, row = product.place or (str(self._path), self._row)
        self.taken.drop(BadRow(file, row, field, value, reason))

    def _checked_images(self, product: Product) -> tuple[str, ...]:
        kept = []
        for name in product.images:
            image = os.path.join(self._scratch, name)  # an absolute name stays as it is
            if fault := image_fault(Path(image)):
                reason, found = fault
                address = _ADDRESS.search(name)  # of the web: a reader has put a folder before it
                shown = address.group() if address else os.path.basename(name)
                self._drop(product, "images", f"{shown}: {found}" if found else shown, reason)
            else:
                kept.append(self._stored(image))
        return tuple(kept)

    def _stored(self, image: str) -> str:
        inside = os.path.realpath(image)
        if self._scratch and inside.startswith(self._scratch + os.sep):
            return f"{self._stored_scratch}/{Path(inside).relative_to(self._scratch).as_posix()}"
        return image


@dataclasses.dataclass(frozen=True)
class _Piece:
    """What one process reads at a time, the shard to write of it, and the ids in it that an earlier piece has."""

    stretches: tuple[Stretch, ...]
    target: Path
    known: frozenset[str] = frozenset()


def _pieces(stretches: list[Stretch], folder: Path, piece_bytes: int) -> list[_Piece]:
    """Neighbouring stretches together, as few as make `piece_bytes`: small files are not worth a shard each."""
    together: list[list[Stretch]] = []
    size = piece_bytes
    for stretch in stretches:
        if size >= piece_bytes:
            together.append([])
            size = 0
        together[-1].append(stretch)
        size += (stretch.file.stat().st_size if stretch.end is None else stretch.end) - stretch.start
    return [_Piece(tuple(some), folder / f"piece-{number:05d}.parquet") for number, some in enumerate(together)]


def _take_pieces(pieces: list[_Piece], read: Callable[[_Piece], _Taken], workers: int) -> _Taken:
    """Write a shard for each piece that has a product, in their order."""
    taken = map_pieces(read, pieces, workers)
    again = {number: dataclasses.replace(pieces[number], known=ids) for number, ids in _repeated_ids(pieces).items()}
    for piece in again.values():
        piece.target.unlink()
    taken_again = dict(zip(again, map_pieces(read, list(again.values()), workers), strict=True))
    whole, num_shards = _Taken(), 0
    for number, piece in enumerate(pieces):
        found = taken_again.get(number, taken[number])
        whole.add(found)
        if found.num_products:
            piece.target.rename(piece.target.with_name(f"part-{num_shards:05d}.parquet"))
            num_shards += 1
        else:
            piece.target.unlink()
    return whole


def _take_piece(piece: _Piece, source: Source, path: Path, options: SourceOptions, corrections: Corrections) -> _Taken:
    intake = _Intake(path, corrections, categories=options.categories, known=piece.known)
    read = (source.read(path, dataclasses.replace(options, only=stretch)) for stretch in piece.stretches)
    write_shard(intake.products(chain.from_iterable(read)), piece.target)
    return intake.taken


def _repeated_ids(pieces: list[_Piece]) -> dict[int, frozenset[str]]:
    """The ids of each piece that an earlier one has, for those pieces that have any.

    Hashes find what may be repeated; only those ids are held and compared.
    """
    hashes = [np.fromiter(map(hash, _ids(piece)), np.int64) for piece in pieces]
    ordered = np.concatenate(hashes)
    ordered.sort()
    suspect = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    seen: set[str] = set()
    repeated: dict[int, frozenset[str]] = {}
    for number, (piece, found) in enumerate(zip(pieces, hashes, strict=True)):
        places = np.flatnonzero(np.isin(found, suspect))
        if len(places):
            ids = _ids(piece)
            candidates = {ids[place] for place in places.tolist()}
            if before := candidates & seen:
                repeated[number] = frozenset(before)
            seen |= candidates
    return repeated


def _ids(piece: _Piece) -> list[str]:
    with pq.ParquetFile(piece.target) as shard:  # `pq.read_table` would import pandas
        ids: list[str] = shard.read(["product_id"]).column(0).to_pylist()
    return ids


def _misplaced_span(product: Product) -> str | None:
    for facet in product.facets:
        for span in facet.spans:
            if not 0 <= span.start < span.end <= len(product.field(span.field)):
                return f"{facet.attribute} {span.field}[{span.start}:{span.end}]"
    return None


def image_fault(path: Path) -> tuple[Reason, str] | None:
    """Why a picture cannot be used, and where that is its format, which; or None. It is decoded to its end, so that a
    cut-off file is found."""
    data = picture_bytes(str(path))
    if data is Fault.MISSING:
        return Reason.MISSING_IMAGE, ""
    if not isinstance(data, bytes):
        too_large = path.is_file() and path.stat().st_size > MAX_BYTES
        return Reason.IMAGE_TOO_LARGE if too_large else Reason.CORRUPT_IMAGE, ""
    match unread(data):
        case None:
            return None
        case Unread.FORMAT:
            return Reason.IMAGE_FORMAT_NOT_READ, other_format(data)
        case Unread.TOO_LARGE:
            return Reason.IMAGE_TOO_LARGE, ""
        case Unread.BROKEN:
            return Reason.CORRUPT_IMAGE, ""


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
