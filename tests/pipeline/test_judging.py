"""Judging and promoting against real servers: the better model goes live, and nothing poisoned ever does."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema

from facetmill.compute.tensors import save_tensors
from facetmill.dataset.store.fingerprints import FINGERPRINTS, Fingerprints
from facetmill.errors import DataError, PlatformError
from facetmill.files import hash_file, read_json, write_json
from facetmill.gates.pictures import LookCache
from facetmill.gates.verdict import Decision
from facetmill.judging import judge as judging
from facetmill.judging.claims import GATES
from facetmill.judging.given_up import GivenUp
from facetmill.judging.judge import Outcome, judge, judge_and_promote
from facetmill.project import Project
from facetmill.records import Product
from facetmill.registry import versions
from facetmill.serving import package as packaging
from facetmill.serving import query
from tests.damage import flip_byte

from .conftest import Platform
from .world import COLORS, MATERIALS, World, listing, make_dataset, make_world

pytestmark = pytest.mark.pipeline


def failed(outcome: Outcome) -> dict[str, str]:
    return {verdict["gate"]: verdict["reason"] for verdict in outcome.verdicts if not verdict["passed"]}


@pytest.fixture(scope="module")
def world(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(platform, tmp_path_factory.mktemp("baseline") / "model")


@pytest.fixture(scope="module")
def champion(world: World, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The first champion: it knows every color and no material."""
    folder = tmp_path_factory.mktemp("champion")
    version = world.candidate(folder / "model", world.save(folder / "model", COLORS))
    outcome = world.judge_and_promote(version)
    assert outcome.outcome == "promoted", outcome
    said = world.comparison(version, folder)
    assert (said["first"]["ref"], said["second"]["model"]) == (f"facets-candidates/{version}", "dictionary")
    assert said["second"]["version"] is None
    live = world.champion()
    assert live is not None
    return live


def test_as_good_as_the_champion_is_not_better(world: World, champion: int, tmp_path: Path) -> None:
    """Materials instead of colors: the same value F1 to the third digit, but every color is lost."""
    outcome = world.judge_and_promote(world.candidate(tmp_path / "m", world.save(tmp_path / "m", MATERIALS)))
    assert outcome.outcome == "kept_champion"
    assert failed(outcome).keys() == {"beats_champion", "no_slice_worse", "seeds_agree"}
    assert "+0.000" in failed(outcome)["beats_champion"]
    assert "not shown to be better" in failed(outcome)["beats_champion"]
    assert "attribute 'Color' -1.000" in failed(outcome)["no_slice_worse"]
    assert world.champion() == champion


def test_a_gain_on_one_product_is_noise(world: World, champion: int, tmp_path: Path) -> None:
    """A better candidate by a hair is kept out by the interval, and let in when its owner wants points to decide."""
    rare = next(p for p in world.dataset.read("test") if "oak" in p.title)
    folder = tmp_path / "m"
    pair_f1 = world.save(folder, COLORS)
    entries = read_json(folder / "assets" / "entries.json")
    entries.append(
        {"words": rare.title.split()[1:], "category": "", "attribute": "Material", "count": 1, "reliability": 1.0}
    )
    write_json(folder / "assets" / "entries.json", entries)
    described = read_json(folder / "model.json")
    described["hashes"]["assets/entries.json"] = hash_file(folder / "assets" / "entries.json")
    write_json(folder / "model.json", described)
    version = world.candidate(folder, pair_f1 + 0.001)
    outcome = world.judge_and_promote(version)
    assert outcome.outcome == "kept_champion"
    assert failed(outcome).keys() == {"beats_champion"}
    rows = len(world.project.ledger.history())
    assert "before" in world.judge_and_promote(version).message  # by the same limits there is nothing new to find
    assert len(world.project.ledger.history()) == rows


def test_every_gate_is_asked_and_the_comparison_is_kept(world: World, champion: int, tmp_path: Path) -> None:
    known = (*COLORS, "oak", "wool")
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", known), seeds=2)
    outcome = world.judge_and_promote(version, dry_run=True)
    assert outcome.outcome == "dry_run", failed(outcome)
    assert [verdict["gate"] for verdict in outcome.verdicts] == [gate.__name__ for gate in GATES]
    said = world.comparison(version, tmp_path)
    assert said["dataset"] == {"name": "things", "version": world.dataset.version}
    assert (said["second"]["ref"], said["second"]["version"]) == (f"facets/{champion}", champion)
    assert said["num_products"] == len(list(world.dataset.read("test")))
    assert said["left_out"] == {"num_products": 0, "first": {}, "second": {}, "paired": {}}  # packages say nothing, so
    # what they were trained on is read from their dataset
    assert said["paired"]["pair_f1"]["low"] > 0
    assert {(each["kind"], each["name"]) for each in said["slices"]} >= {
        ("attribute", "Color"), ("attribute", "Material"), ("category", "Things"), ("image", "missing"),
    }  # fmt: skip
    assert [verdict["gate"] for verdict in said["verdicts"]] == [gate.__name__ for gate in GATES]
    assert [example["change"] > 0 for example in said["examples"]] == [True] * 12
    assert said["curves"]["first"]["validation/pair_f1"][0][0] == 0
    assert 0 < said["first"]["latency"]["p50"] <= said["first"]["latency"]["p95"]


def knows(monkeypatch: pytest.MonkeyPatch, ref: str, products: Sequence[Product]) -> None:
    """Have the package of a version say that its model was trained on these."""
    fetched = versions.fetch_package

    def with_fingerprints(tracker: Any, model: versions.Resolved, target: Path) -> Path:
        folder = fetched(tracker, model, target)
        if model.ref == ref:
            Fingerprints.of(products, LookCache(None)).write(packaging.weights_dir(folder) / FINGERPRINTS)
        return folder

    monkeypatch.setattr(versions, "fetch_package", with_fingerprints)


def test_what_the_champion_was_trained_on_decides_nothing(
    world: World, champion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was trained on 20 test rows under other ids. The seeds are asked again: what their runs logged is of all."""
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", (*COLORS, "oak", "wool")), seeds=2)
    test = list(world.dataset.read("test"))
    own = versions.resolve(world.project.tracker, f"facets-candidates/{version}").trained_in
    world.project.tracker.client.log_metric(own or "", "test/pair_f1", 0.0)
    knows(monkeypatch, f"facets/{champion}", [replace(p, product_id="x", source="y") for p in test[:20]])
    outcome = world.judge_and_promote(version, dry_run=True)
    assert outcome.outcome == "dry_run", failed(outcome)
    said = world.comparison(version, tmp_path)
    assert said["num_products"] == len(test) - 20
    assert said["left_out"]["num_products"] == 20
    assert (said["left_out"]["first"], said["left_out"]["second"]) == ({}, {"title": 20})
    reasons = {verdict["gate"]: verdict["reason"] for verdict in outcome.verdicts}
    assert f"champion {champion} was trained on 20" in reasons["enough_unseen_products"]


def test_what_the_champion_was_proved_on_may_not_be_lost_on_other_data(
    platform: Platform, world: World, champion: int, tmp_path: Path
) -> None:
    """New data has one color alone, and its test split asks for no other; the champion's asks for all of them."""
    pairs = [("red", material) for material in MATERIALS] * 12
    listings = [listing(number, *pair) for number, pair in enumerate(pairs, start=1000)]
    new = replace(world, dataset=make_dataset(platform, "red things", listings))
    forgetful = new.candidate(tmp_path / "f", new.save(tmp_path / "f", ("red", *MATERIALS[:2])), seeds=2)
    outcome = new.judge_and_promote(forgetful, dry_run=True)
    reason = failed(outcome).pop("holds_where_champion_was_tested")
    assert re.search(
        r"against 0\.\d+ of champion \d+ on 4\d test products of the champion's own data: -0\.\d+ .* worse", reason
    )
    assert "beats_champion" not in failed(outcome), "on its own data it is better"
    knowing = new.candidate(tmp_path / "k", new.save(tmp_path / "k", (*COLORS, *MATERIALS[:2])), seeds=2)
    assert "holds_where_champion_was_tested" not in failed(new.judge_and_promote(knowing, dry_run=True))


def test_too_few_new_products_are_a_verdict(
    world: World, champion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", (*COLORS, "oak", "steel")))
    knows(monkeypatch, f"facets/{champion}", list(world.dataset.read("test")))
    found = failed(world.judge_and_promote(version))
    assert "0 of " in found["enough_unseen_products"]
    assert found["beats_champion"] == "beats_champion: could not be measured"
    assert world.champion() == champion


def test_a_candidate_without_its_seeds_is_not_promoted(world: World, champion: int, tmp_path: Path) -> None:
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", (*COLORS, *MATERIALS)), seeds=0)
    assert failed(world.judge_and_promote(version)) == {"seeds_agree": "seeds_agree: could not be measured"}


MODEL_FILE = packaging.MODEL_FILE.read_text()


def other_code(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> None:
    """Package a model file in which `predict` begins with a line of an attacker, or of a fool."""
    start = "        products = self._products("
    assert start in MODEL_FILE
    path = folder / "model_file.py"
    path.write_text(MODEL_FILE.replace(start, f"        if len(model_input) > 2: {line}\n{start}"))
    monkeypatch.setattr(packaging, "MODEL_FILE", path)


class Payload:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def pickled(world: World, folder: Path, name: str) -> Callable[[str], None]:
    """Make a package's model a pickle of that name, as MLflow itself once wrote them."""

    def change(model_id: str) -> None:
        place = world.project.tracker.client.get_logged_model(model_id).artifact_location
        described = world.project.tracker.download_uri(f"{place}/MLmodel", folder / "evil" / "MLmodel")
        text = yaml.safe_load(described.read_text())
        flavor = text["flavors"]["python_function"]
        del flavor["model_code_path"]
        flavor["python_model"] = name
        described.write_text(yaml.safe_dump(text))
        (folder / "evil" / name).write_bytes(pickle.dumps(Payload(folder / "mark")))
        world.project.tracker.client.log_model_artifacts(model_id, str(folder / "evil"))

    return change


def other_loader(world: World, folder: Path) -> Callable[[str], None]:
    """Have a package name a loader of its own, which leaves a mark when it is imported."""

    def change(model_id: str) -> None:
        place = world.project.tracker.client.get_logged_model(model_id).artifact_location
        described = world.project.tracker.download_uri(f"{place}/MLmodel", folder / "evil" / "MLmodel")
        text = yaml.safe_load(described.read_text())
        text["flavors"]["python_function"] |= {"loader_module": "evil_loader", "code": "code"}
        described.write_text(yaml.safe_dump(text))
        (folder / "evil" / "code").mkdir()
        (folder / "evil" / "code" / "evil_loader.py").write_text(f"import os\nos.mkdir({str(folder / 'mark')!r})\n")
        world.project.tracker.client.log_model_artifacts(model_id, str(folder / "evil"))

    return change


COLOUR = {"attribute": "Colour", "value": "red", "confidence": 1.0, "field": None, "start": None, "end": None}
OF_NO_SCHEMA = f"return pd.DataFrame([dict(product_id=i, facets=[{COLOUR}]) for i in model_input['product_id']])"


@pytest.mark.parametrize(
    ("poison", "gate", "message"),
    [
        ("NaN weights", "answers", "not finite"),
        ("sleeps", "answers", "not done in"),
        ("dies", "answers", "exit code 9"),
        ("answers for other products", "answers", "asked for product"),
        ("another signature", "signature_as_published", "another signature"),
        ("pickle.pkl", "answers", "not loaded: pickle.pkl"),
        ("pickle.txt", "answers", "not loaded: MLmodel: "),
        ("another loader", "answers", "not loaded: code/evil_loader.py"),
        ("an attribute of no schema", "answers", "attribute 'Colour' is not in the model's schema"),
    ],
)
def test_a_poisoned_candidate_never_goes_live(
    world: World, champion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str, gate: str, message: str
) -> None:
    """Each would be far better than the champion."""
    folder, change = tmp_path / "model", None
    pair_f1 = world.save(folder, (*COLORS, *MATERIALS))
    if poison == "NaN weights":
        save_tensors({"weights": torch.tensor([float("nan")])}, folder / "weights.safetensors")
        described = read_json(folder / "model.json")
        described["hashes"]["weights.safetensors"] = hash_file(folder / "weights.safetensors")
        write_json(folder / "model.json", described)
    elif poison == "sleeps":
        other_code(monkeypatch, tmp_path, "import time; time.sleep(3600)")
        monkeypatch.setattr(query, "SECONDS_PER_PRODUCT", 0.0)
        limits = replace(world.project.params.promotion, max_load_seconds=5.0)
        world = replace(world, project=Project(world.project.layout, replace(world.project.params, promotion=limits)))
    elif poison == "dies":
        other_code(monkeypatch, tmp_path, "import os; os._exit(9)")
    elif poison == "answers for other products":
        other_code(monkeypatch, tmp_path, "model_input = model_input.iloc[::-1]")
    elif poison == "an attribute of no schema":
        other_code(monkeypatch, tmp_path, OF_NO_SCHEMA)
    elif poison == "another loader":
        change = other_loader(world, tmp_path)
    elif poison == "another signature":
        columns = [ColSpec(DataType.string, name) for name in ("product_id", "title", "text")]
        monkeypatch.setattr(packaging, "SIGNATURE", ModelSignature(Schema(columns), packaging.SIGNATURE.outputs))
    else:
        change = pickled(world, tmp_path, poison)
    version = world.candidate(folder, pair_f1, change=change)
    outcome = world.judge_and_promote(version)
    assert outcome.outcome == "kept_champion"
    assert message in failed(outcome)[gate], failed(outcome)
    assert str(tmp_path.parent) not in failed(outcome)[gate]
    assert world.champion() == champion
    row = world.project.ledger.history()[-1]
    assert (row.state, row.candidate_version) == ("rejected", version)
    assert not (tmp_path / "mark").exists()


def test_a_champion_that_does_not_answer_is_told_to_a_person(
    world: World, champion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate is not blamed: no row is written, and nothing changes."""
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", (*COLORS, *MATERIALS)))
    rows = len(world.project.ledger.history())
    fetched = versions.fetch_package

    def broken(tracker: Any, model: versions.Resolved, target: Path) -> Path:
        folder = fetched(tracker, model, target)
        if model.ref == f"facets/{champion}":
            (folder / "model_file.py").write_text("raise RuntimeError('written for another Python')\n")
        return folder

    monkeypatch.setattr(versions, "fetch_package", broken)
    with pytest.raises(PlatformError, match=rf"(?s)champion {champion} .*does not answer.*another Python"):
        world.judge_and_promote(version)
    assert (world.champion(), len(world.project.ledger.history())) == (champion, rows)


def test_a_candidate_that_died_once_may_try_again(
    world: World, champion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full machine may have killed it; the code that dies here looks for a file that is gone the second time."""
    (tmp_path / "full").touch()
    line = f"import os; os.path.exists({str(tmp_path / 'full')!r}) and os._exit(9)"
    other_code(monkeypatch, tmp_path, line)
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", (*COLORS, "oak")))
    assert "exit code 9" in failed(world.judge_and_promote(version))["answers"]
    (tmp_path / "full").unlink()
    assert "answers" not in failed(world.judge_and_promote(version, dry_run=True))
    assert "before" not in world.judge_and_promote(version).message
    assert world.champion() != champion


def test_what_was_not_registered_by_us_is_not_judged(world: World, champion: int, tmp_path: Path) -> None:
    world.save(tmp_path / "m", COLORS)
    with world.project.tracker.run("stray") as run:
        packaging.package(tmp_path / "m", run, world.project.tracker, tags={})
    version = versions.register(world.project.tracker, run.run_id, {})
    with pytest.raises(PlatformError, match=r"no tag facetmill\.dataset_version"):
        judge(world.project, version)


def test_a_candidate_judged_while_another_was_promoted_is_judged_against_that(
    world: World, champion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a retraining that ends in the middle of a promotion: it neither fails nor replaces what it was not held
    against."""
    known = (*COLORS, "oak", "wool")
    first, second = (world.candidate(tmp_path / name, world.save(tmp_path / name, known)) for name in "ab")
    before, judged = world.champion(), list[int | None]()

    def judge_slowly(project: Project, version: int, given_up: GivenUp) -> Decision:
        decision = judge(project, version, given_up)
        judged.append(decision.champion_version)
        if len(judged) == 1:
            assert judge_and_promote(project, first, who="ben", why="quicker").outcome == "promoted"
        return decision

    monkeypatch.setattr(judging, "judge", judge_slowly)
    outcome = world.judge_and_promote(second)
    assert outcome.outcome == "kept_champion"  # it is as good, which is not better
    assert judged == [before, before, world.champion()]
    assert world.champion() != before


def test_the_better_model_goes_live(world: World, champion: int, tmp_path: Path) -> None:
    before = world.champion()
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", (*COLORS, *MATERIALS)), seeds=2)
    outcome = world.judge_and_promote(version)
    assert outcome.outcome == "promoted", failed(outcome)
    assert world.champion() == outcome.champion_version != before
    row = world.project.ledger.history()[-1]
    assert (row.state, row.from_version, row.to_version) == ("done", before, outcome.champion_version)
    json.dumps(row.decision, allow_nan=False)


def test_a_dataset_with_a_flipped_byte_judges_nothing(world: World, champion: int, tmp_path: Path) -> None:
    """Nobody is to blame and nothing is noted: the file is named, and put right the same judgement goes its way."""
    version = world.candidate(tmp_path / "m", world.save(tmp_path / "m", COLORS))
    rows, live = len(world.project.ledger.history()), world.champion()
    for split in ("train", "test"):
        shard = world.dataset.dir / "dataset" / split / "part-00000.parquet"
        flip_byte(shard)
        with pytest.raises(DataError, match=f"{shard}: changed since the dataset was built"):
            world.judge_and_promote(version)
        flip_byte(shard)
    assert (len(world.project.ledger.history()), world.champion()) == (rows, live)
    assert world.judge_and_promote(version, dry_run=True).outcome == "kept_champion"
