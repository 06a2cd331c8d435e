"""What every precision, recall and F1 here is made of: three counts."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Tally:
    """How many were right, how many were predicted, and how many there are; ratios are 0..1, 0 where undefined."""

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    @classmethod
    def of(cls, gold: Set[object], predicted: Set[object]) -> Self:
        return cls(len(gold & predicted), len(predicted), len(gold))

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, which is 2 correct / (predicted + gold)."""
        both = self.predicted + self.gold
        return 2 * self.correct / both if both else 0.0
