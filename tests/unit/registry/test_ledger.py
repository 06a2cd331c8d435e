"""The promotion ledger: rows are added, closed once, and never lost or rewritten."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import create_engine, text

from facetmill.errors import PlatformError
from facetmill.registry.ledger import Entry, Ledger
from tests.damage import restart_postgres


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(url)


def add(ledger: Ledger, candidate: int = 5, state: Literal["pending", "rejected"] = "pending") -> int:
    return ledger.append(
        who="Åsa",
        why="spring range",
        candidate_version=candidate,
        from_version=1,
        dataset_version="d" * 64,
        decision={"accepted": True, "verdicts": [{"gate": "beats_champion", "observed": 0.81}]},
        state=state,
    )


def test_a_row_comes_back_whole(ledger: Ledger) -> None:
    ledger.close(add(ledger), "done", 2)
    (entry,) = ledger.history()
    assert (entry.who, entry.why, entry.candidate_version) == ("Åsa", "spring range", 5)
    assert (entry.from_version, entry.to_version, entry.state) == (1, 2, "done")
    assert entry.decision["verdicts"][0]["observed"] == 0.81
    assert abs(entry.when - datetime.now(UTC)) < timedelta(minutes=1)
    assert entry.to_json()["when"].endswith("+00:00")


@pytest.mark.parametrize("ended", ["done", "failed"])
def test_a_closed_row_stays_as_it_is(ledger: Ledger, ended: Literal["done", "failed"]) -> None:
    row = add(ledger)
    ledger.close(row, ended, 2)
    with pytest.raises(PlatformError, match="not pending"):
        ledger.close(row, "failed")
    assert (ledger.history()[0].state, ledger.history()[0].to_version) == (ended, 2)


def test_rows_of_the_future_stay_the_earlier_ones(tmp_path: Path) -> None:
    """The clock was set back since they were written."""
    first = Ledger(f"sqlite:///{tmp_path / 'first.db'}")
    first.close(add(first), "done", 2)
    second = Ledger(f"sqlite:///{tmp_path / 'second.db'}")
    second.fill([replace(entry, when=entry.when + timedelta(days=365)) for entry in first.history()])
    add(second, candidate=6)
    assert [entry.candidate_version for entry in second.history()] == [5, 6]
    assert [entry.candidate_version for entry in second.pending()] == [6]


def test_a_rejection_cannot_become_a_promotion(ledger: Ledger) -> None:
    row = add(ledger, state="rejected")
    with pytest.raises(PlatformError, match="not pending"):
        ledger.close(row, "done", 2)
    assert ledger.pending() == []


def test_history_is_in_order_and_shows_what_is_pending(ledger: Ledger) -> None:
    ledger.close(add(ledger, 1), "done", 1)
    add(ledger, 2)
    add(ledger, 3, "rejected")
    assert [entry.candidate_version for entry in ledger.history()] == [1, 2, 3]
    assert [entry.candidate_version for entry in ledger.pending()] == [2]


def test_rows_survive_a_reopening_and_many_writers(ledger: Ledger, url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda number: add(Ledger(url), number), range(12)))
    assert len(set(ids)) == 12
    assert {entry.candidate_version for entry in Ledger(url).history()} == set(range(12))


def test_a_decision_that_is_no_json_is_not_written(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="JSON"):
        ledger.append(
            who="a", why="", candidate_version=1, from_version=None, dataset_version="", state="pending",
            decision={"observed": float("nan")},
        )  # fmt: skip
    assert ledger.history() == []


def test_one_promotion_at_a_time(ledger: Ledger, url: str) -> None:
    order: list[str] = []

    def second() -> None:
        with Ledger(url).exclusive():
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with ledger.exclusive():
            waiting = pool.submit(second)
            assert wait([waiting], timeout=0.5).not_done
            order.append("first")
        waiting.result(timeout=60)
    assert order == ["first", "second"]


def test_a_damaged_file_is_named_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    add(Ledger(f"sqlite:///{path}"))
    os.truncate(path, path.stat().st_size - 4096)
    damaged = path.read_bytes()
    with pytest.raises(PlatformError, match=rf"{path}: damaged .*who put which model live.*facetmill restore DIR"):
        Ledger(f"sqlite:///{path}")
    assert path.read_bytes() == damaged


def test_rows_are_put_back_as_they_were_and_numbered_on(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(f"sqlite:///{tmp_path / 'other.db'}")
    other.close(add(other), "done", 2)
    other.close(add(other), "failed")
    add(other, state="rejected")
    ledger.fill(other.history())
    assert ledger.history() == other.history()
    assert add(ledger) == 4
    with pytest.raises(PlatformError, match="has rows already"):
        ledger.fill(other.history())


def test_a_restart_of_postgresql_in_the_midst_of_a_promotion_leaves_the_ledger_whole(postgres: str) -> None:
    ledger = Ledger(postgres)
    with ledger.exclusive():
        row = add(ledger)
        restart = restart_postgres(postgres)
        ledger.close(row, "done", 3)
    restart.join()
    assert [(entry.id, entry.state) for entry in ledger.history()] == [(row, "done")]


def test_catalogues_have_histories_of_their_own(ledger: Ledger) -> None:
    add(ledger, 1)
    shop = ledger.of("shop")
    row = add(shop, 2)
    assert [entry.candidate_version for entry in ledger.history()] == [1]
    assert [(entry.candidate_version, entry.catalogue) for entry in shop.pending()] == [(2, "shop")]
    shop.close(row, "done", 1)
    assert [entry.state for entry in ledger.history()] == ["pending"]
    assert ledger.catalogues() == ["demo", "shop"]
    assert ledger.lives() == {"shop": 1}
    assert [Entry.from_json(entry.to_json()) for entry in ledger.everything()] == shop.everything()


def test_a_ledger_from_before_there_were_catalogues_is_that_of_demo(ledger: Ledger, url: str) -> None:
    ledger.close(add(ledger), "done", 2)
    with create_engine(url).begin() as connection:
        connection.execute(text("ALTER TABLE facetmill_promotions DROP COLUMN catalogue"))
    again = Ledger(url)
    assert again.num_migrated == 1
    assert [(entry.catalogue, entry.to_version) for entry in again.history()] == [("demo", 2)]
    add(again.of("shop"))
    assert Ledger(url).num_migrated == 0
    old = {name: value for name, value in again.history()[0].to_json().items() if name != "catalogue"}
    assert Entry.from_json(old).catalogue == "demo", "as back-ups of then have it"
