"""From pictures to words: the text printed on the pack becomes `Product.ocr`.

Every picture of a product is read, or only its first, and the words of all of them stand one picture after the other.
What an engine is less sure of than `min_confidence` is left out. A product whose source came with words keeps those. A
picture that is missing or broken has no words and is counted. With no engine the shards are passed on as they are.

The words of a picture depend on its bytes, the engine and the parameters alone, so neither the number of processes nor
what was in the cache can be told from the output.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import pyarrow as pa

from facetmill.compute.pieces import Call, caller
from facetmill.dataset.pictures.ocr_cache import CachedReader
from facetmill.dataset.pictures.passing import pass_on
from facetmill.dataset.pictures.picture_cache import look_at_all
from facetmill.dataset.pictures.row_groups import rewrite
from facetmill.encoders.pictures import Fault, picture_bytes, picture_path
from facetmill.files import replace_folder
from facetmill.params import OcrParams
from facetmill.perception.ocr_engines import ENGINES, ReadWord, sure_words
from facetmill.records import PRODUCT_SCHEMA

_OCR = PRODUCT_SCHEMA.names.index("ocr")

_Reading: TypeAlias = list[ReadWord] | Fault


@dataclass
class OcrCounts:
    """What was read, and what was not.

    `num_given` counts products whose source came with words: their pictures are not looked at. `unreadable` counts
    pictures by reason; `num_words` says of how many pictures that could be read each number of words was kept.
    """

    engine: str | None
    num_products: int = 0
    num_given: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    num_words: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Nothing in it depends on time, on the number of processes, or on what had been read before."""
        readable = self.num_words.total()
        tokens = sum(number * pictures for number, pictures in self.num_words.items())
        return {
            "engine": self.engine,
            "num_products": self.num_products,
            "num_given": self.num_given,
            "num_pictures": readable + self.unreadable.total(),
            "num_pictures_with_tokens": readable - self.num_words[0],
            "num_tokens": tokens,
            "tokens_per_picture_mean": round(tokens / readable, 4) if readable else 0.0,
            "tokens_per_picture_median": float(median(self.num_words.elements())) if readable else 0.0,
            "unreadable": {fault.value: self.unreadable[fault.value] for fault in Fault},
        }


def read_shards(source_dir: Path, target_dir: Path, params: OcrParams, cache_dir: Path) -> OcrCounts:
    """Copy the shards of `source_dir` into `target_dir`, which is replaced as a whole, with the words of pictures.

    Relative paths of pictures are taken from the folder that holds `source_dir`. What an engine reads is kept below
    `cache_dir`. Shards and their row groups stay as they were; memory is that of a row group (`ingest` writes 2,000
    products). Raises `PlatformError` for an engine that is not installed.
    """
    if params.engine is None:
        return OcrCounts(None, pass_on(source_dir, target_dir))
    with replace_folder(target_dir) as folder:
        cache_dir = cache_dir.absolute()  # the same for a process of another folder
        _reader(params, cache_dir)  # what is not installed is told before any process is started
        counts = OcrCounts(params.engine)
        root = source_dir.absolute().parent
        with caller(params.workers) as run:
            rewrite(source_dir, folder, lambda table: _with_words(table, root, params, cache_dir, run, counts))
    return counts


def _with_words(
    table: pa.Table, root: Path, params: OcrParams, cache_dir: Path, run: Call[_Reading], counts: OcrCounts
) -> pa.Table:
    """The products with their words; `root` is where relative paths of pictures begin."""
    limit = 1 if params.images == "first" else None
    given = table.column("ocr").to_pylist()
    pictures = [
        [] if words else [str(picture_path(root, image, product_id)) for image in images[:limit]]
        for product_id, images, words in zip(
            table.column("product_id").to_pylist(), table.column("images").to_pylist(), given, strict=True
        )
    ]
    distinct = {path for paths in pictures for path in paths}
    readings = look_at_all(distinct, _reader(params, cache_dir).known, partial(_read, params, cache_dir), run)
    for words, paths in zip(given, pictures, strict=True):
        counts.num_products += 1
        counts.num_given += bool(words)
        for path in paths:
            reading = readings[path]
            if isinstance(reading, Fault):
                counts.unreadable[reading.value] += 1
                continue
            sure = [asdict(token) for token in sure_words(reading, params.min_confidence)]
            counts.num_words[len(sure)] += 1
            words += sure
    column = PRODUCT_SCHEMA.field(_OCR)
    return table.set_column(_OCR, column, pa.array(given, column.type))


def _read(params: OcrParams, cache_dir: Path, path: str) -> _Reading:
    data = picture_bytes(path)
    return data if isinstance(data, Fault) else _reader(params, cache_dir).read(data)


@lru_cache(maxsize=1)
def _reader(params: OcrParams, cache_dir: Path) -> CachedReader:
    """One for each process, since models take a second to load."""
    assert params.engine is not None
    return CachedReader(ENGINES[params.engine](), params.longest_side, cache_dir)
