"""Word vectors: fastText's files, written here byte by byte, and those learned from train."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facetmill.encoders.word_vectors import WIDTH, LearnedVectors, _largest, word_file
from facetmill.errors import DataError, ParamsError


def near(left: Tensor, right: Tensor) -> float:
    return float(F.cosine_similarity(left, right, dim=0))


def test_a_text_file_is_read_by_word(tmp_path: Path) -> None:
    path = tmp_path / "wiki.vec"
    path.write_text("3 2\nred 1 -2.5\ntea 0.5 3e-1 \nnew york 4 5\n", encoding="utf-8")
    vectors = word_file(path)
    assert vectors.width == 2
    torch.testing.assert_close(vectors.of(["tea", "unseen", "red"]), torch.tensor([[0.5, 0.3], [0, 0], [1, -2.5]]))
    assert vectors.of([]).shape == (0, 2)


def binary(
    words: list[str], vectors: np.ndarray, *, buckets: int, pieces: tuple[int, int], quantised: bool = False
) -> bytes:
    settings = [vectors.shape[1], 5, 5, 1, 5, 1, 1, 1, buckets, *pieces, 100]
    head = struct.pack("<2i12id", 793712314, 12, *settings, 1e-4)
    head += struct.pack("<3i2q", len(words), len(words), 0, 99, -1)
    entries = b"".join(word.encode() + b"\0" + struct.pack("<qb", 3, 0) for word in words)
    return head + entries + struct.pack("<?2q", quantised, *vectors.shape) + vectors.astype("<f4").tobytes()


def fnv(piece: str) -> int:
    found = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in piece.encode():
            found = (found ^ np.uint32(np.int8(np.uint8(byte)))) * np.uint32(16777619)
    return int(found)


def test_a_binary_file_has_a_vector_for_every_word(tmp_path: Path) -> None:
    table = np.arange(2 * (2 + 7)).reshape(9, 2).astype(np.float32)
    path = tmp_path / "wiki.bin"
    path.write_bytes(binary(["tea", "thé"], table, buckets=7, pieces=(3, 4)))
    vectors = word_file(path)

    def rows(*pieces: str) -> list[int]:
        return [2 + fnv(piece) % 7 for piece in pieces]

    tea = [0, *rows("<te", "<tea", "tea", "tea>", "ea>")]
    te = rows("<te", "<te>", "te>")
    the = [1, *rows("<th", "<thé", "thé", "thé>", "hé>")]
    expected = torch.tensor(np.stack([table[own].mean(0) for own in (tea, te, the)]))
    torch.testing.assert_close(vectors.of(["tea", "te", "thé"]), expected)


def test_a_binary_file_without_pieces_knows_its_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "wiki.bin"
    path.write_bytes(binary(["tea"], np.ones((1, 2)), buckets=0, pieces=(0, 0)))
    assert word_file(path).of(["tea", "cup"]).tolist() == [[1, 1], [0, 0]]


def test_other_files_are_refused(tmp_path: Path) -> None:
    whole = binary(["tea"], np.ones((3, 2)), buckets=2, pieces=(3, 4))
    quantised = binary(["tea"], np.ones((3, 2)), buckets=2, pieces=(3, 4), quantised=True)
    damaged = {"cut.bin": whole[:-3], "head.bin": whole[:30], "other.bin": b"x" * 200, "small.bin": quantised}
    for name, data in {**damaged, "words.vec": b"red 1 2\n", "empty.vec": b"3 0\n"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            word_file(tmp_path / name)
    (tmp_path / "short.vec").write_text("1 3\nred 1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match="word 'red' has no 3 numbers"):
        word_file(tmp_path / "short.vec").of(["red"])
    for name in ("missing.vec", "words.txt"):
        with pytest.raises(ParamsError, match=name):
            word_file(tmp_path / name)


def test_learned_vectors_say_a_words_company_and_its_letters(tmp_path: Path) -> None:
    texts = [f"{colour} {noun} of {stuff}".split(" ") for colour, noun, stuff in TRIPLES] * 2
    vectors = LearnedVectors.learn(texts)
    half = WIDTH // 2
    red, blue, wool, shirts, shirt, new = vectors.of(["red", "blue", "wool", "shirts", "shirt", "qqq"])
    assert near(red[:half], blue[:half]) > near(red[:half], wool[:half])  # as they stand before the same words
    assert near(shirt[half:], shirts[half:]) > 0.4 > abs(near(shirt[half:], wool[half:]))
    assert not new[:half].any()
    assert new[half:].any()
    assert not vectors.of(["shirts"])[0, :half].any()  # which stands in no text
    vectors.save(tmp_path)
    asked = ["red", "new", "红"]
    assert torch.equal(LearnedVectors.load(tmp_path).of(asked), vectors.of(asked))


def test_the_same_texts_always_give_the_same_vectors_and_these_make_up_the_matrix() -> None:
    texts = [f"{colour} {noun} of {stuff} {n % 3}".split(" ") for n, (colour, noun, stuff) in enumerate(TRIPLES * 9)]
    first, second = (LearnedVectors.learn(texts).company_NF for _ in range(2))
    assert torch.equal(first, second)
    drawn = np.random.default_rng(0).random((40, 8))
    matrix = drawn @ drawn.T  # of rank 8
    found = _largest(matrix, 12)
    np.testing.assert_allclose(found @ found.T, matrix, atol=1e-8)
    np.testing.assert_allclose((found**2).sum(0), np.linalg.svd(matrix)[1][:12], atol=1e-6)


TRIPLES = [
    (colour, noun, stuff)
    for colour in ("red", "blue", "green")
    for noun in ("shirt", "coat")
    for stuff in ("wool", "silk")
]


@pytest.mark.parametrize("texts", [[], [["once"]], [["two", "two"]], [["a", "b"], ["a", "b"]]])
def test_next_to_no_text_teaches_letters_alone(texts: list[list[str]]) -> None:
    found = LearnedVectors.learn(texts).of(["a", "two"])
    assert found.isfinite().all()
    assert not torch.equal(found[0], found[1])
