"""The whole loop as a user runs it: `facetmill retrain` in a workspace with real servers, on a small demo catalogue."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from mlflow import MlflowClient

from facetmill.dataset.store.workspace import find
from facetmill.errors import Busy
from facetmill.platform import servers
from facetmill.project import EXPERIMENT, open_project
from facetmill.registry import versions
from facetmill.report.page import claim
from facetmill.runs.score import evaluate_reference
from facetmill.runs.train import only_training, recipe_of, train
from facetmill.tracking.tracker import Tracker
from tests.commands import answered, run_here, run_process
from tests.pipeline.candidates import live_version
from tests.pipeline.conftest import ROOT, Platform, make_workspace

pytestmark = pytest.mark.pipeline

SMALL = {
    "demo": {"products": 240, "image_size": 32},
    "models": {"jave": {"encoder": "bilstm", "dropout": 0.0}},
    "encoders": {"text": {"bilstm": {"hidden_size": 96}}},
    "training": {"epochs": 12, "batch_size": 8, "threads": 1, "learning_rate": 0.003, "patience": 12},
    "sweep": {"trials": 2, "epochs": 1, "final_seeds": [0, 1]},
    "promotion": {"bootstrap": 100},
}


def change_params(platform: Platform, changes: dict[str, Any]) -> None:
    path = platform.layout.root / "params.yaml"
    path.write_text(yaml.safe_dump(_changed(yaml.safe_load(path.read_text()), changes)))


def _changed(section: Any, changes: Any) -> Any:
    """A section of params with some keys, at any depth, set to other values."""
    if not isinstance(changes, dict):
        return changes
    return section | {key: _changed(section[key], value) for key, value in changes.items()}


def facetmill(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return run_process(platform.layout.root, *words)


def answer(platform: Platform, *words: str) -> Any:
    """In this process."""
    return answered(run_here(platform.layout.root, *words, "--json"))


@pytest.fixture(scope="module")
def unpromoted(platform: Platform) -> Any:
    """The answer of the first retrain of the workspace, which may change nothing live."""
    change_params(platform, SMALL)
    (platform.layout.root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", platform.layout.root / ".dvc")
    told = answered(facetmill(platform, "retrain", "--no-promote", "--json"))
    return told | {"rows": platform.ledger.history()}


@pytest.fixture(scope="module")
def first(platform: Platform, unpromoted: Any) -> Any:
    """The answer of the first retrain that may promote."""
    return answered(facetmill(platform, "retrain", "--who", "ana", "--why", "first", "--json"))


def test_a_retrain_that_may_not_promote_judges_and_changes_nothing_live(unpromoted: Any, first: Any) -> None:
    assert (unpromoted["outcome"]["outcome"], unpromoted["outcome"]["champion_version"]) == ("dry_run", None)
    assert unpromoted["rows"] == []
    assert first["candidate"]["version"] == unpromoted["candidate"]["version"], "what it trained is not trained again"


@pytest.fixture(scope="module")
def tracker(platform: Platform) -> Tracker:
    return Tracker(platform.tracker.uri, EXPERIMENT)


def runs_of(tracker: Tracker, kind: str) -> list[Any]:
    client = MlflowClient(tracker.uri)
    return list(client.search_runs([tracker.experiment_id], f"tags.`facetmill.kind` = '{kind}'"))


def test_the_first_retrain_ends_with_a_champion_that_beats_the_dictionary(platform: Platform, first: Any) -> None:
    assert first["outcome"]["outcome"] == "promoted", first["outcome"]
    claims = {verdict["gate"]: verdict for verdict in first["outcome"]["verdicts"]}
    assert {"data_gate_passed", "beats_dictionary", "beats_champion", "signature_as_published", "seeds_agree"} <= set(
        claims
    )
    assert all(verdict["passed"] for verdict in claims.values())


def test_prefect_shows_the_verdict(platform: Platform, first: Any) -> None:
    """By the run's name, its final state, a page, and an event that an automation may wait for."""
    api = servers.running(platform.layout)["prefect"].url

    def asked(path: str, **filters: Any) -> Any:
        answered = httpx.post(f"{api}/{path}/filter", json=filters)
        answered.raise_for_status()
        return answered.json()

    names = {"flow_runs": {"name": {"any_": ["retrain demo"]}}}
    unpromoted, promoted = asked("flow_runs", **names, sort="START_TIME_ASC")[:2]
    assert unpromoted["state"]["message"].startswith("nothing live was changed: ")
    assert promoted["state"]["message"].startswith("promoted: ")
    page = asked("artifacts", artifacts={"key": {"any_": ["verdict-demo"]}}, sort="UPDATED_DESC")[0]["data"]
    assert page.startswith("# promoted: ")
    assert "| passed | `beats_dictionary` |" in page
    assert first["links"]["review"].replace("_", "\\_") in page
    found: list[Any] = []
    for _ in range(40):  # events are taken note of in batches
        found = asked("events", filter={"event": {"name": ["model.promoted", "model.rejected"]}})["events"]
        if found:
            break
        time.sleep(0.5)
    [event] = found
    assert (event["event"], event["resource"]["prefect.resource.id"]) == ("model.promoted", "facetmill.catalogue.demo")
    assert event["payload"]["champion_version"] == first["outcome"]["champion_version"]


def test_status_history_and_mlflow_agree_on_what_is_live(platform: Platform, first: Any, tracker: Tracker) -> None:
    told = answer(platform, "status")
    champion = told["champion"]
    assert told["problems"] == []
    live = versions.champion(tracker)
    assert live is not None
    assert champion["version"] == int(live.version) == first["outcome"]["champion_version"]
    assert champion["model"] == live.tags["facetmill.model"] == "jave"
    assert champion["dataset"] == live.tags["facetmill.dataset"] == first["dataset"]["name"]
    rows = answer(platform, "history")
    assert [(row["state"], row["who"], row["why"], row["to_version"]) for row in rows] == [
        ("done", "ana", "first", champion["version"])
    ]


def test_every_run_ended_as_it_did_and_trials_hang_below_their_sweep(first: Any, tracker: Tracker) -> None:
    sweeps, trials, trainings = (runs_of(tracker, kind) for kind in ("sweep", "trial", "training"))
    assert [run.info.status for run in sweeps] == ["FINISHED"]
    assert len(trials) == 2
    assert {run.info.status for run in trials} <= {"FINISHED", "KILLED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {sweeps[0].info.run_id}
    assert sorted(run.data.tags["facetmill.model"] for run in trainings) == ["dictionary", "dictionary", "jave", "jave"]
    for run in trainings:
        assert run.info.status == "FINISHED"
        assert run.data.tags["facetmill.dataset_version"] == first["dataset"]["version"]
        assert 0 <= run.data.metrics["test/pair_f1"] <= 1


def test_a_second_retrain_changes_nothing(platform: Platform, first: Any, tracker: Tracker) -> None:
    runs_before = len(MlflowClient(tracker.uri).search_runs([tracker.experiment_id]))
    again = answer(platform, "retrain", "--who", "ben", "--why", "second")
    assert again["dataset"]["stages_run"] == []
    assert again["dataset"]["version"] == first["dataset"]["version"]
    assert again["sweep"]["num_new_trials"] == 0
    assert not any(run["new"] for run in again["candidate"]["runs"])
    assert again["outcome"]["outcome"] == "already_champion"
    assert again["outcome"]["champion_version"] == first["outcome"]["champion_version"]
    assert len(MlflowClient(tracker.uri).search_runs([tracker.experiment_id])) == runs_before
    assert len(platform.ledger.history()) == 1


def test_two_of_the_same_at_once_and_a_down_meanwhile_are_refused_by_name(platform: Platform, first: Any) -> None:
    project = open_project("demo:", "jave", start=platform.layout.root)  # as a retraining has it, in this process
    with project.retraining():
        second, down = facetmill(platform, "retrain", "--data", "demo:"), facetmill(platform, "down")
    told = f"process {os.getpid()} ("
    busy = "another process is retraining the catalogue demo"
    for done, wrong in ((second, busy), (down, "others are at work here")):
        assert done.returncode == 1
        assert wrong in done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert set(servers.running(platform.layout)) == {"mlflow", "prefect"}

    dataset = find(platform.layout.root, first["dataset"]["version"])
    assert dataset is not None
    recipe = recipe_of(project.params, "jave")
    busy = pytest.raises(Busy, match=r"training jave with seed 0 on demo.*process \d+ \(")
    with only_training(project, dataset, recipe, kind="training"), busy:
        train(project, dataset, recipe)


def test_evaluate_gives_the_fixed_names_for_every_kind_of_reference(platform: Platform, first: Any) -> None:
    fixed = {"pair_f1", "value_f1", "attribute_f1", "value_precision", "value_recall", "na_f1"}
    fixed |= {"per_attribute", "per_category", "products", "seconds"}
    project = open_project("demo:", start=platform.layout.root)
    scores = {}
    for ref in ("facets@champion", f"facets-candidates/{first['candidate']['version']}", first["candidate"]["run_id"]):
        scores[ref] = evaluate_reference(project, ref, "test")
        assert fixed <= set(scores[ref])
    assert len({score["pair_f1"] for score in scores.values()}) == 1
    champion = scores["facets@champion"]
    dictionary = answer(platform, "evaluate", "dictionary", "--data", "demo:", "--split", "test")
    assert champion["pair_f1"] > dictionary["pair_f1"]
    assert champion["products"] == dictionary["products"] == first["dataset"]["products"]["test"]


def test_a_dry_run_asks_every_gate_and_changes_nothing(platform: Platform, first: Any) -> None:
    version = str(first["candidate"]["version"])
    before = platform.ledger.history(), live_version(platform)
    outcome = answer(platform, "promote", version, "--dry-run")
    assert outcome["outcome"] == "already_champion"
    assert (platform.ledger.history(), live_version(platform)) == before


def test_compare_writes_one_page_about_two_models(platform: Platform, first: Any, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    compared = answer(platform, "compare", "facets@champion", "dictionary", "--out", str(page))
    assert compared["paired"]["pair_f1"]["difference"] > 0
    assert compared["num_products"] == first["dataset"]["products"]["test"]
    html = page.read_text()
    assert "facets@champion" in html
    assert not re.search(r"(src|href)=[\"']https?:", html)


def test_the_review_page_of_a_promotion_lies_in_the_candidates_run(first: Any, tracker: Tracker) -> None:
    page = tracker.read_text(first["candidate"]["run_id"], "review.html")
    assert all(claim(verdict["gate"]) in page for verdict in first["outcome"]["verdicts"])


def test_lineage_goes_both_ways(platform: Platform, first: Any) -> None:
    up = answer(platform, "lineage", "facets@champion")
    assert up["run"] == first["candidate"]["run_id"]
    assert up["dataset"]["version"] == first["dataset"]["version"]
    assert up["dataset"]["gate_passed"] is True
    assert up["study"] == first["sweep"]["study"]
    assert up["recipe"]["config"] == first["sweep"]["recipe"]["config"]
    down = answer(platform, "lineage", "--dataset", first["dataset"]["version"][:10])
    trained = {run["run"]: [one["version"] for one in run["versions"]] for run in down["runs"]}
    assert len(trained) == 4  # two seeds, and the dictionary counting both ways
    assert trained[up["run"]] == [one["version"] for one in up["versions"]]
    assert trained[up["run"]][0] == f"facets-candidates/{first['candidate']['version']}"


def test_a_dataset_has_a_card_and_can_be_pushed_by_hand(platform: Platform, first: Any, tmp_path: Path) -> None:
    said = answer(platform, "dataset", "card", "--data", "demo:", "--out", str(tmp_path / "card.md"))
    assert said["version"] == first["dataset"]["version"]
    assert f"Version `{said['version']}`" in (tmp_path / "card.md").read_text()
    assert answer(platform, "dataset", "push", "--data", "demo:")["remote"] == "store"


def test_a_champion_can_be_reproduced_after_its_dataset_is_gone(platform: Platform, first: Any) -> None:
    """Nor does collecting garbage take it, and what the cache has lost the remote still has."""
    for folder in platform.layout.data_dir.iterdir():
        shutil.rmtree(folder)
    collected = answer(platform, "dataset", "gc")
    assert first["dataset"]["version"] in collected["kept"]
    shutil.rmtree(platform.layout.state_dir / "dvc-cache")
    done = answer(platform, "reproduce", "facets@champion")
    assert done["differences"] == {}
    assert done["num_metrics"] > 20
    assert done["dataset_version"] == first["dataset"]["version"]
    assert done["run"] != done["of_run"] == first["candidate"]["run_id"]


def test_a_back_up_put_back_into_a_new_project_answers_as_before(
    platform: Platform, first: Any, tmp_path: Path
) -> None:
    """The drill: all stores are gone but for the back-up, which was made while the servers ran."""
    (tmp_path / "things.csv").write_text("id,title\na,Golden lamp of brass\nb,Plain black leather bag\n")
    data = ("--catalogue", "demo", "--data", f"products:{tmp_path / 'things.csv'}")
    extract = ("extract", "facets@champion", *data, "--out")
    said = answer(platform, *extract, str(tmp_path / "before.jsonl"))
    made = answer(platform, "backup", str(tmp_path / "backup"))
    champion = answer(platform, "status")["champion"]
    assert (made["champion"], made["left_out"]) == (f"facets/{champion['version']}", [])

    (tmp_path / "new").mkdir()
    new = replace(platform, layout=make_workspace(tmp_path / "new"))
    shutil.copytree(platform.layout.root / ".dvc", new.layout.root / ".dvc")
    put_back = answer(new, "restore", str(tmp_path / "backup"))
    try:
        assert put_back["champion"] == made["champion"]
        assert answer(new, *extract, str(tmp_path / "after.jsonl"))["facets"] == said["facets"]
        assert (tmp_path / "after.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()
        told = answer(new, "status")
        assert (told["champion"], told["problems"]) == (champion, [])
        back = answer(new, "dataset", "checkout", first["dataset"]["version"])
        assert back["version"] == first["dataset"]["version"]
    finally:
        answer(new, "down")


CSV_HEAD = "id,title,Color,Material\n"


def shop_csv(folder: Path, num_rows: int = 20) -> Path:
    colors, materials = ["red", "blue", "green", "black"], ["wool", "oak", "steel"]
    lines = [
        f"p{i},{color} {material} thing {i},{color},{material}\n"
        for i in range(num_rows)
        for color, material in [(colors[i % 4], materials[i % 3])]
    ]
    path = folder / "shop.csv"
    path.write_text(CSV_HEAD + "".join(lines))
    return path


def test_drift_is_told_against_what_the_champion_was_trained_on(platform: Platform, first: Any, tmp_path: Path) -> None:
    shop = tmp_path / "shop.csv"
    shop.write_text("id,title\n" + "".join(f"{i},Frobnicated quux of zindle {i}\n" for i in range(30)))
    data = ("--catalogue", "demo", "--data", f"products:{shop}")
    done = run_here(platform.layout.root, "dataset", "drift", *data, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["drifted"]
    assert found["trained_on"] == first["dataset"]["version"]
    wrong = {verdict["gate"] for verdict in found["verdicts"] if not verdict["passed"]}
    assert {"words_are_known", "categories_as_trained"} <= wrong


def test_extract_writes_the_facets_of_a_users_own_csv(platform: Platform, first: Any, tmp_path: Path) -> None:
    shop = tmp_path / "shop.csv"
    shop.write_text("id,title\na,Golden lamp of brass\nb,Plain black leather bag\n")
    out = tmp_path / "facets.jsonl"
    data = ("--catalogue", "demo", "--data", f"products:{shop}")
    said = answer(platform, "extract", "facets@champion", *data, "--out", str(out))
    lines = [json.loads(line) for line in out.read_text().split("\n") if line]
    assert [line["product_id"] for line in lines] == ["a", "b"]
    assert said["facets"] == sum(len(line["facets"]) for line in lines)
    titles = {"a": "Golden lamp of brass", "b": "Plain black leather bag"}
    for line in lines:
        for facet in line["facets"]:
            assert titles[line["product_id"]][facet["start"] : facet["end"]] == facet["value"]


def test_the_demos_champion_never_answers_for_a_shop(platform: Platform, first: Any, tmp_path: Path) -> None:
    shop = tmp_path / "scarves.csv"
    shop.write_text("id,title,Fringe\n" + "".join(f"{i},Frobnicated quux of zindle {i},long\n" for i in range(30)))
    out, data = tmp_path / "facets.jsonl", ("--data", f"products:{shop}")
    root = platform.layout.root
    for ref, told in (
        ("facets@champion", "nothing is live yet in the catalogue scarves-"),
        ("demo@champion", "demo@champion has not seen such products"),
        (first["candidate"]["run_id"], "is of the catalogue demo, and the products are of scarves-"),
    ):
        done = run_here(root, "extract", ref, *data, "--out", str(out))
        assert (done.returncode, out.exists()) == (1, False)
        assert told in done.stderr, done.stderr
    done = run_here(root, "extract", "demo@champion", *data, "--out", str(out), "--anyway")
    assert done.returncode == 0, done.stderr
    assert "not as trained: share of words" in done.stderr
    assert len(out.read_text().splitlines()) == 30

    done = facetmill(platform, "retrain", "--catalogue", "demo", *data)
    assert done.returncode == 1
    assert "the data has not all that facets/1 answers: attribute" in done.stderr, "told before anything is trained"
    listed = answer(platform, "catalogue", "list")
    assert [(row["name"], row["live"]) for row in listed] == [("demo", "facets/1")]


def test_twenty_rows_of_a_users_own_csv_make_a_dataset(platform: Platform, tmp_path: Path) -> None:
    data = f"products:{shop_csv(tmp_path)}"
    built = answer(platform, "dataset", "build", "--data", data)
    described = answer(platform, "dataset", "describe", "--data", data)
    assert described["verdict"]["passed"] is True
    assert sum(split["num_products"] for split in described["splits"].values()) == 20
    assert all(split["num_products"] > 0 for split in described["splits"].values())
    assert described["version"] == built["version"]
    page = Path(described["gate_page"]).read_text()
    assert not re.search(r"(src|href)=[\"']https?:", page)


def test_a_dataset_that_fails_its_gate_does_not_reach_training(
    platform: Platform, tmp_path: Path, tracker: Tracker
) -> None:
    data = f"products:{shop_csv(tmp_path, num_rows=4)}"  # below check.min_products
    runs_before = len(MlflowClient(tracker.uri).search_runs([tracker.experiment_id]))
    done = facetmill(platform, "retrain", "--data", data)
    assert done.returncode == 1
    assert "data gate" in done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).count("the data gate did not pass") == 1  # said once, at the end
    assert len(MlflowClient(tracker.uri).search_runs([tracker.experiment_id])) == runs_before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("retrain", "--data", "demmo:"), "demmo"),
        (("retrain", "--data", "products:no-such.csv"), "no-such.csv"),
        (("retrain", "--model", "jav"), "'jav'"),
        (("evaluate", "facets-candidates/99", "--data", "demo:"), "facets-candidates/99"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_1(platform: Platform, words: tuple[str, ...], message: str) -> None:
    done = run_here(platform.layout.root, *words)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


def test_what_a_flow_finds_wrong_is_one_message_and_exit_code_1(platform: Platform) -> None:
    """Beside all that Prefect says."""
    done = facetmill(platform, "promote", "99")
    assert done.returncode == 1
    assert "99" in done.stderr.splitlines()[-1]
