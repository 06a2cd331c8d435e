"""Closed-choice accuracy: was the one answer that a question about a product has, told?

Source: Zou et al., "ImplicitAVE: An Open-Source Dataset and Multimodal LLMs Benchmark for Implicit Attribute Value
Extraction", Findings of ACL 2024, whose notebook counts what the paper calls micro-F1. A model is asked for one
attribute and given its values to choose from; its answer is right if the true value occurs in it, whatever the case.
So an answer that lists every value is right, and "Long Sleeve" is right where "Long" is true: the strict count beside
it asks for the value itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class ClosedChoice:
    """Whether one answer is right, strictly and as ImplicitAVE counts it."""

    strict: bool
    contained: bool

    @classmethod
    def of(cls, answer: str, gold: str) -> Self:
        """An answer of "" is none, and never right. Raises `ValueError` where nothing is true, for that would be in
        every answer."""
        told, true = answer.strip().lower(), gold.strip().lower()
        if not true:
            raise ValueError("a closed choice has a true value")
        return cls(strict=told == true, contained=true in told)
