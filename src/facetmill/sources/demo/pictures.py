"""Drawing a product so that its visible values can be seen: one function a category, all on the same canvas."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from facetmill.records import Box, OcrToken
from facetmill.sources.demo.canvas import STEEL, Canvas, Point, darker, is_dark, lighter, mix
from facetmill.sources.demo.catalogue import COLORS, Rgb, Truth, rgb_of
from facetmill.sources.demo.motifs import draw_motif
from facetmill.sources.demo.shoes import draw_shoe


@dataclass(frozen=True, slots=True)
class Picture:
    """An RGB picture of a product, the words printed on it, and the L mask (255) of all that has its true colour."""

    image: Image.Image
    ocr: tuple[OcrToken, ...]
    regions: tuple[Box, ...]
    cloth: Image.Image


Values = Mapping[str, str]

_WOOD: Rgb = (176, 134, 92)
_INK: Rgb = (46, 40, 44)
_BADGE: Rgb = (214, 30, 214)  # of pictures for illustration only; no product has it


def draw(truth: Truth, rng: random.Random, size: int) -> Picture:
    """One picture of the product, `size` pixels square; light, place and details vary with `rng`."""
    canvas = Canvas(size, rng, lettered=truth.category.name in ("Tea", "Candles"))
    ocr = _DRAWINGS[truth.category.name](canvas, truth.values)
    edge = canvas.cloth.getbbox()
    region = Box(*(pixel / canvas.cloth.width for pixel in edge)) if edge else Box(0.0, 0.0, 1.0, 1.0)
    return Picture(canvas.developed(), tuple(ocr), (region,), canvas.cloth.reduce(2))


def draw_stock(truth: Truth, rng: random.Random, size: int) -> Picture:
    """A picture for illustration only: of a product like the one for sale, with the badge by which shops say so.

    Nothing printed on it belongs to the product for sale.
    """
    picture = draw(truth, rng, size)
    image = picture.image.copy()
    image.paste(_BADGE, (0, 0, max(3, size // 6), max(3, size // 6)))
    return Picture(image, (), picture.regions, picture.cloth)


def _dress(canvas: Canvas, values: Values) -> list[OcrToken]:
    color = rgb_of(values)
    cloth = canvas.pattern(values.get("Pattern", "Solid"), color)
    hem = {"Mini": 0.64, "Midi": 0.78, "Maxi": 0.95}[values["Dress Length"]]
    flare = canvas.rng.uniform(0.12, 0.17) + 0.22 * (hem - 0.4)
    waist = canvas.rng.uniform(0.085, 0.1)
    canvas.shadow(0.5 - flare, 0.5 + flare, min(0.97, hem + 0.02), 45)

    reach = {"Sleeveless": 0.0, "Short Sleeve": 0.13, "Three-Quarter Sleeve": 0.29, "Long Sleeve": 0.4}
    sleeve = reach[values["Sleeve Length"]]
    if sleeve:
        arms = canvas.mask()
        for side in (-1, 1):
            wrist: Point = (0.5 + side * (0.17 + 0.42 * sleeve), 0.13 + sleeve)
            arms.polygon(
                [(0.5 + side * 0.11, 0.07), (0.5 + side * 0.17, 0.1), (wrist[0] + side * 0.02, wrist[1]),
                 (wrist[0] - side * 0.06, wrist[1] + 0.015), (0.5 + side * 0.1, 0.23)],
                255,
            )  # fmt: skip
        canvas.fill(arms, cloth, is_product=True)
        for side in (-1, 1):
            canvas.pen.line([(0.5 + side * 0.13, 0.1), (0.5 + side * 0.105, 0.23)], darker(color, 0.25), 0.006)

    body = canvas.mask()
    body.polygon(
        [(0.42, 0.06), (0.37, 0.08), (0.39, 0.2), (0.5 - waist, 0.37), (0.5 - flare, hem),
         (0.5 - flare / 2, hem + 0.015), (0.5, hem + 0.02), (0.5 + flare / 2, hem + 0.015), (0.5 + flare, hem),
         (0.5 + waist, 0.37), (0.61, 0.2), (0.63, 0.08), (0.58, 0.06)],
        255,
    )  # fmt: skip
    match values["Neckline"]:
        case "Round Neck":
            body.ellipse(0.43, -0.03, 0.57, 0.13, 0)
        case "V-Neck":
            body.polygon([(0.42, 0.05), (0.58, 0.05), (0.5, 0.24)], 0)
        case "Square Neck":
            body.rectangle(0.425, 0.0, 0.575, 0.15, 0)
        case "Boat Neck":
            body.ellipse(0.385, 0.02, 0.615, 0.095, 0)
        case "Keyhole":
            body.ellipse(0.45, -0.03, 0.55, 0.085, 0)
            body.ellipse(0.478, 0.115, 0.522, 0.195, 0)
    canvas.fill(body, cloth, is_product=True)

    fold = darker(color, 0.22) if not is_dark(color) else lighter(color, 0.13)
    for lean in (-0.6, -0.2, 0.25, 0.65):
        start = 0.41 + 0.04 * canvas.rng.random()
        canvas.pen.line([(0.5 + lean * waist, start), (0.5 + lean * flare * 0.9, hem - 0.03)], fold, 0.005)
    canvas.pen.line([(0.5 - waist, 0.37), (0.5 + waist, 0.37)], fold, 0.014)
    return []


def _bag(canvas: Canvas, values: Values) -> list[OcrToken]:
    color = rgb_of(values)
    cloth = canvas.pattern(values.get("Pattern", "Solid"), color)
    trim = darker(color, 0.4) if not is_dark(color) else lighter(color, 0.25)
    canvas.shadow(0.14, 0.86, 0.87)
    body = canvas.mask()
    middle = 0.6
    match values["Type"]:
        case "Tote":
            for y, tone in ((0.16, darker(trim, 0.2)), (0.2, trim)):
                canvas.pen.ring(0.36, y, 0.64, y + 0.4, tone, 0.025)
            body.polygon([(0.2, 0.38), (0.8, 0.38), (0.86, 0.86), (0.14, 0.86)], 255)
        case "Backpack":
            canvas.pen.ring(0.42, 0.08, 0.58, 0.22, trim, 0.025)
            for side in (0.2, 0.74):
                canvas.pen.rectangle(side, 0.3, side + 0.06, 0.8, darker(trim, 0.2), radius=0.03)
            body.rectangle(0.24, 0.14, 0.76, 0.88, 255, radius=0.15)
        case "Crossbody":
            canvas.pen.ring(0.2, 0.04, 0.8, 0.9, trim, 0.016)
            body.rectangle(0.2, 0.48, 0.8, 0.86, 255, radius=0.06)
            middle = 0.7
        case "Clutch":
            body.rectangle(0.1, 0.42, 0.9, 0.84, 255, radius=0.03)
            middle = 0.69
        case "Duffel":
            canvas.pen.ring(0.32, 0.22, 0.68, 0.62, trim, 0.028)
            body.rectangle(0.08, 0.42, 0.92, 0.86, 255, radius=0.17)
            middle = 0.65
    canvas.fill(body, cloth, is_product=True)
    match values["Type"]:
        case "Tote":
            canvas.pen.line([(0.205, 0.415), (0.795, 0.415)], trim, 0.008)
        case "Backpack":
            canvas.pen.line([(0.27, 0.34), (0.73, 0.34)], trim, 0.012)
            canvas.pen.line([(0.31, 0.56), (0.31, 0.82), (0.69, 0.82), (0.69, 0.56), (0.31, 0.56)], trim, 0.01)
            middle = 0.68
        case "Crossbody":
            canvas.pen.line([(0.2, 0.5), (0.35, 0.6), (0.65, 0.6), (0.8, 0.5)], trim, 0.01)
            canvas.pen.ellipse(0.475, 0.575, 0.525, 0.625, (214, 178, 70))
            middle = 0.74
        case "Clutch":
            canvas.pen.line([(0.1, 0.43), (0.5, 0.6), (0.9, 0.43)], trim, 0.012)
            canvas.pen.ellipse(0.475, 0.57, 0.525, 0.62, (214, 178, 70))
            middle = 0.73
        case "Duffel":
            for x in (0.24, 0.76):
                canvas.pen.line([(x, 0.43), (x, 0.86)], trim, 0.03)
            canvas.pen.line([(0.2, 0.46), (0.8, 0.46)], STEEL, 0.012)
    if motif := values.get("Motif"):
        draw_motif(
            canvas.pen, motif, 0.5, middle, 0.075 if values["Type"] in ("Crossbody", "Clutch", "Backpack") else 0.12
        )
    return []


def _mug(canvas: Canvas, values: Values) -> list[OcrToken]:
    color = rgb_of(values)
    canvas.shadow(0.14, 0.84, 0.84)
    canvas.pen.ring(0.6, 0.34, 0.93, 0.7, darker(color, 0.18), 0.065)
    canvas.pen.ring(0.605, 0.345, 0.925, 0.695, color, 0.04)
    bottom = canvas.rng.uniform(0.05, 0.1)
    body = canvas.mask()
    body.polygon([(0.16, 0.24), (0.74, 0.24), (0.74 - bottom, 0.84), (0.16 + bottom, 0.84)], 255)
    body.ellipse(0.16 + bottom, 0.79, 0.74 - bottom, 0.89, 255)
    canvas.fill(body, canvas.pattern(values.get("Pattern", "Solid"), color), shine="round", is_product=True)
    canvas.pen.ellipse(0.16, 0.18, 0.74, 0.3, lighter(color, 0.35))
    canvas.pen.ellipse(0.18, 0.195, 0.72, 0.29, darker(mix(color, (230, 225, 215), 0.6), 0.15))
    if canvas.rng.random() < 0.4:
        canvas.pen.ellipse(0.2, 0.225, 0.7, 0.29, (88, 52, 30))
    if motif := values.get("Motif"):
        draw_motif(canvas.pen, motif, 0.45, 0.57, 0.15)
    return []


def _tea(canvas: Canvas, values: Values) -> list[OcrToken]:
    color = canvas.rng.choice(list(COLORS.values()))  # of the pack: tea itself is not sold by colour
    canvas.shadow(0.16, 0.86, 0.92)
    pack = canvas.mask()
    match values["Packaging"]:
        case "Box":
            canvas.pen.polygon([(0.76, 0.14), (0.88, 0.08), (0.88, 0.84), (0.76, 0.92)], darker(color, 0.35))
            canvas.pen.polygon([(0.14, 0.14), (0.26, 0.08), (0.88, 0.08), (0.76, 0.14)], lighter(color, 0.35))
            pack.rectangle(0.14, 0.14, 0.76, 0.92, 255)
            left, right, shine = 0.14, 0.76, "side"
        case "Tin":
            pack.rectangle(0.17, 0.16, 0.83, 0.86, 255)
            pack.ellipse(0.17, 0.81, 0.83, 0.93, 255)
            left, right, shine = 0.19, 0.81, "round"
        case _:
            pack.polygon(
                [(0.18, 0.1), (0.82, 0.1), (0.86, 0.9), (0.74, 0.93), (0.5, 0.91), (0.26, 0.93), (0.14, 0.9)], 255
            )
            left, right, shine = 0.17, 0.83, "side"
    canvas.fill(pack, color, shine=shine, is_product=True)
    if values["Packaging"] == "Tin":
        canvas.pen.ellipse(0.16, 0.05, 0.84, 0.17, lighter(STEEL, 0.3))
        canvas.pen.rectangle(0.16, 0.11, 0.84, 0.18, STEEL)
        canvas.pen.ellipse(0.18, 0.06, 0.82, 0.155, lighter(STEEL, 0.55))
    elif values["Packaging"] == "Pouch":
        canvas.pen.line([(0.18, 0.17), (0.82, 0.17)], darker(color, 0.3), 0.012)
        canvas.pen.line([(0.18, 0.19), (0.82, 0.19)], lighter(color, 0.3), 0.008)
    canvas.label(left + 0.03, 0.44, right - 0.03, 0.88 if values["Packaging"] == "Box" else 0.83)
    _leaf(canvas, (left + right) / 2, 0.25)
    bright = (250, 248, 240) if is_dark(color) else _INK
    lines = [("Brand", 0.365, 0.13, bright), ("Type", 0.52, 0.12, _INK), ("Flavor", 0.66, 0.14, (150, 30, 60))]
    return [
        token
        for name, middle, height, ink in [*lines, ("Net Weight", 0.78, 0.085, _INK)]
        if name in values
        for token in canvas.letters(values[name], left + 0.05, right - 0.05, middle, height, ink)
    ]


def _leaf(canvas: Canvas, x: float, y: float) -> None:
    canvas.pen.blob(
        [(x - 0.09, y + 0.03), (x - 0.03, y - 0.06), (x + 0.1, y - 0.05), (x + 0.04, y + 0.05)], (96, 158, 72)
    )
    canvas.pen.line([(x - 0.08, y + 0.03), (x + 0.07, y - 0.035)], (225, 240, 205), 0.01)


def _candle(canvas: Canvas, values: Values) -> list[OcrToken]:
    color = rgb_of(values)
    packaging = values["Packaging"]
    top = {"Glass Jar": 0.34, "Pillar": 0.26, "Tin": 0.5}[packaging]
    left, right = (0.28, 0.72) if packaging == "Pillar" else (0.2, 0.8)
    canvas.shadow(left - 0.03, right + 0.05, 0.9)
    wax = canvas.mask()
    if packaging == "Tin":
        canvas.pen.rectangle(left, top, right, 0.86, STEEL)
        canvas.pen.ellipse(left, 0.8, right, 0.92, STEEL)
        canvas.pen.ellipse(left, top - 0.14, right, top + 0.14, lighter(STEEL, 0.5))
        wax.ellipse(left + 0.03, top - 0.11, right - 0.03, top + 0.115, 255)
    else:
        if packaging == "Glass Jar":
            canvas.pen.rectangle(left - 0.03, 0.2, right + 0.03, 0.93, (214, 226, 230), radius=0.05)
            canvas.pen.rectangle(left - 0.01, 0.2, right + 0.01, 0.9, (232, 240, 243), radius=0.03)
            canvas.pen.ellipse(left - 0.03, 0.15, right + 0.03, 0.25, (240, 246, 248))
        wax.rectangle(left, top, right, 0.85, 255)
        wax.ellipse(left, 0.8, right, 0.9, 255)
    canvas.fill(wax, color, shine="side" if packaging == "Tin" else "round", is_product=True)
    if packaging != "Tin":
        canvas.pen.ellipse(left, top - 0.05, right, top + 0.05, lighter(color, 0.3))
    canvas.pen.line([(0.5, top), (0.5, top - 0.08)], _INK, 0.012)
    canvas.pen.blob([(0.5, top - 0.24), (0.54, top - 0.12), (0.5, top - 0.05), (0.46, top - 0.12)], (255, 176, 50))
    canvas.pen.blob([(0.5, top - 0.17), (0.52, top - 0.11), (0.5, top - 0.07), (0.48, top - 0.11)], (255, 240, 170))
    label = 0.74 if packaging == "Tin" else 0.65
    canvas.label(left + 0.04, label - 0.085, right - 0.04, label + 0.085)
    return canvas.letters(values["Brand"], left + 0.055, right - 0.055, label, 0.15, _INK)


def _lamp(canvas: Canvas, values: Values) -> list[OcrToken]:
    color, kind = rgb_of(values), values["Type"]
    metal = (
        _WOOD
        if values["Material"] in ("Wood", "Oak", "Rattan")
        else (196, 160, 84)
        if values["Material"] == "Brass"
        else _INK
    )
    pen = canvas.pen
    x, top = 0.5, {"Table": 0.12, "Floor": 0.06, "Desk": 0.14, "Pendant": 0.36}[kind]
    half, height = (0.2, 0.24) if kind == "Floor" else (0.21, 0.26) if kind == "Desk" else (0.28, 0.36)
    bottom = top + height
    match kind:
        case "Table":
            canvas.shadow(0.32, 0.68, 0.92)
            pen.rectangle(0.47, bottom - 0.02, 0.53, 0.86, metal)
            pen.blob([(0.36, 0.93), (0.38, 0.76), (0.5, 0.7), (0.62, 0.76), (0.64, 0.93)], metal)
        case "Floor":
            canvas.shadow(0.3, 0.7, 0.95)
            pen.rectangle(0.488, bottom - 0.02, 0.512, 0.93, metal)
            pen.ellipse(0.34, 0.91, 0.66, 0.97, metal)
        case "Desk":
            x = 0.34
            canvas.shadow(0.5, 0.9, 0.92)
            pen.line([(0.34, top + 0.02), (0.74, 0.36), (0.6, 0.66), (0.7, 0.9)], metal, 0.026)
            pen.ellipse(0.715, 0.335, 0.765, 0.385, lighter(metal, 0.3))
            pen.rectangle(0.52, 0.88, 0.88, 0.94, metal, radius=0.03)
        case _:
            pen.rectangle(0.44, -0.02, 0.56, 0.03, metal)
            pen.line([(0.5, 0.0), (0.5, top + 0.02)], metal, 0.014)
    shade = canvas.mask()
    match values["Shade Shape"]:
        case "Drum":
            shade.rectangle(x - half, top, x + half, bottom, 255)
        case "Cone":
            shade.polygon([(x - half * 0.3, top), (x + half * 0.3, top), (x + half, bottom), (x - half, bottom)], 255)
        case "Dome":
            shade.ellipse(x - half, top, x + half, bottom + height, 255)
            shade.rectangle(x - half - 0.05, bottom, x + half + 0.05, bottom + height + 0.05, 0)
        case _:
            half = min(half, height / 2 + 0.02)
            shade.ellipse(x - half, top, x + half, top + 2 * half, 255)
    canvas.fill(shade, color, shine="round" if values["Shade Shape"] in ("Drum", "Globe") else "side", is_product=True)
    if values["Shade Shape"] != "Globe":
        pen.ellipse(x - half * 0.85, bottom - 0.02, x + half * 0.85, bottom + 0.025, (255, 238, 180))
    return []


_DRAWINGS: Mapping[str, Callable[[Canvas, Values], list[OcrToken]]] = {
    "Dresses": _dress,
    "Shoes": draw_shoe,
    "Bags": _bag,
    "Mugs": _mug,
    "Tea": _tea,
    "Candles": _candle,
    "Lamps": _lamp,
}
