"""Where each facet's value stands in the text: from values to character spans.

The rules, for every facet of a product that has no spans yet (spans an annotator set are never touched):

1. *Occurrences* of the value in each of `rules.fields` are those of `encoders.grounding`, in the raw text.
2. *Overlaps.* Annotated spans claim their characters first, then values from the longest to the shortest, then in the
   order of the facets. An occurrence that overlaps claimed characters is dropped and counted (`num_overlaps`), unless
   it covers exactly a claimed span: then both facets have it (`num_shared`). A facet that would so lose every
   occurrence keeps them all, claiming nothing, because its value does stand in the text (`num_nested`).
3. *Outcome.* A facet with new spans becomes "matched". Spans are sorted by field in the order of `rules.fields`, then
   by start. Where the source said nothing of the modality it is "text" with spans. Without (the facet is implicit) it
   is "image", unless the product has no picture, or the value's letters do stand in the text, if only inside a longer
   word or number ("Print" in "Printed"): then nobody knows what shows the value, and the modality stays unknown.

No `Product` is built: texts and values leave Arrow a column at a time, `str.find` looks in all fields of a product at
once, joined by line breaks (which no folded text holds), and the spans go back as whole columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import accumulate, chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill import arrow
from facetmill.compute.pieces import map_pieces
from facetmill.dataset.labels.joined_texts import JoinedTexts
from facetmill.encoders.folding import fold_value, one_for_one
from facetmill.encoders.grounding import find_all
from facetmill.files import replace_folder
from facetmill.params import MatchParams
from facetmill.records import FIELDS, PRODUCT_SCHEMA, require_schema, shards

_BATCH_ROWS = 2048
_ROWS_WORTH_A_POOL = 20_000  # starting processes costs about as much as matching this many products

_FACET = PRODUCT_SCHEMA.field("facets").type.value_type
_SPAN = _FACET.field("spans").type.value_type

_Ints = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]
_Range = tuple[int, int]  # start and end in the joined text


@dataclass(frozen=True)
class _Piece:
    """What one process does at a time: a row group of a shard of the source, and the shard to write of it."""

    source: Path
    group: int
    target: Path


@dataclass(frozen=True)
class MatchCounts:
    """What matching found. Facets are explicit (in the text) or implicit; `num_products_text` counts products whose
    facets are all explicit (MAE-text in the papers), `num_products_image` those with a picture and an implicit facet
    (MAE-image). Of the implicit facets, the letters of `num_inside_words` do stand in the text, but only inside longer
    words or numbers, those of `num_in_markup` only in tags of HTML; `num_without_picture` are of products without one.
    """

    num_products: int = 0
    num_facets: int = 0
    num_explicit: int = 0
    num_implicit: int = 0
    num_inside_words: int = 0
    num_in_markup: int = 0
    num_without_picture: int = 0
    num_spans: int = 0
    num_overlaps: int = 0
    num_shared: int = 0
    num_nested: int = 0
    num_products_text: int = 0
    num_products_image: int = 0

    def __add__(self, other: MatchCounts) -> MatchCounts:
        return MatchCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def to_json(self) -> dict[str, int]:
        return asdict(self)


def match_shards(source_dir: Path, target_dir: Path, rules: MatchParams) -> MatchCounts:
    """Match the shards of `source_dir` into `target_dir`, which is replaced as a whole.

    Each row group of the source becomes one shard, in the same order, and is a piece that any process may do (see
    `compute/pieces.py`): of this machine `rules.workers`, of which this one is the first. The output depends on none of
    that. Memory is that of one record batch a process, and of the row group it came from as it is stored (`ingest`
    writes 2,000 products).
    """
    groups: list[tuple[Path, int]] = []
    num_rows = 0
    for path in shards(source_dir):
        with pq.ParquetFile(path) as source:
            require_schema(path, source.schema_arrow)
            num_rows += source.metadata.num_rows
            groups += [(path.absolute(), group) for group in range(source.num_row_groups)]
    workers = rules.workers if num_rows >= _ROWS_WORTH_A_POOL else 1
    with replace_folder(target_dir) as folder:
        pieces = [
            _Piece(*group, folder.absolute() / f"part-{number:05d}.parquet") for number, group in enumerate(groups)
        ]
        return sum(map_pieces(partial(_match_piece, rules=rules), pieces, workers), MatchCounts())


def _match_piece(piece: _Piece, rules: MatchParams) -> MatchCounts:
    counts = MatchCounts()
    with (
        pq.ParquetFile(piece.source) as source,
        pq.ParquetWriter(piece.target, PRODUCT_SCHEMA, compression="snappy", use_dictionary=False) as target,
    ):
        for batch in source.iter_batches(_BATCH_ROWS, row_groups=[piece.group], use_threads=False):
            matched, found = match_batch(batch, rules)
            target.write_batch(matched)
            counts += found
    return counts


def match_batch(batch: pa.RecordBatch, rules: MatchParams) -> tuple[pa.RecordBatch, MatchCounts]:
    """The batch with spans, modality and provenance of its facets set by the rules above, and what was found.

    Both batches are of `PRODUCT_SCHEMA`; every other column is passed on as it is.
    """
    facets = batch.column("facets")
    attribute, value, spans, modality, provenance, confidence = facets.flatten().flatten()
    bounds = _bounds(facets)  # of the facets of each product
    product_of = np.repeat(np.arange(batch.num_rows), np.diff(bounds))

    texts = JoinedTexts.of([batch.column(name) for name in rules.fields], batch.num_rows, rules.ignore_case)
    annotated = np.diff(_bounds(spans)) > 0
    needles = _needles(value, rules.ignore_case)
    for place in annotated.nonzero()[0].tolist():
        needles[place] = ""
    found = [
        find_all(text, needle, rules.word_boundary, view) if needle else None
        for text, view, (begin, end) in zip(texts.folded, texts.views, pairwise(bounds.tolist()), strict=True)
        for needle in needles[begin:end]
    ]
    inside = np.array([starts is not None and not starts for starts in found], np.bool_)
    in_markup = _in_markup(texts, needles, found, bounds)

    starts, ends, facet_of = _raw_ranges(texts, needles, found, product_of)
    claimed = _annotated_ranges(spans, product_of, texts.field_starts, rules.fields)
    num_overlaps = num_shared = num_nested = 0
    kept = np.ones(len(starts), np.bool_)
    ranges = product_of[facet_of], starts, ends
    for product in _overlapping(*map(np.concatenate, zip(ranges, claimed, strict=True))):  # few products have any
        own = slice(*np.searchsorted(facet_of, bounds[product : product + 2]).tolist())
        begins, stops = (column[claimed[0] == product].tolist() for column in claimed[1:])
        kept[own], overlaps, shared, nested = without_overlaps(
            facet_of[own].tolist(),
            list(zip(starts[own].tolist(), ends[own].tolist(), strict=True)),
            needles,
            list(zip(begins, stops, strict=True)),
        )
        num_overlaps += overlaps
        num_shared += shared
        num_nested += nested
    starts, ends, facet_of = starts[kept], ends[kept], facet_of[kept]
    new_spans = _spans(starts, ends, texts.field_starts[product_of[facet_of]], rules.fields)
    spans = _with_new(spans, new_spans, facet_of)

    matched = np.bincount(facet_of, minlength=len(annotated)) > 0
    explicit = annotated | matched
    pictured = (np.diff(_bounds(batch.column("images"))) > 0)[product_of]
    only_pictured = ~explicit & ~inside & pictured
    modality = pc.coalesce(modality, _where(explicit, "text"), _where(only_pictured, "image"))
    provenance = pc.coalesce(_where(matched, "matched"), provenance)
    new_facets = pa.StructArray.from_arrays(
        [attribute, value, spans, modality, provenance, confidence], fields=list(_FACET)
    )
    place = PRODUCT_SCHEMA.names.index("facets")
    facet_column = pa.ListArray.from_arrays(arrow.ints(bounds), new_facets, type=PRODUCT_SCHEMA.field(place).type)
    num_implicit = np.bincount(product_of[~explicit], minlength=batch.num_rows)  # of each product
    counts = MatchCounts(
        num_products=batch.num_rows,
        num_facets=len(explicit),
        num_explicit=int(explicit.sum()),
        num_implicit=int(num_implicit.sum()),
        num_inside_words=int((~explicit & inside).sum()),
        num_in_markup=int((~explicit & in_markup).sum()),
        num_without_picture=int((~explicit & ~pictured).sum()),
        num_spans=len(spans.flatten()),
        num_overlaps=num_overlaps,
        num_shared=num_shared,
        num_nested=num_nested,
        num_products_text=int(((num_implicit == 0) & (np.diff(bounds) > 0)).sum()),
        num_products_image=len(np.unique(product_of[~explicit & pictured])),
    )
    return batch.set_column(place, PRODUCT_SCHEMA.field(place), facet_column), counts


def _where(flags: _Flags, text: str) -> pa.StringArray:
    """`text` where a flag is set, null elsewhere."""
    return pc.if_else(arrow.ints(flags).cast(pa.bool_()), arrow.strings([text])[0], arrow.empty(pa.string(), 1)[0])


def without_overlaps(
    facets: Sequence[int], ranges: Sequence[_Range], values: Sequence[str], annotated: Iterable[_Range]
) -> tuple[list[bool], int, int, int]:
    """Rule 2 for one product: `ranges` where values stand, in one coordinate for all fields, the facet of each, the
    value of each facet, and which ranges annotated spans have.

    Returns which of `ranges` are kept, and the numbers of overlaps, shared spans and nested facets.
    """
    num_overlaps = num_shared = num_nested = 0
    claimed = set(annotated)
    taken = bytearray(max(end for _, end in chain(claimed, ranges)))  # one byte a character: 1 = claimed
    for start, end in claimed:
        taken[start:end] = b"\1" * (end - start)
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, facet in enumerate(facets):
        places[facet].append(place)
    kept = [True] * len(ranges)
    for facet in sorted(places, key=lambda facet: (-len(values[facet]), facet)):
        own = places[facet]
        free = [place for place in own if taken.find(1, *ranges[place]) < 0]
        shared = [place for place in own if ranges[place] in claimed]
        if not free and not shared:
            num_nested += 1
        else:
            lost = set(own).difference(free, shared)
            num_overlaps += len(lost)
            for place in lost:
                kept[place] = False
        num_shared += len(shared)
        for place in free:
            start, end = ranges[place]
            taken[start:end] = b"\1" * (end - start)
            claimed.add((start, end))
    return kept, num_overlaps, num_shared, num_nested


def _raw_ranges(
    texts: JoinedTexts, needles: Sequence[str], found: Sequence[Sequence[int] | None], product_of: _Ints
) -> tuple[_Ints, _Ints, _Ints]:
    """The start and end in the joined raw fields of every place that was found, one behind the other, and its facet."""
    lengths = np.fromiter(map(len, needles), np.int64, len(needles))
    facet_of = np.repeat(np.arange(len(found)), [len(starts) if starts else 0 for starts in found])
    starts = np.fromiter(chain.from_iterable(filter(None, found)), np.int64, len(facet_of))
    ends = starts + lengths[facet_of]
    if any(texts.views):
        for place, product in enumerate(product_of[facet_of].tolist()):
            view = texts.views[product]
            if view is not None:
                starts[place], ends[place] = view.raw(starts[place], ends[place])
    return starts, ends, facet_of


def _in_markup(
    texts: JoinedTexts, needles: Sequence[str], found: Sequence[Sequence[int] | None], bounds: _Ints
) -> _Flags:
    """Of each facet, whether its value stands in tags of HTML alone."""
    flags = np.zeros(len(found), np.bool_)
    for product, view in enumerate(texts.views):
        with_markup = "" if view is None else texts.with_markup(product)
        if with_markup:
            for facet in range(*bounds[product : product + 2].tolist()):
                flags[facet] = found[facet] is None and needles[facet] != "" and needles[facet] in with_markup
    return flags


def _needles(values: pa.StringArray, ignore_case: bool) -> list[str]:
    """The values as they are looked up. Where it can be they are folded as one string, since most are too short to be
    worth a call."""
    texts = values.to_pylist()
    folded = one_for_one("".join(texts), ignore_case)
    if folded is None:
        return [fold_value(text, ignore_case) for text in texts]
    return [folded[begin:end].strip(" ") for begin, end in pairwise(accumulate(map(len, texts), initial=0))]


def _bounds(lists: pa.ListArray) -> _Ints:
    """Where each list starts in `lists.flatten()`, and where the last one ends."""
    offsets = np.from_dlpack(lists.offsets)
    bounds: _Ints = (offsets - offsets[0]).astype(np.int64)
    return bounds


def _annotated_ranges(
    spans: pa.ListArray, product_of: _Ints, field_starts: _Ints, names: Sequence[str]
) -> tuple[_Ints, _Ints, _Ints]:
    """The ranges that annotated spans in the fields `names` cover in joined texts: product, start and end of each."""
    if not len(spans.flatten()):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    field, start, end = spans.flatten().flatten()
    place = pc.index_in(field, arrow.strings([*names, *FIELDS]))
    number = np.from_dlpack(place)  # of the first such name, so below len(names) where the rules have it
    here = number < len(names)
    product = product_of[np.repeat(np.arange(len(spans)), np.diff(_bounds(spans)))][here]
    shift = field_starts[product, number[here]]
    return product, np.from_dlpack(start)[here] + shift, np.from_dlpack(end)[here] + shift


def _overlapping(product: _Ints, start: _Ints, end: _Ints) -> list[int]:
    """The products of which two ranges overlap."""
    order = np.lexsort((start, product))
    product, start, end = product[order], start[order], end[order]
    overlaps = (product[1:] == product[:-1]) & (start[1:] < end[:-1])
    products: list[int] = np.unique(product[1:][overlaps]).tolist()
    return products


def _spans(starts: _Ints, ends: _Ints, field_starts: _Ints, names: Sequence[str]) -> pa.StructArray:
    """Spans of their fields from ranges in joined texts, whose fields start at `field_starts` [span, field]."""
    number = (field_starts <= starts[:, None]).sum(axis=1) - 1
    shift = field_starts[np.arange(len(starts)), number]
    columns = [
        arrow.strings(names).take(arrow.ints(number)),
        arrow.ints(starts - shift),
        arrow.ints(ends - shift),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(_SPAN))


def _with_new(spans: pa.ListArray, new: pa.StructArray, facet_of: _Ints) -> pa.ListArray:
    """The list column with `new` spans, of the facets `facet_of`, in the lists that were empty."""
    num_old = np.diff(_bounds(spans))
    owners = np.concatenate([np.repeat(np.arange(len(spans)), num_old), facet_of])
    order = np.argsort(owners, kind="stable")
    flat = pa.concat_arrays([spans.flatten(), new]).take(arrow.ints(order))
    offsets = np.concatenate([[0], np.cumsum(num_old + np.bincount(facet_of, minlength=len(spans)))])
    return pa.ListArray.from_arrays(arrow.ints(offsets), flat, type=spans.type)
