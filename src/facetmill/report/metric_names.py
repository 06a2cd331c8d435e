"""What metrics are called on pages and in notes, and what each means in a sentence."""

from __future__ import annotations

MEANINGS = {
    "pair_f1": "The right attribute and value, wherever it stands.",
    "value_f1": "The right attribute at the right place in the text.",
    "attribute_f1": "Which attributes a product has, whatever their values.",
    "na_f1": "Also rewards leaving a slot empty that has no value.",
}
OTHER_MEANINGS = {
    "explicit_f1": "Pair F1 of values that stand in the text; others are neither asked for nor told (DEFLATE).",
    "implicit_f1": "Pair F1 of values that do not stand in the text.",
    "fuzzy_f1": "A value counts that shares more than half with a true one (DEFLATE).",
    "pair_accuracy": "Annotated attributes with exactly the true values; what else is told is free (ULS-DRAM).",
    "jga": "Products of which every slot is right, empty ones too (MuJo-SF).",
    "sa": "Slots that are right, empty ones too (MuJo-SF).",
    "sa_filled": "Slots with a value that are right.",
}
_TITLES = {
    "na_f1": "N/A-aware F1",
    "pair_accuracy": "Pair accuracy",
    "jga": "JGA",
    "sa": "SA",
    "sa_filled": "SA of slots with a value",
}


def title(metric: str) -> str:
    """`pair_f1` as Pair F1."""
    return _TITLES.get(metric, f"{metric.removesuffix('_f1').capitalize()} F1")


def in_sentence(metric: str) -> str:
    """`pair_f1` as pair F1, in the middle of a sentence."""
    named = title(metric)
    return named if metric in _TITLES else named[0].lower() + named[1:]
