"""A small table that nothing was trained for."""

from __future__ import annotations

from facetmill.studies.beside import published_beside
from facetmill.studies.other_scores import OtherScore
from facetmill.studies.table import Measure, Row, Slice, Table


def measure(f1: float, gain: float = 0.0) -> Measure:
    return Measure(f1, f1 - 2, f1 + 2, 0.5, f1 + 1, f1 - 1, gain, gain - 1, gain + 1)


def row(name: str, f1: float, gain: float, *, num_scored: int = 12) -> Row:
    return Row(
        name=name,
        key="jave",
        bar="JAVE",
        num_scored=num_scored,
        predicts_attributes=True,
        measures={"value_f1": measure(f1, gain), "attribute_f1": measure(90)},
        recall_seen=80.0,
        recall_unseen=20.0,
        share_seen=75.0,
        calibration_error=4.5,
        best_epochs=(3, 4),
        train_seconds=12.5,
        products_per_second=100.0,
        peak_mib=900.0,
        settings={"model": {"kl_weight": 0.5, "encoder": {"window": 16}}, "training": {"epochs": 4}},
        others={"fuzzy_f1": OtherScore(f1 + 5, f1 + 3, f1 + 7), "jga": OtherScore(10.0, 5.0, 15.0)},
        by_category={"Hats <b>": Slice(f1, num_scored)},
        by_attribute={"Colour": Slice(f1, num_scored), "Told in vain": Slice(0.0, 0)},
    )


def made_table() -> Table:
    rows = (row("JAVE", 60.0, 0.0), row("w/o KL", 57.5, -2.5), row("elsewhere", 31.0, -29.0, num_scored=5))
    published = tuple(published_beside("mepave", "relations", ["value_f1"]))
    return Table(
        "relations", "What is it worth?", "products:<script>.csv", "1 of 5 folds", "value_f1", (0, 1), rows, published
    )
