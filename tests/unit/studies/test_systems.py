"""The table of systems: every row on the same products, trained once, beside the dictionary and the hour's baseline."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facetmill.cli import app
from facetmill.errors import DataError
from facetmill.params import Params, load_params
from facetmill.records import Facet, Product, Span
from facetmill.studies import systems
from facetmill.studies.arms import parts_of
from facetmill.studies.systems import HOUR, Systems, study_systems
from tests import small

COLOURS = ("red", "blue", "green", "dark red")


def product(number: int) -> Product:
    value = COLOURS[number % 4] if number % 10 else f"hue{number}"
    title = f"{number} {value} hat"
    start = title.index(value)
    facets = (Facet("Colour", value, (Span("title", start, start + len(value)),), provenance="matched"),)
    return Product(str(number), "s", title, category="Hats", facets=facets)


@pytest.fixture(scope="module")
def params() -> Params:
    root = Path(__file__).parents[3]
    return load_params(root / "params.yaml", ["training.epochs=2", "training.min_epoch_steps=1"])


def asked(params: Params, folder: Path, lines: list[str]) -> Systems:
    return study_systems(
        params,
        [product(number) for number in range(60)],
        ["dictionary"],
        range(2),
        num_folds=1,
        kept=folder / "kept",
        features_dir=folder / "features",
        log=lines.append,
    )


def test_a_table_has_every_row_on_the_same_products_and_trains_nothing_twice(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small_baseline(given: Params) -> systems.Recipe:
        recipe = systems.recipe_of(given, "tagger")
        return dataclasses.replace(recipe, config=dataclasses.replace(recipe.config, encoder=small.TEXT))

    monkeypatch.setattr(systems, "hours_baseline", small_baseline)
    lines: list[str] = []
    table = asked(params, tmp_path, lines)
    dictionary, hour = table.rows
    assert (dictionary.name, hour.name) == ("dictionary", HOUR)
    assert (table.scored_on, table.num_scored) == ("1 of 5 folds", 12)
    assert dictionary.low <= dictionary.score <= dictionary.high
    assert (dictionary.recall_seen, dictionary.recall_unseen) == (100.0, 0.0)
    assert dictionary.spread == 0
    assert (hour.gain, hour.gain_low, hour.gain_high) == (0, 0, 0)
    assert 0 < dictionary.gain_low <= dictionary.gain <= dictionary.gain_high
    assert len(hour.best_epochs) == 2
    assert hour.peak_mib > 100
    assert sum("trained" in line for line in lines) == 1 + 2
    again: list[str] = []
    assert asked(params, tmp_path, again) == table
    assert not any("trained" in line for line in again)


def test_parts_share_no_group_and_keep_a_published_split() -> None:
    products = [product(number) for number in range(60)]
    words, parts = parts_of(products)
    assert (words, len(parts)) == ("5 of 5 folds", 5)
    for part in parts:
        groups = [{each.group_id for each in split} for split in (part.train, part.validation, part.test)]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 60
    assert sorted(each.product_id for part in parts for each in part.test) == sorted(p.product_id for p in products)
    split = [dataclasses.replace(p, split="test" if i < 10 else "train") for i, p in enumerate(products)]
    words, (part,) = parts_of(split)
    assert words == "the published test split"
    assert part.test == tuple(split[:10])
    with pytest.raises(DataError, match="9 products: too few for 5 folds"):
        parts_of(products[:9])


def test_too_few_products_are_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.csv").write_text("id,title,Color\na,Red cup,Red\nb,Blue mug,Blue\n")
    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, ["study", "systems", "--data", f"products:{tmp_path / 'shop.csv'}"])
    assert isinstance(done.exception, DataError)
    assert str(done.exception) == "2 products: too few for 5 folds"
