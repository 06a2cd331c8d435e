"""The motifs printed on mugs and bags, each drawn around the middle of a square of half-width `r`."""

from __future__ import annotations

import math
from collections.abc import Callable

from facetmill.sources.demo.canvas import Pen
from facetmill.sources.demo.catalogue import Rgb

_GREEN: Rgb = (60, 130, 60)
_INK: Rgb = (40, 34, 34)


def draw_motif(pen: Pen, name: str, x: float, y: float, r: float) -> None:
    """Print a motif on a pale disc, so that it is seen on cloth of any colour."""
    pen.ellipse(x - r * 1.3, y - r * 1.3, x + r * 1.3, y + r * 1.3, (252, 250, 244))
    _MOTIFS[name](pen, x, y, r)


def _rose(pen: Pen, x: float, y: float, r: float) -> None:
    pen.line([(x, y), (x + 0.1 * r, y + r)], _GREEN, 0.2 * r)
    pen.ellipse(x, y + 0.35 * r, x + 0.6 * r, y + 0.7 * r, _GREEN)
    pen.ellipse(x - 0.7 * r, y - 0.95 * r, x + 0.7 * r, y + 0.35 * r, (215, 40, 80))
    pen.ring(x - 0.45 * r, y - 0.75 * r, x + 0.45 * r, y + 0.1 * r, (150, 15, 50), 0.1 * r)
    pen.ellipse(x - 0.18 * r, y - 0.5 * r, x + 0.18 * r, y - 0.15 * r, (150, 15, 50))


def _dog(pen: Pen, x: float, y: float, r: float) -> None:
    pen.ellipse(x - 0.75 * r, y - 0.8 * r, x + 0.75 * r, y + 0.7 * r, (222, 174, 84))
    for side in (-1, 1):
        pen.blob(
            [(x + side * 0.5 * r, y - 0.8 * r), (x + side * 1.1 * r, y - 0.3 * r), (x + side * 0.85 * r, y + 0.6 * r),
             (x + side * 0.55 * r, y)],
            (184, 132, 50),
        )  # fmt: skip
        pen.ellipse(x + side * 0.3 * r - 0.1 * r, y - 0.3 * r, x + side * 0.3 * r + 0.1 * r, y - 0.1 * r, _INK)
    pen.ellipse(x - 0.4 * r, y, x + 0.4 * r, y + 0.75 * r, (242, 212, 150))
    pen.ellipse(x - 0.18 * r, y + 0.05 * r, x + 0.18 * r, y + 0.3 * r, _INK)
    pen.ellipse(x - 0.12 * r, y + 0.45 * r, x + 0.12 * r, y + 0.8 * r, (225, 100, 110))


def _cat(pen: Pen, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        pen.polygon(
            [(x + side * 0.85 * r, y - 0.95 * r), (x + side * 0.8 * r, y), (x + side * 0.1 * r, y - 0.5 * r)],
            (70, 70, 78),
        )
    pen.ellipse(x - 0.85 * r, y - 0.65 * r, x + 0.85 * r, y + 0.75 * r, (70, 70, 78))
    for side in (-1, 1):
        pen.ellipse(
            x + side * 0.35 * r - 0.16 * r, y - 0.2 * r, x + side * 0.35 * r + 0.16 * r, y + 0.1 * r, (150, 220, 90)
        )
        for slope in (-0.1, 0.1):
            pen.line(
                [(x + side * 0.25 * r, y + 0.3 * r), (x + side * 0.95 * r, y + (0.3 + slope) * r)],
                (230, 230, 230),
                0.05 * r,
            )
    pen.polygon([(x - 0.12 * r, y + 0.15 * r), (x + 0.12 * r, y + 0.15 * r), (x, y + 0.32 * r)], (240, 150, 160))


def _round_fruit(skin: Rgb, cheek: Rgb) -> Callable[[Pen, float, float, float], None]:
    def draw(pen: Pen, x: float, y: float, r: float) -> None:
        pen.ellipse(x - 0.8 * r, y - 0.65 * r, x + 0.8 * r, y + 0.95 * r, skin)
        pen.ellipse(x - 0.5 * r, y - 0.4 * r, x, y + 0.1 * r, cheek)
        pen.line([(x, y - 0.6 * r), (x + 0.1 * r, y - 0.95 * r)], (100, 70, 40), 0.12 * r)
        pen.ellipse(x + 0.1 * r, y - 0.95 * r, x + 0.7 * r, y - 0.6 * r, _GREEN)

    return draw


def _olive(pen: Pen, x: float, y: float, r: float) -> None:
    pen.line([(x - r, y - 0.6 * r), (x + r, y - 0.2 * r)], (110, 90, 50), 0.1 * r)
    for left, top in ((-0.9, -0.3), (-0.15, -0.15)):
        pen.ellipse(x + left * r, y + top * r, x + (left + 0.6) * r, y + (top + 0.95) * r, (112, 122, 40))
    pen.ellipse(x - 0.3 * r, y - 0.95 * r, x + 0.6 * r, y - 0.55 * r, (140, 165, 110))


def _lavender(pen: Pen, x: float, y: float, r: float) -> None:
    for lean in (-0.5, 0.0, 0.5):
        pen.line([(x, y + r), (x + lean * r, y - 0.7 * r)], _GREEN, 0.1 * r)
        for step in range(5):
            share = 0.45 + 0.14 * step
            px, py = x + lean * r * share, y + r - 1.75 * r * share
            pen.ellipse(px - 0.2 * r, py - 0.12 * r, px + 0.2 * r, py + 0.14 * r, (140, 100, 205))


def _heart(pen: Pen, x: float, y: float, r: float) -> None:
    for side in (-1, 1):
        pen.ellipse(
            x + side * 0.42 * r - 0.46 * r, y - 0.7 * r, x + side * 0.42 * r + 0.46 * r, y + 0.22 * r, (220, 30, 60)
        )
    pen.polygon([(x - 0.84 * r, y), (x + 0.84 * r, y), (x, y + 0.95 * r)], (220, 30, 60))


def _moon(pen: Pen, x: float, y: float, r: float) -> None:
    pen.ellipse(x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r, (36, 46, 100))
    pen.ellipse(x - 0.6 * r, y - 0.65 * r, x + 0.6 * r, y + 0.65 * r, (250, 230, 130))
    pen.ellipse(x - 0.2 * r, y - 0.7 * r, x + 0.85 * r, y + 0.45 * r, (36, 46, 100))


def _star(pen: Pen, x: float, y: float, r: float) -> None:
    tips = [(math.pi * (k / 5 - 0.5), r if k % 2 == 0 else 0.42 * r) for k in range(10)]
    pen.polygon([(x + reach * math.cos(angle), y + reach * math.sin(angle)) for angle, reach in tips], (240, 180, 30))


def _cactus(pen: Pen, x: float, y: float, r: float) -> None:
    pen.rectangle(x - 0.25 * r, y - 0.95 * r, x + 0.25 * r, y + 0.5 * r, (50, 140, 80), radius=0.22 * r)
    pen.line([(x, y + 0.1 * r), (x - 0.65 * r, y + 0.1 * r), (x - 0.65 * r, y - 0.4 * r)], (50, 140, 80), 0.26 * r)
    pen.line([(x, y - 0.1 * r), (x + 0.65 * r, y - 0.1 * r), (x + 0.65 * r, y - 0.6 * r)], (50, 140, 80), 0.26 * r)
    pen.polygon(
        [(x - 0.5 * r, y + 0.4 * r), (x + 0.5 * r, y + 0.4 * r), (x + 0.35 * r, y + r), (x - 0.35 * r, y + r)],
        (190, 95, 55),
    )


_MOTIFS: dict[str, Callable[[Pen, float, float, float], None]] = {
    "Rose": _rose,
    "Golden Retriever": _dog,
    "Cat": _cat,
    "Orange": _round_fruit((245, 140, 25), (255, 185, 90)),
    "Peach": _round_fruit((252, 182, 140), (240, 120, 110)),
    "Olive": _olive,
    "Lavender": _lavender,
    "Heart": _heart,
    "Moon": _moon,
    "Star": _star,
    "Cactus": _cactus,
}
