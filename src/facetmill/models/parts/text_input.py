"""What a model is given so that it reads title and text: an encoder, its tokenizer, and its cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Self

import torch

from facetmill.encoders.cache import FeatureCache, encoder_identity
from facetmill.encoders.text import (
    GivenTextEncoder,
    TextEncoder,
    build_text_encoder,
    is_pretrained,
    load_text_encoder,
    save_text_encoder,
)
from facetmill.encoders.tokens import Tokenizer
from facetmill.encoders.windows import (
    Reading,
    TextBatch,
    read,
    store_states,
    text_batch,
    windows,
    with_given_states,
    with_stored_states,
)
from facetmill.models.parts.tagging import tag_tokens
from facetmill.params import TextEncoderParams
from facetmill.records import Product


class TextInput:
    """The network owns the encoder's weights; what is here reads products for it. With `category`, a product's category
    stands before its title, as tokens that are no part of it. `room` is how many tokens of a window are kept free for
    what a model puts there itself."""

    def __init__(
        self, encoder: TextEncoder, tokenizer: Tokenizer, params: TextEncoderParams, *, category: bool, room: int = 0
    ) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self._params = params
        self._category = category
        self._window = params.window - room
        self._cache: FeatureCache | None = None

    @classmethod
    def fitted(
        cls,
        params: TextEncoderParams,
        train: Sequence[Product],
        *,
        category: bool,
        room: int = 0,
        names: Sequence[str] = (),
    ) -> Self:
        """A new encoder with the vocabulary of a train split, and of names that are read, too."""
        texts = [product.title for product in train] + [product.text for product in train]
        texts += [*names] * 2  # a word that stands once is too rare for a vocabulary
        if category:
            texts += [product.category or "" for product in train]
        return cls(*build_text_encoder(params, texts), params, category=category, room=room)

    @classmethod
    def loaded(cls, params: TextEncoderParams, folder: Path, *, category: bool, room: int = 0) -> Self:
        """As it was saved, but for the weights."""
        return cls(*load_text_encoder(folder, freeze=params.freeze), params, category=category, room=room)

    def save(self, folder: Path) -> None:
        save_text_encoder(self.encoder, self.tokenizer, folder)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype) -> None:
        """Keep what a frozen encoder gives for products below `features_dir`, as `dtype`."""
        if self.encoder.frozen:
            if self._cache is None or self._cache.dtype != dtype:
                self._cache = FeatureCache(features_dir, encoder_identity(self.encoder), dtype)
            store_states(self.read(products), self.tokenizer, self._window, self.encoder.eval(), self._cache)

    def read(self, products: Sequence[Product]) -> list[Reading]:
        readings = read(products, self.tokenizer)
        if not self._category:
            return readings
        names = self.tokenizer.encode([product.category or "" for product in products])
        return [
            Reading(
                [*name.ids, self.tokenizer.sep_id, *reading.ids], [*repeat(None, len(name.ids) + 1), *reading.tokens]
            )
            if name.ids
            else reading
            for name, reading in zip(names, readings, strict=True)
        ]

    def batch(self, products: Sequence[Product]) -> TextBatch:
        text = self.windows(products)
        if isinstance(self.encoder, GivenTextEncoder):
            return with_given_states(text, products, self.encoder.vectors)
        return text if self._cache is None else with_stored_states(text, self._cache)

    def windows(self, products: Sequence[Product]) -> TextBatch:
        """The batch of products of which nothing is known beforehand."""
        return text_batch(self.read(products), self.tokenizer, self._window)

    def count(self, train: Sequence[Product], attributes: Mapping[str, int]) -> Counter[str]:
        """What a user must know of how the train split is read, and what its spans lose as tags."""
        replaced = is_pretrained(self._params) and not self.encoder.pretrained
        counts = Counter(encoder_replaced_by_bilstm=int(replaced))
        for reading, product in zip(self.read(train), train, strict=True):
            num_windows = len(windows(len(reading.ids), self._window))
            counts["train_products_in_windows"] += num_windows > 1
            counts["train_windows"] += num_windows
            counts.update(tag_tokens(reading.tokens, product.facets, attributes)[1])
        return counts
