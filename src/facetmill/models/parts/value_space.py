"""Names as points of a space that does not learn: that of a frozen text encoder.

What lies there needs no weights of its own, so a model that answers by the nearest point can be given points it was not
trained with.

Shapes: n texts, E width of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.encoders.text import GivenTextEncoder
from facetmill.errors import ParamsError
from facetmill.models.parts.text_input import TextInput
from facetmill.records import Product

AT_ONCE = 128  # texts

Pooling = Literal["cls", "mean"]
Scale = Literal["printed", "standard"]


class ValueSpace(nn.Module):
    """`printed` points are what the encoder gives. `standard` ones are layer-normed, centred on those that it was
    settled by, and of the root mean square 1 a feature, so that distances mean the same whatever the encoder."""

    centre_E: Tensor
    spread: Tensor

    def __init__(self, text: TextInput, *, pooling: Pooling, scale: Scale, owns_encoder: bool = True) -> None:
        """The encoder of `text` learns no more. It is part of this module, and saved with it, unless it is one that
        somebody else owns."""
        super().__init__()
        if isinstance(text.encoder, GivenTextEncoder):
            raise ParamsError("value_encoder: names are read, of which a folder of given vectors has none")
        text.encoder.frozen = True
        text.encoder.requires_grad_(False)
        self.encoder = text.encoder if owns_encoder else None
        self.width = text.encoder.width
        self.register_buffer("centre_E", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(()))
        self._text, self._pooling, self._scale = text, pooling, scale

    @torch.no_grad()
    def states(self, texts: Sequence[str]) -> Tensor:
        """What the encoder gives for texts, before it is centred, on the device of the encoder. [n,E]"""
        self._text.encoder.eval()
        distinct = [*dict.fromkeys(texts)]
        parts = [self._read(distinct[start : start + AT_ONCE]) for start in range(0, len(distinct), AT_ONCE)]
        states_NE = torch.cat([self.centre_E.new_zeros(0, self.width), *parts])
        if self._scale == "standard":
            states_NE = F.layer_norm(states_NE, (self.width,))
        row_of = {text: row for row, text in enumerate(distinct)}
        return states_NE[[row_of[text] for text in texts]]

    def settle(self, texts: Sequence[str]) -> None:
        """Centre and scale the space by some texts; a printed one stays as it is."""
        if self._scale == "standard" and texts:
            states_NE = self.states(texts)
            self.centre_E.copy_(states_NE.mean(0))
            self.spread.copy_((states_NE - self.centre_E).square().mean().sqrt().clamp(min=1e-6))

    def points(self, texts: Sequence[str]) -> Tensor:
        """[n,E]"""
        return (self.states(texts) - self.centre_E) / self.spread

    def _read(self, texts: Sequence[str]) -> Tensor:
        text = self._text.windows([Product(name, "", name) for name in texts]).to(self.centre_E.device)
        states_BTE, text_BE = self._text.encoder(text.ids_BT, text.mask_BT, text.segment_BT)
        if self._pooling == "mean":
            token_BT1 = text.token_mask_BT[..., None]
            mean_BE = (states_BTE * token_BT1).sum(1) / token_BT1.sum(1).clamp(min=1)
            text_BE = torch.where(token_BT1.any(1), mean_BE, text_BE)
        first = {number: row for row, number in reversed([*enumerate(text.products_of_rows)])}  # of a long name
        read: Tensor = text_BE[[first[number] for number in range(len(texts))]].float()
        return read
