"""Vectors of words: of a fastText file, or learned from the texts of a train split.

    FILE.vec    text: a head line "words width", then a word and its numbers a line; a word that is not there has zeros
    FILE.bin    fastText's binary format: a word is the mean of its own vector and those of its pieces, so that every
                word has one; not quantised

A file is read where it lies and mapped into memory. A model that was trained with one needs it where it is served.

Learned vectors say half by the company that a word keeps (positive pointwise mutual information of words that stand
within four of each other, cut to its largest singular values: Levy, Goldberg, "Neural Word Embedding as Implicit Matrix
Factorization", 2014), half by its letters: each piece of three to six letters has a direction by its hash, and words
that share pieces lie near each other. So a word that train does not have, or that an engine misreads, has a place, too.

Shapes: n words, F width.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from facetmill.errors import DataError, ParamsError
from facetmill.files import read_json, write_json

NEAR = 4  # words
ITERATIONS = 6  # towards the largest singular vectors
MOST_WORDS = 20_000  # whose company is learned
WIDTH = 300  # of vectors that are learned, as of fastText's
PIECES = range(3, 7)  # letters


class WordVectors(Protocol):
    """`width` is F."""

    width: int

    def of(self, words: Sequence[str]) -> Tensor:
        """[n,F], float32"""
        ...


class LearnedVectors:
    """What `learn` found of the company of `words`, and the letters of any word."""

    width = WIDTH

    def __init__(self, words: Sequence[str], company_NF: Tensor) -> None:
        self.words = [*words]
        self.company_NF = company_NF
        self._rows = {word: row for row, word in enumerate(words)}

    @classmethod
    def learn(cls, texts: Iterable[Sequence[str]]) -> Self:
        """From texts as words; of those that stand there twice at least."""
        texts = [*texts]
        counts = Counter(word for text in texts for word in text)
        common = sorted((word for word in counts if counts[word] > 1), key=lambda word: (-counts[word], word))
        words = common[:MOST_WORDS]
        return cls(words, torch.from_numpy(_company(texts, words)))

    def save(self, folder: Path) -> None:
        write_json(folder / "words.json", self.words)
        save_file({"company_NF": self.company_NF.contiguous()}, folder / "words.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(read_json(folder / "words.json"), load_file(folder / "words.safetensors")["company_NF"])

    def of(self, words: Sequence[str]) -> Tensor:
        found = np.zeros((len(words), WIDTH), dtype=np.float32)
        half = WIDTH // 2
        for row, word in enumerate(words):
            found[row, half:] = _by_letters(word)
        known = [(row, self._rows[word]) for row, word in enumerate(words) if word in self._rows]
        vectors = torch.from_numpy(found)
        if known:
            rows, numbers = (torch.tensor(side) for side in zip(*known, strict=True))
            vectors[rows, :half] = self.company_NF[numbers]
        return vectors


class TextFile:
    """FILE.vec; its words are found by one pass, when the first is asked for."""

    def __init__(self, path: Path) -> None:
        """Raises `ParamsError` where there is no such file, and `DataError` for one that is none of fastText's."""
        self._path = path
        self._bytes = _mapped(path)
        head = self._bytes[: self._bytes.find(b"\n") + 1].split()
        if len(head) != 2 or not all(part.isdigit() for part in head) or not int(head[1]):
            raise DataError(f"{path}: its first line is not the number of words and their width")
        self.width = int(head[1])
        self._places: dict[str, int] | None = None

    def of(self, words: Sequence[str]) -> Tensor:
        """Zeros for a word that is not there. Raises `DataError`, naming the word, for numbers that are none."""
        if self._places is None:
            self._places = self._found()
        rows = np.zeros((len(words), self.width), dtype=np.float32)
        for row, word in enumerate(words):
            place = self._places.get(word)
            if place is not None:
                line = self._bytes[place : self._bytes.find(b"\n", place)]
                try:
                    rows[row] = [float(number) for number in line.rstrip().rsplit(b" ", self.width)[1:]]
                except ValueError as error:
                    raise DataError(f"{self._path}: word {word!r} has no {self.width} numbers") from error
        return torch.from_numpy(rows)

    def _found(self) -> dict[str, int]:
        places: dict[str, int] = {}
        at = self._bytes.find(b"\n") + 1
        while at < len(self._bytes):
            word = self._bytes[at : self._bytes.find(b" ", at)]
            places.setdefault(word.decode(errors="replace"), at)
            end = self._bytes.find(b"\n", at)
            at = len(self._bytes) if end < 0 else end + 1
        return places


class BinaryFile:
    """FILE.bin, version 12 as all that fastText publishes."""

    _MAGIC, _VERSION = 793712314, 12

    def __init__(self, path: Path) -> None:
        """Raises `ParamsError` where there is no such file, and `DataError` for one that is none of fastText's."""
        self._path = path
        self._bytes = _mapped(path)
        try:
            self._read_head()
        except (struct.error, ValueError) as error:
            raise DataError(f"{path}: no binary file of fastText, or one that is cut off: {error}") from error

    def _read_head(self) -> None:
        magic, version = struct.unpack_from("<2i", self._bytes, 0)
        if (magic, version) != (self._MAGIC, self._VERSION):
            raise ValueError(f"it begins with {magic} {version}")
        settings = struct.unpack_from("<12id", self._bytes, 8)
        self.width, self._buckets = settings[0], settings[8]
        self._shortest, self._longest = settings[9], settings[10]
        at = 8 + struct.calcsize("<12id")
        size, num_words, _, _, pruned = struct.unpack_from("<3i2q", self._bytes, at)
        at += struct.calcsize("<3i2q")
        self._rows: dict[str, int] = {}
        for row in range(size):
            end = self._bytes.find(b"\0", at)
            if end < 0:
                raise ValueError("its words do not end")
            if row < num_words:  # labels stand behind
                self._rows.setdefault(self._bytes[at:end].decode(errors="replace"), row)
            at = end + 1 + struct.calcsize("<qb")
        at += 8 * max(0, pruned)
        (quantised,) = struct.unpack_from("<?", self._bytes, at)
        if quantised or pruned > 0:
            raise ValueError("quantised ones are not read")
        num_rows, width = struct.unpack_from("<2q", self._bytes, at + 1)
        if width != self.width or num_rows < num_words + (self._buckets if self._longest else 0):
            raise ValueError(f"{num_rows} vectors of {width} for {num_words} words of {self.width}")
        self._num_words = num_words
        self._vectors = np.frombuffer(self._bytes, np.float32, num_rows * width, at + 17).reshape(num_rows, width)

    def of(self, words: Sequence[str]) -> Tensor:
        rows = np.zeros((len(words), self.width), dtype=np.float32)
        for row, word in enumerate(words):
            parts = [*([self._rows[word]] if word in self._rows else []), *self._pieces(word)]
            if parts:
                rows[row] = self._vectors[parts].mean(0)
        return torch.from_numpy(rows)

    def _pieces(self, word: str) -> list[int]:
        """The rows of a word's pieces, as fastText hashes them."""
        if not self._buckets or not self._longest:
            return []
        framed, found = f"<{word}>", []
        for start in range(len(framed)):
            for length in range(self._shortest, self._longest + 1):
                piece = framed[start : start + length]
                if len(piece) == length and not (length == 1 and start in (0, len(framed) - 1)):
                    found.append(self._num_words + _fnv(piece.encode(errors="replace")) % self._buckets)
        return found


def word_file(path: Path) -> WordVectors:
    """Raises `ParamsError` for a file that is not there or of another kind, and `DataError` for one that is damaged."""
    if path.suffix == ".vec":
        return TextFile(path)
    if path.suffix == ".bin":
        return BinaryFile(path)
    raise ParamsError(f"word_vectors = {str(path)!r}: a file of fastText is called .vec or .bin")


def _mapped(path: Path) -> mmap.mmap:
    if not path.is_file() or not path.stat().st_size:
        raise ParamsError(f"word_vectors = {str(path)!r}: there is no such file")
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _fnv(piece: bytes) -> int:
    """FNV-1a, of bytes that are taken for signed ones, as fastText does."""
    found = 2166136261
    for byte in piece:
        signed = byte if byte < 128 else byte | 0xFFFFFF00
        found = ((found ^ signed) * 16777619) & 0xFFFFFFFF
    return found


def _company(texts: Sequence[Sequence[str]], words: Sequence[str]) -> NDArray[np.float32]:
    """[n, F / 2], each row of the root mean square 1 or zeros."""
    from scipy.sparse import coo_matrix

    half = WIDTH // 2
    rows = {word: row for row, word in enumerate(words)}
    together: Counter[tuple[int, int]] = Counter()
    for text in texts:
        numbers = [rows.get(word, -1) for word in text]
        for place, number in enumerate(numbers):
            for other in numbers[place + 1 : place + 1 + NEAR]:
                if number >= 0 and other >= 0:
                    together[number, other] += 1
                    together[other, number] += 1
    found = np.zeros((len(words), half), dtype=np.float32)
    if not together:
        return found
    pairs, count = np.array([*together]), np.array([*together.values()], dtype=np.float64)
    of_word = np.bincount(pairs[:, 0], count, minlength=len(words))
    information = np.log(count * count.sum() / (of_word[pairs[:, 0]] * of_word[pairs[:, 1]])).clip(min=0)
    shape = (len(words), len(words))
    matrix = coo_matrix((information, (pairs[:, 0], pairs[:, 1])), shape=shape).tocsr()
    largest = _largest(matrix, min(half, len(words)))
    found[:, : largest.shape[1]] = largest
    return _scaled(found)


def _largest(matrix: Any, rank: int) -> NDArray[np.float64]:
    """The left singular vectors of a symmetric matrix by the roots of its `rank` largest singular values, by iteration
    from drawn vectors, which are always the same (ARPACK draws others each time). [n, rank]

    Source: Halko, Martinsson, Tropp. "Finding Structure with Randomness." 2011, algorithms 4.4 and 5.1.
    """
    drawn = np.random.Generator(np.random.PCG64(0)).standard_normal((matrix.shape[0], min(rank + 10, matrix.shape[0])))
    basis, _ = np.linalg.qr(matrix @ drawn)
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(matrix @ basis)
    left, sizes, _ = np.linalg.svd((matrix @ basis).T, full_matrices=False)
    found: NDArray[np.float64] = (basis @ left)[:, :rank] * np.sqrt(sizes[:rank])
    return found


@lru_cache(maxsize=1 << 16)
def _by_letters(word: str) -> NDArray[np.float32]:
    """The mean of the directions of its pieces, of the root mean square 1. [F / 2]"""
    framed = f"<{word}>"
    pieces = {framed[start : start + length] for length in PIECES for start in range(len(framed) - length + 1)}
    found = np.zeros(WIDTH // 2, dtype=np.float32)
    for piece in sorted({framed, *pieces}):
        seed = zlib.crc32(piece.encode(errors="replace"))
        found += np.random.Generator(np.random.PCG64(seed)).standard_normal(WIDTH // 2, dtype=np.float32)
    scaled: NDArray[np.float32] = _scaled(found[None])[0]
    return scaled


def _scaled(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    size = np.sqrt((rows**2).mean(1, keepdims=True))
    scaled: NDArray[np.float32] = (rows / np.where(size > 0, size, 1)).astype(np.float32)
    return scaled
