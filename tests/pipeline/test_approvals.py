"""`promotion.approval: required`: what every gate accepts waits for a person, and nothing that runs waits with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facetmill.errors import GateFailed, PlatformError
from facetmill.gates.verdict import Decision, Verdict
from facetmill.judging import approval
from facetmill.judging import judge as judging
from facetmill.judging.approval import approve, reject
from facetmill.judging.pages import REVIEW
from facetmill.judging.status import status
from facetmill.registry import approvals, versions
from facetmill.tracking.tags import RUN
from tests.commands import answered, run_here

from .candidates import accept, fail, last, live_version, new_candidate, promote
from .conftest import Platform
from .world import COLORS, MATERIALS, World, make_world

pytestmark = pytest.mark.pipeline

WEEK = 7.0  # days


@pytest.fixture
def shop(platform: Platform) -> Platform:
    """Another catalogue than that of the world below."""
    return replace(platform, tracker=platform.tracker.of("shop"), ledger=platform.ledger.of("shop"))


def ask(shop: Platform, model_dir: Path, days: float = WEEK) -> int:
    """A candidate that waits."""
    version = new_candidate(shop, model_dir)
    assert promote(shop, version, ask_for_days=days).outcome == "waiting"
    return version


def test_what_the_gates_accept_waits_and_what_they_reject_does_not(shop: Platform, model_dir: Path) -> None:
    before = live_version(shop)
    version = new_candidate(shop, model_dir)
    rejected = Decision(False, (Verdict("beats_champion", False, "critical", 0.7, "> 0.8", "0.7 is not better"),))
    with pytest.raises(GateFailed, match="not better"):
        promote(shop, version, rejected, ask_for_days=WEEK)
    assert approvals.request_of(shop.ledger, version) is None

    dry = promote(shop, version, dry_run=True, ask_for_days=WEEK)
    assert "would wait for approval, and then replace" in dry.message
    assert approvals.request_of(shop.ledger, version) is None

    asked = promote(shop, version, ask_for_days=WEEK)
    assert asked.message.startswith(f"shop-candidates/{version} waits for approval until ")
    assert asked.message.endswith(
        f"facetmill approve {version} --catalogue shop --why REASON, or facetmill reject {version} --catalogue shop "
        "--why REASON"
    )
    assert (live_version(shop), last(shop).state) == (before, "waiting")
    [request] = [each for each in approvals.waiting(shop.ledger) if each.entry.candidate_version == version]
    assert (request.entry.who, request.entry.why) == ("ada", "spring")
    assert abs(request.until - datetime.now(UTC) - timedelta(days=WEEK)) < timedelta(minutes=1)

    done = promote(shop, version, request=request.entry)
    assert (done.outcome, live_version(shop)) == ("promoted", done.to_version)
    assert last(shop).decision["requested"] == {"row": asked.entry_id, "who": "ada", "why": "spring"}
    assert approvals.request_of(shop.ledger, version) is None
    with pytest.raises(PlatformError, match=rf"shop-candidates/{version} does not wait for approval; .*: nothing"):
        approvals.require_request(shop.ledger, version)


def test_a_refusal_is_kept_with_name_and_reason_and_can_be_taken_back(shop: Platform, model_dir: Path) -> None:
    version = ask(shop, model_dir)
    before = live_version(shop)
    refused = approvals.refuse(shop.ledger, version, who="ben", why="sizes look odd")
    assert f"shop-candidates/{version} was refused by ben on " in approvals.said_of(refused)
    assert approvals.said_of(refused).endswith("sizes look odd")
    entry = last(shop)
    assert (entry.state, entry.who, entry.why, entry.to_version) == ("refused", "ben", "sizes look odd", None)
    assert entry.decision["requested"]["who"] == "ada"
    assert version not in [each.entry.candidate_version for each in approvals.waiting(shop.ledger)]
    with pytest.raises(PlatformError, match=r"was refused by ben on .* already"):
        approvals.refuse(shop.ledger, version, who="eve", why="me too")
    assert live_version(shop) == before
    assert approvals.require_request(shop.ledger, version).refusal == entry


def test_who_waits_too_long_has_waited_in_vain(shop: Platform, model_dir: Path) -> None:
    version = ask(shop, model_dir, days=1)
    request = approvals.require_request(shop.ledger, version)
    late = request.until + timedelta(seconds=1)
    assert request in approvals.waiting(shop.ledger, request.until - timedelta(seconds=1))
    assert request not in approvals.waiting(shop.ledger, late)
    expired = ask(shop, model_dir, days=1e-9)
    for answer in (
        lambda: approvals.require_request(shop.ledger, expired),
        lambda: approvals.refuse(shop.ledger, expired, who="ben", why="late"),
    ):
        with pytest.raises(PlatformError, match=rf"in vain until .*facetmill promote {expired} --catalogue shop"):
            answer()


def test_an_approval_that_fails_on_the_way_can_be_given_again(shop: Platform, model_dir: Path) -> None:
    version = ask(shop, model_dir)
    before = live_version(shop)
    request = approvals.require_request(shop.ledger, version)
    with pytest.raises(PlatformError, match="answers nonsense"):
        promote(shop, version, request=request.entry, smoke=fail)
    assert (last(shop).state, live_version(shop)) == ("failed", before)
    assert approvals.require_request(shop.ledger, version) == request


def test_a_ledger_row_without_a_name_is_refused(shop: Platform, model_dir: Path) -> None:
    version, rows = new_candidate(shop, model_dir), len(shop.ledger.history())
    decision = accept(shop, version).to_json()
    for nobody in ("", " \n"):
        with pytest.raises(PlatformError, match="say who"):
            shop.ledger.append(
                who=nobody,
                why="",
                candidate_version=version,
                from_version=None,
                dataset_version="",
                decision=decision,
                state="waiting",
            )
    done = run_here(shop.layout.root, "reject", str(version), "--who", " ", "--why", "x")
    assert done.returncode == 2
    assert len(shop.ledger.history()) == rows


@pytest.fixture(scope="module")
def world(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Its promotions are to be approved."""
    made = make_world(platform, tmp_path_factory.mktemp("baseline") / "model")
    limits = replace(made.project.params.promotion, approval="required")
    return replace(made, project=replace(made.project, params=replace(made.project.params, promotion=limits)))


def test_a_judged_candidate_waits_is_approved_and_goes_live(
    world: World, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks finds it: on the review page, in MLflow, by status, and by the command itself."""
    ledger, root = world.project.ledger, platform.layout.root
    before = world.champion()
    good, better = (
        world.candidate(tmp_path / str(len(known)), world.save(tmp_path / str(len(known)), known))
        for known in (COLORS, (*COLORS, *MATERIALS))
    )
    asked = [world.judge_and_promote(version) for version in (good, better)]
    assert [outcome.outcome for outcome in asked] == ["waiting", "waiting"], asked
    assert world.champion() == before

    def kept(version: int) -> tuple[str, str]:
        found = world.project.tracker.client.get_model_version("facets-candidates", str(version))
        page = world.project.tracker.read_text(found.tags[RUN], REVIEW)
        return page, str(found.description)

    for said in kept(good):
        assert "waits for approval until" in said
    told = status(world.project)["waiting"]
    ours = [each for each in told if each["catalogue"] == "demo"]
    assert [each["candidate"] for each in ours] == [f"facets-candidates/{v}" for v in (good, better)]
    assert answered(run_here(root, "approvals", "--json")) == told
    assert answered(run_here(root, "approvals", "--catalogue", "demo", "--json")) == ours
    assert f"facetmill approve {good} --catalogue demo" in run_here(root, "approvals").stdout

    rows = len(ledger.history())
    again = world.judge_and_promote(good)
    assert (again.outcome, again.verdicts) == ("waiting", json.loads(json.dumps(asked[0].verdicts)))
    assert len(ledger.history()) == rows, "asked once is enough"

    judged: list[int] = []

    def counted(function: Callable[..., Decision]) -> Callable[..., Decision]:
        def judge(project: object, version: int, *others: object) -> Decision:
            judged.append(version)
            return function(project, version, *others)

        return judge

    monkeypatch.setattr(approval, "judge", counted(judging.judge))
    outcome = approve(world.project, good, who="rita", why="looks right")
    assert (outcome.outcome, judged) == ("promoted", [])
    row = ledger.history()[-1]
    assert (row.state, row.who, row.why, row.to_version) == ("done", "rita", "looks right", world.champion())
    assert row.decision["requested"]["who"] == "ada"
    for said in kept(good):
        assert "Approved by rita: looks right" in said
        assert "waits for approval" not in said

    outcome = approve(world.project, better, who="rita", why="even better")
    assert (outcome.outcome, judged) == ("promoted", [better]), "another champion: it was judged against that one"
    assert versions.live_version_of(world.project.tracker, better) == world.champion()


def test_a_refused_candidate_is_not_offered_every_night(platform: Platform, model_dir: Path, world: World) -> None:
    """What counts is the ledger: neither the gates nor a person are asked the same question again."""
    version = new_candidate(platform, model_dir)
    limits = judging.limits_of(world.project.params.promotion)
    decision = replace(accept(platform, version), limits=limits)
    assert promote(platform, version, decision, ask_for_days=WEEK).outcome == "waiting"
    approvals.refuse(platform.ledger, version, who="ben", why="sizes look odd")
    rows = len(platform.ledger.history())
    again = world.judge_and_promote(version)
    assert (again.outcome, again.accepted) == ("kept_champion", False)
    assert "refused by ben" in again.message
    assert "sizes look odd" in again.message
    assert len(platform.ledger.history()) == rows
    with pytest.raises(PlatformError, match="refused by ben"):
        reject(world.project, version, who="eve", why="once more")
