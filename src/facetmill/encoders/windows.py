"""The text of products as a batch of windows: title and text as two segments, no token cut off.

A sequence is `title [SEP] text` (the separator only where both have tokens). One longer than the window becomes several
that overlap by a quarter; each token's prediction is then taken from the window in which it lies most central.

Shapes: B windows (as many as products unless texts are long), T their longest with specials, N tokens of all products,
E width of the text encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from facetmill.compute.batch import TensorBatch
from facetmill.encoders.cache import FeatureCache, digest_of, in_working_precision
from facetmill.encoders.given import Vectors
from facetmill.encoders.text import TextEncoder
from facetmill.encoders.tokens import Tokenizer
from facetmill.errors import DataError
from facetmill.records import Product, Span


@dataclass(frozen=True, slots=True)
class Reading:
    """The token sequence of one product. Each token is the span of its characters; None is the separator."""

    ids: list[int]
    tokens: list[Span | None]


@dataclass(frozen=True)
class TextBatch(TensorBatch):
    """Windows of some products.

    `ids_BT` (int64), `segment_BT` (int64, 0 title, 1 text), `mask_BT` (bool, 1 = not padding) feed an encoder.
    `token_mask_BT` (bool) is 1 on tokens of the products, 0 on specials and padding. `pieces` says which product each
    window is of, and which part of its sequence it holds: token i of that range stands in column 1 + i. The prediction
    of the n-th token of all products, one after the other, stands in row `row_N`, column `column_N`. `states_BTE` and
    `text_BE` are what the encoder gives, where a frozen encoder's cache had all of it or it was given.
    """

    readings: tuple[Reading, ...]
    pieces: tuple[tuple[int, range], ...]
    ids_BT: Tensor
    segment_BT: Tensor
    mask_BT: Tensor
    token_mask_BT: Tensor
    row_N: Tensor
    column_N: Tensor
    states_BTE: Tensor | None = None
    text_BE: Tensor | None = None

    @property
    def products_of_rows(self) -> list[int]:
        """The number of each window's product."""
        return [number for number, _ in self.pieces]


def read(products: Sequence[Product], tokenizer: Tokenizer) -> list[Reading]:
    """Tokenize products; offsets are into their raw fields."""
    encoded = tokenizer.encode([p.title for p in products] + [p.text for p in products])
    readings = []
    for title, text in zip(encoded[: len(products)], encoded[len(products) :], strict=True):
        ids = list(title.ids)
        tokens: list[Span | None] = [Span("title", start, end) for start, end in title.ranges]
        if title.ids and text.ids:
            ids.append(tokenizer.sep_id)
            tokens.append(None)
        ids += text.ids
        tokens += [Span("text", start, end) for start, end in text.ranges]
        readings.append(Reading(ids, tokens))
    return readings


def windows(length: int, size: int) -> list[range]:
    """Cover `length` tokens by windows of at most `size` that overlap by at least a quarter; the last is full."""
    if length <= size:
        return [range(length)]
    step = size - size // 4
    starts = [*range(0, length - size, step), length - size]
    return [range(start, start + size) for start in starts]


def most_central(length: int, pieces: Sequence[range]) -> list[int]:
    """For each token, the number of the window in which it is furthest from both ends (the first of equals)."""
    best = [-1] * length
    depth = [-1] * length
    for number, piece in enumerate(pieces):
        for token in piece:
            distance = min(token - piece.start, piece.stop - 1 - token)
            if distance > depth[token]:
                depth[token], best[token] = distance, number
    return best


def text_batch(readings: Sequence[Reading], tokenizer: Tokenizer, window: int) -> TextBatch:
    """Cut readings into windows of at most `window` tokens and pad them to one length."""
    pieces: list[tuple[int, range]] = []
    rows: list[int] = []
    columns: list[int] = []
    for number, reading in enumerate(readings):
        cuts = windows(len(reading.ids), window)
        first_row = len(pieces)
        pieces += zip(repeat(number), cuts)
        if len(cuts) == 1:
            rows += repeat(first_row, len(reading.ids))
            columns += range(1, 1 + len(reading.ids))
        else:
            chosen = most_central(len(reading.ids), cuts)
            rows += [first_row + cut for cut in chosen]
            columns += [1 + token - cuts[cut].start for token, cut in enumerate(chosen)]
    num_columns = 2 + max((len(cut) for _, cut in pieces), default=0)
    ids, segments, masks, token_masks = [], [], [], []
    for number, cut in pieces:
        reading = readings[number]
        tokens = reading.tokens[cut.start : cut.stop]
        padding = num_columns - 2 - len(cut)
        in_text = [int(token is not None and token.field == "text") for token in tokens]
        ends_in_text = in_text[-1] if in_text else 0
        inside = reading.ids[cut.start : cut.stop]
        ids.append([tokenizer.cls_id, *inside, tokenizer.sep_id] + [tokenizer.pad_id] * padding)
        segments.append([0, *in_text, ends_in_text] + [0] * padding)
        masks.append([True] * (2 + len(cut)) + [False] * padding)
        token_masks.append([False] + [token is not None for token in tokens] + [False] * (1 + padding))
    return TextBatch(
        readings=tuple(readings),
        pieces=tuple(pieces),
        ids_BT=torch.tensor(ids, dtype=torch.int64).reshape(len(pieces), num_columns),
        segment_BT=torch.tensor(segments, dtype=torch.int64).reshape(len(pieces), num_columns),
        mask_BT=torch.tensor(masks, dtype=torch.bool).reshape(len(pieces), num_columns),
        token_mask_BT=torch.tensor(token_masks, dtype=torch.bool).reshape(len(pieces), num_columns),
        row_N=torch.tensor(rows, dtype=torch.int64),
        column_N=torch.tensor(columns, dtype=torch.int64),
    )


def text_states(text: TextBatch, encoder: TextEncoder) -> tuple[Tensor, Tensor]:
    """What the encoder gives for a batch, or what a cache kept of it: token states [B,T,E] and text states [B,E]. Of
    texts that were given one vector alone, the encoder reads the tokens."""
    if text.states_BTE is not None and text.text_BE is not None:
        return in_working_precision(text.states_BTE), in_working_precision(text.text_BE)
    states_BTE, text_BE = encoder(text.ids_BT, text.mask_BT, text.segment_BT)
    return states_BTE, text_BE if text.text_BE is None else text.text_BE


def token_states(text: TextBatch, states_BTE: Tensor) -> tuple[Tensor, Tensor]:
    """The states of each product's tokens in their order, each from the window in which it lies most central, and which
    are real: [P,N,E] and bool [P,N], for P products of at most N tokens."""
    lengths = [len(reading.tokens) for reading in text.readings]
    token_PNE = pad_sequence(states_BTE[text.row_N, text.column_N].split(lengths), batch_first=True)
    mask_PN = torch.arange(token_PNE.shape[1])[None] < torch.tensor(lengths)[:, None]
    return token_PNE, mask_PN.to(token_PNE.device)


def with_given_states(text: TextBatch, products: Sequence[Product], vectors: Vectors) -> TextBatch:
    """The batch with the vectors that were given of its products, whose ids name them: of whole texts, and of tokens
    where there are such.

    Raises `DataError` for a product without vectors, and where those of tokens are not of its title and nothing else.
    """
    rows = [vectors.row_of(product.product_id, product.product_id) for product in products]
    text_BE = torch.zeros(len(text.pieces), vectors.width)
    for window, (number, _) in enumerate(text.pieces):
        text_BE[window] = vectors.whole(rows[number])
    if vectors.num_parts is None:
        return replace(text, text_BE=text_BE)
    states_BTE = torch.zeros(*text.ids_BT.shape, vectors.width)
    for window, (number, cut) in enumerate(text.pieces):
        if None in text.readings[number].tokens or cut.stop > vectors.num_parts:
            raise DataError(
                f"{vectors.folder}: vectors of at most {vectors.num_parts} tokens, all of the title, but product "
                f"{products[number].product_id!r} is read as {len(text.readings[number].ids)} tokens of title and text"
            )
        states_BTE[window, 1 : 1 + len(cut)] = vectors.parts(rows[number])[cut.start : cut.stop]
    return replace(text, states_BTE=states_BTE, text_BE=text_BE)


def with_stored_states(text: TextBatch, cache: FeatureCache) -> TextBatch:
    """The batch with its states, or as it was where the cache lacks a window."""
    digests = [_window_digest(text, row) for row in range(len(text.pieces))]
    if not digests or not all(digest in cache for digest in digests):
        return text
    found = [cache.get(digest) for digest in digests]
    states_BTE = pad_sequence([rows[1:] for rows in found], batch_first=True)
    return replace(text, states_BTE=states_BTE, text_BE=torch.stack([rows[0] for rows in found]))


def store_states(
    readings: Iterable[Reading], tokenizer: Tokenizer, window: int, encoder: TextEncoder, cache: FeatureCache
) -> None:
    """Encode the windows that the cache does not have; of each it keeps the text state, then those of its tokens."""
    device = next(encoder.parameters()).device

    def encode(text: TextBatch, row: int) -> NDArray[np.float32]:
        one = slice(row, row + 1)
        ids, mask, segment = (tensor[one].to(device) for tensor in (text.ids_BT, text.mask_BT, text.segment_BT))
        with torch.no_grad():
            states_1TE, text_1E = encoder(ids, mask, segment)
        found: NDArray[np.float32] = torch.cat([text_1E[:, None], states_1TE], dim=1)[0].cpu().numpy()
        return found

    texts = (text_batch([reading], tokenizer, window) for reading in readings)
    cache.fill(
        (_window_digest(text, row), partial(encode, text, row)) for text in texts for row in range(len(text.pieces))
    )


def _window_digest(text: TextBatch, row: int) -> bytes:
    real = text.mask_BT[row]
    return digest_of(text.ids_BT[row][real].numpy().tobytes(), text.segment_BT[row][real].numpy().tobytes())
