"""Pictures with words on them, for what reads pictures."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

#: (left, top) of each word that `pack` draws, of 640 x 320 pixels.
PACK = {"Organic": (40, 40), "Green": (280, 40), "Sencha": (120, 140), "Net": (60, 250), "Weight": (150, 250)}
SIZE = (640, 320)


def pack(words: dict[str, tuple[int, int]] = PACK, mode: str = "RGB") -> Image.Image:
    """Dark words on a light ground, which is transparent in mode RGBA."""
    image = Image.new(mode, SIZE, "white" if mode == "RGB" else (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for word, place in words.items():
        draw.text(place, word, fill="black", font=font())
    return image


def edges(word: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a word of `PACK`, as shares (0..1) of the picture."""
    left, top, right, bottom = ImageDraw.Draw(Image.new("RGB", SIZE)).textbbox(PACK[word], word, font=font())
    return left / SIZE[0], top / SIZE[1], right / SIZE[0], bottom / SIZE[1]


def font() -> ImageFont.FreeTypeFont:
    found = ImageFont.load_default(48)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
