"""A reader never sees half a file or half a folder, and hashes notice every change."""

from __future__ import annotations

from pathlib import Path

import pytest

from facetmill.files import hash_folder, hash_json, replace_file, replace_folder, scratch_beside, write_json


def interrupted_file(path: Path) -> None:
    with replace_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def interrupted_folder(path: Path) -> None:
    with replace_folder(path) as temporary:
        (temporary / "a").write_text("half")
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupted_file(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_folder_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with replace_folder(folder) as temporary:
        (temporary / "a").write_text("old")
        (temporary / "b").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_folder(folder)
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "old", "b": "old"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_replaced_folder_keeps_nothing_of_the_old_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with replace_folder(tmp_path / "out") as temporary:
            (temporary / name).write_text(name)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_scratch_is_gone_however_the_block_ends(tmp_path: Path) -> None:
    with scratch_beside(tmp_path / "made") as scratch:
        assert scratch.parent == tmp_path
        (scratch / "half").write_text("half")
    with pytest.raises(KeyError), scratch_beside(tmp_path / "made"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_hash_sees_content_names_and_places(tmp_path: Path) -> None:
    seen = set()
    for index, files in enumerate([{"a": "x"}, {"a": "y"}, {"b": "x"}, {"d/a": "x"}, {"a": "x", "b": ""}]):
        folder = tmp_path / str(index)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        seen.add(hash_folder(folder))
    assert len(seen) == 5


def test_a_json_hash_ignores_the_order_of_keys_only() -> None:
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1})
    assert hash_json({"a": [1, 2]}) != hash_json({"a": [2, 1]})
