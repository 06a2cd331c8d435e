"""F1 over slots that may be empty, by its table of cases."""

from __future__ import annotations

import pytest

from facetmill.metrics.na_aware import tally_slots
from facetmill.metrics.score import score
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product


def product(*facets: Facet, absent: tuple[str, ...] = ()) -> Product:
    return Product("p", "test", "title", facets=facets, absent=absent)


RED = Facet("Color", " red ")

CASES = {
    "NN: rightly empty": (product(absent=("Color",)), [], Tally(0, 0, 0)),
    "NV: a value where there is none": (product(absent=("Color",)), [Facet("Color", "red")], Tally(0, 1, 0)),
    "VN: missed": (product(RED), [], Tally(0, 0, 1)),
    "VN: said n/a": (product(RED), [Facet("Color", "n/a")], Tally(0, 0, 1)),
    "VN: said None": (product(RED), [Facet("Color", "None")], Tally(0, 0, 1)),
    "VC: right, gold is stripped": (product(RED), [Facet("Color", "red")], Tally(1, 1, 1)),
    "VC: any of several gold values": (product(RED, Facet("Color", "rot")), [Facet("Color", "rot")], Tally(1, 1, 1)),
    "VW: other case": (product(RED), [Facet("Color", "Red")], Tally(0, 1, 1)),
    "no slot, no cost": (product(RED), [Facet("Size", "XL"), Facet("Color", "red")], Tally(1, 1, 1)),
    "a value beats absent": (product(RED, absent=("Color",)), [Facet("Color", "red")], Tally(1, 1, 1)),
    "highest confidence answers": (
        product(RED),
        [Facet("Color", "red", confidence=0.4), Facet("Color", "blue", confidence=0.6)],
        Tally(0, 1, 1),
    ),
    "first of equal confidence answers": (
        product(RED),
        [Facet("Color", "red", confidence=0.5), Facet("Color", "blue", confidence=0.5)],
        Tally(1, 1, 1),
    ),
    "no confidence is below any": (
        product(RED),
        [Facet("Color", "blue"), Facet("Color", "red", confidence=0.0)],
        Tally(1, 1, 1),
    ),
}


@pytest.mark.parametrize(("gold", "predicted", "expected"), CASES.values(), ids=CASES)
def test_cases(gold: Product, predicted: list[Facet], expected: Tally) -> None:
    assert tally_slots(gold, predicted) == expected


def test_corpus() -> None:
    """One VC, one VW, one NV, one VN and one NN: P = 1/3, R = 1/3 of (VN + VC + VW)."""
    gold = [product(RED, Facet("Size", "L"), Facet("Type", "mug"), absent=("Brand", "Material"))]
    said = [[Facet("Color", "red"), Facet("Size", "XL"), Facet("Brand", "Acme")]]
    scores = score(gold, said)
    assert (scores.na_precision, scores.na_recall) == (1 / 3, 1 / 3)
    assert scores.na_f1 == pytest.approx(1 / 3)
