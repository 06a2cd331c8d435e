"""A product's picture as part of a page: decoded, made small and written anew, so that nothing of the file stays.

Picture files are hostile. Whatever is wrong with one, the page says so in words and goes on.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from facetmill.encoders.pictures import UNDECODABLE, Fault, opened_picture, picture_bytes

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
    data = picture_bytes(str(path))
    if isinstance(data, Fault):
        return "The picture file is missing" if data is Fault.MISSING else "The picture cannot be read"
    try:
        with opened_picture(data) as opened:
            opened.draft("RGB", (MAX_SIDE, MAX_SIDE))  # JPEG only: decode no more than is needed
            opened.thumbnail((MAX_SIDE, MAX_SIDE))
            flat = _on_white(ImageOps.exif_transpose(opened))
    except Image.DecompressionBombError:
        return "The picture is too large to open"
    except UNDECODABLE:
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
