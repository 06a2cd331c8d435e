"""Files that somebody, or chance, has changed: a reader yields products that can be stored and bad rows that can be
told, or refuses the file; and a picture is pixels or broken."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facetmill.encoders.pictures import IMAGE_FORMATS, Fault, decode_picture, is_whole
from facetmill.errors import DataError
from facetmill.records import Product, from_batch, to_batch
from facetmill.sources import SOURCES
from facetmill.sources.base import BadRow
from tests.contract.test_sources import CASES, read_all
from tests.fuzzing import examples

#: What readers look for, and what has broken readers before.
TOKENS = [
    *(b'"', b"\\", b",", b";", b"\t", b"\n", b"\r\n", b"\n\n", b"{", b"}", b"[", b"]", b":", b"<", b">", b"</", b"|"),
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"null", b"NaN", b"n/a", b"1e400", b"../"),
    *(b"9" * 30, b"[" * 2000, b'{"a":' * 200, b'"id":1,"id":2,', b'"' * 3, b"\\ud800", b"a" * 200_000),
]
#: One change: where, how much goes, what comes.
CHANGE = st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(TOKENS) | st.binary(max_size=4))
CHANGES = st.lists(CHANGE, min_size=1, max_size=4)


def changed(whole: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for place, gone, new in changes:
        at = int(place * len(whole))
        whole = whole[:at] + new + whole[at + gone :]
    return whole


def require_told(key: str, path: Path) -> None:
    """What a reader says can be written, as products or into a report."""
    try:
        rows = read_all(key, path)
    except DataError as error:
        told = str(error)
        assert path.name in told
        return
    products = [row for row in rows if isinstance(row, Product)]
    assert from_batch(to_batch(products)) == products
    for row in rows:
        if isinstance(row, BadRow):
            assert path.name in row.file
            assert str(row).encode()


@pytest.mark.parametrize("key", [key for key in SOURCES if key != "demo"])
def test_a_changed_file_is_read_or_told(key: str, tmp_path: Path) -> None:
    written = CASES[key].write(tmp_path)
    path = (
        written if written.is_file() else max(file for file in written.rglob("*") if file.suffix in (".json", ".tsv"))
    )
    whole = path.read_bytes()

    @examples(60)
    @given(CHANGES)
    def tried(changes: list[tuple[float, int, bytes]]) -> None:
        path.write_bytes(changed(whole, changes))
        require_told(key, path)

    tried()


@examples(60)
@given(changes=CHANGES, compressed=st.booleans())
def test_a_changed_parquet_file_is_read_or_told(
    changes: list[tuple[float, int, bytes]], compressed: bool, tmp_path: Path
) -> None:
    path, written = tmp_path / "c.parquet", BytesIO()
    table = pa.table({"id": range(30), "title": ["Hat", None, "帽"] * 10, "Color": [["red", "blue"], [], None] * 10})
    pq.write_table(table, written, compression="zstd" if compressed else "none")
    path.write_bytes(changed(written.getvalue(), changes))
    require_told("products", path)


@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_a_changed_picture_is_pixels_or_broken(kind: str) -> None:
    written = BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(written, kind)

    @examples(60)
    @given(CHANGES)
    def tried(changes: list[tuple[float, int, bytes]]) -> None:
        data = changed(written.getvalue(), changes)
        pixels = decode_picture(data, 16)
        assert pixels is Fault.BROKEN or (isinstance(pixels, np.ndarray) and pixels.shape == (3, 16, 16))
        assert is_whole(data) <= (pixels is not Fault.BROKEN), "what ingest keeps can be used"

    tried()
