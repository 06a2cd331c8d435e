"""Pictures from hostile files: what a viewer shows becomes pixels, everything else a fault."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facetmill.encoders import pictures
from facetmill.encoders.pictures import Fault, data_uri, decode_picture, decode_unstretched, picture_bytes

RED, BLUE = (220, 20, 20), (20, 20, 220)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def halves(mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right; wider than high."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image.convert(mode)


def corners(data: bytes) -> list[tuple[int, int, int]]:
    """The colours of the top left, top right and bottom left pixels."""
    pixels = decode_picture(data, 16)
    assert not isinstance(pixels, Fault)
    assert pixels.shape == (3, 16, 16)
    assert pixels.dtype == np.uint8
    return [tuple(int(v) for v in pixels[:, row, column]) for row, column in ((0, 0), (0, -1), (-1, 0))]  # type: ignore[misc]


def near(found: list[tuple[int, int, int]], expected: list[tuple[int, int, int]], within: int = 45) -> bool:
    return all(abs(a - b) <= within for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("RGB", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("RGB", "WEBP"), ("RGB", "BMP")],
)
def test_every_colour_mode_shows_its_colours(mode: str, kind: str) -> None:
    assert near(corners(encoded(halves(mode), kind)), [RED, BLUE, RED])


def test_grey_pictures_keep_their_shades() -> None:
    assert corners(encoded(Image.new("L", (9, 9), 77))) == [(77, 77, 77)] * 3
    assert corners(encoded(Image.new("1", (9, 9), 1))) == [(255, 255, 255)] * 3
    sixteen_bits = Image.fromarray(np.full((9, 9), 77 * 256, dtype=np.uint16))
    assert corners(encoded(sixteen_bits)) == [(77, 77, 77)] * 3


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    clear.paste((*RED, 255), (0, 0, 8, 16))
    assert corners(encoded(clear)) == [RED, (255, 255, 255), RED]
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([*RED, *BLUE])
    assert corners(encoded(palette, transparency=1)) == [(255, 255, 255)] * 3
    assert corners(encoded(Image.new("LA", (9, 9), (0, 0)))) == [(255, 255, 255)] * 3


def test_a_photo_is_turned_as_its_exif_says_and_damaged_exif_hurts_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    turned = encoded(halves(), "JPEG", exif=exif.tobytes(), quality=95)
    assert near(corners(turned), [RED, RED, BLUE])
    broken = exif.tobytes()[:-7] + b"\xff" * 7
    assert len(corners(encoded(halves(), "JPEG", exif=broken))) == 3


@pytest.mark.parametrize(
    ("size", "longest_side", "enlargement", "expected"),
    [
        ((400, 200), 100, 1.0, (50, 100)),
        ((200, 400), 100, 1.0, (100, 50)),
        ((40, 20), 100, 1.0, (20, 40)),
        ((40, 20), 100, 2.0, (40, 80)),
        ((60, 20), 100, 2.0, (33, 100)),
        ((3000, 1), 100, 1.0, (1, 100)),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_sides_in_proportion_and_none_too_long(
    size: tuple[int, int], longest_side: int, enlargement: float, expected: tuple[int, int], kind: str
) -> None:
    data = encoded(halves().resize(size), kind)
    pixels = decode_unstretched(data, longest_side, max_enlargement=enlargement)
    assert not isinstance(pixels, Fault)
    assert pixels.shape == (*expected, 3)


def test_a_turned_photo_has_its_sides_as_they_are_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode_unstretched(encoded(halves().resize((400, 200)), "JPEG", exif=exif.tobytes(), quality=95), 100)
    assert not isinstance(pixels, Fault)
    assert pixels.shape == (100, 50, 3)
    assert near([tuple(pixels[5, 25]), tuple(pixels[-5, 25])], [RED, BLUE])
    assert decode_unstretched(bomb(), 100) is Fault.BROKEN


def test_an_animation_is_its_first_frame() -> None:
    first, second = Image.new("RGB", (9, 9), RED), Image.new("RGB", (9, 9), BLUE)
    data = encoded(first, "GIF", save_all=True, append_images=[second])
    assert near(corners(data), [RED] * 3)


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 60000 pixels square."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_sound_picture_is_broken() -> None:
    whole = encoded(halves(), "JPEG")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    for data in (b"", b"no picture", whole[: len(whole) // 2], whole[:30], bomb(), postscript, svg):
        assert decode_picture(data, 16) is Fault.BROKEN
    large = encoded(Image.new("1", (8000, 7000)))
    assert decode_picture(large, 16) is Fault.BROKEN, "56 megapixels in a few kilobytes"


def test_a_path_and_a_data_uri_are_the_same_picture(tmp_path: Path) -> None:
    data = encoded(halves())
    (tmp_path / "a.png").write_bytes(data)
    assert picture_bytes(str(tmp_path / "a.png")) == data
    assert picture_bytes(data_uri(data)) == data


def test_missing_and_broken_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert picture_bytes(str(tmp_path / "none.png")) is Fault.MISSING
    assert picture_bytes("a\0b") is Fault.MISSING
    assert picture_bytes("x" * 5000) is Fault.MISSING
    assert picture_bytes(str(tmp_path)) is Fault.BROKEN
    assert picture_bytes(str(tmp_path / "pipe")) is Fault.BROKEN
    for uri in ("data:", "data:image/png,abc", "data:image/png;base64,%%%"):
        assert picture_bytes(uri) is Fault.BROKEN
    (tmp_path / "huge.png").write_bytes(bytes(101))
    monkeypatch.setattr(pictures, "MAX_BYTES", 100)
    assert picture_bytes(str(tmp_path / "huge.png")) is Fault.BROKEN
