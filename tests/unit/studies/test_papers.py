"""The papers' tables: settings that exist, each row with just the change that its name says."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facetmill.cli import app, study
from facetmill.errors import DataError
from facetmill.params import Params, load_params, to_mapping
from facetmill.platform.layout import Layout
from facetmill.platform.steps import load_flow
from facetmill.studies.beside import published_beside
from facetmill.studies.lines import paper_lines, share_lines, transfer_lines
from facetmill.studies.papers import PAPER_TABLES, PaperTable
from facetmill.studies.run import run_study
from facetmill.tracking.tracker import flatten


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    return load_params(root / "params.yaml", ["models.jave.kl_weight=0.25", "encoders.text.minilm.freeze=true"])


@pytest.mark.parametrize("table", PAPER_TABLES, ids=lambda table: table.name)
def test_a_row_is_what_params_yaml_says_but_for_its_own_settings(table: PaperTable, params: Params) -> None:
    lines = paper_lines(params, table)
    assert {line.bar for line in lines} == {table.bar}
    assert table.bar in {line.name for line in lines}
    assert len({str(to_mapping(line.recipe.config)) for line in lines}) == len(lines), "two rows are the same"
    for line, variant in zip(lines, table.variants, strict=True):
        stands = flatten(to_mapping(getattr(params.models, variant.key)))
        wanted: dict[str, Any] = {**stands, **flatten(variant.settings)}
        assert flatten(to_mapping(line.recipe.config)) == wanted


@pytest.mark.parametrize("name", ["relations", "vision", "uls-ladder", "uls-range", "pam", "pam-inputs", "pam-parts"])
def test_published_rows_have_the_names_of_ours(name: str) -> None:
    (table,) = (table for table in PAPER_TABLES if table.name == name)
    data = "pam" if name.startswith("pam") else "mepave"
    theirs = [row.name for row in published_beside(data, name, [table.metric])]
    assert set(theirs) <= {variant.name for variant in table.variants}
    assert len(theirs) >= 4


def test_shares_are_held_against_all_there_is_and_other_data_against_ones_own(params: Params) -> None:
    shares = share_lines(params, ["jave"], (0.5, 1.0))
    assert [(line.name, line.share, line.bar) for line in shares] == [
        ("jave, 50 %", 0.5, "jave, 100 %"),
        ("jave, 100 %", 1.0, "jave, 100 %"),
    ]
    transfer = transfer_lines(params, ["m_jave"])
    assert [(line.name, line.elsewhere, line.bar) for line in transfer] == [
        ("m_jave", False, "m_jave"),
        ("m_jave, elsewhere", True, "m_jave"),
    ]


def test_too_few_products_are_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.csv").write_text("id,title,Color\na,Red cup,Red\nb,Blue mug,Blue\n")
    monkeypatch.chdir(root)
    for name in ("systems", "relations"):
        done = CliRunner().invoke(app, ["study", name, "--data", f"products:{tmp_path / 'shop.csv'}"])
        assert isinstance(done.exception, DataError)
        assert str(done.exception) == "2 products: too few for 5 folds"


def test_what_goes_to_a_work_pool_is_what_the_flow_and_the_study_take(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HandedOut(Exception):
        """Instead of a Prefect worker, for which tests would wait."""

    def hand_out(paths: Layout, pool: str, parameters: Mapping[str, Any]) -> None:
        raise HandedOut(pool, parameters)

    monkeypatch.setattr(study, "_train_in_pool", hand_out)
    monkeypatch.chdir(root / "tests")
    words = ["transfer", "--data", "demo:", "--elsewhere", "products:small.py", "--pool", "gpu", "--folds", "2"]
    done = CliRunner().invoke(app, ["study", *words])
    assert isinstance(done.exception, HandedOut)
    pool, parameters = done.exception.args
    assert pool == "gpu"
    assert parameters["data"] == "demo:"
    assert parameters["asked"]["elsewhere"] == f"products:{root}/tests/small.py", "a worker starts in another folder"
    taken = load_flow(root, "study").validate_parameters(parameters)
    signature(run_study).bind("layout", "params", taken["name"], **taken["asked"], log=print)
