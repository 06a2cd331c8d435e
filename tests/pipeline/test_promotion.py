"""Promotion and rollback against real servers: in whichever order things happen or break, the champion is right."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest

from facetmill.doctor import check_champion
from facetmill.errors import GateFailed, PlatformError
from facetmill.gates.verdict import Decision, Verdict
from facetmill.models import model_class
from facetmill.registry import losses, promotion, versions
from facetmill.registry.ledger import Ledger
from facetmill.serving.query import query
from facetmill.serving.smoke import smoke_test
from facetmill.training.checkpoint import save_model
from tests.damage import flip_byte
from tests.forked import ended, run_forked

from .candidates import CONFIG, SCHEMA, TRAIN, accept, fail, last, live_version, new_candidate, promote
from .conftest import Platform

pytestmark = pytest.mark.pipeline


def test_promotion_from_nothing_on(platform: Platform, model_dir: Path, tmp_path: Path) -> None:
    """One story, since each step needs the champion that the step before has left."""
    assert live_version(platform) is None
    first = new_candidate(platform, model_dir)
    with pytest.raises(PlatformError, match="no champion stays live"):
        promote(platform, first, smoke=fail)
    assert live_version(platform) is None
    assert (last(platform).state, last(platform).to_version) == ("failed", None)

    done = promote(platform, first, smoke=smoke_test)
    assert (done.outcome, done.from_version, done.to_version) == ("promoted", None, live_version(platform))
    entry = last(platform)
    assert (entry.state, entry.who, entry.why, entry.to_version) == ("done", "ada", "spring", done.to_version)
    assert entry.dataset_version == "d" * 64
    assert entry.decision["verdicts"][0]["gate"] == "beats_champion"
    served = mlflow.pyfunc.load_model("models:/facets@champion")
    assert len(served.predict([{"product_id": "9", "title": "red hat", "text": ""}])["facets"][0]) == 1
    dictionary = versions.resolve(platform.tracker, "dictionary")
    assert dictionary.run_id == versions.resolve(platform.tracker, "facets@champion").run_id
    assert (versions.fetch(platform.tracker, dictionary, tmp_path) / "weights.safetensors").is_file()

    num_rows = len(platform.ledger.history())
    again = promote(platform, first)
    assert (again.outcome, again.to_version) == ("already_champion", done.to_version)

    second = new_candidate(platform, model_dir)
    dry = promote(platform, second, dry_run=True)
    assert (dry.outcome, dry.entry_id, live_version(platform)) == ("dry_run", None, done.to_version)
    rejected = Decision(False, (Verdict("beats_champion", False, "critical", 0.7, "> 0.8", "0.7 is not better"),))
    with pytest.raises(GateFailed):
        promote(platform, second, rejected, dry_run=True)
    assert len(platform.ledger.history()) == num_rows

    with pytest.raises(GateFailed, match=r"0\.7 is not better"):
        promote(platform, second, rejected)
    assert (last(platform).state, live_version(platform)) == ("rejected", done.to_version)

    stale = Decision(True, (), second, None)
    with pytest.raises(PlatformError, match="judge it again"):
        promote(platform, second, stale)

    with pytest.raises(PlatformError, match="answers nonsense"):
        promote(platform, second, smoke=fail)
    assert (last(platform).state, live_version(platform)) == ("failed", done.to_version)


def put_live(platform: Platform, model_dir: Path) -> int:
    """A new champion, and its version."""
    version = promote(platform, new_candidate(platform, model_dir)).to_version
    assert isinstance(version, int)
    return version


def promoting(
    platform: Platform, candidate: int, *lines: str, smoke: str = "lambda uri, tracking_uri: None"
) -> BaseProcess:
    """A process of its own that promotes a candidate, after `lines`."""
    live = live_version(platform)
    code = "\n".join(
        [
            "import os, signal, sys, time",
            "from facetmill.errors import PlatformError",
            "from facetmill.registry import promotion, versions",
            "from facetmill.gates.verdict import Decision",
            "from facetmill.registry.ledger import Ledger",
            "from facetmill.tracking.tracker import Tracker",
            "def die(*args, **options): os.kill(os.getpid(), signal.SIGKILL)",
            *lines,
            "try:",
            f"    tracker, ledger = Tracker({platform.tracker.uri!r}, 'tests'), Ledger({platform.layout.ledger_url!r})",
            f"    decision, smoke = Decision(True, (), {candidate}, {live}), {smoke}",
            f"    promotion.promote(tracker, ledger, {candidate}, decision, who='ada', why='script', smoke=smoke)",
            "except PlatformError as error: sys.exit(str(error))",
        ]
    )
    return run_forked(code)


@pytest.mark.parametrize(
    ("killed", "undone"),
    [
        ("versions.live_version_of = die", True),
        ("promotion._require_unchanged = die", True),
        ("smoke = die", True),
        ("promotion._move_alias = die", True),
        ("Ledger.close = die", False),
        ("real = Ledger.close\ndef close(*args): real(*args); die()\nLedger.close = close", False),
    ],
    ids=[
        "before the copy",
        "before the hash",
        "before the smoke test",
        "before the alias",
        "before done",
        "after done",
    ],
)
def test_a_promotion_that_is_killed_between_two_steps_is_undone_or_done(
    platform: Platform, model_dir: Path, killed: str, undone: bool
) -> None:
    old = put_live(platform, model_dir)
    candidate = new_candidate(platform, model_dir)
    lines = ["smoke = lambda uri, tracking_uri: None", killed]
    assert ended(promoting(platform, candidate, *lines, smoke="smoke")) == -signal.SIGKILL

    repaired = promotion.repair(platform.tracker, platform.ledger)
    left = [] if "real" in killed else [(candidate, "failed" if undone else "done")]
    assert [(entry.candidate_version, entry.state) for entry in repaired] == left
    assert platform.ledger.pending() == []
    assert last(platform).state == ("failed" if undone else "done")
    assert (live_version(platform) == old) is undone

    again = promote(platform, candidate)
    assert again.outcome == ("promoted" if undone else "already_champion")
    assert live_version(platform) == again.to_version == versions.live_version_of(platform.tracker, candidate)
    copies = platform.tracker.client.search_model_versions("name = 'facets'", max_results=1000)
    assert len([v for v in copies if v.source == f"models:/facets-candidates/{candidate}"]) == 1, "none doubled"


def test_a_promotion_that_is_told_to_end_is_undone_at_once(platform: Platform, model_dir: Path) -> None:
    old, candidate = put_live(platform, model_dir), new_candidate(platform, model_dir)
    lines = ["from facetmill import cli", "signal.signal(signal.SIGTERM, cli._terminate)"]
    smoke = "lambda uri, tracking_uri: signal.raise_signal(signal.SIGTERM)"
    assert ended(promoting(platform, candidate, *lines, smoke=smoke)) == 128 + signal.SIGTERM
    assert (last(platform).state, live_version(platform)) == ("failed", old)


def test_the_alias_moves_only_to_a_version_that_has_served(platform: Platform, model_dir: Path) -> None:
    """So a process that is killed at any moment leaves a champion live that is known to serve."""
    old = put_live(platform, model_dir)
    asked: list[tuple[str, int | None]] = []
    done = promote(
        platform, new_candidate(platform, model_dir), smoke=lambda uri, _: asked.append((uri, live_version(platform)))
    )
    assert asked == [(f"models:/facets/{done.to_version}", old)]


def test_an_alias_that_is_moved_by_hand_meanwhile_is_told_and_undone(
    platform: Platform, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, old = put_live(platform, model_dir), put_live(platform, model_dir)
    move = promotion._move_alias

    def moved_elsewhere(tracker: Any, version: int | None) -> None:
        move(tracker, version)
        if version not in (first, old):
            move(tracker, first)

    monkeypatch.setattr(promotion, "_move_alias", moved_elsewhere)
    with pytest.raises(PlatformError, match=rf"but facets/{first} is; the alias was moved by hand"):
        promote(platform, new_candidate(platform, model_dir))
    assert (last(platform).state, live_version(platform)) == ("failed", old)


def test_of_two_promotions_at_once_one_wins_and_one_is_told_why(
    platform: Platform, model_dir: Path, tmp_path: Path
) -> None:
    put_live(platform, model_dir)
    candidates = [new_candidate(platform, model_dir) for _ in range(2)]
    slow = "lambda uri, tracking_uri: time.sleep(1)"
    callers = [
        promoting(platform, candidate, f"sys.stderr = open({str(tmp_path / str(candidate))!r}, 'w')", smoke=slow)
        for candidate in candidates
    ]
    assert sorted(ended(caller) or 0 for caller in callers) == [0, 1]
    [refused] = [candidate for caller, candidate in zip(callers, candidates, strict=True) if caller.exitcode]
    told = f"facets/{live_version(platform)} is live now; judge it again"
    assert told in (tmp_path / str(refused)).read_text()
    assert platform.ledger.pending() == []


def test_a_package_that_was_changed_after_the_gate_does_not_go_live(platform: Platform, model_dir: Path) -> None:
    old = put_live(platform, model_dir)
    candidate = new_candidate(platform, model_dir)
    decision = accept(platform, candidate)
    source = versions.resolve(platform.tracker, f"facets-candidates/{candidate}").run_id
    (model,) = platform.tracker.client.search_logged_models(
        [platform.tracker.experiment_id], f"source_run_id = '{source}'"
    )
    (code,) = platform.layout.mlruns_dir.glob(f"artifacts/**/{model.model_id}/**/model_file.py")
    code.write_text(code.read_text() + "\n# one line more\n")
    with pytest.raises(PlatformError, match="do not use it"):
        promote(platform, candidate, decision)
    assert (last(platform).state, live_version(platform)) == ("failed", old)


def test_a_rollback_answers_as_the_old_champion_did_to_the_bit(
    platform: Platform, model_dir: Path, tmp_path: Path
) -> None:
    def answers() -> list[object]:
        return list(query("models:/facets@champion", TRAIN, tracking_uri=platform.tracker.uri).facets)

    def rollback(**options: Any) -> promotion.Promotion:
        return promotion.rollback(
            platform.tracker, platform.ledger, who="ben", why="returns rose", **{"smoke": smoke_test, **options}
        )

    first = put_live(platform, model_dir)
    before = answers()
    other = model_class("dictionary").fit_vocabulary(CONFIG, SCHEMA, TRAIN[:1])
    save_model(other, tmp_path / "other")
    second = put_live(platform, tmp_path / "other")
    assert answers() != before
    done = rollback()
    assert (done.outcome, done.from_version, done.to_version) == ("rolled_back", second, first)
    assert live_version(platform) == first
    assert answers() == before
    entry = last(platform)
    assert (entry.state, entry.who, entry.why, entry.decision["action"]) == ("done", "ben", "returns rose", "rollback")

    assert rollback(to=second).to_version == second
    assert rollback(to=second).outcome == "already_champion"
    with pytest.raises(PlatformError, match=rf"facets/99 was never champion; past champions are: .*facets/{first}"):
        rollback(to=99)
    with pytest.raises(PlatformError, match="answers nonsense"):
        rollback(smoke=fail)
    assert (last(platform).state, live_version(platform)) == ("failed", second)


def test_a_model_that_does_not_load_fails_the_smoke_test(platform: Platform) -> None:
    with pytest.raises(PlatformError, match=r"version=99999. not found"):
        smoke_test("models:/facets/99999", platform.tracker.uri)


def test_a_ledger_that_was_lost_is_told_and_stops_promotions_until_one_adopts_the_champion(
    platform: Platform, model_dir: Path, tmp_path: Path
) -> None:
    live, candidate = put_live(platform, model_dir), new_candidate(platform, model_dir)
    assert losses.problems(platform.tracker, platform.ledger) == []
    lost = replace(platform, ledger=Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
    told = rf"facets/{live} is live, but the ledger at {tmp_path}/ledger\.db knows of no promotion, so it was lost; "
    [said] = losses.problems(lost.tracker, lost.ledger)
    assert re.match(told, said)
    assert "facetmill restore DIR" in said
    for dry_run in (True, False):
        with pytest.raises(PlatformError, match=told):
            promote(lost, candidate, dry_run=dry_run)
    with pytest.raises(PlatformError, match=told):
        promotion.rollback(lost.tracker, lost.ledger, who="ben", why="returns rose", smoke=smoke_test)
    assert (live_version(platform), lost.ledger.history()) == (live, [])

    losses.adopt(lost.tracker, lost.ledger, who="ben", why="the disk is gone")
    assert (last(lost).state, last(lost).to_version, last(lost).decision["action"]) == ("done", live, "adoption")
    assert losses.problems(lost.tracker, lost.ledger) == []
    assert promote(lost, candidate, dry_run=True).outcome == "dry_run"
    with pytest.raises(PlatformError, match="has rows of demo; only one without takes a champion"):
        losses.adopt(lost.tracker, lost.ledger, who="ben", why="again")


def test_a_registry_that_was_lost_or_moved_by_hand_is_told(platform: Platform, model_dir: Path, tmp_path: Path) -> None:
    by_hand, live = put_live(platform, model_dir), put_live(platform, model_dir)
    candidate, entry = new_candidate(platform, model_dir), last(platform)
    for changes, what in (
        ({"to_version": 9999, "candidate_version": 9999}, "has no such version"),
        ({"decision": {**entry.decision, "package_sha256": "0" * 64}}, "has another model of that number"),
    ):
        ledger = Ledger(f"sqlite:///{tmp_path / f'{len(what)}.db'}")
        ledger.fill([replace(entry, **changes)])
        with pytest.raises(PlatformError, match=rf"MLflow at .* {what}, so its store was lost; .*restore DIR"):
            promote(replace(platform, ledger=ledger), candidate)
        assert len(ledger.history()) == 1

    platform.tracker.client.set_registered_model_alias("facets", "champion", str(by_hand))
    [said] = losses.problems(platform.tracker, platform.ledger)
    assert f"facets/{live} is live since" in said
    assert f"facets/{by_hand} is: the alias 'champion' was moved by hand" in said
    [finding] = check_champion(platform.layout)
    assert f"facetmill rollback --catalogue demo --to {live}" in finding.mend
    platform.tracker.client.set_registered_model_alias("facets", "champion", str(live))
    assert check_champion(platform.layout) == losses.problems(platform.tracker, platform.ledger) == []


def test_a_flipped_byte_of_the_champion_is_told_by_status_and_doctor(platform: Platform, model_dir: Path) -> None:
    live = put_live(platform, model_dir)
    source = versions.resolve(platform.tracker, f"facets/{live}").run_id
    (model,) = platform.tracker.client.search_logged_models(
        [platform.tracker.experiment_id], f"source_run_id = '{source}'"
    )
    (weights,) = platform.layout.artifacts_dir.glob(f"**/{model.model_id}/**/weights.safetensors")
    for changed in (True, False):
        flip_byte(weights)
        said = losses.problems(platform.tracker, platform.ledger)
        found = check_champion(platform.layout)
        if changed:
            assert "do not use it. Roll back (facetmill rollback)" in said[0]
            assert f"not what was judged; it is facets/{live}, which is live" in found[0].wrong
        assert (len(said), len(found)) == (changed, changed)
