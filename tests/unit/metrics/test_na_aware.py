"""F1 over slots that may be empty, by its table of cases."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given

from facetmill.metrics.counted import counted
from facetmill.metrics.score import score
from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product
from tests.drawn_facets import corpora


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
    "n/a before a value: an empty slot": (product(RED, absent=("Color",)), [Facet("Color", "red")], Tally(0, 1, 0)),
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
    assert counted(gold, predicted, "na_f1").tally == expected


@given(corpora)
def test_the_table_of_the_papers_code(corpus: list[tuple[Product, list[Facet]]]) -> None:
    """NN, NV, VN, VC and VW counted slot by slot."""
    cells: Counter[str] = Counter()
    for gold, predicted in corpus:
        for slot in {facet.attribute for facet in gold.facets} | set(gold.absent):
            accepted = [] if slot in gold.absent else [f.value.strip() for f in gold.facets if f.attribute == slot]
            said = [facet for facet in predicted if facet.attribute == slot]
            best = next((f for c in (0.9, 0.5, 0.2, None) for f in said if f.confidence == c), None)
            value = None if best is None else best.value
            cells["NV" if value else "NN"] += not accepted
            if accepted:
                cells["VN" if value is None else "VC" if value in accepted else "VW"] += 1
    tally = sum((counted(gold, predicted, "na_f1").tally for gold, predicted in corpus), Tally())
    assert tally.precision == cells["VC"] / max(1, cells["NV"] + cells["VC"] + cells["VW"])
    assert tally.recall == cells["VC"] / max(1, cells["VN"] + cells["VC"] + cells["VW"])


def test_corpus() -> None:
    """One VC, one VW, one NV, one VN and one NN: P = 1/3, R = 1/3 of (VN + VC + VW)."""
    gold = [product(RED, Facet("Size", "L"), Facet("Type", "mug"), absent=("Brand", "Material"))]
    said = [[Facet("Color", "red"), Facet("Size", "XL"), Facet("Brand", "Acme")]]
    scores = score(gold, said)
    assert (scores.na_precision, scores.na_recall) == (1 / 3, 1 / 3)
    assert scores.na_f1 == pytest.approx(1 / 3)
