"""Drawing shoes, which have more parts than anything else in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from facetmill.records import OcrToken
from facetmill.sources.demo.canvas import STEEL, Canvas, Point, darker, is_dark, lighter, mix
from facetmill.sources.demo.catalogue import Rgb, rgb_of


def draw_shoe(canvas: Canvas, values: Mapping[str, str]) -> list[OcrToken]:
    """A shoe from the side, by its Type, Heel Height and Closure. Nothing is printed on it."""
    color, kind = rgb_of(values), values["Type"]
    lift = {"Flat Sole": 0.0, "Low Heel": 0.07, "Wedge Heel": 0.12, "High Heel": 0.19}[
        values.get("Heel Height", "Flat Sole")
    ]
    ground, heel = 0.74, 0.74 - lift
    canvas.shadow(0.1, 0.9, ground + 0.03)
    sole: Rgb = (238, 236, 230) if kind == "Sneakers" else darker(color, 0.6) if not is_dark(color) else (150, 112, 76)

    if lift == 0.19:
        canvas.pen.polygon([(0.76, heel), (0.9, heel - 0.02), (0.875, ground + 0.03), (0.845, ground + 0.03)], sole)
    elif lift == 0.07:
        canvas.pen.polygon([(0.72, heel), (0.9, heel - 0.02), (0.89, ground + 0.03), (0.76, ground + 0.03)], sole)
    elif lift:
        canvas.pen.polygon([(0.4, ground), (0.9, heel - 0.02), (0.9, ground + 0.03), (0.36, ground + 0.03)], sole)

    upper = canvas.mask()
    toe: list[Point] = [(0.08, ground - 0.01), (0.09, ground - 0.1), (0.2, ground - 0.17)]
    under: list[Point] = [(0.91, heel), (0.8, heel + 0.01), (0.44, ground), (0.2, ground + 0.012)]
    match kind:
        case "Sneakers":
            upper.blob(
                [*toe, (0.42, 0.48), (0.52, 0.4), (0.6, 0.42), (0.7, 0.5), (0.86, 0.42), (0.93, 0.5), *under], 255
            )
        case "Ankle Boots":
            upper.blob(
                [*toe, (0.42, 0.5), (0.53, 0.38), (0.54, 0.16), (0.9, 0.15), (0.9, 0.4), (0.92, heel - 0.15), *under],
                255,
            )
        case "Loafers":
            upper.blob(
                [
                    *toe,
                    (0.36, 0.54),
                    (0.5, 0.47),
                    (0.58, 0.52),
                    (0.68, heel - 0.15),
                    (0.88, heel - 0.22),
                    (0.93, heel - 0.1),
                    *under,
                ],
                255,
            )
        case "Pumps":
            upper.blob(
                [
                    *toe,
                    (0.36, ground - 0.15),
                    (0.46, ground - 0.06),
                    (0.66, heel - 0.04),
                    (0.82, heel - 0.2),
                    (0.92, heel - 0.23),
                    (0.93, heel - 0.1),
                    *under,
                ],
                255,
            )
        case "Sandals":
            upper.blob(
                [(0.2, ground), (0.24, ground - 0.15), (0.34, ground - 0.2), (0.46, ground - 0.15), (0.44, ground)], 255
            )
            upper.line([(0.62, heel + 0.02), (0.66, heel - 0.2), (0.9, heel - 0.22), (0.89, heel)], 255, 0.055)
            upper.line([(0.34, ground - 0.17), (0.67, heel - 0.2)], 255, 0.05)
    canvas.fill(upper, canvas.pattern("Solid", color), is_product=True)

    canvas.patch(
        [(0.07, ground - 0.015), (0.44, ground - 0.01), (0.8, heel), (0.92, heel - 0.02), (0.92, heel + 0.03),
         (0.8, heel + 0.05), (0.46, ground + 0.035), (0.1, ground + 0.035)],
        sole,
    )  # fmt: skip
    if kind in ("Sneakers", "Ankle Boots", "Loafers"):
        seam = darker(color, 0.35) if not is_dark(color) else lighter(color, 0.3)
        canvas.pen.line([(0.27, ground - 0.02), (0.3, ground - 0.1), (0.33, ground - 0.19)], seam, 0.008)
    _close(canvas, values.get("Closure"), color, kind, heel)
    return []


def _close(canvas: Canvas, closure: str | None, color: Rgb, kind: str, heel: float) -> None:
    """Across the instep, which is higher on a boot and lower on a pump."""
    x, y = {"Sneakers": (0.44, 0.52), "Ankle Boots": (0.55, 0.42), "Loafers": (0.44, 0.57)}.get(kind, (0.38, 0.62))
    trim = (245, 245, 240) if is_dark(color) else (45, 40, 42)
    match closure:
        case "Lace-Up":
            for step in range(4):
                px, py = x - 0.07 + 0.05 * step, y + 0.07 - 0.045 * step
                canvas.pen.line([(px - 0.03, py - 0.025), (px + 0.055, py + 0.035)], trim, 0.016)
            canvas.pen.ring(x + 0.05, y - 0.13, x + 0.13, y - 0.08, trim, 0.012)
        case "Velcro":
            for step in range(2):
                px, py = x - 0.05 + 0.1 * step, y + 0.03 - 0.06 * step
                canvas.patch(
                    [(px - 0.04, py - 0.02), (px + 0.03, py - 0.05), (px + 0.12, py + 0.1), (px + 0.05, py + 0.13)],
                    trim,
                )
        case "Buckle":
            canvas.pen.line([(x - 0.04, y - 0.02), (x + 0.3, min(y + 0.06, heel - 0.08))], trim, 0.035)
            canvas.pen.rectangle(x + 0.06, y - 0.03, x + 0.15, y + 0.06, (214, 178, 70))
            canvas.pen.rectangle(x + 0.085, y - 0.005, x + 0.125, y + 0.035, trim)
        case "Zipper":
            top = 0.2 if kind == "Ankle Boots" else y - 0.02
            canvas.pen.line([(0.72, top), (0.7, heel - 0.04)], STEEL, 0.026)
            canvas.pen.line([(0.72, top), (0.7, heel - 0.04)], (60, 60, 64), 0.008)
            canvas.pen.rectangle(0.7, top, 0.74, top + 0.05, STEEL)
        case "Slip-On":
            canvas.patch(
                [(x + 0.04, y - 0.03), (x + 0.14, y - 0.03), (x + 0.12, y + 0.1), (x + 0.06, y + 0.1)],
                mix(color, trim, 0.6),
            )
        case _:
            pass
