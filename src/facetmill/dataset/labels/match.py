"""Where each facet's value stands in the text: from values to character spans.

The rules, for every facet of a product that has no spans yet (spans an annotator set are never touched):

1. *Occurrences.* Every occurrence of the value in each of `rules.fields` counts, from left to right, and one value
   does not overlap itself. Spaces around the value are ignored; an empty value stands nowhere.
2. *Case.* With `ignore_case`, each character is compared in lower case, unless its lower case is longer than one
   character. Nothing changes length and nothing is normalised, so a span always refers to the raw text.
3. *Spaces.* Any space character (no-break, ideographic, tab, line break) equals any other, one for one: a value with
   one space does not stand where the text has two.
4. *Words.* With `word_boundary`, an occurrence neither starts nor ends inside a word. A word is letters, digits, "_"
   and combining marks; Chinese, Japanese and Korean characters are words of their own.
5. *Overlaps.* Annotated spans claim their characters first, then values from the longest to the shortest, then in the
   order of the facets. An occurrence that overlaps claimed characters is dropped and counted (`num_overlaps`), unless
   it covers exactly a claimed span: then both facets have it (`num_shared`). A facet that would so lose every
   occurrence keeps them all, claiming nothing, because its value does stand in the text (`num_nested`).
6. *Outcome.* A facet with new spans becomes "matched". Where the source said nothing of the modality it is "text" with
   spans and "image" (implicit) without. Spans are sorted by field in the order of `rules.fields`, then by start.

No `Product` is built: texts and values leave Arrow a column at a time, `str.find` looks in all fields of a product at
once, joined by line breaks (which rule 3 leaves nowhere else), and the spans go back as whole columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from itertools import accumulate, chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill import arrow
from facetmill.compute.pieces import map_pieces
from facetmill.files import replace_folder
from facetmill.params import MatchParams
from facetmill.records import FIELDS, PRODUCT_SCHEMA, require_schema, shards

_BATCH_ROWS = 2048
_ROWS_WORTH_A_POOL = 20_000  # starting processes costs about as much as matching this many products

_FACET = PRODUCT_SCHEMA.field("facets").type.value_type
_SPAN = _FACET.field("spans").type.value_type

# Han, Hiragana, Katakana and Hangul by Unicode block; these scripts put no spaces between words.
_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U0001b000-\U0001b16f\U00020000-\U000323af]"
)
_ASCII_SPACES = "\t\n\v\f\r"
_SPACES = _ASCII_SPACES + "\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

_SEPARATOR = "\n"  # behind each field of a product: a folded text or value holds none

_Ints = npt.NDArray[np.int64]
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
    facets are all explicit (MAE-text in the papers), `num_products_image` those with an implicit one (MAE-image)."""

    num_products: int = 0
    num_facets: int = 0
    num_explicit: int = 0
    num_implicit: int = 0
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
    `engine.py`): of this machine `rules.workers`, of which this one is the first. The output depends on none of that.
    Memory is that of one record batch a process, and of the row group it came from as it is stored (`ingest` writes
    2,000 products).
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

    texts, field_starts = _joined([batch.column(name) for name in rules.fields], batch.num_rows, rules.ignore_case)
    annotated = np.diff(_bounds(spans)) > 0
    needles = _needles(value, rules.ignore_case)
    for place in annotated.nonzero()[0].tolist():
        needles[place] = ""
    claimed = _annotated_ranges(spans, product_of, field_starts, rules.fields)

    found = [
        find_all(text, needle, rules.word_boundary) if needle else ()
        for text, (begin, end) in zip(texts, pairwise(bounds.tolist()), strict=True)
        for needle in needles[begin:end]
    ]
    lengths = np.fromiter(map(len, needles), np.int64, len(needles))
    starts, facet_of = _flat(found)
    num_overlaps = num_shared = num_nested = 0
    ranges = product_of[facet_of], starts, starts + lengths[facet_of]
    for product in _overlapping(*map(np.concatenate, zip(ranges, claimed, strict=True))):  # few products have any
        own = slice(*bounds[product : product + 2].tolist())
        _, begins, ends = (column[claimed[0] == product].tolist() for column in claimed)
        found[own], overlaps, shared, nested = judge_and_promote(
            len(texts[product]), found[own], lengths[own].tolist(), list(zip(begins, ends, strict=True))
        )
        num_overlaps += overlaps
        num_shared += shared
        num_nested += nested
    starts, facet_of = _flat(found)
    new_spans = _spans(starts, lengths[facet_of], field_starts[product_of[facet_of]], rules.fields)
    spans = _with_new(spans, new_spans, facet_of)

    matched = np.bincount(facet_of, minlength=len(found)) > 0
    explicit = annotated | matched
    modality = pc.coalesce(modality, arrow.strings(["image", "text"]).take(arrow.ints(explicit)))
    provenance = pc.if_else(arrow.ints(matched).cast(pa.bool_()), arrow.strings(["matched"])[0], provenance)
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
        num_spans=len(spans.flatten()),
        num_overlaps=num_overlaps,
        num_shared=num_shared,
        num_nested=num_nested,
        num_products_text=int(((num_implicit == 0) & (np.diff(bounds) > 0)).sum()),
        num_products_image=int((num_implicit > 0).sum()),
    )
    return batch.set_column(place, PRODUCT_SCHEMA.field(place), facet_column), counts


def judge_and_promote(
    text_length: int, found: Sequence[Sequence[int]], lengths: Sequence[int], annotated: Iterable[_Range]
) -> tuple[list[Sequence[int]], int, int, int]:
    """Rule 5 for one product: where in its joined text the value of each facet stands and how long it is, and which
    ranges annotated spans have.

    Returns the starts that are left to each facet, and the numbers of overlaps, shared spans and nested facets.
    """
    found = list(found)
    num_overlaps = num_shared = num_nested = 0
    taken = bytearray(text_length)  # one byte a character: 1 = claimed
    claimed = set(annotated)
    for start, end in claimed:
        taken[start:end] = b"\1" * (end - start)
    standing = [(-lengths[index], index) for index, starts in enumerate(found) if starts]
    for minus_length, index in sorted(standing):  # from the longest to the shortest, then in the order of the facets
        length = -minus_length
        starts = found[index]
        free = [start for start in starts if taken.find(1, start, start + length) < 0]
        if len(free) < len(starts):
            shared = [start for start in starts if (start, start + length) in claimed]
            kept = sorted(free + shared)
            if kept:
                found[index] = kept
                num_overlaps += len(starts) - len(kept)
                num_shared += len(shared)
            else:
                num_nested += 1
        for start in free:
            taken[start : start + length] = b"\1" * length
            claimed.add((start, start + length))
    return found, num_overlaps, num_shared, num_nested


def find_all(text: str, needle: str, word_boundary: bool) -> Sequence[int]:
    """Starts of the occurrences of `needle` in the joined `text`, both folded, that do not overlap each other."""
    start = text.find(needle)
    if start < 0:
        return ()
    # At an edge of the value that is no letter of a word, no word is cut whatever stands beyond it.
    word_left, word_right = word_boundary and _is_word(needle[0]), word_boundary and _is_word(needle[-1])
    starts = []
    while start >= 0:
        end = start + len(needle)
        # No limits to check: the text ends with a separator, which is also what stands at -1, before its start.
        if (word_left and _is_word(text[start - 1])) or (word_right and _is_word(text[end])):
            start = text.find(needle, start + 1)
        else:
            starts.append(start)
            start = text.find(needle, end)
    return starts


def fold(text: str, ignore_case: bool) -> str:
    """`text` as it is compared: of the same length, its spaces all " ", and in lower case with `ignore_case`."""
    if ignore_case:
        # In a string the one has two lower cases, as it ends a word or not, and the other's is two characters long.
        text = "İ".join(map(str.lower, text.replace("Σ", "σ").split("İ")))
    for space in _ASCII_SPACES if text.isascii() else _SPACES:
        text = text.replace(space, " ")  # far faster than one pass of a regular expression or `str.translate`
    return text


@lru_cache(maxsize=4096)
def _is_word(char: str) -> bool:
    if _CJK.match(char):
        return False
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")


def _joined(columns: Sequence[pa.StringArray], num_rows: int, ignore_case: bool) -> tuple[list[str], _Ints]:
    """The folded fields of each product in one text, a separator behind each, and their starts in it
    [product, field]."""
    folded = [[fold(text, ignore_case) for text in column.to_pylist()] for column in columns]
    widths = np.array([list(map(len, texts)) for texts in folded], np.int64).reshape(len(columns), num_rows).T
    field_starts = np.cumsum(widths + len(_SEPARATOR), axis=1) - widths - len(_SEPARATOR)
    nothing = [""] * num_rows  # joined as the last, so that the last field too has its separator
    return list(map(_SEPARATOR.join, zip(*folded, nothing, strict=True))), field_starts


def _needles(values: pa.StringArray, ignore_case: bool) -> list[str]:
    """The values as they are looked up. They are folded as one string, since most are too short to be worth a call."""
    texts = values.to_pylist()
    folded = fold("".join(texts), ignore_case)
    return [folded[begin:end].strip(" ") for begin, end in pairwise(accumulate(map(len, texts), initial=0))]


def _bounds(lists: pa.ListArray) -> _Ints:
    """Where each list starts in `lists.flatten()`, and where the last one ends."""
    offsets = np.from_dlpack(lists.offsets)
    bounds: _Ints = (offsets - offsets[0]).astype(np.int64)
    return bounds


def _flat(found: Sequence[Sequence[int]]) -> tuple[_Ints, _Ints]:
    """The starts of all facets, one behind the other, and the facet of each."""
    facet_of = np.repeat(np.arange(len(found)), np.fromiter(map(len, found), np.int64, len(found)))
    return np.fromiter(chain.from_iterable(found), np.int64, len(facet_of)), facet_of


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


def _spans(starts: _Ints, lengths: _Ints, field_starts: _Ints, names: Sequence[str]) -> pa.StructArray:
    """Spans of their fields from starts in joined texts, whose fields start at `field_starts` [span, field]."""
    number = (field_starts <= starts[:, None]).sum(axis=1) - 1
    starts = starts - field_starts[np.arange(len(starts)), number]
    columns = [
        arrow.strings(names).take(arrow.ints(number)),
        arrow.ints(starts),
        arrow.ints(starts + lengths),
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
