"""Atheris on the readers: inputs that reach new code are kept and changed further, for as long as one likes.

By hand, not in CI: `python -m pip install atheris`, which Facetmill itself does not need, and then for five minutes

    python -m tests.fuzz.coverage_guided csv -max_total_time=300

with one of the TARGETS below. It ends at the first exception that is no declared error, with the input in a file
`crash-*`; `python -m tests.fuzz.coverage_guided csv crash-...` runs it again.

An hour with atheris 3.0.0, five minutes for each of twelve targets beside other work, found one thing: a request whose
title holds half a character (a lone surrogate, which JSON can write) reached the tokenizer; it is refused now. Inputs
that broke no promise: 187,121 of csv, 101,119 of jsonl, 140,798 of parquet, 260,544 of mae, 84,409 of mepave, 79,239 of
implicitave, 79,803 of extractgpt, 74,870 of wdc-pave, 77,928 pictures, 47,955 values to find, 10,163 tagged texts and
311,883 requests.

Earlier, five minutes had found that pyarrow ends the process (SIGABRT) where it is asked for a column
chunk whose size statistics are damaged, so `parquet_pages.py` reads the footer itself.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["facetmill"]):
    from facetmill.encoders.grounding import ground
    from facetmill.encoders.pictures import decode_picture, is_whole
    from facetmill.encoders.tokens import VocabularyTokenizer
    from facetmill.encoders.windows import read as read_tokens
    from facetmill.errors import DataError
    from facetmill.models.parts.tagging import decode, num_tags
    from facetmill.records import Product, from_batch, to_batch
    from facetmill.serving.request import to_products
    from facetmill.sources import SOURCES
    from facetmill.sources.base import BadRow, SourceOptions
    from facetmill.sources.plain import PlainProducts

FOLDER = Path(tempfile.mkdtemp(prefix="facetmill-fuzz-"))


def reader(key: str, name: str) -> Callable[[bytes], None]:
    """The file `name` with these bytes; what is read must be what can be stored and read again."""
    path = FOLDER / name

    def read(data: bytes) -> None:
        path.write_bytes(data)
        products: list[Product] = []
        try:
            for row in SOURCES[key].read(path, SourceOptions(demo=None)):  # type: ignore[arg-type]
                if isinstance(row, BadRow):
                    str(row).encode()
                else:
                    products += row.products() if isinstance(row, PlainProducts) else [row]
        except DataError as error:
            str(error).encode(errors="surrogateescape")
        assert from_batch(to_batch(products)) == products

    return read


def picture(data: bytes) -> None:
    is_whole(data)
    decode_picture(data, 16)


def matcher(data: bytes) -> None:
    """Every place that a value is found at is a place of the text."""
    value, _, title = data.decode(errors="replace").partition("|")
    product = Product("p", "fuzz", title or " ")
    for span in ground(product, value):
        assert 0 <= span.start < span.end <= len(product.title)


def decoder(data: bytes) -> None:
    """Whatever tags a model gives its tokens, each facet is spelled as it stands where it points to."""
    title, _, tags = data.partition(b"\0")
    product = Product("p", "fuzz", title.decode(errors="replace") or " ")
    tokenizer = VocabularyTokenizer.fit("words" if len(tags) % 2 else "characters", [product.title], min_count=1)
    [reading] = read_tokens([product], tokenizer)
    given = [(tags[place % len(tags)] if tags else 0) % num_tags(3) for place in range(len(reading.tokens))]
    for facet in decode(product, reading.tokens, given, [0.5] * len(given), "abc"):
        assert facet.value == product.surface(facet.spans[0])
        assert all(0 <= span.start < span.end <= len(product.title) for span in facet.spans)


def record(data: bytes) -> None:
    """A request of the served model, JSON that anyone may send: a product that can be stored, or a declared error."""
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        # MLflow holds a request against the signature first, so what it requires is there.
        required = {"product_id": "p", "title": "t", "text": ""}
        products = to_products([required | (row if isinstance(row, dict) else {"ocr": row})])
    except DataError as error:
        str(error).encode(errors="surrogateescape")
    else:
        assert from_batch(to_batch(products)) == products


TARGETS: dict[str, Callable[[bytes], None]] = {
    "csv": reader("products", "c.csv"),
    "jsonl": reader("products", "c.jsonl"),
    "parquet": reader("products", "c.parquet"),
    "mae": reader("mae", "c.json"),
    "mepave": reader("mepave", "c.train"),
    "implicitave": reader("implicitave", "c.tsv"),
    "extractgpt": reader("extractgpt", "c.jsonl"),
    "wdc-pave": reader("wdc-pave", "c.jsonl"),
    "picture": picture,
    "matcher": matcher,
    "decoder": decoder,
    "record": record,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"one of {', '.join(TARGETS)}, then options of libFuzzer and folders of examples")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
