"""Which model ranks the true value first, on products that say it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.errors import ParamsError
from facetmill.params import Params, load_params
from facetmill.records import Facet, Product
from facetmill.studies.hits import COMMONEST, study_hits
from tests import small


@pytest.fixture
def params(root: Path) -> Params:
    params = load_params(root / "params.yaml")
    training = replace(small.TRAINING, epochs=4, min_epoch_steps=20, learning_rate=0.01)
    return replace(params, training=training, models=replace(params.models, mae_model=small.MAE_MODEL))


def test_a_model_that_reads_ranks_better_than_how_common_values_are(params: Params, tmp_path: Path) -> None:
    colours = ("red", "blue", "green", "grey")
    products = [
        Product(f"p{n}", "s", f"a {colours[n % 4]} shoe", category="shoes", facets=(Facet("Colour", colours[n % 4]),))
        for n in range(60)
    ]
    lines: list[str] = []
    found = study_hits(params, products, tmp_path, lines.append, models=["mae_model"])
    assert found.scored_on == "1 of 5 folds"
    assert found.num_queries == 12
    assert found.hits["mae_model"]["hit@1"] > 90
    assert found.hits[COMMONEST]["hit@1"] < 60
    assert found.hits[COMMONEST]["hit@5"] == 100
    assert len(lines) == 1


def test_a_model_that_ranks_nothing_is_refused(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="model 'jave' ranks no values"):
        study_hits(params, [], tmp_path, print, models=["jave"])
