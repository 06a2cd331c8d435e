"""The equations of MuJo-SF: text and picture that have seen each other, and what each tells of a product's slots.

Source: Jia, Shen, Luu, Chen, Xu, Liao, Yuan, He. "MuJo-SF: Multimodal Joint Slot Filling for Attribute Value Prediction
of E-commerce Commodities." IEEE Transactions on Multimedia, 2024; section III-C. `mujo_sf.py` says where they differ.

Shapes: P products, N tokens of one, E width of the text encoder, K regions of its picture, U width of the image
encoder, S slots, V candidates of the slot that has the most, C of all, F width of the space of values. Masks: 1 = real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.encoders.text import TextEncoder
from facetmill.models.parts.slot_names import SlotNames
from facetmill.models.parts.value_space import ValueSpace

Attended = Literal["patches", "pooled", "none"]


@dataclass(frozen=True)
class Places:
    """Where attention may look: tokens or regions [P,Y,J], and which of them are real [P,Y]."""

    states_PYJ: Tensor
    mask_PY: Tensor

    @property
    def pooled_PJ(self) -> Tensor:
        """The mean of what is real; 0 where nothing is."""
        mask_PY1 = self.mask_PY[..., None]
        return (self.states_PYJ * mask_PY1).sum(1) / mask_PY1.sum(1).clamp(min=1)


class Gathered(nn.Module):
    """(4): what x gathers from the places that it looks at, projected."""

    def __init__(self, width: int, place_width: int, out_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, place_width, bias=False)  # W1
        self.out = nn.Linear(place_width, out_width)  # W_D

    def forward(self, x_PXE: Tensor, places: Places) -> Tensor:
        """[P,X,out]; the bias alone where no place is real."""
        score_PXY = self.query(x_PXE) @ places.states_PYJ.transpose(1, 2) / sqrt(places.states_PYJ.shape[-1])
        mask_P1Y = places.mask_PY[:, None]
        weight_PXY = score_PXY.masked_fill(~mask_P1Y, torch.finfo(score_PXY.dtype).min).softmax(-1) * mask_P1Y
        gathered_PXO: Tensor = self.out(weight_PXY @ places.states_PYJ)
        return gathered_PXO


class Pooled(nn.Module):
    """(4) of one place: the softmax is 1, so that every x gathers the same."""

    def __init__(self, place_width: int, out_width: int) -> None:
        super().__init__()
        self.out = nn.Linear(place_width, out_width)  # W_D

    def forward(self, x_PXE: Tensor, places: Places) -> Tensor:
        """[P,1,out]"""
        del x_PXE
        gathered_P1O: Tensor = self.out(places.pooled_PJ)[:, None]
        return gathered_P1O


class Crossed(nn.Module):
    """(5): x with what it gathers from the other side of the product, where the product has one."""

    def __init__(self, width: int, place_width: int, attended: Attended) -> None:
        super().__init__()
        self.gathered: Gathered | Pooled | None = None
        if attended != "none":
            patches = attended == "patches"
            self.gathered = Gathered(width, place_width, width) if patches else Pooled(place_width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x_PXE: Tensor, places: Places | None) -> Tensor:
        """[P,X,E]"""
        if self.gathered is not None and places is not None:
            x_PXE = x_PXE + self.gathered(x_PXE, places) * places.mask_PY.any(1)[:, None, None]
        crossed_PXE: Tensor = self.norm(x_PXE)
        return crossed_PXE


class TextSide(nn.Module):
    """(6) and (7): what each slot finds in the text, and how near each of its candidates lies to that."""

    name_SF: Tensor
    point_CF: Tensor

    def __init__(
        self,
        names: SlotNames,
        space: ValueSpace,
        width: int,
        image_width: int,
        attended: Attended,
        sizes: Sequence[int],
    ) -> None:
        """`sizes` are the numbers of each slot's candidates."""
        super().__init__()
        self.crossed = Crossed(width, image_width, attended)
        self.names, self.space = names, space
        self.local = Gathered(space.width, width, space.width)
        self.whole = Gathered(width, width, space.width)
        self.norm = nn.LayerNorm(space.width)
        self.register_buffer("name_SF", torch.zeros(len(sizes), space.width))
        self.register_buffer("point_CF", torch.zeros(sum(sizes), space.width))
        self._sizes = [*sizes]

    def settle(self, names: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
        """Give the slots their names and the candidates, by how they read, their points. What is gathered begins where
        these lie."""
        every = [text for of_slot in texts for text in of_slot]
        self.space.settle(every)
        self.name_SF.copy_(self.space.states(names))
        self.point_CF.copy_(self.space.points(every))
        for gathered in (self.local, self.whole):
            if gathered.out.in_features == self.space.width:
                nn.init.eye_(gathered.out.weight)
            gathered.out.bias.data.copy_(-self.space.centre_E)

    def choose_among(self, texts: Sequence[Sequence[str]], known: Sequence[Sequence[str]]) -> None:
        """Give the candidates that read like this their points, where those of `known` have one each."""
        row_of = {place: row for row, place in enumerate(_places(known))}
        row_C = torch.tensor([row_of.get(place, -1) for place in _places(texts)], device=self.point_CF.device)
        point_CF = self.point_CF[row_C]
        point_CF[row_C < 0] = self.space.points([text for slot, text in _places(texts) if (slot, text) not in row_of])
        self.point_CF, self._sizes = point_CF, [len(of_slot) for of_slot in texts]

    def forward(self, tokens: Places, regions: Places | None, encoder: TextEncoder, most: int) -> Tensor:
        """Minus the distance of each candidate, float32. [P,S,V]"""
        tokens = Places(self.crossed(tokens.states_PYJ, regions), tokens.mask_PY)
        num_products, dtype = len(tokens.mask_PY), tokens.states_PYJ.dtype
        local_PSF = self.local(self.name_SF.to(dtype).expand(num_products, -1, -1), tokens)
        whole_PSF = self.whole(self.names(encoder).to(dtype).expand(num_products, -1, -1), tokens)
        found_PSF = self.norm(local_PSF + whole_PSF).float()  # (6)
        points = enumerate(self.point_CF.split(self._sizes))
        return by_slot([-distances(found_PSF[:, slot], point_VF) for slot, point_VF in points], most)  # (7)


def _places(texts: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    return [(slot, text) for slot, of_slot in enumerate(texts) for text in of_slot]


def distances(found_PF: Tensor, point_VF: Tensor) -> Tensor:
    """Euclidean, and each to the bit what it is without the other points. [P,V]"""
    return torch.cdist(found_PF, point_VF, compute_mode="donot_use_mm_for_euclid_dist")


class PictureSide(nn.Module):
    """(9) and (10): one vector of the picture, and a head for each slot."""

    def __init__(self, image_width: int, width: int, sizes: Sequence[int], *, crossed: bool) -> None:
        super().__init__()
        self.crossed = Crossed(image_width, width, "patches" if crossed else "none")  # tokens are always many
        self.joined = nn.Linear(2 * image_width, image_width, bias=False)  # W_u
        self.heads = Heads(image_width, sizes)

    def forward(self, regions: Places, tokens: Places | None, most: int) -> Tensor:
        """Logits, float32; of a product without a picture they mean nothing. [P,S,V]"""
        pooled_PU = regions.pooled_PJ
        crossed_PU = self.crossed(pooled_PU[:, None], tokens)[:, 0]
        logit_PSV: Tensor = self.heads(self.joined(torch.cat([crossed_PU, pooled_PU], dim=1)), most)  # (9)
        return logit_PSV


class OneVector(nn.Module):
    """OMFA, and with nothing attended a plain tower of the text: one vector with a head for every slot."""

    def __init__(self, width: int, image_width: int, attended: Attended, sizes: Sequence[int]) -> None:
        super().__init__()
        self.crossed_text = Crossed(width, image_width, attended)
        self.crossed_picture: Crossed | None = None
        self.joined: nn.Linear | None = None
        if attended != "none":
            self.crossed_picture = Crossed(image_width, width, "patches")
            self.joined = nn.Linear(width + image_width, width, bias=False)
        self.heads = Heads(width, sizes)

    def forward(self, tokens: Places, regions: Places | None, most: int) -> Tensor:
        """Logits, float32; without a picture the text's part of the vector alone counts. [P,S,V]"""
        vector_PE = Places(self.crossed_text(tokens.states_PYJ, regions), tokens.mask_PY).pooled_PJ
        if self.joined is not None and self.crossed_picture is not None:
            seen_PU = vector_PE.new_zeros(len(vector_PE), self.joined.in_features - vector_PE.shape[1])
            if regions is not None:
                crossed_PU = self.crossed_picture(regions.pooled_PJ[:, None], tokens)[:, 0]
                seen_PU = crossed_PU * regions.mask_PY.any(1, keepdim=True)
            vector_PE = self.joined(torch.cat([vector_PE, seen_PU], dim=1))
        logit_PSV: Tensor = self.heads(vector_PE, most)
        return logit_PSV


class Heads(nn.Module):
    """A linear head for each slot, above one vector."""

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.candidates = nn.Linear(width, sum(sizes))  # W_j of all slots
        self._sizes = [*sizes]

    def forward(self, vector_PU: Tensor, most: int) -> Tensor:
        """Logits, float32. [P,S,V]"""
        return by_slot(self.candidates(vector_PU).float().split(self._sizes, dim=1), most)


def by_slot(logits: Sequence[Tensor], most: int) -> Tensor:
    """The logits of each slot's candidates side by side, minus infinity where it has fewer than `most`. [P,S,V]"""
    return torch.stack([F.pad(logit_PV, (0, most - logit_PV.shape[1]), value=-torch.inf) for logit_PV in logits], dim=1)


def chosen(logit_MV: Tensor, true_MV: Tensor) -> Tensor:
    """log p of some true candidate, of which each row has one at least. [M]"""
    return logit_MV.log_softmax(1).masked_fill(~true_MV, -torch.inf).logsumexp(1)
