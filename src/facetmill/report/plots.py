"""Plots as inline SVG that fit any width: places along x are percentages, so text and marks keep their size.

Model A is always a filled circle on a solid line, model B a diamond on a dashed line, so nothing hangs on colour alone.
Every plot carries its content in words (`role="img"` with a label), or is hidden from screen readers where its numbers
stand beside it in the same row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from facetmill.report.page import text

Point = tuple[float, float]

MAX_POINTS = 200  # of one curve; more cannot be seen


@dataclass(frozen=True, slots=True)
class Scale:
    """From values `low`..`high` to shares `left`..`right` (percent) of a plot's width; beyond the ends it clips."""

    low: float
    high: float
    left: float = 4.0
    right: float = 96.0

    def at(self, value: float) -> str:
        return f"{self.number(value):.2f}%"

    def number(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.left + (self.right - self.left) * min(max(share, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; without one, `low` and `high` are the value."""

    value: float
    low: float
    high: float


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low..high, at most `most` + 1 of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def around(values: Sequence[float]) -> tuple[float, float]:
    """Bounds with some air around the values; never empty."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    air = (high - low) * 0.12 or abs(high) * 0.1 or 0.1
    return low - air, high + air


def tick_text(value: float) -> str:
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def marker(model: str, x: str, y: float, kind: str = "") -> str:
    """A circle for A, a diamond for B; `kind` is a CSS class more."""
    if model == "a":
        return f'<circle class="mark-a {kind}" cx="{x}" cy="{y:g}" r="5"/>'
    # A path takes no percentages; an <svg> within does, and carries it.
    return f'<svg x="{x}" y="{y:g}" class="at"><path class="mark-b {kind}" d="M0-6.5 6.5 0 0 6.5-6.5 0z"/></svg>'


def estimates(a: Estimate, b: Estimate, bounds: Point, label: str) -> str:
    """Both models' values with their intervals, one above the other on one axis."""
    scale = Scale(*bounds, left=8.0, right=92.0)
    parts = []
    for model, estimate, y in (("a", a, 26), ("b", b, 62)):
        low, high = scale.at(estimate.low), scale.at(estimate.high)
        parts.append(
            f'<line class="line-{model}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
            + "".join(
                f'<line class="end-{model}" x1="{end}" x2="{end}" y1="{y - 4}" y2="{y + 4}"/>' for end in (low, high)
            )
            + marker(model, scale.at(estimate.value), y)
            + f'<text class="text-{model}" x="{scale.at(estimate.value)}" y="{y - 11}" text-anchor="middle">'
            f"{model.upper()} {estimate.value:.3f}</text>"
        )
    grid = "".join(
        f'<line class="grid" x1="{scale.at(tick)}" x2="{scale.at(tick)}" y1="4" y2="78"/>'
        f'<text class="tick" x="{scale.at(tick)}" y="93" text-anchor="middle">{tick_text(tick)}</text>'
        for tick in ticks(*bounds)
    )
    return f'<svg class="plot" height="98" role="img" aria-label="{text(label)}">{grid}{"".join(parts)}</svg>'


def difference(estimate: Estimate, bounds: Point, kind: str) -> str:
    """One row of a diverging plot: where A stands against B, with its interval; hidden from screen readers. `kind` is
    better, worse or muted."""
    scale = Scale(*bounds)
    return (
        '<svg class="plot row" height="24" aria-hidden="true" focusable="false">'
        f'<line class="zero" x1="{scale.at(0)}" x2="{scale.at(0)}" y1="0" y2="24"/>'
        f'<line class="whisker {kind}" x1="{scale.at(estimate.low)}" x2="{scale.at(estimate.high)}" y1="12" y2="12"/>'
        + marker("b" if kind == "worse" else "a", scale.at(estimate.value), 12, kind)
        + "</svg>"
    )


def difference_axis(bounds: Point) -> str:
    """The axis above rows of `difference`; hidden from screen readers."""
    scale = Scale(*bounds)
    zero = scale.number(0)
    return (
        '<svg class="plot row" height="34" aria-hidden="true" focusable="false">'
        f'<text class="text-b" x="{zero - 2:.2f}%" y="12" text-anchor="end">'
        '\N{LEFTWARDS ARROW} B<tspan class="roomy"> better</tspan></text>'
        f'<text class="text-a" x="{zero + 2:.2f}%" y="12">A<tspan class="roomy"> better</tspan> '
        "\N{RIGHTWARDS ARROW}</text>"
        + "".join(
            f'<text class="tick" x="{scale.at(tick)}" y="30" text-anchor="middle">{_signed_tick(tick)}</text>'
            for tick in ticks(*bounds, most=4)
        )
        + "</svg>"
    )


def _signed_tick(value: float) -> str:
    return ("+" if value > 0 else "") + tick_text(value)


def diverging(values: Sequence[float]) -> Point:
    """Bounds that hold every value and zero, with room for words on either side of zero."""
    low, high = min([0.0, *values]), max([0.0, *values])
    air = 0.08 * (high - low) or 0.05
    low, high = low - air, high + air
    return min(low, -0.4 * high), max(high, -0.4 * low)


def bars(a: float, b: float) -> str:
    """Two amounts from zero, A above B; hidden from screen readers."""
    most = max(a, b) or 1.0
    return (
        '<svg class="plot row" height="26" aria-hidden="true" focusable="false">'
        f'<rect class="bar-a" x="0" y="4" height="6" width="{100 * a / most:.2f}%"/>'
        f'<rect class="bar-b" x="0.5" y="14.5" height="5" width="{99 * b / most:.2f}%"/></svg>'
    )


def curves(a: Sequence[Point], b: Sequence[Point], label: str) -> str:
    """One metric over epochs, a line for each model, named at its end. Points that are not finite are left out."""
    lines = {model: _finite(points) for model, points in (("a", a), ("b", b))}
    values = [value for points in lines.values() for _, value in points]
    epochs = [epoch for points in lines.values() for epoch, _ in points]
    low, high = around(values)
    x = Scale(min(epochs, default=0), max(epochs, default=1), left=14.0, right=84.0)
    top, bottom = 8.0, 148.0

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    grid = "".join(
        f'<line class="grid" x1="14%" x2="84%" y1="{y_of(tick):.1f}" y2="{y_of(tick):.1f}"/>'
        f'<text class="tick" x="12%" y="{y_of(tick) + 4:.1f}" text-anchor="end">{tick_text(tick)}</text>'
        for tick in ticks(low, high)
    )
    grid += '<text class="tick" x="86%" y="166">epoch</text>'
    whole = [tick for tick in ticks(x.low, x.high, 5) if tick == int(tick)]
    grid += "".join(
        f'<text class="tick" x="{x.at(tick)}" y="166" text-anchor="middle">{tick_text(tick)}</text>' for tick in whole
    )
    drawn = "".join(_curve(model, points, x, low, high) for model, points in lines.items() if len(points) > 1)
    ends = {model: y_of(points[-1][1]) for model, points in lines.items() if points}
    if len(ends) == 2 and abs(ends["a"] - ends["b"]) < 15:  # two names on one spot: move them apart
        middle = (ends["a"] + ends["b"]) / 2
        upper = "a" if ends["a"] < ends["b"] else "b"
        named = {model: middle + (-7.5 if model == upper else 7.5) for model in ends}
    else:
        named = ends
    for model, points in lines.items():
        if points:
            epoch, value = points[-1]
            drawn += marker(model, x.at(epoch), y_of(value))
            drawn += (
                f'<text class="text-{model}" x="{x.number(epoch) + 2.5:.2f}%" y="{named[model] + 4:.1f}">'
                f"{model.upper()} {tick_text(round(value, 3))}</text>"
            )
    return f'<svg class="plot" height="172" role="img" aria-label="{text(label)}">{grid}{drawn}</svg>'


def _finite(points: Sequence[Point]) -> list[Point]:
    """The points in order of epoch, thinned to `MAX_POINTS`; the last one always stays."""
    kept = sorted((float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y))
    step = max(1, math.ceil(len(kept) / MAX_POINTS))
    return [point for index, point in enumerate(kept) if (len(kept) - 1 - index) % step == 0]


def _curve(model: str, points: Sequence[Point], x: Scale, low: float, high: float) -> str:
    """A line takes no percentages either; it is drawn 1000 by 1000 and stretched, its width is not."""
    placed = " ".join(
        f"{(x.number(epoch) - x.left) / (x.right - x.left) * 1000:.0f},{1000 - 1000 * (value - low) / (high - low):.0f}"
        for epoch, value in points
    )
    return (
        f'<svg x="{x.left}%" y="8" width="{x.right - x.left}%" height="140" viewBox="0 0 1000 1000" '
        f'preserveAspectRatio="none" class="at"><polyline class="line-{model}" points="{placed}" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )
