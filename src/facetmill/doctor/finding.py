"""What a check says about one thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`wrong` tells the actual values, `mend` is the one command or edit that puts it right.

    A problem keeps something from working or breaks a promise; a warning can be lived with.
    """

    check: str
    severity: Literal["problem", "warning"]
    wrong: str
    mend: str
