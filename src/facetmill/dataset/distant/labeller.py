"""What annotates: trained classifiers with their attributes, as a folder of JSON and safetensors.

labeller.json                       the attributes, where each may be annotated, temperatures, SHA-256 of every file
report.json                         what it learned from and how well it tells held-out pictures; nothing reads it
network-0/image_encoder.json        the shape of the encoder
network-0/weights.safetensors       encoder and heads
network-0/backbone/                 the encoder alone, for `network: <that folder>` of an image encoder

Nothing in it is ever unpickled. With `tasks: single` there is a network an attribute.

Shapes: P pictures, V values of one attribute, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from facetmill.dataset.distant.classifier import PictureClassifier
from facetmill.encoders.text import without_bars
from facetmill.encoders.vision import load_image_encoder, save_image_encoder
from facetmill.errors import DataError
from facetmill.files import hash_files, require_hashes, write_json

FORMAT_VERSION = 1
BATCH = 64


@dataclass(frozen=True)
class LearnedAttribute:
    """Its values, in the order of head `head` of network `network`; `categories` where it may be annotated (None: any);
    `temperature` makes probabilities of the head's logits."""

    name: str
    values: tuple[str, ...]
    categories: tuple[str, ...] | None
    network: int
    head: int
    temperature: float

    def suits(self, category: str | None) -> bool:
        return self.categories is None or category in self.categories


@dataclass(frozen=True)
class _Description:
    """labeller.json."""

    format_version: int
    attributes: tuple[LearnedAttribute, ...]
    num_networks: int
    hashes: dict[str, str]


_DESCRIPTION = TypeAdapter(_Description)


class Labeller:
    """Tells the values of pictures. `size` is S."""

    def __init__(self, networks: Sequence[PictureClassifier], attributes: Sequence[LearnedAttribute]) -> None:
        self.networks = [network.eval() for network in networks]
        self.attributes = tuple(attributes)
        self.size = networks[0].encoder.size

    @torch.inference_mode()
    def tell(self, pixels_P3SS: NDArray[np.uint8]) -> dict[str, Tensor]:
        """The probabilities [P,V] of the values of each attribute."""
        parts: dict[str, list[Tensor]] = {attribute.name: [] for attribute in self.attributes}
        for start in range(0, len(pixels_P3SS), BATCH):
            chunk_P3SS = torch.from_numpy(pixels_P3SS[start : start + BATCH])
            logits = [network(chunk_P3SS) for network in self.networks]
            for attribute in self.attributes:
                logits_PV = logits[attribute.network][attribute.head]
                parts[attribute.name].append((logits_PV / attribute.temperature).softmax(1))
        return {
            attribute.name: torch.cat(parts[attribute.name])
            if parts[attribute.name]
            else torch.zeros(0, len(attribute.values))
            for attribute in self.attributes
        }

    def save(self, folder: Path) -> None:
        """Write all but report.json into an empty folder."""
        for number, network in enumerate(self.networks):
            inside = folder / f"network-{number}"
            inside.mkdir()
            save_image_encoder(network.encoder, inside)
            weights = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
            save_file(weights, inside / "weights.safetensors")
            _save_backbone(network, inside / "backbone")
        described = _Description(FORMAT_VERSION, self.attributes, len(self.networks), hash_files(folder))
        write_json(folder / "labeller.json", asdict(described))


def require_replaceable(out: Path) -> None:
    """Raises `DataError` where something stands that is no earlier labeller, and would be replaced."""
    if out.exists() and not (out / "labeller.json").is_file():
        raise DataError(f"{out}: there is something that is no labeller, and it would be replaced")


def load_labeller(folder: Path) -> Labeller:
    """Raises `DataError` naming the file that is missing, changed, or of another version."""
    path = folder / "labeller.json"
    try:
        described = _DESCRIPTION.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: not a labeller that `facetmill distant train` wrote: {error}") from None
    if described.format_version != FORMAT_VERSION:
        raise DataError(f"{path}: format_version {described.format_version}, but this Facetmill reads {FORMAT_VERSION}")
    require_hashes(folder, described.hashes)
    networks = [_load_network(folder, number, described) for number in range(described.num_networks)]
    return Labeller(networks, described.attributes)


def _load_network(folder: Path, number: int, described: _Description) -> PictureClassifier:
    inside = folder / f"network-{number}"
    heads = sorted((a for a in described.attributes if a.network == number), key=lambda a: a.head)
    network = PictureClassifier(load_image_encoder(inside, freeze=False), [len(a.values) for a in heads])
    try:
        network.load_state_dict(load_file(inside / "weights.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(f"{inside / 'weights.safetensors'}: {error}") from error
    return network


def _save_backbone(network: PictureClassifier, folder: Path) -> None:
    """As transformers writes a model, with the scale of the channels beside it."""
    encoder = network.encoder
    with without_bars():
        encoder.network.save_pretrained(folder)
    described = encoder.describe()
    write_json(folder / "preprocessor_config.json", {"image_mean": described["mean"], "image_std": described["std"]})
