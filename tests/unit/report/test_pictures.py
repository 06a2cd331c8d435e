"""Pictures in a page: made small, upright, in RGB, and harmless; what cannot be shown is said in words."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facetmill.report.pictures import MAX_SIDE, Thumbnail, thumbnail


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def opened(made: Thumbnail | str) -> Image.Image:
    assert isinstance(made, Thumbnail), made
    image = Image.open(io.BytesIO(base64.b64decode(made.uri.removeprefix("data:image/jpeg;base64,"))))
    assert image.size == (made.width, made.height)
    assert image.mode == "RGB"
    return image


def near(color: Any, wanted: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 16 for one, other in zip(color, wanted, strict=True))


def test_a_large_picture_is_made_small(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (2000, 500), (10, 200, 10)))
    assert opened(thumbnail(path)).size == (MAX_SIDE, MAX_SIDE // 4)


def test_print_colours_transparency_and_palettes_become_rgb_on_white(tmp_path: Path) -> None:
    cmyk = save(tmp_path / "a.jpg", Image.new("CMYK", (40, 40), (255, 0, 0, 0)))
    assert near(opened(thumbnail(cmyk)).getpixel((20, 20)), (0, 255, 255))
    clear = save(tmp_path / "b.png", Image.new("RGBA", (40, 40), (0, 0, 0, 0)))
    assert near(opened(thumbnail(clear)).getpixel((20, 20)), (255, 255, 255))
    gif = save(tmp_path / "c.gif", Image.new("P", (40, 40), 0))
    opened(thumbnail(gif))


def test_a_turned_picture_stands_upright_and_its_own_data_is_gone(tmp_path: Path) -> None:
    image = Image.new("RGB", (80, 40), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: what was left is now on top
    exif[0x010E] = "secret place"
    made = thumbnail(save(tmp_path / "a.jpg", image, exif=exif))
    upright = opened(made)
    assert upright.size == (40, 80)
    assert near(upright.getpixel((20, 10)), (0, 0, 255))
    assert isinstance(made, Thumbnail)
    assert b"secret" not in base64.b64decode(made.uri.split(",")[1])


def test_what_cannot_be_shown_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert thumbnail(tmp_path / "none.jpg") == "The picture file is missing"
    assert thumbnail(tmp_path / "\0") == "The picture file is missing"
    assert thumbnail(tmp_path) == "The picture cannot be read"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    assert thumbnail(broken) == "The picture cannot be read"
    whole = save(tmp_path / "whole.png", Image.effect_noise((100, 100), 50))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:2000])
    assert thumbnail(cut) == "The picture cannot be read"
    bomb = save(tmp_path / "bomb.png", Image.new("1", (8000, 8000)))
    assert bomb.stat().st_size < 100_000
    assert thumbnail(bomb) == "The picture is too large to open"
