"""Two catalogues side by side: champions, candidates and histories never mix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.errors import PlatformError
from facetmill.registry import lineage, promotion, versions
from facetmill.registry.losses import adopt, migrated, mismatches
from facetmill.registry.repair import close_lost_promotions

from .candidates import last, live_version, new_candidate, promote
from .conftest import Platform

pytestmark = pytest.mark.pipeline


def of(platform: Platform, catalogue: str) -> Platform:
    return replace(platform, tracker=platform.tracker.of(catalogue), ledger=platform.ledger.of(catalogue))


def test_each_catalogue_has_its_own_champion(platform: Platform, model_dir: Path) -> None:
    shop, hats = of(platform, "shop"), of(platform, "hats")
    first = promote(platform, new_candidate(platform, model_dir))
    for _ in range(2):
        second = promote(shop, new_candidate(shop, model_dir))
    assert (live_version(platform), live_version(shop), live_version(hats)) == (1, 2, None)
    assert second.message == "shop-candidates/2 is live as shop/2, after shop/1"
    assert [entry.to_version for entry in shop.ledger.history()] == [1, 2]
    assert [entry.id for entry in platform.ledger.history()] == [first.entry_id]

    for its, ref, found in (
        (platform, "facets@champion", "facets/1"),
        (shop, "facets@champion", "shop/2"),
        (hats, "shop@champion", "shop/2"),
        (shop, "demo@champion", "facets/1"),
        (hats, "shop-candidates/1", "shop-candidates/1"),
    ):
        assert versions.resolve(its.tracker, ref).uri == f"models:/{found}"
    with pytest.raises(PlatformError, match=r"nothing is live yet in the catalogue hats; live in .*: demo@c.*, shop@c"):
        versions.resolve(hats.tracker, "facets@champion")
    lives = versions.champions(hats.tracker)
    assert {name: int(live.version) for name, live in lives.items()} == {"demo": 1, "shop": 2}
    run_id = versions.resolve(hats.tracker, "shop/2").run_id
    assert run_id is not None
    lines = lineage._versions_of(hats.tracker, hats.ledger, run_id)
    assert [line["version"] for line in lines] == ["shop-candidates/2", "shop/2"]

    back = promotion.rollback(shop.tracker, shop.ledger, who="ada", why="returns", smoke=lambda uri, at: None)
    assert (back.message, live_version(platform)) == ("shop/1 is live again, after shop/2", 1)
    assert mismatches(platform.tracker, platform.ledger) == []


def test_a_promotion_cut_off_is_closed_in_its_own_catalogue(platform: Platform, model_dir: Path) -> None:
    shop = of(platform, "shop")
    before = live_version(platform)
    candidate = new_candidate(shop, model_dir)
    shop.ledger.append(
        who="ada",
        why="cut off",
        candidate_version=candidate,
        from_version=live_version(shop),
        dataset_version="d" * 64,
        decision={},
        state="pending",
    )
    (line,) = close_lost_promotions(platform.tracker, platform.ledger)
    assert line.startswith(f"undone: a promotion of shop-candidates/{candidate}, cut off")
    assert (last(shop).state, live_version(platform)) == ("failed", before)


def test_a_shops_champion_from_before_there_were_catalogues_moves_into_its_own(
    platform: Platform, model_dir: Path
) -> None:
    old = promote(platform, new_candidate(platform, model_dir)).to_version
    tracker = platform.tracker
    assert migrated(tracker, platform.ledger) == []
    tracker.client.set_model_version_tag("facets", str(old), "facetmill.dataset", "products-boots-1234abcd")
    (line,) = migrated(tracker, platform.ledger)
    assert f"facets/{old} is live in the catalogue demo, but was trained on products-boots-1234abcd" in line
    assert f"facetmill adopt --catalogue NAME --from facets/{old} --why REASON" in line

    boots = of(platform, "boots")
    adopt(boots.tracker, boots.ledger, who="ada", why="it was theirs", source=f"facets/{old}")
    live = versions.resolve(boots.tracker, "facets@champion")
    assert (live.uri, live.tags["facetmill.catalogue"]) == ("models:/boots/1", "boots")
    assert (
        live.tags["facetmill.package_sha256"]
        == versions.resolve(tracker, f"facets/{old}").tags["facetmill.package_sha256"]
    )
    assert (last(boots).state, last(boots).decision["action"], live_version(platform)) == ("done", "adoption", old)
    assert mismatches(tracker, platform.ledger) == []
    promote(boots, new_candidate(boots, model_dir))
    with pytest.raises(PlatformError, match="boots/2 is live in the catalogue boots, so it adopts no other"):
        adopt(boots.tracker, boots.ledger, who="ada", why="again", source=f"facets/{old}")
    again = promotion.rollback(boots.tracker, boots.ledger, who="ada", why="x", smoke=lambda uri, at: None)
    assert again.to_version == 1, "an adopted champion can be gone back to"
