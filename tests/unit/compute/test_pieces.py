from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from facetmill.compute import pieces as engine
from facetmill.compute.pieces import map_pieces
from facetmill.errors import PlatformError


@dataclass(frozen=True)
class Piece:
    number: int
    target: Path


def write_square(piece: Piece) -> int:
    piece.target.write_text(str(piece.number**2))
    return piece.number**2


def fail_at_three(piece: Piece) -> int:
    if piece.number == 3:
        raise ValueError("three")
    return write_square(piece)


def process_of(piece: Piece) -> int:
    piece.target.write_text("")
    return os.getpid()


def pieces_in(folder: Path, num_pieces: int = 7) -> list[Piece]:
    return [Piece(number, folder / str(number)) for number in range(num_pieces)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_piece_is_done_once_and_results_keep_their_order(workers: int, tmp_path: Path) -> None:
    pieces = pieces_in(tmp_path)
    assert map_pieces(write_square, pieces, workers) == [0, 1, 4, 9, 16, 25, 36]
    assert [piece.target.read_text() for piece in pieces] == ["0", "1", "4", "9", "16", "25", "36"]


def test_no_piece_no_work(tmp_path: Path) -> None:
    assert map_pieces(write_square, [], 2) == []


def test_what_another_process_has_begun_is_left_to_it(tmp_path: Path) -> None:
    pieces = pieces_in(tmp_path, 3)
    pieces[1].target.write_text("being written elsewhere")
    assert engine._work_unclaimed(write_square, pieces) == {0: 0, 2: 4}
    assert pieces[1].target.read_text() == "being written elsewhere"


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    assert set(map_pieces(process_of, pieces_in(tmp_path), 1)) == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_passes_through_and_ends_the_rest(workers: int, tmp_path: Path) -> None:
    pieces = pieces_in(tmp_path, 500)
    with pytest.raises(ValueError, match="three"):
        map_pieces(fail_at_three, pieces, workers)
    if workers == 1:
        assert not pieces[4].target.exists()


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SECONDS_TO_ANSWER", 1)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    with pytest.raises(PlatformError, match=r"DASK_SCHEDULER_ADDRESS=tcp://127\.0\.0\.1:9: no Dask scheduler answers"):
        map_pieces(write_square, pieces_in(tmp_path), 1)
    assert list(tmp_path.iterdir()) == []
