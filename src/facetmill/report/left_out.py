"""Test products that one of two models was trained on: how they were known again, and how the models do there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facetmill.report.metric_names import title
from facetmill.report.numbers import A_MINUS_B, NONE, count, score, signed
from facetmill.report.page import scrolling, table, text

Json = Mapping[str, Any]

_SIGNS = {"group": "Same product by its id", "title": "Same title", "picture": "Same picture"}


def left_out_html(left_out: Json | None) -> str:
    """Two tables: what each model knew, and both models' scores on it, which decide nothing."""
    if left_out is None:
        return '<p class="said">It was not asked whether a model was trained on test products.</p>'
    sides = (left_out["first"], left_out["second"])
    unknown = [letter for letter, side in zip("AB", sides, strict=True) if side is None]
    said = "".join(f'<p class="said">What {letter} was trained on is not known.</p>' for letter in unknown)
    if not left_out["num_products"]:
        return said + '<p class="said">No test product is known to be one that a model was trained on.</p>'
    said = (
        f'<p class="said">{count(left_out["num_products"], "test product")} left out of all else on this page, since a '
        "model was trained on the same. Its score there says what it remembers.</p>"
    ) + said
    keys = [f'<b class="key {letter}">{letter.upper()}</b>' for letter in "ab"]
    known = [
        [words, *(NONE if side is None else str(side.get(sign, 0)) for side in sides)] for sign, words in _SIGNS.items()
    ]
    scores = [
        [text(title(name)), score(each["first"]), score(each["second"]), signed(each["difference"])]
        for name, each in left_out["paired"].items()
    ]
    tables = (
        ("How they were known", table(["Known by", *keys], known, '<span class="unseen">How they were known</span>')),
        ("Scores there", table(["Score", *keys, A_MINUS_B], scores, '<span class="unseen">Scores there</span>')),
    )
    return said + "".join(scrolling(listed, caption) for caption, listed in tables)
