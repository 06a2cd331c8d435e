"""What PAM reads of a product: its words, those on its pack, and the objects on its picture, as places of one width.

Source: PAM, sections 4.3 and 6.3.

Shapes: P products, N words of a text, O words on a pack, R objects, K regions of a picture, E width of an encoder, F of
word vectors, D of the transformer, X places of one kind. Masks: 1 = real.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.box_features import box_features, boxes_padded
from facetmill.encoders.main_picture import PictureBatch, RegionSource, image_states
from facetmill.encoders.vision import ImageStates
from facetmill.encoders.windows import Reading, TextBatch, text_states, token_states
from facetmill.encoders.word_vectors import WordVectors
from facetmill.models.parts.pam_inputs import Objects, PackWords, described
from facetmill.models.parts.sight import Sight
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.words import Word, shortened, split, words_of
from facetmill.params import PamConfig
from facetmill.records import Box, Product


@dataclass(frozen=True)
class ReadBatch(TensorBatch):
    """`words` are those of each text; `first_PN` says which of its tokens each begins with. Of what is not read there
    is None, and of pictures where no product has one. Boxes are left, top, right, bottom, 0..1."""

    words: tuple[tuple[Word, ...], ...]
    text: TextBatch | None
    first_PN: Tensor | None
    text_PN: Tensor | None
    pack_words: tuple[tuple[str, ...], ...]
    pack_POF: Tensor | None
    pack_PO: Tensor | None
    pack_box_PO4: Tensor | None
    boxed_PO: Tensor | None
    pictures: PictureBatch | None
    object_box_PR4: Tensor | None
    object_PR: Tensor | None


class Part(NamedTuple):
    """Places of one kind: cls, text, objects or ocr; and which are real."""

    name: str
    state_PXD: Tensor
    mask_PX: Tensor


class ProductReader(nn.Module):
    """`text` is None where no text is read, `image_encoder` where no picture is, `vectors` where no pack is. Where
    the category is an auxiliary task, a place that stands for the whole product comes first."""

    def __init__(
        self,
        config: PamConfig,
        text: TextInput | None,
        image_encoder: RegionSource | None,
        vectors: WordVectors | None,
    ) -> None:
        super().__init__()
        width = config.fusion.hidden_size
        seen_width = 0 if image_encoder is None else image_encoder.width
        self.encoder = None if text is None else text.encoder
        self.image_encoder = image_encoder
        self.text = None if text is None else _projection(text.encoder.width, width)
        self.pack: PackWords | None = None
        if config.ocr != "none" and vectors is not None:
            seen = seen_width if config.ocr == "seen" else 0
            self.pack = PackWords(vectors.width, seen, width, config.ocr_norm)
        self.objects = None if config.objects == "none" else Objects(seen_width, width)
        self.cls = nn.Parameter(0.02 * torch.randn(width)) if config.category == "auxiliary" else None
        self.dropout = nn.Dropout(config.dropout)
        self._config = config
        self._text, self._vectors = text, vectors
        self._sight = None if image_encoder is None else Sight(image_encoder, config.image_encoder.size)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype) -> None:
        if self._text is not None:
            short = [shortened(product, words_of(product, self._config.text_words)) for product in products]
            self._text.prepare(short, features_dir, dtype)
        if self._sight is not None:
            self._sight.prepare(products, features_dir, dtype)

    def save(self, folder: Path) -> None:
        if self._text is not None:
            self._text.save(folder)
        if self._sight is not None:
            self._sight.save(folder)

    def count(self, train: Sequence[Product]) -> Counter[str]:
        """What is cut, and what became of pictures."""
        counts = Counter[str]() if self._sight is None else self._sight.count(train)
        for product in train:
            longer = words_of(product, self._config.text_words + 1)
            counts["train_products_cut"] += self._text is not None and len(longer) > self._config.text_words
            counts["train_packs_cut"] += self.pack is not None and len(_on_pack(product)) > self._config.ocr_words
        return counts

    def collate(self, products: Sequence[Product]) -> ReadBatch:
        words: list[list[Word]] = [[] for _ in products]
        text = first_PN = text_PN = pack_POF = pack_PO = pack_box_PO4 = boxed_PO = object_box_PR4 = object_PR = None
        if self._text is not None:
            words = [words_of(product, self._config.text_words) for product in products]
            text = self._text.batch([shortened(*each) for each in zip(products, words, strict=True)])
            first_PN, text_PN = _first_tokens(words, text.readings)
        pack = [_on_pack(product)[: self._config.ocr_words] if self.pack else [] for product in products]
        pack_words = tuple(tuple(word for word, _ in own) for own in pack)
        if self._vectors is not None and self.pack is not None:
            pack_POF, pack_PO = described(pack_words, self._vectors)
            pack_box_PO4, boxed_PO = boxes_padded([[box for _, box in own] for own in pack])
        pictures = None if self._sight is None else self._sight.pictures(products, range(len(products)))
        if self._config.objects == "boxes":
            object_box_PR4, object_PR = boxes_padded([product.regions for product in products])
        return ReadBatch(
            tuple(map(tuple, words)),
            text,
            first_PN,
            text_PN,
            pack_words,
            pack_POF,
            pack_PO,
            pack_box_PO4,
            boxed_PO,
            pictures,
            object_box_PR4,
            object_PR,
        )

    def sources(self, batch: ReadBatch) -> list[tuple[str, list[list[str | None]]]]:
        """The words that may be copied, by the name of their part, each in its column; None where there is none."""
        found: list[tuple[str, list[list[str | None]]]] = []
        if "text" in self._config.copies and batch.text_PN is not None:
            words = [[word.text for word in own] for own in batch.words]
            found.append(("text", _in_columns(words, batch.text_PN)))
        if "ocr" in self._config.copies and batch.pack_PO is not None:
            found.append(("ocr", _in_columns(batch.pack_words, batch.pack_PO)))
        return found

    def forward(self, batch: ReadBatch) -> list[Part]:
        parts = []
        if self.cls is not None:
            mask_P1 = torch.ones(len(batch.words), 1, dtype=torch.bool, device=self.cls.device)
            parts.append(Part("cls", self.cls.expand(len(batch.words), 1, -1), mask_P1))
        if self.encoder is not None and self.text is not None and batch.text is not None:
            assert batch.first_PN is not None
            assert batch.text_PN is not None
            token_PME, _ = token_states(batch.text, text_states(batch.text, self.encoder)[0])
            token_PME = F.pad(token_PME, (0, 0, 0, 1))  # where there is no token at all
            place_PNE = batch.first_PN[..., None].expand(-1, -1, token_PME.shape[2])
            parts.append(Part("text", self.text(token_PME.gather(1, place_PNE)), batch.text_PN))
        seen = None
        if self.image_encoder is not None and batch.pictures is not None:
            seen = image_states(batch.pictures, self.image_encoder)
        if self.objects is not None and seen is None:
            nothing_P0D = torch.zeros(len(batch.words), 0, self._config.fusion.hidden_size, device=self._device)
            parts.append(Part("objects", nothing_P0D, nothing_P0D[..., 0].bool()))
        if self.objects is not None and seen is not None:
            box_PR4, object_PR = self._boxes(batch, seen)
            mask_PR = object_PR & seen.shown_B[:, None]
            what_PRE = box_features(seen.region_BKE, box_PR4) if batch.object_PR is not None else seen.region_BKE
            parts.append(Part("objects", self.objects(what_PRE, box_PR4), mask_PR))
        if self.pack is not None and batch.pack_POF is not None:
            assert batch.pack_PO is not None
            assert batch.pack_box_PO4 is not None
            state_POD = self.pack(batch.pack_POF, self._seen_on_pack(batch, seen), batch.pack_box_PO4)
            parts.append(Part("ocr", state_POD, batch.pack_PO))
        return [Part(name, self.dropout(state_PXD), mask_PX) for name, state_PXD, mask_PX in parts]

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _boxes(self, batch: ReadBatch, seen: ImageStates) -> tuple[Tensor, Tensor]:
        """Those of objects, or of all regions of a picture."""
        if batch.object_box_PR4 is not None and batch.object_PR is not None:
            return batch.object_box_PR4, batch.object_PR
        assert self.image_encoder is not None
        size = self.image_encoder.grid
        top_K, left_K = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
        box_K4 = torch.stack([left_K, top_K, left_K + 1 / size, top_K + 1 / size], dim=-1).flatten(0, 1)
        box_PR4 = box_K4.to(seen.shown_B.device).expand(len(seen.shown_B), -1, -1)
        return box_PR4, torch.ones_like(box_PR4[..., 0], dtype=torch.bool)

    def _seen_on_pack(self, batch: ReadBatch, seen: ImageStates | None) -> Tensor | None:
        """Zeros of a word without a box, or a product without a picture. [P,O,E]"""
        if self._config.ocr != "seen" or self.image_encoder is None:
            return None
        assert batch.pack_box_PO4 is not None
        assert batch.boxed_PO is not None
        if seen is None:
            return batch.pack_box_PO4.new_zeros(*batch.boxed_PO.shape, self.image_encoder.width)
        there_PO1 = (batch.boxed_PO & seen.shown_B[:, None])[..., None]
        return box_features(seen.region_BKE, batch.pack_box_PO4) * there_PO1


def _projection(width: int, wanted: int) -> nn.Module:
    return nn.Identity() if width == wanted else nn.Linear(width, wanted)


def _on_pack(product: Product) -> list[tuple[str, Box | None]]:
    """Each word with the box of what it was read as part of."""
    return [(word, token.box) for token in product.ocr for word in split(token.text)]


def _in_columns(words: Sequence[Sequence[str]], there_PX: Tensor) -> list[list[str | None]]:
    rows = []
    for own, there in zip(words, there_PX.tolist(), strict=True):
        rows.append([own[column] if here else None for column, here in enumerate(there)])
    return rows


def _first_tokens(words: Sequence[Sequence[Word]], readings: Sequence[Reading]) -> tuple[Tensor, Tensor]:
    """Which token of its product each word begins with [P,N], at least one column wide; and whether there is one."""
    width = max([1, *map(len, words)])
    first_PN = torch.zeros(len(words), width, dtype=torch.int64)
    there_PN = torch.zeros(len(words), width, dtype=torch.bool)
    for row, (own, reading) in enumerate(zip(words, readings, strict=True)):
        places = [(number, token) for number, token in enumerate(reading.tokens) if token is not None]
        begins = [(token.field == "text", token.start) for _, token in places]
        for column, word in enumerate(own):
            at = max(0, bisect_right(begins, (word.span.field == "text", word.span.start)) - 1)
            for number, token in islice(places, at, at + 2):
                if token.field == word.span.field and token.start < word.span.end and token.end > word.span.start:
                    first_PN[row, column], there_PN[row, column] = number, True
                    break
    return first_PN, there_PN
