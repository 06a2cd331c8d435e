"""What somebody does to the registry without Facetmill is told, with what mends it, and noted by the next promotion."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facetmill.errors import PlatformError
from facetmill.registry import promotion, versions
from facetmill.registry.losses import problems
from facetmill.serving.smoke import smoke_test
from tests.commands import answered, run_here

from .candidates import last, live_version, new_candidate, promote
from .conftest import Platform

pytestmark = pytest.mark.pipeline


def put_live(platform: Platform, model_dir: Path) -> int:
    version = promote(platform, new_candidate(platform, model_dir)).to_version
    assert isinstance(version, int)
    return version


def told(platform: Platform) -> list[str]:
    """What `status` calls a problem; `doctor` and `history` call it one, too."""
    root = platform.layout.root
    done = run_here(root, "status", "--json")
    assert done.returncode == 1, done.stdout
    for command in ("doctor", "history"):
        assert "mend: " in run_here(root, command).stdout, command
    return list(problems(platform.tracker, platform.ledger))


def test_an_alias_moved_outside_is_told_and_the_next_promotion_notes_it(platform: Platform, model_dir: Path) -> None:
    first, second = put_live(platform, model_dir), put_live(platform, model_dir)
    platform.tracker.client.set_registered_model_alias("facets", "champion", str(first))
    [said] = told(platform)
    assert f"facetmill rollback --catalogue demo --to {second} --why REASON" in said
    rows = len(platform.ledger.history())
    dry = promote(platform, new_candidate(platform, model_dir), dry_run=True)
    assert (dry.outcome, len(platform.ledger.history())) == ("dry_run", rows)

    third = put_live(platform, model_dir)
    moved, done = platform.ledger.history()[-2:]
    assert (moved.state, moved.from_version, moved.to_version) == ("done", second, first)
    assert moved.decision["action"] == "moved outside"
    assert moved.who == "outside Facetmill"
    assert (done.state, done.from_version, done.to_version) == ("done", first, third)
    assert problems(platform.tracker, platform.ledger) == []
    assert run_here(platform.layout.root, "status").returncode == 0
    assert "moved outside" in run_here(platform.layout.root, "history").stdout


def test_an_alias_removed_outside_is_put_back_by_a_rollback(platform: Platform, model_dir: Path) -> None:
    live = put_live(platform, model_dir)
    platform.tracker.client.delete_registered_model_alias("facets", "champion")
    [said] = told(platform)
    assert f"rollback --catalogue demo --to {live}" in said
    back = promotion.rollback(platform.tracker, platform.ledger, who="ben", why="it went", smoke=smoke_test, to=live)
    assert (back.to_version, live_version(platform)) == (live, live)
    assert problems(platform.tracker, platform.ledger) == []


def test_an_artifact_deleted_outside_is_told(platform: Platform, model_dir: Path) -> None:
    before, live = put_live(platform, model_dir), put_live(platform, model_dir)
    run_id = versions.resolve(platform.tracker, f"facets/{live}").run_id
    (model,) = platform.tracker.client.search_logged_models(
        [platform.tracker.experiment_id], f"source_run_id = '{run_id}'"
    )
    (weights,) = platform.layout.artifacts_dir.glob(f"**/{model.model_id}/**/weights.safetensors")
    shutil.rmtree(weights.parents[1])
    [said] = told(platform)
    assert "facetmill rollback" in said
    back = promotion.rollback(platform.tracker, platform.ledger, who="ben", why="gone", smoke=smoke_test, to=before)
    assert back.to_version == before
    assert problems(platform.tracker, platform.ledger) == []


def test_a_live_version_deleted_outside_is_told_and_can_be_promoted_anew(platform: Platform, model_dir: Path) -> None:
    live = put_live(platform, model_dir)
    candidate = last(platform).candidate_version
    platform.tracker.client.delete_model_version("facets", str(live))
    [said] = told(platform)
    assert f"facetmill promote {candidate} --catalogue demo" in said
    assert promote(platform, candidate).outcome == "promoted"
    assert problems(platform.tracker, platform.ledger) == []


def test_a_model_registered_by_hand_is_told_and_compared_with_by_nobody(platform: Platform, model_dir: Path) -> None:
    live = put_live(platform, model_dir)
    source = versions.resolve(platform.tracker, f"facets/{live}")
    client = platform.tracker.client
    made = client.create_model_version("facets", source.uri, source.run_id)
    client.set_registered_model_alias("facets", "champion", made.version)
    told(platform)
    assert f"facets/{made.version} was not registered by Facetmill" in run_here(platform.layout.root, "status").stdout
    back = promotion.rollback(platform.tracker, platform.ledger, who="ben", why="not ours", smoke=smoke_test, to=live)
    assert (back.to_version, live_version(platform)) == (live, live)
    with pytest.raises(PlatformError, match="was never champion"):
        promotion.rollback(
            platform.tracker, platform.ledger, who="ben", why="x", smoke=smoke_test, to=int(made.version)
        )
    assert problems(platform.tracker, platform.ledger) == []
    answered(run_here(platform.layout.root, "status", "--json"))
