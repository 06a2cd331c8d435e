"""Files of some kilobytes, or of some megabytes, that ask for gigabytes or for hours; each is drawn anew."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

MIB = 2**20


def _write_parquet(path: Path, table: pa.Table, **options: object) -> None:
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**30, data_page_size=2**30, **options)


def dictionary(path: Path) -> None:
    """Every title is the one entry of a dictionary, which has four megabytes: 16 GiB."""
    titles = pa.DictionaryArray.from_arrays(pa.array([0] * 4096, pa.int8()), pa.array(["x" * 4 * MIB]))
    _write_parquet(path, pa.table({"id": range(4096), "title": titles}))


def page(path: Path) -> None:
    """One title of 200 MiB."""
    title = pa.table({"id": [1], "title": ["x" * 200 * MIB]})
    _write_parquet(path, title, use_dictionary=False, write_statistics=False)


def same_again(path: Path) -> None:
    """Each title repeats the whole of the one before it, which takes no byte: 1 GiB of a megabyte."""
    schema = pa.schema([("id", pa.int64()), ("title", pa.string())])
    one = pa.array(["x" * MIB])
    encodings = {"title": "DELTA_BYTE_ARRAY", "id": "PLAIN"}
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=False,
        column_encoding=encodings,
        data_page_size=2**30,
        write_statistics=False,
    ) as writer:
        for number in range(1024):
            writer.write_batch(pa.record_batch([pa.array([number]), one], schema=schema))


def long_list(path: Path) -> None:
    """One product with eight million pictures, all of the one name, which has a kilobyte: 8 GiB."""
    names = pa.DictionaryArray.from_arrays(pa.array(bytes(8_000_000), pa.int8()), pa.array(["x" * 1024]))
    images = pa.ListArray.from_arrays(pa.array([0, 8_000_000], pa.int32()), names)
    _write_parquet(path, pa.table({"id": [1], "title": ["Hat"], "images": images}))


def many_rows(path: Path) -> None:
    """A hundred million rows in which nothing stands."""
    rows = pa.nulls(100_000_000)
    _write_parquet(path, pa.table({"id": rows, "title": rows}), row_group_size=100_000_000)


def wide(path: Path) -> None:
    """A header of fifty thousand columns, and a row for it."""
    names = ["id", "title", *(f"Attribute {number}" for number in range(49_998))]
    path.write_text("\n".join([",".join(names), ",".join(["1", "Hat", *["x"] * 49_998])]) + "\n")


def many_cells(path: Path) -> None:
    """A row of seven million cells."""
    path.write_bytes(b"id,title\n1,Hat\n" + b"," * 7_000_000 + b"\n2,Cap\n")


def endless_row(path: Path) -> None:
    """A row that each line goes on with: a hundred and sixty thousand cells that hold a line end."""
    path.write_bytes(b"id,title\n" + b'"a\n' + b'","a\n' * 160_000)


def lists(path: Path) -> None:
    """A line of JSON that takes twenty times its size in memory."""
    path.write_bytes(b'{"id": 1, "title": "Hat", "x": [' + b"[]," * 20_000_000 + b'[]]}\n{"id": 2, "title": "Cap"}\n')


def deep(path: Path) -> None:
    """Lists in lists: some that a parser still takes, and more than any stack holds."""
    for_orjson, for_none = b"[" * 900 + b"]" * 900, b"[" * 1_000_000 + b"]" * 1_000_000
    rows = (b'{"id": 1, "title": "Hat", "x": %s}\n' % nested for nested in (for_orjson, for_none))
    path.write_bytes(b"".join(rows) + b'{"id": 2, "title": "Cap"}\n')


def array_of_lists(path: Path) -> None:
    """An element of a JSON array that takes twenty times its size in memory, and never ends."""
    path.write_bytes(b'[{"diffbotUri": "1", "clean_title": "Hat", "specs": {"x": [' + b"[]," * 3_000_000)


#: What reads each, as `format` and the ending of its file.
TABLES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "dictionary": ("products", ".parquet", dictionary),
    "page": ("products", ".parquet", page),
    "same_again": ("products", ".parquet", same_again),
    "long_list": ("products", ".parquet", long_list),
    "many_rows": ("products", ".parquet", many_rows),
    "wide": ("products", ".csv", wide),
    "many_cells": ("products", ".csv", many_cells),
    "endless_row": ("products", ".csv", endless_row),
    "lists": ("products", ".jsonl", lists),
    "deep": ("products", ".jsonl", deep),
    "array_of_lists": ("mae", ".json", array_of_lists),
}


# --- pictures ---------------------------------------------------------------------------------------------------------


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    written = BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def huge_chunk(path: Path) -> None:
    """A PNG with a chunk of almost two gigabytes, which is a hole in the file."""
    start = _encoded(Image.new("RGB", (8, 8)), "PNG")[:33]  # the signature and the header
    with path.open("wb") as stream:
        stream.write(start + struct.pack(">I", 2**31 - 100) + b"junK")
        stream.seek(2**31, os.SEEK_CUR)
        stream.write(b"end")


def texts(path: Path) -> None:
    """A PNG with two hundred megabytes of zeros as compressed text, in two hundred kilobytes."""
    whole = _encoded(Image.new("RGB", (8, 8)), "PNG")
    text = _png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MIB - 1), 9))
    path.write_bytes(whole[:33] + text * 200 + whole[33:])


def profiles(path: Path) -> None:
    """A PNG with two hundred colour profiles of a megabyte each."""
    whole = _encoded(Image.new("RGB", (8, 8)), "PNG")
    profile = _png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(MIB - 1), 9))
    path.write_bytes(whole[:33] + profile * 200 + whole[33:])


def scans(path: Path) -> None:
    """A progressive JPEG of 16 megapixels whose last scan, of some hundred bytes, stands there four thousand times."""
    whole = _encoded(Image.new("L", (4096, 4096), 128), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    path.write_bytes(whole[:last] + whole[last:-2] * 4000 + whole[-2:])


def canvas(path: Path) -> None:
    """A WebP of 169 megapixels, of which its one frame fills sixty-four."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def number(value: int) -> bytes:
        return struct.pack("<I", value)[:3]

    frame = _encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    canvas = b"\2\0\0\0" + 2 * number(12_999)  # animated; sides less one
    place = 2 * number(0) + 2 * number(7) + number(100) + b"\0"
    chunks = chunk(b"VP8X", canvas) + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", place + frame)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks)


PICTURES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "huge_chunk": (".png", huge_chunk),
    "texts": (".png", texts),
    "profiles": (".png", profiles),
    "scans": (".jpg", scans),
    "canvas": (".webp", canvas),
}
