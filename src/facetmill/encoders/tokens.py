"""Tokenizers: text to ids, each with the characters it stands for, so that a tag can always be traced to the raw text.

`PretrainedTokenizer` is the fast tokenizer of a published encoder. `VocabularyTokenizer` splits into single characters
or plain words and knows the vocabulary of a train split. Both are saved as one JSON file and need nothing else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import tokenizers

from facetmill.encoders.scripts import UNSPACED
from facetmill.errors import DataError
from facetmill.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")

_UNSPACED = re.compile(f"[{UNSPACED}]")
_WORD = re.compile(r"\w+|[^\w\s]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Pieces:
    """The tokens of one text: ids, and the half-open range of characters of each. No special tokens."""

    ids: list[int]
    ranges: list[tuple[int, int]]


class Tokenizer(Protocol):
    """`size` is the number of ids; the special ids frame a window: [CLS] text [SEP], then padding. `mask_id` stands for
    a token that is not told."""

    size: int
    pad_id: int
    cls_id: int
    sep_id: int

    @property
    def mask_id(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> list[Pieces]: ...

    def to_json(self) -> dict[str, Any]: ...


class PretrainedTokenizer:
    """The fast tokenizer of a published encoder, without its own truncation and padding."""

    def __init__(
        self, backend: tokenizers.Tokenizer, pad_id: int, cls_id: int, sep_id: int, max_length: int | None = None
    ) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.size = backend.get_vocab_size()
        self.pad_id = pad_id
        self.cls_id = cls_id
        self.sep_id = sep_id
        self.max_length = max_length  # tokens that its encoder takes at once, where it says so

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> PretrainedTokenizer:
        """Take over a Hugging Face tokenizer. Raises `DataError` for one that knows no character offsets."""
        if not tokenizer.is_fast:
            raise DataError(f"{tokenizer.name_or_path}: its tokenizer has no character offsets (not a fast tokenizer)")
        names = ("pad_token_id", "cls_token_id", "sep_token_id")
        ids: list[int | None] = [getattr(tokenizer, name) for name in names]
        pad_id, cls_id, sep_id = ids
        if pad_id is None or cls_id is None or sep_id is None:
            raise DataError(f"{tokenizer.name_or_path}: its tokenizer has no {names[ids.index(None)]}")
        backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        return cls(backend, pad_id, cls_id, sep_id, tokenizer.model_max_length)

    def encode(self, texts: Sequence[str]) -> list[Pieces]:
        clean = [_SURROGATE.sub("\ufffd", text) for text in texts]  # as long as before, so ranges hold
        encodings = self._backend.encode_batch(clean, add_special_tokens=False)
        return [_without_blanks(text, e.ids, e.offsets) for text, e in zip(clean, encodings, strict=True)]

    def characters(self) -> dict[str, int]:
        """The single characters of its vocabulary, to be read one by one."""
        return {token: number for token, number in self._backend.get_vocab().items() if len(token) == 1}

    @property
    def unknown_id(self) -> int | None:
        return self._backend.token_to_id("[UNK]")

    @property
    def mask_id(self) -> int:
        found = (self._backend.token_to_id(name) for name in ("[MASK]", "<mask>", "[UNK]", "<unk>"))
        return next((number for number in found if number is not None), self.sep_id)

    def to_json(self) -> dict[str, Any]:
        special = {"pad_id": self.pad_id, "cls_id": self.cls_id, "sep_id": self.sep_id}
        return {"kind": "pretrained", "backend": json.loads(self._backend.to_str()), **special}


class VocabularyTokenizer:
    """One token per character, or per word or punctuation mark; all in lower case.

    Spaces are tokens between characters (a value may hold one) and only separate words.
    """

    def __init__(
        self,
        unit: Literal["characters", "words"],
        vocabulary: Mapping[str, int],
        *,
        size: int,
        specials: tuple[int, int, int, int] = (0, 1, 2, 3),
    ) -> None:
        self._unit = unit
        self._vocabulary = vocabulary
        self._specials = specials
        self.size = size
        self.pad_id, self._unknown_id, self.cls_id, self.sep_id = specials

    @classmethod
    def fit(cls, unit: Literal["characters", "words"], texts: Iterable[str], min_count: int = 2) -> VocabularyTokenizer:
        """A vocabulary of all tokens that occur `min_count` times; the rarer ones teach the model what [UNK] means."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(token.lower() for token in _split(unit, text))
        known = sorted(token for token, count in counts.items() if count >= min_count)
        vocabulary = {token: number for number, token in enumerate(known, start=len(SPECIALS))}
        return cls(unit, vocabulary, size=len(SPECIALS) + len(known))

    @property
    def mask_id(self) -> int:
        return self._unknown_id

    def encode(self, texts: Sequence[str]) -> list[Pieces]:
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Pieces:
        if self._unit == "characters":
            ranges = [(start, start + 1) for start in range(len(text))]
        else:
            ranges = [match.span() for match in _WORD.finditer(text)]
        return Pieces([self._vocabulary.get(text[a:b].lower(), self._unknown_id) for a, b in ranges], ranges)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self._unit,
            "vocabulary": dict(self._vocabulary),
            "size": self.size,
            "specials": list(self._specials),
        }


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    write_json(path, tokenizer.to_json())


def load_tokenizer(path: Path) -> Tokenizer:
    """Raises `DataError` where the file is not a tokenizer that `save_tokenizer` wrote."""
    raw = read_json(path)
    match raw.get("kind"):
        case "pretrained":
            backend = tokenizers.Tokenizer.from_str(json.dumps(raw["backend"]))
            return PretrainedTokenizer(backend, raw["pad_id"], raw["cls_id"], raw["sep_id"])
        case "characters" | "words" as unit:
            pad, unknown, first, last = raw["specials"]
            return VocabularyTokenizer(unit, raw["vocabulary"], size=raw["size"], specials=(pad, unknown, first, last))
        case other:
            raise DataError(f"{path}: kind {other!r} is not a tokenizer")


def unspaced_share(texts: Iterable[str]) -> float:
    """Share (0..1) of letters of scripts without spaces between words, such as Chinese and Thai; 0 without letters."""
    num_letters = num_unspaced = 0
    for text in texts:
        num_letters += sum(map(str.isalpha, text))
        num_unspaced += sum(map(str.isalpha, _UNSPACED.findall(text)))
    return num_unspaced / num_letters if num_letters else 0.0


def coverage(vocabulary: Mapping[str, int], texts: Iterable[str]) -> float:
    """Share (0..1) of the characters of some texts, spaces apart, that a vocabulary has in lower case."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower())
    counts = Counter({char: count for char, count in counts.items() if not char.isspace()})
    total = counts.total()
    return sum(count for char, count in counts.items() if char in vocabulary) / total if total else 1.0


def _split(unit: Literal["characters", "words"], text: str) -> Iterable[str]:
    return text if unit == "characters" else _WORD.findall(text)


def _without_blanks(text: str, ids: Sequence[int], ranges: Sequence[tuple[int, int]]) -> Pieces:
    """Some tokenizers count the space before a word as part of it, or make tokens of nothing."""
    kept = Pieces([], [])
    for token, (start, end) in zip(ids, ranges, strict=True):
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start < end:
            kept.ids.append(token)
            kept.ranges.append((start, end))
    return kept
