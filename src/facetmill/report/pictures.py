"""A product's picture as part of a page: decoded, made small and written anew, so that nothing of the file stays.

Picture files are hostile. Whatever is wrong with one, the page says so in words and goes on.
"""

from __future__ import annotations

import base64
import io
import stat
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from facetmill.encoders.pictures import IMAGE_FORMATS, MAX_PIXELS

MAX_SIDE = 320  # pixels; shown at half of that, so sharp on a fine screen
_QUALITY = 78


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A JPEG as a data URI, `width` by `height` pixels."""

    uri: str
    width: int
    height: int


def thumbnail(path: Path) -> Thumbnail | str:
    """The picture, upright, in RGB on white, no side above `MAX_SIDE`; or, in words, why there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return "The picture cannot be read"
    except (OSError, ValueError):
        return "The picture file is missing"
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return "The picture is too large to open"
            opened.draft("RGB", (MAX_SIDE, MAX_SIDE))  # JPEG only: decode no more than is needed
            opened.thumbnail((MAX_SIDE, MAX_SIDE))
            flat = _on_white(ImageOps.exif_transpose(opened))
    except Exception:  # decoders raise nearly anything on damaged files, and no picture is worth the page
        return "The picture cannot be read"
    written = io.BytesIO()
    flat.save(written, "JPEG", quality=_QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()
    return Thumbnail(uri, flat.width, flat.height)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    above = image.convert("RGBA")
    ground = Image.new("RGBA", above.size, "white")
    ground.alpha_composite(above)
    return ground.convert("RGB")
