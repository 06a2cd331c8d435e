"""Pictures as pixels. Whatever is in a file or a request is taken for hostile until Pillow has read it to its end."""

from __future__ import annotations

import base64
import binascii
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facetmill.errors import DataError

#: A picture with more pixels is taken for a decompression bomb; 50 megapixels is beyond what shops publish.
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20  # of a file; nothing above is read
MAX_REPEATS = 100  # of what takes as long as a picture each time: a JPEG has some ten scans, a PNG one colour profile

#: Only what shops publish and Pillow reads by itself: other formats start other programs (EPS) or are seldom exercised.
IMAGE_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")

#: What else is called a picture, by a pattern of its first bytes.
_OTHER_FORMATS = {
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "HEIC": rb"....ftyp(?:hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP|\xff\x4f\xff\x51",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "Photoshop": rb"8BPS",
    "icon": rb"\0\0\x01\0",
    "HTML page": rb"\s*(?:<!DOCTYPE html|<html)",
    "SVG": rb"\s*(?:<svg|<[?!](?>.*?<svg))[\s>]",
}
_START = 4096  # bytes that a format is told by

#: What Pillow's readers are known to raise on damaged files; none of it is a bug of ours.
UNDECODABLE = (
    OSError,
    RuntimeError,  # of AVIF
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    OverflowError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)

_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
#: Parts of a PNG that no pixel depends on.
_PNG_ASIDE = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf", b"pHYs")

_REPEATED = {b"\xff\xd8": b"\xff\xda", b"\x89P": b"iCCP"}  # by how a file begins
DATA_URI = "data:"  # data:image/png;base64,... is the picture itself
_WHITE = (255, 255, 255, 255)


class Unread(StrEnum):
    """Why bytes are no picture to us: a format that is not read, more than is read, or damage."""

    FORMAT = "format"
    TOO_LARGE = "too_large"
    BROKEN = "broken"


class Fault(StrEnum):
    """Why there are no pixels. Both mean that a model has no picture; they are counted apart."""

    MISSING = "missing"
    BROKEN = "broken"


def picture_path(root: Path, image: str, product_id: str) -> Path:
    """Where a product's picture lies, a relative path taken from `root`. Raises `DataError` for one that leaves it."""
    path = root / image
    if not Path(image).is_absolute() and not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"product {product_id}: image {image!r} leaves {root}")
    return path


def picture_bytes(image: str) -> bytes | Fault:
    """The bytes behind the path or data URI of a picture, undecoded. Only plain files of at most 64 MiB are read."""
    if image.startswith(DATA_URI):
        head, _, body = image.partition(",")
        try:
            return base64.b64decode(body, validate=True) if head.endswith(";base64") else Fault.BROKEN
        except (binascii.Error, ValueError):
            return Fault.BROKEN
    path = Path(image)
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return Fault.BROKEN if path.exists() else Fault.MISSING
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                return Fault.BROKEN
            data = stream.read()
    except (OSError, ValueError):  # no right to read it, or a NUL in its name
        return Fault.MISSING
    return data


def data_uri(data: bytes) -> str:
    """A picture's bytes as text, which may stand wherever the path of a picture may."""
    return f"{DATA_URI}application/octet-stream;base64,{base64.b64encode(data).decode('ascii')}"


@contextmanager
def opened_picture(data: bytes) -> Iterator[Image.Image]:
    """A picture of which nothing is decoded yet. Raises `DecompressionBombError` for one that is too large to be, and
    whatever else is `UNDECODABLE`.

    What no pixel depends on may be damaged: the end mark of a JPEG may lack, and parts of a PNG such as its texts may
    have a wrong checksum.
    """
    if (repeated := _REPEATED.get(data[:2])) and data.count(repeated) > MAX_REPEATS:
        raise Image.DecompressionBombError(f"more than {MAX_REPEATS} scans or colour profiles")
    if data.startswith(_PNG):
        data = _without_broken_texts(data)
    elif data.startswith(_JPEG) and not data[-64:].rstrip(b"\0\r\n").endswith(_JPEG_END):
        data = _ended(data)
    with Image.open(BytesIO(data), formats=IMAGE_FORMATS) as image:
        _require_few_pixels(image)
        yield image


def _require_few_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"more than {MAX_PIXELS:,} pixels")


def _without_broken_texts(data: bytes) -> bytes:
    """A PNG without the parts of `_PNG_ASIDE` whose checksum is wrong."""
    kept, begin, at = [], 0, len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind in _PNG_ASIDE and zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            kept.append(data[begin:at])
            begin = end
        at = end
    return b"".join([*kept, data[begin:]]) if kept else data


def _ended(data: bytes) -> bytes:
    """A JPEG with the end mark that it lacks, if that is all.

    Where more is lost, what a decoder makes of the rest depends on the bytes that stand there.
    """
    with suppress(*UNDECODABLE):
        _jpeg_pixels(data)
        return data  # something follows the end
    lacking = data.removesuffix(_JPEG_END[:1])
    with suppress(*UNDECODABLE):
        ended = lacking + _JPEG_END
        pixels = _jpeg_pixels(ended)
        if all(_jpeg_pixels(lacking + bytes([other]) * 16 + _JPEG_END) == pixels for other in (0x55, 0xAA, 0x7E)):
            return ended
    return data


def _jpeg_pixels(data: bytes) -> bytes:
    with Image.open(BytesIO(data), formats=["JPEG"]) as image:
        _require_few_pixels(image)
        return image.tobytes()


def unread(data: bytes) -> Unread | None:
    """Why a picture cannot be used; None for one that can be decoded to its end and is what was written."""
    if len(data) > MAX_BYTES:
        return Unread.TOO_LARGE
    try:
        with opened_picture(data) as image:
            image.verify()  # PNG only: its checksums, which decoding does not look at; afterwards it must be reopened
        with opened_picture(data) as image:
            image.draft("RGB", (64, 64))  # JPEG only: decode an eighth of each side, all that a check needs
            image.load()
    except Image.DecompressionBombError:
        return Unread.TOO_LARGE
    except UNDECODABLE:
        return Unread.FORMAT if other_format(data) else Unread.BROKEN
    return None


def is_whole(data: bytes) -> bool:
    """Whether a picture can be decoded to its end, and is what was written."""
    return unread(data) is None


def other_format(data: bytes) -> str:
    """What a picture is whose format is not read, in words; empty for all else."""
    start = data[:_START]
    return next(
        (name for name, begin in _OTHER_FORMATS.items() if re.match(begin, start, re.DOTALL | re.IGNORECASE)), ""
    )


def decode_picture(data: bytes, size: int) -> NDArray[np.uint8] | Fault:
    """RGB pixels [3,size,size] (0..255) of the whole picture, as a viewer shows it: turned as its EXIF says, on white
    where it is transparent, the first frame of an animation. It is stretched to a square, so that a row and column of
    the result is always the same part of the picture."""
    pixels = _decode(data, lambda width, height: (size, size))
    return pixels if isinstance(pixels, Fault) else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def decode_unstretched(data: bytes, longest_side: int, *, max_enlargement: float = 1.0) -> NDArray[np.uint8] | Fault:
    """RGB pixels [height,width,3] (0..255) of the whole picture, shown as by `decode_picture` but with its sides in
    proportion. The longer one is `longest_side` pixels, or fewer where that would enlarge the picture more than
    `max_enlargement` times."""

    def fitted(width: int, height: int) -> tuple[int, int]:
        scale = min(longest_side / max(width, height), max_enlargement)
        return max(1, round(width * scale)), max(1, round(height * scale))

    return _decode(data, fitted)


def _decode(data: bytes, size_of: Callable[[int, int], tuple[int, int]]) -> NDArray[np.uint8] | Fault:
    """RGB pixels [height,width,3] in the size (width, height) that `size_of` gives for that of the picture."""
    try:
        with opened_picture(data) as image:
            width, height = size_of(*image.size)
            image.draft("RGB", (2 * width, 2 * height))  # JPEG only: decodes no more pixels than needed
            shown = _with_colours(_turned(image))
            resized = shown.resize(size_of(*shown.size), Image.Resampling.BILINEAR, reducing_gap=2.0)
            if resized.mode == "RGBA":
                resized = Image.alpha_composite(Image.new("RGBA", resized.size, _WHITE), resized).convert("RGB")
    except UNDECODABLE:
        return Fault.BROKEN
    return np.asarray(resized, dtype=np.uint8)


def _turned(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except UNDECODABLE:  # damaged EXIF around a sound picture
        return image


def _with_colours(image: Image.Image) -> Image.Image:
    """RGB, or RGBA for a picture with transparent parts, from whatever mode the file has."""
    if image.mode.startswith("I;16"):  # Pillow would clip its 65536 shades at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    transparent = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    return image.convert("RGBA" if transparent else "RGB")
