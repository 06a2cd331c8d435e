"""Regions by an object detector of transformers: a hub name, or a folder as `save_pretrained` writes it.

Any network that `AutoModelForObjectDetection` loads will do (DETR, YOLOS, RT-DETR and their kin), for they answer
alike: some boxes by centre and size, each with logits of its class. What class it is does not matter here, only how
sure the network is of any. Weights are read from safetensors only, and no code of theirs is run.

Shapes: Q boxes that the network answers with, L logits of a box, H and W pixels.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForObjectDetection

from facetmill.compute.device import compute_settings
from facetmill.encoders.cache import encoder_identity
from facetmill.encoders.text import without_bars
from facetmill.encoders.vision import published_scale
from facetmill.errors import ParamsError
from facetmill.files import write_json
from facetmill.perception.boxes import Candidate
from facetmill.records import Box

SMALLEST_SIDE = 64  # pixels; a picture that is thinner gets ground beside it, for no network takes one of a few pixels
THREADS = 1  # many pictures are looked at by many processes, and as many on every machine give the same last digits
_DIGITS = 5


class Detector:
    """Raises `ParamsError` for a `source` that is no detector, or whose weights are no safetensors or not all there."""

    def __init__(self, source: str) -> None:
        self.name = Path(source).name
        try:
            with without_bars():
                self._network, loaded = AutoModelForObjectDetection.from_pretrained(
                    source, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
                )
        except (OSError, ValueError, ImportError) as error:
            raise ParamsError(
                f"regions.kind = {source!r}: not grid, proposals, or an object detector with safetensors weights: "
                f"{error}"
            ) from error
        learned = {name for name, _ in self._network.named_parameters()}
        if lacking := sorted(learned & set(loaded["missing_keys"])):
            raise ParamsError(f"regions.kind = {source!r}: the weights lack {', '.join(lacking[:3])}; no detector")
        self._network.eval()
        mean, std = published_scale(source, "regions.kind")
        self._mean_C11, self._std_C11 = (torch.tensor(list(scale))[:, None, None] for scale in (mean, std))
        try:
            self.find(np.zeros((SMALLEST_SIDE, SMALLEST_SIDE, 3), np.uint8))
        except (ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise ParamsError(f"regions.kind = {source!r} does not answer with boxes and logits: {error}") from error

    @cached_property
    def identity(self) -> str:
        with compute_settings(THREADS):
            return encoder_identity(self)

    def describe(self) -> dict[str, Any]:
        scale = [self._mean_C11.flatten().tolist(), self._std_C11.flatten().tolist()]
        config = self._network.config.to_dict()
        config.pop("_name_or_path", None)  # the same network in another folder is the same
        return {"scale": scale, "config": config}

    def state_dict(self) -> dict[str, Any]:
        weights: dict[str, Any] = self._network.state_dict()
        return weights

    def save(self, folder: Path) -> None:
        """Write it as it can be loaded again, whatever becomes of its source."""
        with without_bars():
            self._network.save_pretrained(folder)
        mean, std = (scale_C11.flatten().tolist() for scale_C11 in (self._mean_C11, self._std_C11))
        write_json(folder / "preprocessor_config.json", {"image_mean": mean, "image_std": std})

    @torch.inference_mode()
    def find(self, pixels_HWC: NDArray[np.uint8]) -> list[Candidate]:
        """Every box of the network that has an area within the picture, RGB (0..255)."""
        height, width, _ = pixels_HWC.shape
        image_CHW = torch.from_numpy(np.array(pixels_HWC.transpose(2, 0, 1))).float() / 255
        image_CHW = (image_CHW - self._mean_C11) / self._std_C11
        below, beside = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
        image_CHW = functional.pad(image_CHW, (0, beside, 0, below))
        with compute_settings(THREADS):
            answer = self._network(pixel_values=image_CHW[None])
            confidence_Q = _confidence(answer.logits[0], self._network.config.num_labels)
        x_Q, y_Q, wide_Q, high_Q = answer.pred_boxes[0].double().unbind(-1)
        # as shares of the picture, without what was put beside it
        x_Q, wide_Q = (share * (width + beside) / width for share in (x_Q, wide_Q))
        y_Q, high_Q = (share * (height + below) / height for share in (y_Q, high_Q))
        edges_Q4 = torch.stack([x_Q - wide_Q / 2, y_Q - high_Q / 2, x_Q + wide_Q / 2, y_Q + high_Q / 2], -1).clamp(0, 1)
        found = []
        for edges, confidence in zip(edges_Q4.tolist(), confidence_Q.tolist(), strict=True):
            left, top, right, bottom = (round(edge, _DIGITS) for edge in edges)
            if left < right and top < bottom:  # not so for numbers that are none
                found.append(Candidate(Box(left, top, right, bottom), round(confidence, _DIGITS)))
        return found


def _confidence(logits_QL: Tensor, num_labels: int) -> Tensor:
    """How sure the network is that a box holds any thing (0..1): DETR and YOLOS have a last logit for "nothing" and a
    softmax, those that learned with a focal loss (Deformable DETR, RT-DETR) have none and a sigmoid."""
    if logits_QL.shape[1] == num_labels + 1:
        return logits_QL.softmax(-1)[:, :-1].amax(-1)
    if logits_QL.shape[1] == num_labels:
        return logits_QL.sigmoid().amax(-1)
    raise ValueError(f"{logits_QL.shape[1]} logits for {num_labels} labels")
