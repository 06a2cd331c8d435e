"""How pages print numbers: the same digits everywhere, a real minus sign, and words where there is no number."""

from __future__ import annotations

import math
import re
from typing import Any, TypeGuard

NONE = "\N{EN DASH}"
A_MINUS_B = "A \N{MINUS SIGN} B"


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def score(value: Any, digits: int = 3) -> str:
    """A score in 0..1; an en dash if it is not a number."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") if is_number(value) else NONE


def signed(value: Any, digits: int = 3) -> str:
    """A difference with its sign; zero, after rounding, has none."""
    if not is_number(value):
        return NONE
    if round(value, digits) == 0:
        return f"{0:.{digits}f}"
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_text(value: Any) -> str:
    """A p-value as `p = 0.034` or `p < 0.001`."""
    if not is_number(value):
        return "p not known"
    # A line does not break within it.
    return (
        "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"
        if value < 0.001
        else f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value:.3f}"
    )


def duration(seconds: Any) -> str:
    """Milliseconds below a second, with three digits: `4.21 ms`, `183 ms`, `2.40 s`."""
    if not is_number(seconds):
        return NONE
    amount, unit = (seconds * 1000, "ms") if abs(seconds) < 1 else (seconds, "s")
    digits = 0 if abs(amount) >= 99.5 else 1 if abs(amount) >= 9.95 else 2
    return f"{amount:.{digits}f} {unit}"


def plain(value: Any) -> str:
    """Any cell of a table: counts with thousands, other numbers with four digits, text as it is."""
    if not is_number(value):
        return NONE if value is None else str(value)
    return (f"{int(value):,}" if value == int(value) else f"{value:.4g}").replace("-", "\N{MINUS SIGN}")


def typeset(said: str) -> str:
    """What a gate wrote for terminals, with real signs: `>= -0.02` as `≥ −0.02`."""
    said = said.replace(">=", "\N{GREATER-THAN OR EQUAL TO}").replace("<=", "\N{LESS-THAN OR EQUAL TO}")
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", said)


def count(number: int, one: str, many: str = "") -> str:
    """`1 gate`, `3 gates`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
