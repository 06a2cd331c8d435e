"""A comparison of two models that never were: products of the demo catalogue, with seeded mistakes as answers.

Scores, intervals and differences are computed from those answers, so the numbers belong together as real ones do.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facetmill.gates.verdict import Severity, Verdict
from facetmill.metrics.awareness import Awareness
from facetmill.metrics.counted import METRICS
from facetmill.metrics.paired import PairedResult, paired_test
from facetmill.metrics.score import score
from facetmill.records import Facet, Product
from facetmill.serving.answer import to_entries
from facetmill.sources import demo
from facetmill.sources.base import SourceOptions
from tests import small

DEMO = dataclasses.replace(
    small.DEMO, products=90, seed=5, image_size=96, noise=0.1, missing_images=0.15, implicit=0.25, drift=0.1
)
RESAMPLES = 200

Answers = Sequence[Sequence[Facet]]


def fake_comparison(
    pictures_dir: Path, *, better: bool = True, failing: Sequence[str] = (), num_examples: int = 12
) -> dict[str, Any]:
    """The comparison as JSON values. With `better`, A makes fewer mistakes than B; gates named in `failing` fail."""
    products = list(demo.read(Path(), SourceOptions(DEMO, scratch=pictures_dir)))
    assert all(isinstance(product, Product) for product in products)
    gold: list[Product] = products  # type: ignore[assignment]
    first = _answers(gold, wrong=0.08 if better else 0.3, weak="Flavor", seed=1)
    second = _answers(gold, wrong=0.22 if better else 0.08, weak="Color", seed=2)
    value = paired_test(gold, first, second, "pair_f1", resamples=RESAMPLES)
    return {
        "metric": "pair_f1",
        "dataset": {"name": "demo", "version": "9f1c2ab47e0d5531"},
        "split": "test",
        "num_products": len(gold),
        "first": _side("models:/facets-candidates/4", "jave", 4, gold, first, [0.0121, 0.0187, 1.92])
        | {"awareness": _awareness()},
        "second": _side("models:/facets@champion", "jave", 3, gold, second, [0.0094, 0.0143, 1.61]),
        "paired": {name: asdict(paired_test(gold, first, second, name, resamples=RESAMPLES)) for name in METRICS},
        "slices": list(_slices(gold, first, second)),
        "verdicts": [asdict(each) | {"examples": list(each.examples)} for each in _verdicts(failing, value)],
        "examples": _examples(gold, first, second)[: num_examples // 2]
        + _examples(gold, first, second)[-(num_examples - num_examples // 2) :],
        "curves": {"first": _curves(0.93, 14), "second": _curves(0.88, 11)},
        "left_out": {
            "num_products": 14,
            "first": {"title": 2},
            "second": {"group": 9, "title": 4, "picture": 1},
            "paired": {
                name: asdict(paired_test(gold[:14], first[:14], second[:14], name, resamples=RESAMPLES))
                for name in METRICS
            },
        },
        "dataset_diff": {
            "name": "demo",
            "rows": [
                {"what": "version", "first": "9f1c2ab47e0d", "second": "41d07b6c22fe"},
                {"what": "products", "first": 12_450, "second": 11_200},
                {"what": "attributes", "first": 21, "second": 21},
                {"what": "share of values that stand in no text", "first": 0.241, "second": 0.256},
            ],
        },
    }


def _answers(gold: Sequence[Product], *, wrong: float, weak: str, seed: int) -> Answers:
    rng = random.Random(seed)

    def predicted(facet: Facet) -> Facet | None:
        return _answer(facet, rng, wrong * 3 if facet.attribute == weak else wrong)

    return [[answer for facet in product.facets if (answer := predicted(facet))] for product in gold]


def _answer(facet: Facet, rng: random.Random, wrong: float) -> Facet | None:
    """The facet as a model would tell it: right, misread, half of it, or not at all."""
    predicted = dataclasses.replace(facet, provenance="predicted", confidence=round(rng.uniform(0.55, 0.99), 3))
    if rng.random() >= wrong:
        return predicted
    if facet.spans and " " in facet.value and rng.random() < 0.7:
        span = facet.spans[0]
        half = dataclasses.replace(span, end=span.start + facet.value.index(" "))
        return dataclasses.replace(predicted, value=facet.value.split(" ")[0], spans=(half,))
    return dataclasses.replace(predicted, value="Red Oak", spans=()) if rng.random() < 0.4 else None


def _side(
    ref: str, model: str, version: int, gold: Sequence[Product], answers: Answers, times: Sequence[float]
) -> dict[str, Any]:
    return {
        "ref": ref,
        "model": model,
        "version": version,
        "run_id": f"{version:x}c52e9a17b6d4f0e8a3b",
        "scores": score(gold, answers, bootstrap=RESAMPLES).to_json(),
        "latency": dict(zip(("p50", "p95", "load"), times, strict=True)),
        "awareness": None,
    }


def _awareness() -> dict[str, Any]:
    return asdict(Awareness("pair_f1", 200, 0.083, 0.006, 0.82, 0.74, 0.84, 0.757, (-9.0,) * 8, 144.0, 16, -48.0))


def _slices(gold: Sequence[Product], first: Answers, second: Answers) -> Iterable[dict[str, Any]]:
    attributes = sorted({facet.attribute for product in gold for facet in product.facets})
    categories = sorted({product.category or "" for product in gold})
    for name in attributes:
        chosen = [[facet for facet in product.facets if facet.attribute == name] for product in gold]
        only = [dataclasses.replace(product, facets=tuple(kept)) for product, kept in zip(gold, chosen, strict=True)]
        predicted = [[[facet for facet in one if facet.attribute == name] for one in side] for side in (first, second)]
        yield _slice("attribute", name, only, *predicted)
    members = {
        **{("category", name): [p.category == name for p in gold] for name in categories},
        ("image", "present"): [bool(p.images) for p in gold],
        ("image", "missing"): [not p.images for p in gold],
        ("values", "seen"): [index % 4 > 0 for index, _ in enumerate(gold)],
        ("values", "unseen"): [index % 4 == 0 for index, _ in enumerate(gold)],
    }
    for (kind, name), inside in members.items():
        places = [index for index, here in enumerate(inside) if here]
        yield _slice(kind, name, *([side[place] for place in places] for side in (gold, first, second)))


def _slice(kind: str, name: str, gold: Sequence[Product], first: Answers, second: Answers) -> dict[str, Any]:
    paired = paired_test(gold, first, second, "pair_f1", resamples=RESAMPLES)
    support = sum(len(product.facets) for product in gold)
    return {"kind": kind, "name": name, "num_products": len(gold), "support": support, **asdict(paired)}


def _verdicts(failing: Sequence[str], value: PairedResult) -> list[Verdict]:
    a, b = round(value.first, 4), round(value.second, 4)
    asked: list[tuple[str, Severity, float | str, str, str]] = [
        ("data_gate_passed", "critical", "passed", "passed", "dataset 9f1c2ab47e0d passed the data gate"),
        ("beats_dictionary", "critical", a, "> 0.641", f"pair_f1 {a:.4f} against 0.6410 of the dictionary"),
        ("beats_champion", "critical", a, f">= {b} + 0.005", f"pair_f1 {a:.4f} against {b:.4f} of champion 3"),
        ("no_attribute_gets_worse", "warning", -0.061, ">= -0.02", "Flavor: pair_f1 changes by -0.061, allowed -0.02"),
        ("is_fast_enough", "critical", "12.1 ms", "<= 50 ms", "the median answer takes 12.1 ms, allowed are 50 ms"),
    ]
    examples = {True: ("Flavor: 14 products",), False: ()}
    return [Verdict(gate, gate not in failing, *answer, examples[gate in failing]) for gate, *answer in asked]


def _examples(gold: Sequence[Product], first: Answers, second: Answers) -> list[dict[str, Any]]:
    examples = []
    for product, a, b in zip(gold, first, second, strict=True):
        a_f1, b_f1 = (score([product], [side]).pair_f1 for side in (a, b))
        if a_f1 != b_f1:
            predicted = {"first": _entries(a), "second": _entries(b), "truth": _entries(product.facets)}
            rng = random.Random(product.product_id)
            examples.append(
                {
                    "product": {
                        **{name: getattr(product, name) for name in ("product_id", "title", "text", "category")},
                        "image": product.images[0] if product.images else None,
                    },
                    **predicted,
                    "first_f1": a_f1,
                    "second_f1": b_f1,
                    "change": a_f1 - b_f1,
                    "first_attributes": {facet.attribute: round(rng.uniform(0.5, 1), 3) for facet in a},
                    "second_attributes": None,
                    "gates": _gates(product, rng) if rng.random() < 0.7 else None,
                    "covered": _covered(a, rng) if rng.random() < 0.7 else None,
                    "chances": _chances(a, rng),
                }
            )
    return sorted(examples, key=lambda example: example["change"])


def _entries(facets: Iterable[Facet]) -> list[dict[str, Any]]:
    return [entry for facet in facets for entry in to_entries(facet)]


def _gates(product: Product, rng: random.Random) -> dict[str, Any]:
    tokens: list[dict[str, Any]] = []
    for field in ("title", "text"):
        content, start = getattr(product, field), 0
        for word in content.split(" "):
            if word:
                gate = round(rng.random() ** 3, 3)
                tokens.append({"field": field, "start": start, "end": start + len(word), "gate": gate})
            start += len(word) + 1
    middle = [math.exp(-((row - 3) ** 2 + (column - 3) ** 2) / 5) for row in range(7) for column in range(7)]
    return {"tokens": tokens, "rows": 7, "columns": 7, "regions": [round(m * rng.uniform(0.6, 1), 3) for m in middle]}


def _covered(told: Sequence[Facet], rng: random.Random) -> list[dict[str, Any]]:
    """Each value owes something to one corner of the picture; every second one nothing."""
    found = []
    for number, facet in enumerate(told):
        whole = 0.0 if number % 2 else round(rng.uniform(0.1, 0.9), 3)
        parts = [[round(whole * 0.8, 3) if row < 2 and column > 2 else 0.0 for column in range(5)] for row in range(5)]
        named = {"attribute": facet.attribute, "value": facet.value, "confidence": 0.9}
        found.append({**named, "whole": whole, "parts": parts})
    return found


def _chances(told: Sequence[Facet], rng: random.Random) -> dict[str, list[tuple[str, float]]]:
    return {
        facet.attribute: [(facet.value, 0.7), ("", round(rng.uniform(0.1, 0.2), 3)), ("another", 0.08)]
        for facet in told
    }


def _curves(best: float, epochs: int) -> dict[str, list[list[float]]]:
    steps = range(1, epochs + 1)
    return {
        "validation/pair_f1": [[epoch, round(best * (1 - math.exp(-epoch / 3)), 4)] for epoch in steps],
        "train/loss": [[epoch, round(2.4 * math.exp(-epoch / 3.5) + 1 - best, 4)] for epoch in steps],
    }
