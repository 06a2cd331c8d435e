"""Servers, runs, packages, versions and promotion, all against real servers and a real model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

import mlflow.pyfunc
import psutil
import pytest

from facetmill.errors import NoAnswer, PlatformError
from facetmill.platform import servers
from facetmill.registry import versions
from facetmill.serving.answer import answer
from facetmill.serving.plain import MODEL_FILES, require_kinds
from facetmill.tracking.tracker import Run
from facetmill.training.checkpoint import load_model
from facetmill.training.predict import predict
from tests.forked import ended, run_forked

from .candidates import TRAIN, new_candidate
from .conftest import Platform, make_workspace, processes_of

pytestmark = pytest.mark.pipeline


def test_two_ups_at_once_start_one_pair_and_a_killed_server_comes_back(tmp_path: Path, platform: Platform) -> None:
    layout = make_workspace(tmp_path)
    code = (
        "import os\nfrom pathlib import Path\nfrom facetmill.platform import environment, servers\n"
        "from facetmill.platform.layout import Layout\n"
        f"layout = Layout(Path({str(tmp_path)!r}))\nenvironment.apply(layout)\n"
        "print(sum(server.started for server in servers.up(layout).values()))"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_", "FACETMILL_"))}
    try:
        callers = [
            subprocess.Popen([sys.executable, "-c", code], env=clean, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        started = sorted(int(caller.communicate()[0]) for caller in callers)
        assert started == [0, 2]
        before = servers.running(layout)
        assert set(before) == {"mlflow", "prefect"}
        assert {s.port for s in before.values()}.isdisjoint(s.port for s in servers.running(platform.layout).values())

        os.kill(before["mlflow"].pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(before["mlflow"].pid)] if psutil.pid_exists(before["mlflow"].pid) else [], 5)
        healed = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
        assert healed.stdout == "1\n"
        after = servers.running(layout)
        assert after["mlflow"].pid != before["mlflow"].pid
        assert after["mlflow"].url == before["mlflow"].url  # whoever was connected still is
        assert after["prefect"] == before["prefect"]
    finally:
        servers.down(layout)
    assert [p for p in processes_of(layout) if p.is_running()] == []


def test_a_run_ends_as_it_really_ended(platform: Platform) -> None:
    tracker = platform.tracker
    with tracker.run("good", params={"model": {"dropout": 0.1}, "long": "x" * 7000}) as good:
        good.log_metrics({"train/loss": 2.0}, step=0)
        good.log_metrics({"train/loss": 1.0}, step=1)
    info = tracker.run_info(good.run_id)
    assert info.status == "FINISHED"
    assert info.params["model.dropout"] == "0.1"
    assert len(info.params["long"]) == 6000
    assert info.params["long"].endswith("...cut")
    assert info.metrics == {"train/loss": 1.0}
    assert [m.value for m in tracker.client.get_metric_history(good.run_id, "train/loss")] == [2.0, 1.0]

    def fails(run: Run) -> None:
        run.log_metrics({"seen": 1.0})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), tracker.run("bad", parent=good.run_id) as bad:
        fails(bad)
    info = tracker.run_info(bad.run_id)
    assert (info.status, info.metrics) == ("FAILED", {"seen": 1.0})
    assert info.tags["mlflow.parentRunId"] == good.run_id

    with pytest.raises(KeyboardInterrupt), tracker.run("stopped") as stopped:
        raise KeyboardInterrupt
    with tracker.run("pruned") as pruned:
        pruned.status = "KILLED"
    assert [tracker.run_info(run.run_id).status for run in (stopped, pruned)] == ["KILLED", "KILLED"]


def test_a_run_whose_process_gets_sigterm_is_killed_not_running(platform: Platform) -> None:
    told, tell = Pipe(duplex=False)
    code = (
        f"import time\nfrom facetmill.tracking.tracker import Tracker\n"
        f"with Tracker({platform.tracker.uri!r}, 'tests').run('long') as run:\n"
        f" run.log_metrics({{'loss': 3.0}}); tell.send(run.run_id); time.sleep(600)"
    )
    process = run_forked(code, tell=tell)
    tell.close()
    run_id = told.recv()
    process.terminate()
    assert ended(process) == 143
    info = platform.tracker.run_info(run_id)
    assert (info.status, info.metrics) == ("KILLED", {"loss": 3.0})


def test_many_metrics_tags_and_the_dataset_arrive(platform: Platform) -> None:
    version = "0123456789abcdef" * 4
    with platform.tracker.run("many", tags={"facetmill.training": "it's here"}) as run:
        run.log_metrics({f"value_f1/{number}": number / 2000 for number in range(2000)})
        run.log_dataset("demo", version)
        run.log_json("deep/scores.json", {"f1": 0.5})
    stored = platform.tracker.client.get_run(run.run_id)
    assert len(stored.data.metrics) == 2000
    dataset = stored.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest, dataset.source_type) == ("demo", version[:12], "dvc")
    assert version in dataset.source
    assert platform.tracker.read_json(run.run_id, "deep/scores.json") == {"f1": 0.5}
    with pytest.raises(PlatformError, match=r"deep/nothing\.json"):
        platform.tracker.read_json(run.run_id, "deep/nothing.json")
    assert platform.tracker.find_run({"facetmill.training": "it's here"}) == run.run_id
    assert platform.tracker.find_run({"facetmill.training": "elsewhere"}) is None
    with pytest.raises(PlatformError, match="no run"):
        platform.tracker.run_info("0" * 32)


def test_a_package_holds_no_pickle_and_answers_as_the_model_does(
    platform: Platform, model_dir: Path, tmp_path: Path
) -> None:
    version = new_candidate(platform, model_dir)
    resolved = versions.resolve(platform.tracker, f"facets-candidates/{version}")
    assert resolved.tags["facetmill.model"] == "dictionary"
    folder = versions.fetch(platform.tracker, resolved, tmp_path)
    found = list(predict(load_model(folder), TRAIN, 8))
    assert [[facet.value for facet in facets] for facets in found] == [["dark blue"], ["red"]]

    whole = platform.tracker.download_uri(resolved.uri or "", tmp_path / "package")
    suffixes = {path.suffix for path in whole.rglob("*") if path.is_file()}
    assert suffixes.isdisjoint({".pkl", ".pickle", ".pt", ".pth", ".bin"})
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    served = mlflow.pyfunc.load_model(resolved.uri)
    rows = [{"product_id": p.product_id, "title": p.title, "text": p.text} for p in TRAIN]
    answers = served.predict(rows).to_dict("records")
    assert answers == [answer(product, facets) for product, facets in zip(TRAIN, found, strict=True)]
    assert answers[0]["facets"][0] | {"confidence": None} == {
        "attribute": "colour", "value": "dark blue", "field": "title", "start": 8, "end": 17, "confidence": None
    }  # fmt: skip
    assert versions.version_of_run(platform.tracker, resolved.run_id or "") == version


def test_a_changed_artifact_is_refused(platform: Platform, model_dir: Path, tmp_path: Path) -> None:
    version = new_candidate(platform, model_dir)
    platform.tracker.client.set_model_version_tag(
        "facets-candidates", str(version), "facetmill.package_sha256", "0" * 64
    )
    resolved = versions.resolve(platform.tracker, f"facets-candidates/{version}")
    with pytest.raises(PlatformError, match="do not use it"):
        versions.fetch(platform.tracker, resolved, tmp_path)


@pytest.mark.parametrize(("limit", "at_most"), [("MAX_FILES", 2), ("MAX_BYTES", 100)])
def test_a_package_that_is_too_large_is_not_even_downloaded(
    platform: Platform, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, at_most: int
) -> None:
    resolved = versions.resolve(platform.tracker, f"facets-candidates/{new_candidate(platform, model_dir)}")
    monkeypatch.setattr(versions, limit, at_most)
    with pytest.raises(NoAnswer, match=f"{resolved.ref}: not loaded: .* in [1-9] files of its package and more"):
        versions.fetch(platform.tracker, resolved, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_pickle_is_not_packaged(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(PlatformError, match=r"weights\.pt"):
        require_kinds(tmp_path, MODEL_FILES)


def test_unknown_references_say_what_there_is(platform: Platform, model_dir: Path) -> None:
    version = new_candidate(platform, model_dir)
    for ref in ("facets-candidates/99999", "0" * 32, "nonsense"):
        with pytest.raises(PlatformError) as caught:
            versions.resolve(platform.tracker, ref)
        assert ref in str(caught.value)
    assert f"facets-candidates/{version}" in str(caught.value)
    assert versions.resolve(platform.tracker, str(model_dir)).folder == model_dir
