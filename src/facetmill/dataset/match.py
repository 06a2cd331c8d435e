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

The value's text is looked up with `str.find` over columns taken out of Arrow once a batch; no `Product` is built.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.files import replace_file, replace_folder
from facetmill.params import MatchParams
from facetmill.records import PRODUCT_SCHEMA, require_schema, shards

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

_Range = tuple[int, int, int]  # number of the field, start, end
_OTHER_FIELD = -1  # the number of a field that the rules do not match


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
    """Match every shard of `source_dir` into a shard of the same name in `target_dir`, which is replaced as a whole.

    Shards are mapped over `rules.workers` processes; the output does not depend on their number. Memory is that of
    one record batch a process.
    """
    paths = shards(source_dir)
    num_rows = sum(pq.read_metadata(path).num_rows for path in paths)
    workers = min(rules.workers, len(paths))
    with replace_folder(target_dir) as folder:
        match_one = partial(_match_shard, target_dir=folder, rules=rules)
        if workers < 2 or num_rows < _ROWS_WORTH_A_POOL:
            return sum(map(match_one, paths), MatchCounts())
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            return sum(pool.map(match_one, paths), MatchCounts())


def _match_shard(path: Path, target_dir: Path, rules: MatchParams) -> MatchCounts:
    counts = MatchCounts()
    with pq.ParquetFile(path) as source, replace_file(target_dir / path.name) as temporary:
        require_schema(path, source.schema_arrow)
        with pq.ParquetWriter(temporary, PRODUCT_SCHEMA, compression="snappy") as target:
            for batch in source.iter_batches(_BATCH_ROWS):
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
    first = facets.offsets[0].as_py()
    bounds = [offset - first for offset in facets.offsets.to_pylist()]

    columns = [_folded(batch.column(name), rules.ignore_case) for name in rules.fields]
    texts = list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows
    needles = [needle.strip(" ") for needle in _folded(value, rules.ignore_case)]
    given = _given_ranges(spans, rules.fields)

    found: list[list[_Range]] = []
    num_overlaps = num_shared = num_nested = 0
    for (begin, end), product_texts in zip(pairwise(bounds), texts, strict=True):
        ranges, overlaps, shared, nested = match_product(
            product_texts, needles[begin:end], given[begin:end], rules.word_boundary
        )
        found += ranges
        num_overlaps += overlaps
        num_shared += shared
        num_nested += nested

    spans = _with_found(spans, found, rules.fields)
    explicit = np.fromiter((bool(old or new) for old, new in zip(given, found, strict=True)), bool, len(found))
    implicit_before = np.concatenate(([0], np.cumsum(~explicit)))
    num_implicit = np.diff(implicit_before[bounds])  # of each product
    new_modality = [
        old or ("text" if stands else "image")
        for old, stands in zip(modality.to_pylist(), explicit.tolist(), strict=True)
    ]
    new_provenance = ["matched" if new else old for old, new in zip(provenance.to_pylist(), found, strict=True)]
    new_facets = pa.StructArray.from_arrays(
        [attribute, value, spans, *(pa.array(c, pa.string()) for c in (new_modality, new_provenance)), confidence],
        fields=list(_FACET),
    )
    facet_column = pa.ListArray.from_arrays(
        pa.array(bounds, pa.int32()), new_facets, type=PRODUCT_SCHEMA.field("facets").type
    )
    place = PRODUCT_SCHEMA.names.index("facets")
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


def match_product(
    texts: Sequence[str], needles: Sequence[str], given: Sequence[Sequence[_Range]], word_boundary: bool
) -> tuple[list[list[_Range]], int, int, int]:
    """Rules 1, 4 and 5 for one product: its folded texts, the folded value and the annotated spans of each facet.

    Returns the new ranges of each facet, and the numbers of overlaps, shared spans and nested facets.
    """
    found: list[list[_Range]] = [[] for _ in needles]
    num_overlaps = num_shared = num_nested = 0
    taken = [bytearray(len(text)) for text in texts]  # one byte a character: 1 = claimed
    claimed: set[_Range] = set()

    def claim(ranges: Collection[_Range]) -> None:
        for number, start, end in ranges:
            taken[number][start:end] = b"\1" * (end - start)
        claimed.update(ranges)

    for ranges in filter(None, given):
        claim([span for span in ranges if span[0] != _OTHER_FIELD])
    lengths = [-len(needle) for needle in needles]
    for index in sorted(range(len(needles)), key=lengths.__getitem__):
        needle = needles[index]
        if given[index] or not needle:
            continue
        occurrences: list[_Range] = []
        for number, text in enumerate(texts):
            if needle in text:
                starts = find_all(text, needle, word_boundary)
                occurrences += [(number, start, start + len(needle)) for start in starts]
        if not occurrences:
            continue
        free = [(number, start, end) for number, start, end in occurrences if 1 not in taken[number][start:end]]
        if len(free) == len(occurrences):
            found[index] = occurrences
        elif kept := [span for span in occurrences if span in claimed or 1 not in taken[span[0]][span[1] : span[2]]]:
            found[index] = kept
            num_overlaps += len(occurrences) - len(kept)
            num_shared += len(kept) - len(free)
        else:
            found[index] = occurrences
            num_nested += 1
        claim(free)
    return found, num_overlaps, num_shared, num_nested


def find_all(text: str, needle: str, word_boundary: bool) -> list[int]:
    """Starts of the occurrences of `needle` in `text`, both folded, that do not overlap each other."""
    starts = []
    start = text.find(needle)
    while start >= 0:
        end = start + len(needle)
        if word_boundary and (_inside_word(text, start) or _inside_word(text, end)):
            start = text.find(needle, start + 1)
        else:
            starts.append(start)
            start = text.find(needle, end)
    return starts


def fold(text: str, ignore_case: bool) -> str:
    """`text` as it is compared: of the same length, its spaces all " ", and in lower case with `ignore_case`."""
    if ignore_case and ("Σ" in text or "İ" in text):
        # In a string the one has two lower cases, as it ends a word or not, and the other's is two characters long.
        text = "".join(char if char == "İ" else char.lower() for char in text)
    elif ignore_case:
        text = text.lower()
    for space in _ASCII_SPACES if text.isascii() else _SPACES:
        text = text.replace(space, " ")  # far faster than one pass of a regular expression or `str.translate`
    return text


def _inside_word(text: str, position: int) -> bool:
    return 0 < position < len(text) and _is_word(text[position - 1]) and _is_word(text[position])


@lru_cache(maxsize=4096)
def _is_word(char: str) -> bool:
    if _CJK.match(char):
        return False
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")


def _folded(column: pa.StringArray, ignore_case: bool) -> list[str]:
    return [fold(text, ignore_case) for text in column.to_pylist()]


def _given_ranges(spans: pa.ListArray, names: Sequence[str]) -> list[Sequence[_Range]]:
    """The spans each facet already has."""
    if not len(spans.flatten()):
        return [()] * len(spans)
    numbers = {name: number for number, name in enumerate(names)}
    return [
        [(numbers.get(span["field"], _OTHER_FIELD), span["start"], span["end"]) for span in facet]
        for facet in spans.to_pylist()
    ]


def _with_found(spans: pa.ListArray, found: Sequence[Sequence[_Range]], names: Sequence[str]) -> pa.ListArray:
    """The list column of spans, with the found ranges in place of the empty lists."""
    if len(spans.flatten()):
        merged = [
            [{"field": names[number], "start": start, "end": end} for number, start, end in new] or old
            for new, old in zip(found, spans.to_pylist(), strict=True)
        ]
        return pa.array(merged, spans.type)
    flat = [span for facet in found for span in facet]
    numbers, starts, ends = zip(*flat, strict=True) if flat else ((), (), ())
    columns = [
        pa.array([names[number] for number in numbers], pa.string()),
        pa.array(starts, pa.int32()),
        pa.array(ends, pa.int32()),
    ]
    offsets = pa.array(accumulate(map(len, found), initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, fields=list(_SPAN)), type=spans.type)
