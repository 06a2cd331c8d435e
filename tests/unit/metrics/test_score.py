"""The numbers that runs, gates and reports show, against hand counts and against scorers written another way."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from itertools import groupby

import pytest
from mlflow.utils.validation import _validate_metric_name

from facetmill.metrics.score import Scorer, metric_part, score
from facetmill.records import Facet, Product, Span

ATTRIBUTES = ("Color", "Size", "Type")


def product(*facets: Facet, category: str | None = None, absent: tuple[str, ...] = ()) -> Product:
    return Product("p", "test", "blue jeans match blue spirits", category=category, facets=facets, absent=absent)


def chunk(attribute: str, start: int, end: int, value: str = "?") -> Facet:
    return Facet(attribute, value, (Span("title", start, end),))


# Three products; units found / predicted / gold are 1/2/2, 1/1/2 and 0/1/0.
GOLD = [
    product(chunk("Color", 0, 4, "blue"), chunk("Type", 5, 10, "jeans"), category="pants"),
    product(chunk("Color", 17, 21, "Blue"), Facet("Season", "Late  Summer"), category="pants"),
    product(),
]
PREDICTED = [
    [chunk("Color", 0, 4), chunk("Type", 5, 16)],
    [Facet("Season", "late summer")],
    [chunk("Brand", 0, 4)],
]


def test_hand_counted_scores() -> None:
    scores = score(GOLD, PREDICTED, seen={"Color": ["BLUE"], "Season": ["winter"]})
    assert scores.products == 3
    assert (scores.value_precision, scores.value_recall, scores.value_f1) == (2 / 4, 2 / 4, 0.5)
    # Attribute sets: {Color, Type} twice; {Season} of {Color, Season}; {Brand} of nothing. 3 right, 4 said, 4 true.
    assert (scores.attribute_precision, scores.attribute_recall, scores.attribute_f1) == (3 / 4, 3 / 4, 0.75)
    # Color: 1 right, 1 said, 2 true -> 2/3. Type: 0. Season: 1. Brand has no gold and does not count.
    assert scores.macro_value_f1 == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert vars(scores.per_attribute["Color"]) == pytest.approx(
        {"value_f1": 2 / 3, "value_precision": 1.0, "value_recall": 0.5, "support": 2}
        | {"pair_f1": 0.0, "pair_precision": 0.0, "pair_recall": 0.0, "pairs": 2}  # "?" is no value of it
    )
    assert scores.per_attribute["Brand"].support == 0
    assert (scores.per_category["pants"].value_f1, scores.per_category["pants"].support) == (pytest.approx(4 / 7), 4)
    assert (scores.per_category["(none)"].value_precision, scores.per_category["(none)"].support) == (0.0, 0)
    assert (scores.recall_explicit, scores.support_explicit) == (1 / 3, 3)
    assert (scores.recall_implicit, scores.support_implicit) == (1.0, 1)
    assert (scores.recall_seen, scores.support_seen) == (1 / 2, 2)  # "blue" found, "Blue" missed
    assert (scores.recall_unseen, scores.support_unseen) == (1 / 2, 2)  # jeans missed, summer found


def test_attributes_that_a_model_predicts_are_scored_apart_from_those_of_its_values() -> None:
    """Values name {Color, Type}, {Season}, {Brand}; predicted are all true ones and a Size: 4 right of 5, of 4 true."""
    told = [{"Color", "Type"}, {"Color", "Season", "Size"}, set[str]()]
    scores = score(GOLD, PREDICTED, attributes=told)
    assert (scores.predicted_attribute_precision, scores.predicted_attribute_recall) == (4 / 5, 1.0)
    assert scores.predicted_attribute_f1 == pytest.approx(8 / 9)
    assert scores.attribute_f1 == 0.75
    alone = score(GOLD, PREDICTED)
    assert alone.predicted_attribute_f1 is None
    assert "predicted_attribute_f1" not in alone.flat()
    with pytest.raises(ValueError, match="3 gold products but attributes of 2"):
        score(GOLD, PREDICTED, attributes=told[:2])


def test_units_are_sets() -> None:
    """Saying the same thing twice neither helps nor hurts, in whatever facets it is packed."""
    gold = [product(Facet("Color", "blue", (Span("title", 0, 4), Span("title", 17, 21))))]
    twice = [[chunk("Color", 0, 4), chunk("Color", 0, 4), chunk("Color", 17, 21)]]
    assert score(gold, twice).value_f1 == 1.0


def test_same_place_in_other_field_or_attribute_is_wrong() -> None:
    gold = [product(chunk("Color", 0, 4))]
    assert score(gold, [[Facet("Color", "?", (Span("text", 0, 4),))]]).value_f1 == 0.0
    assert score(gold, [[chunk("Brand", 0, 4)]]).value_f1 == 0.0
    assert score(gold, [[Facet("Color", "blue")]]).value_f1 == 0.0  # right, but it does not say where


@pytest.mark.parametrize(("gold", "predicted"), [([], []), ([product()], [[]])])
def test_nothing_to_count_scores_zero(gold: list[Product], predicted: list[list[Facet]]) -> None:
    flat = score(gold, predicted, bootstrap=10).flat()
    assert flat.pop("products") == len(gold)
    assert set(flat.values()) == {0.0}


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 gold products but predictions for 2"):
        score(GOLD, PREDICTED[:2])


def test_without_training_values_seen_is_unknown() -> None:
    scores = score(GOLD, PREDICTED)
    assert scores.recall_seen is None
    assert "recall_seen" not in scores.flat()


def test_streaming_gives_the_same() -> None:
    scorer = Scorer()
    for one, facets in zip(GOLD, PREDICTED, strict=True):
        scorer.add(one, facets)
    assert scorer.result(bootstrap=20, seed=3) == score(GOLD, PREDICTED, bootstrap=20, seed=3)


def test_json_has_the_agreed_names_and_no_nan() -> None:
    shown = score(GOLD, PREDICTED, bootstrap=20).to_json()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    names = "pair_f1 value_f1 attribute_f1 value_precision na_f1 per_attribute per_category products intervals"
    assert set(names.split()) <= shown.keys()
    ratios = ("pair_f1", "pair_precision", "pair_recall", "value_f1", "value_precision", "value_recall")
    assert shown["per_attribute"]["Season"] == {**dict.fromkeys(ratios, 1.0), "pairs": 1, "support": 1}
    assert len(shown["intervals"]["value_f1"]) == 2


def test_metric_names_suit_mlflow_and_do_not_collide() -> None:
    hostile = ["a/b", "a_b", "a%b", "a\\b", "..", ".", "", "//", "x" * 300, "x" * 301, "颜色", "Colour (main)", "é\n"]
    gold = [product(*(Facet(name, "v") for name in hostile), category="a/b: c")]
    flat = score(gold, [[]], bootstrap=2).flat()
    for name in flat:
        _validate_metric_name(name)
        assert re.fullmatch(r"[\w\-./: ]{1,250}", name)
    assert len([name for name in flat if name.startswith("attribute/support/")]) == len(hostile)
    assert flat["attribute/support/颜色"] == 1.0
    assert metric_part("Closure Type") == "Closure Type"


# --- two scorers of the literature, written from their definitions -------------------------------------------------


def random_tags(random_: random.Random, length: int) -> list[str]:
    """Tags as a model without constraints gives them: an I may follow anything."""
    return [random_.choice(["O", "O", *(f"{p}-{a}" for p in "BI" for a in ATTRIBUTES)]) for _ in range(length)]


def conlleval_chunks(tags: list[str]) -> set[tuple[str, int, int]]:
    """Chunks as conlleval.pl sees them: an I of another attribute, or after O, begins one."""
    chunks, start, last = set(), None, "O"
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, attribute = tag.partition("-")
        begins = prefix == "B" or (prefix == "I" and attribute != last)
        if start is not None and (begins or prefix == "O"):
            chunks.add((last, start, place))
            start = None
        if begins:
            start = place
        last = attribute if prefix != "O" else "O"
    return chunks


def micro_f1(right: int, said: int, true: int) -> float:
    precision, recall = right / said if said else 0.0, right / true if true else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def conlleval_f1(pairs: list[tuple[list[str], list[str]]]) -> float:
    gold, said = ([conlleval_chunks(pair[side]) for pair in pairs] for side in (0, 1))
    right = sum(len(g & s) for g, s in zip(gold, said, strict=True))
    return micro_f1(right, sum(map(len, said)), sum(map(len, gold)))


def row_f1(pairs: list[tuple[list[str], list[str]]]) -> float:
    """ULS-DRAM's: one B/I/O row per (example, attribute) in predicted or gold; the other side may be all O."""
    right = said = true = 0
    for sides in pairs:
        chunks = [conlleval_chunks(tags) for tags in sides]
        for attribute in {name for found in chunks for name, _, _ in found}:
            rows = [["O"] * len(sides[0]) for _ in sides]
            for row, found in zip(rows, chunks, strict=True):
                for name, start, end in found:
                    if name == attribute:
                        row[start:end] = ["B"] + ["I"] * (end - start - 1)
            gold_row, said_row = ({(s, e) for _, s, e in conlleval_chunks([f"{t}-x" for t in row])} for row in rows)
            right, said, true = right + len(gold_row & said_row), said + len(said_row), true + len(gold_row)
    return micro_f1(right, said, true)


def tagged(tags: list[str]) -> list[Facet]:
    """Facets of a text of one-letter words, one facet per attribute with all its spans."""
    chunks = sorted(conlleval_chunks(tags))
    return [
        Facet(name, "?", tuple(Span("title", start, end) for _, start, end in group))
        for name, group in groupby(chunks, key=lambda found: found[0])
    ]


@pytest.mark.parametrize("seed", range(5))
def test_value_f1_of_explicit_facets_is_chunk_f1(seed: int) -> None:
    random_ = random.Random(seed)
    pairs = []
    for _ in range(40):
        gold = random_tags(random_, random_.randint(1, 12))
        said = [tag if random_.random() < 0.8 else random_.choice(["O", "B-Color", "I-Type"]) for tag in gold]
        pairs.append((gold, said))
    scores = score([product(*tagged(gold)) for gold, _ in pairs], [tagged(said) for _, said in pairs])
    assert 0.2 < scores.value_f1 < 0.95
    assert scores.value_f1 == pytest.approx(conlleval_f1(pairs))
    assert scores.value_f1 == pytest.approx(row_f1(pairs))


def test_attribute_f1_is_that_of_torchmetrics() -> None:
    import torch
    from torchmetrics.classification import MultilabelF1Score  # slow to import

    random_ = random.Random(0)
    hot = [[[random_.random() < 0.4 for _ in ATTRIBUTES] for _ in range(60)] for _ in range(2)]
    facets = [
        [[Facet(name, "v") for name, on in zip(ATTRIBUTES, row, strict=True) if on] for row in side] for side in hot
    ]
    oracle = MultilabelF1Score(num_labels=len(ATTRIBUTES), average="micro")
    expected = oracle(torch.tensor(hot[1]).int(), torch.tensor(hot[0]).int())
    scores = score([replace(product(), facets=tuple(gold)) for gold in facets[0]], facets[1])
    assert scores.attribute_f1 == pytest.approx(expected.item())
