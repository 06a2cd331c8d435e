"""A small studio: a soft background, light, shadow, and cloth in a colour and pattern to cut product shapes from.

Coordinates are shares (0..1) of the picture, origin at the top left. Everything is drawn at twice the size and reduced
at the end, which smooths the edges.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from facetmill.records import Box, OcrToken
from facetmill.sources.demo.catalogue import Rgb

Point = tuple[float, float]

STEEL: Rgb = (176, 180, 186)
_OVERSAMPLING = 2


class Pen:
    """Draws in shares (0..1) of a square image of `side` pixels; all it draws is scaled, moved and perhaps mirrored."""

    def __init__(self, image: Image.Image, scale: float, offset: Point, mirrored: bool) -> None:
        self.image = image
        self.draw = ImageDraw.Draw(image)
        self.side = image.width
        self._scale, self._offset, self._mirrored = scale, offset, mirrored

    def at(self, x: float, y: float) -> Point:
        """Pixels of a point. Text is never mirrored, so whoever letters a picture asks for one that is not."""
        x = 1 - x if self._mirrored else x
        return (
            (0.5 + (x - 0.5) * self._scale + self._offset[0]) * self.side,
            (0.5 + (y - 0.5) * self._scale + self._offset[1]) * self.side,
        )

    def length(self, share: float) -> int:
        return max(1, round(share * self._scale * self.side))

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        (x0, y0), (x1, y1) = self.at(left, top), self.at(right, bottom)
        return min(x0, x1), y0, max(x0, x1), y1

    def polygon(self, points: Sequence[Point], fill: Rgb | int) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=fill)

    def blob(self, points: Sequence[Point], fill: Rgb | int) -> None:
        """A polygon with rounded corners."""
        self.polygon(rounded(points), fill)

    def ellipse(self, left: float, top: float, right: float, bottom: float, fill: Rgb | int) -> None:
        self.draw.ellipse(self.box(left, top, right, bottom), fill=fill)

    def ring(self, left: float, top: float, right: float, bottom: float, color: Rgb | int, width: float) -> None:
        self.draw.ellipse(self.box(left, top, right, bottom), outline=color, width=self.length(width))

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, fill: Rgb | int, radius: float = 0.0
    ) -> None:
        self.draw.rounded_rectangle(self.box(left, top, right, bottom), self.length(radius) if radius else 0, fill=fill)

    def line(self, points: Sequence[Point], color: Rgb | int, width: float) -> None:
        self.draw.line([self.at(*point) for point in points], fill=color, width=self.length(width), joint="curve")


def rounded(points: Sequence[Point], rounds: int = 2) -> list[Point]:
    """A closed polygon with its corners cut off `rounds` times (Chaikin 1974), which tends to a smooth curve."""
    closed = list(points)
    for _ in range(rounds):
        cut = []
        for (x0, y0), (x1, y1) in zip(closed, [*closed[1:], closed[0]], strict=True):
            cut += [(0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1), (0.25 * x0 + 0.75 * x1, 0.25 * y0 + 0.75 * y1)]
        closed = cut
    return closed


def mix(color: Rgb, other: Rgb, share: float) -> Rgb:
    """`color` with a `share` (0..1) of `other` stirred in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def darker(color: Rgb, share: float = 0.3) -> Rgb:
    return mix(color, (0, 0, 0), share)


def lighter(color: Rgb, share: float = 0.4) -> Rgb:
    return mix(color, (255, 255, 255), share)


def is_dark(color: Rgb) -> bool:
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 125


class Canvas:
    """One picture in the making. `image` is what is seen, `cloth` the mask of all that has the product's colour."""

    def __init__(self, size: int, rng: random.Random, *, lettered: bool = False) -> None:
        side = size * _OVERSAMPLING
        self.size, self.rng = size, rng
        self._scale = rng.uniform(0.9, 1.03)
        self._offset = (rng.uniform(-0.025, 0.025), rng.uniform(-0.02, 0.02))
        self._mirrored = rng.random() < 0.5 and not lettered
        self._light = rng.uniform(0.99, 1.05)
        self.image = _background(side, rng)
        self.cloth = Image.new("L", (side, side))
        self.pen = self._pen(self.image)

    def _pen(self, image: Image.Image) -> Pen:
        return Pen(image, self._scale, self._offset, self._mirrored)

    def mask(self) -> Pen:
        """A pen on an empty mask: draw with fill 255 what `fill` shall cover."""
        return self._pen(Image.new("L", self.image.size))

    def shadow(self, left: float, right: float, ground: float, strength: int = 70) -> None:
        """A soft ellipse on the ground, drawn small and blown up, for a wide blur would be slow."""
        x0, y0, x1, y1 = map(round, self.pen.box(left - 0.05, ground - 0.08, right + 0.05, ground + 0.09))
        small = Image.new("L", (32, 12))
        ImageDraw.Draw(small).ellipse((3, 4, 28, 8), fill=strength)
        soft = small.filter(ImageFilter.GaussianBlur(1.3)).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
        self.image.paste((40, 38, 45), (x0, y0), soft)

    def fill(self, mask: Pen, cloth: Image.Image | Rgb, *, shine: str = "side", is_product: bool = False) -> None:
        """Lay cloth or a plain colour on a mask, with light from the side or around a round body ("round").

        Only what has the product's true colour `is_product`.
        """
        place = mask.image.getbbox()
        if place is None:
            return
        part = mask.image.crop(place)
        self.image.paste(cloth.crop(place) if isinstance(cloth, Image.Image) else cloth, place, part)
        dark = ImageChops.multiply(part, _shade(mask.side, shine, self._mirrored).crop(place))
        self.image.paste((0, 0, 0), place, dark)
        if is_product:
            self.cloth.paste(255, place, part)

    def pattern(self, name: str, color: Rgb) -> Image.Image:
        """Cloth of the size of the canvas in a colour, with one of the catalogue's patterns."""
        cloth = Image.new("RGB", self.image.size, color)
        accent = lighter(color, 0.8) if is_dark(color) else darker(color, 0.55)
        if name != "Solid":
            _PATTERNS[name](Pen(cloth, 1.0, (self.rng.uniform(-0.03, 0.03), 0.0), False), accent, color)
        return cloth

    def label(self, left: float, top: float, right: float, bottom: float) -> None:
        """Stick a paper label on the product."""
        self.patch([(left, top), (right, top), (right, bottom), (left, bottom)], (250, 247, 238))

    def patch(self, points: Sequence[Point], color: Rgb) -> None:
        """Lay a polygon of another colour on the product; what it hides no longer shows the product's own."""
        self.pen.polygon(points, color)
        self._pen(self.cloth).polygon(points, 0)

    def letters(self, text: str, left: float, right: float, middle: float, height: float, ink: Rgb) -> list[OcrToken]:
        """Print a text between `left` and `right`, and say where in the final picture each of its words stands.

        It is one line, or two where one could only be printed much smaller than `height`.
        """
        words = text.split()
        room = self.pen.length(right - left)
        points = self.pen.length(height)
        if len(words) > 1 and points * room / _font(points).getlength(text) < 0.6 * points:
            half = (len(words) + 1) // 2
            top, bottom = " ".join(words[:half]), " ".join(words[half:])
            return [
                *self._line(top, left, room, middle - 0.25 * height, 0.55 * height, ink),
                *self._line(bottom, left, room, middle + 0.25 * height, 0.55 * height, ink),
            ]
        return self._line(text, left, room, middle, height, ink)

    def _line(self, text: str, left: float, room: int, middle: float, height: float, ink: Rgb) -> list[OcrToken]:
        tallest = self.pen.length(height)
        font = _font(max(4, min(tallest, int(tallest * room / _font(tallest).getlength(text)))))
        x, y = self.pen.at(left, middle)
        x += (room - font.getlength(text)) / 2
        printed = []
        for word in text.split():
            place = self.pen.draw.textbbox((x, y), word, font=font, anchor="lm")
            self.pen.draw.text((x, y), word, fill=ink, font=font, anchor="lm")
            printed.append(OcrToken(word, Box(*(min(1.0, max(0.0, edge / self.pen.side)) for edge in place))))
            x += font.getlength(f"{word} ")
        return printed

    def developed(self) -> Image.Image:
        """The picture at its final size, in the light of the day."""
        small = self.image.reduce(_OVERSAMPLING)
        light = self._light
        return small.point([min(255, round(level * light)) for level in range(256)] * 3)


def _background(side: int, rng: random.Random) -> Image.Image:
    """A studio wall: near white with a breath of colour, a little darker towards the ground."""
    tint = (rng.randrange(226, 250), rng.randrange(226, 250), rng.randrange(226, 250))
    wall = Image.new("RGB", (1, 2), lighter(tint, 0.35))
    wall.putpixel((0, 1), darker(tint, 0.09))
    return wall.resize((side, side), Image.Resampling.BILINEAR)


@lru_cache(maxsize=16)
def _shade(side: int, shine: str, mirrored: bool) -> Image.Image:
    """How much black light takes away at each place: on average some 6 %, so that the colour stays what it is."""
    if shine == "round":
        levels = [round(180 * abs((x + 0.5) / 256 - 0.42) ** 1.5) for x in range(256)]
    else:
        levels = [round(2 + 26 * (x / 255) ** 1.5) for x in range(256)]
    across = (
        Image.linear_gradient("L")
        .rotate(90)
        .point([levels[255 - x] if not mirrored else levels[x] for x in range(256)])
    )
    return across.resize((side, side))


@lru_cache(maxsize=128)
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)


def _striped(pen: Pen, accent: Rgb, base: Rgb) -> None:
    for number in range(16):
        pen.rectangle(-0.1, number * 0.075, 1.1, number * 0.075 + 0.026, accent)


def _checked(pen: Pen, accent: Rgb, base: Rgb) -> None:
    half = mix(base, accent, 0.45)
    for number in range(-1, 13):
        pen.rectangle(-0.1, number * 0.09, 1.1, number * 0.09 + 0.03, half)
    for number in range(-1, 13):
        pen.rectangle(number * 0.09, -0.1, number * 0.09 + 0.03, 1.1, half)
    for row in range(-1, 13):
        for column in range(-1, 13):
            pen.rectangle(column * 0.09, row * 0.09, column * 0.09 + 0.03, row * 0.09 + 0.03, accent)


def _dotted(pen: Pen, accent: Rgb, base: Rgb) -> None:
    for row in range(15):
        for column in range(-1, 15):
            x, y = (column + row % 2 / 2) * 0.08, row * 0.07
            pen.ellipse(x - 0.016, y - 0.016, x + 0.016, y + 0.016, accent)


def _chevron(pen: Pen, accent: Rgb, base: Rgb) -> None:
    for row in range(-1, 13):
        zigzag = [(column * 0.05 - 0.1, row * 0.09 + (column % 2) * 0.05) for column in range(25)]
        pen.line(zigzag, accent, 0.022)


def _color_block(pen: Pen, accent: Rgb, base: Rgb) -> None:
    pen.rectangle(-0.1, 0.56, 1.1, 1.1, accent)


def _floral(pen: Pen, accent: Rgb, base: Rgb) -> None:
    heart = (250, 205, 60) if not (base[0] > 200 and base[1] > 150) else (150, 60, 40)
    for row in range(9):
        for column in range(-1, 9):
            x, y = (column + row % 2 / 2) * 0.13, row * 0.115
            for petal in range(5):
                angle = petal * 2 * math.pi / 5 + row
                px, py = x + 0.02 * math.cos(angle), y + 0.02 * math.sin(angle)
                pen.ellipse(px - 0.015, py - 0.015, px + 0.015, py + 0.015, accent)
            pen.ellipse(x - 0.011, y - 0.011, x + 0.011, y + 0.011, heart)


_PATTERNS = {
    "Striped": _striped,
    "Checked": _checked,
    "Polka Dot": _dotted,
    "Chevron": _chevron,
    "Color Block": _color_block,
    "Floral": _floral,
}
