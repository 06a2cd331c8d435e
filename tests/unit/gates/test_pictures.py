"""Which pictures look the same: copies do, products in another colour do not, and none that does is missed."""

from __future__ import annotations

import sqlite3
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from facetmill.errors import PlatformError
from facetmill.gates import pictures
from facetmill.gates.pictures import LOOK, MAX_BITS, MAX_SHADES, LookCache, Looks, look_of, same_look


def shirt(colour: str = "firebrick", size: int = 300, left: int = 80) -> Image.Image:
    image = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.polygon([(left, 60), (left + 140, 60), (left + 190, 140), (left + 110, 270), (left, 250)], fill=colour)
    draw.ellipse((left + 40, 30, left + 90, 90), fill="wheat")
    return image.resize((size, size))


def encoded(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def looks(*images: bytes) -> Looks:
    found = [look_of(image) for image in images]
    return np.frombuffer(b"".join(look for look in found if look), LOOK)


@pytest.mark.parametrize(
    "copy",
    [
        encoded(shirt(), "JPEG", quality=40),
        encoded(shirt(size=90), "JPEG"),
        encoded(shirt(size=700), "WEBP"),
        encoded(shirt().convert("RGBA")),
        encoded(shirt().convert("P", palette=Image.Palette.ADAPTIVE)),
    ],
    ids=["poor JPEG", "small", "large WebP", "with transparency", "few colours"],
)
def test_a_copy_looks_the_same(copy: bytes) -> None:
    assert same_look(looks(encoded(shirt())), looks(copy)).tolist() == [0]


@pytest.mark.parametrize(
    "other",
    [shirt("royalblue"), shirt(left=20), shirt().transpose(Image.Transpose.FLIP_TOP_BOTTOM), Image.new("RGB", (9, 9))],
    ids=["in blue", "moved", "upside down", "nothing"],
)
def test_another_picture_does_not(other: Image.Image) -> None:
    assert same_look(looks(encoded(shirt())), looks(encoded(other))).tolist() == [-1]


def test_the_bits_of_a_picture_that_grows_lighter_to_the_right() -> None:
    ramp = np.tile(np.linspace(0, 255, 72).astype(np.uint8), (72, 1))
    [look] = looks(encoded(Image.fromarray(ramp).convert("RGB")))
    assert np.bitwise_count(look["bands"]).sum() == 64  # every one along a row, none along a column
    left, right = round(float(ramp[0, :36].mean())), round(float(ramp[0, 36:].mean()))
    top = [left, right]  # of each colour the quarters, left to right, top to bottom
    assert look["colours"].tolist() == [*top, *top] * 3


def test_nothing_that_looks_the_same_is_missed() -> None:
    """Beside every pair compared: looks that differ in 0 to 6 bits, wherever these stand."""
    draw = np.random.default_rng(0)
    known = np.zeros(200, LOOK)
    known["bands"] = draw.integers(0, 2**32, (200, 4), np.uint32)
    asked = np.repeat(known, 5)
    for at in range(len(asked)):
        for bit in draw.choice(128, draw.integers(0, 7), replace=False).tolist():
            asked["bands"][at, bit // 32] ^= np.uint32(1 << (bit % 32))
    asked["colours"] = draw.integers(0, MAX_SHADES + 2, asked["colours"].shape, np.uint8)
    bits = np.bitwise_count(known["bands"][None] ^ asked["bands"][:, None]).sum(axis=2)
    same = (bits <= MAX_BITS) & (asked["colours"].max(axis=1) <= MAX_SHADES)[:, None]
    found = same_look(known, asked)
    assert 100 < (found >= 0).sum() < 900
    assert (found >= 0).tolist() == same.any(axis=1).tolist()
    assert same[np.flatnonzero(found >= 0), found[found >= 0]].all()


def test_with_nothing_known_or_asked_nothing_is_found() -> None:
    assert same_look(np.zeros(0, LOOK), np.zeros(2, LOOK)).tolist() == [-1, -1]
    assert same_look(np.zeros(2, LOOK), np.zeros(0, LOOK)).tolist() == []


@pytest.mark.parametrize(
    "content", [None, b"", b"text", encoded(shirt())[:200]], ids=["missing", "empty", "text", "cut"]
)
def test_what_is_no_picture_has_no_look(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    assert LookCache(None).look(tmp_path / "x.png") is None


def test_a_picture_is_looked_at_once_under_whatever_name(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "looks.db"
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(shirt()))
    first = LookCache(path)
    assert first.look(tmp_path / "a.png") == first.look(tmp_path / "b.png") == look_of(encoded(shirt()))
    first.keep()
    with sqlite3.connect(path) as database:
        [(table,)] = database.execute("SELECT name FROM sqlite_master")
        assert database.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (1,)
        database.execute(f'UPDATE "{table}" SET look = ?', (b"x" * 28,))
    assert LookCache(path).look(tmp_path / "b.png") == b"x" * 28, "taken from the file"
    with sqlite3.connect(path) as database:
        database.execute(f'UPDATE "{table}" SET look = ?', (b"short",))
    assert LookCache(path).look(tmp_path / "b.png") == look_of(encoded(shirt())), "damaged, so worked out anew"


def test_several_processes_may_keep_looks_in_one_file(tmp_path: Path) -> None:
    """None of them holds the file while it looks: the others would wait for it, and give up after a minute."""
    path = tmp_path / "looks.db"
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        (tmp_path / name).write_bytes(encoded(shirt(colour)))
    with LookCache(path) as first, LookCache(path) as second:
        for name in ("a.png", "b.png"):
            assert first.look(tmp_path / name) == second.look(tmp_path / name)
        second.keep()
        (tmp_path / "a.png").write_bytes(encoded(shirt("green")))
        assert first.look(tmp_path / "a.png")
    with sqlite3.connect(path) as database:
        [(table,)] = database.execute("SELECT name FROM sqlite_master")
        assert database.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (3,)


def test_looks_are_kept_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a process that is killed loses some seconds of work."""
    monkeypatch.setattr(pictures, "_MOST_NEW", 2)
    cache = LookCache(tmp_path / "looks.db")
    for number, colour in enumerate(("red", "blue", "green")):
        (tmp_path / "a.png").write_bytes(encoded(shirt(colour)))
        assert cache.look(tmp_path / "a.png")
        with sqlite3.connect(tmp_path / "looks.db") as database:
            [(table,)] = database.execute("SELECT name FROM sqlite_master")
            [(kept,)] = database.execute(f'SELECT count(*) FROM "{table}"')
        assert kept == (0, 2, 2)[number]


def test_a_cache_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "looks.db").write_text("not a database, and long enough that nobody takes it for an empty one" * 20)
    with pytest.raises(PlatformError, match=r"looks\.db: the looks of pictures cannot be kept there"):
        LookCache(tmp_path / "looks.db")
