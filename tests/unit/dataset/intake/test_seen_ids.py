"""Ids are known again, in memory and on disk."""

from __future__ import annotations

import pytest

from facetmill.dataset.intake import seen_ids
from facetmill.dataset.intake.seen_ids import SeenIds


@pytest.mark.parametrize("in_memory", [0, 1, 3, 100])
def test_an_id_is_new_once(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_ids, "_IN_MEMORY", in_memory)
    seen = SeenIds()
    assert all(seen.add([f"i{number}"]) for number in range(10))
    assert not any(seen.add([f"i{number}"]) for number in range(10))
    seen.close()


@pytest.mark.parametrize("in_memory", [0, 2, 100])
def test_ids_are_added_all_or_none(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_ids, "_IN_MEMORY", in_memory)
    seen = SeenIds()
    assert seen.add(["a", "b", "c"])
    assert not seen.add(["d", "b"])
    assert not seen.add(["e", "e"])
    assert seen.add(["d", "e"])
    seen.close()
