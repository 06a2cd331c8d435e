"""What turns pictures into codes: our own small VQ-VAE, or the published codebook of DALL-E.

codebook.json                       kind, size, number of codes, and the SHA-256 of every other file
weights.safetensors                 kind "vq": encoder, vectors and decoder of `vq_network.py`
network/                            kind "flava": as transformers saves a `FlavaImageCodebook`

Nothing in it is ever unpickled, and no code that came with weights is run.

Shapes: P pictures, S pixels a side, G grid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import FlavaImageCodebook

from facetmill.encoders.text import without_bars
from facetmill.errors import DataError, ParamsError
from facetmill.files import hash_files, require_hashes, write_json
from facetmill.perception.visual_tokens import MAX_CODES
from facetmill.perception.vq_network import VqNetwork

FORMAT_VERSION = 1
LAPLACE_EPSILON = 0.1  # DALL-E's dVAE saw brightness (0..1) pressed into 0.1..0.9 (its appendix A.3)


class Codebook(Protocol):
    """`size` is S, `grid` is G; codes are 0..num_codes - 1."""

    size: int
    grid: int
    num_codes: int

    def encode(self, pixels_PCSS: Tensor) -> Tensor:
        """The codes [P,G,G] of RGB pixels (uint8, 0..255)."""
        ...

    def decode(self, code_PGG: Tensor) -> Tensor | None:
        """Pictures [P,3,S,S] as shares of full brightness (0..1); None where no decoder was published."""
        ...

    def save(self, folder: Path) -> None:
        """Write codebook.json and weights into an empty folder."""
        ...


@dataclass(frozen=True)
class _Description:
    """codebook.json."""

    format_version: int
    kind: Literal["vq", "flava"]
    size: int
    grid: int
    num_codes: int
    hashes: dict[str, str]


_DESCRIPTION = TypeAdapter(_Description)


class VqCodebook:
    """Our own, as `vq_training.py` trains it."""

    def __init__(self, network: VqNetwork) -> None:
        self.network = network.eval()
        self.size, self.grid, self.num_codes = network.size, network.grid, network.num_codes

    @torch.inference_mode()
    def encode(self, pixels_PCSS: Tensor) -> Tensor:
        return self.network.encode(pixels_PCSS)

    @torch.inference_mode()
    def decode(self, code_PGG: Tensor) -> Tensor:
        return self.network.decode(code_PGG)

    def save(self, folder: Path) -> None:
        weights = {name: tensor.contiguous().clone() for name, tensor in self.network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        _describe(self, "vq", folder)


class FlavaCodebook:
    """The encoder of DALL-E's dVAE as FLAVA publishes it (`facebook/flava-image-codebook`): 8192 codes, each of 8 x 8
    pixels. DEFLATE reads pictures of 256 pixels, which are 32 x 32 codes.

    Source: Ramesh et al. "Zero-Shot Text-to-Image Generation." ICML 2021. Its decoder is not part of it. Raises
    `ParamsError` for a `source` that is no such codebook, or cannot read pictures of `size` pixels.
    """

    def __init__(self, source: str, size: int) -> None:
        problem = f"visual_tokens.codebook = {source!r}"
        try:
            with without_bars():
                answer: Any = FlavaImageCodebook.from_pretrained(
                    source, use_safetensors=True, dtype=torch.float32, output_loading_info=True
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise ParamsError(
                f"{problem}: not train, or a FlavaImageCodebook with safetensors weights: {error}"
            ) from error
        self.network, loaded = answer
        if lacking := sorted(loaded["missing_keys"]):
            raise ParamsError(f"{problem}: the weights lack {', '.join(lacking[:3])}; no FlavaImageCodebook")
        self.network.eval()
        self.num_codes = int(self.network.config.vocab_size)
        if self.num_codes > MAX_CODES:
            raise ParamsError(f"{problem}: has {self.num_codes} codes, more than the {MAX_CODES} that can be stored")
        part = 2 ** (self.network.config.num_groups - 1)  # pixels a side that a code stands for
        if size % part:
            raise ParamsError(f"{problem} takes visual_tokens.image_size in multiples of {part}, not {size}")
        self.size, self.grid = size, size // part

    @torch.inference_mode()
    def encode(self, pixels_PCSS: Tensor) -> Tensor:
        pressed_PCSS = (1 - 2 * LAPLACE_EPSILON) * pixels_PCSS.float() / 255 + LAPLACE_EPSILON
        codes: Tensor = self.network.get_codebook_indices(pressed_PCSS)
        return codes

    def decode(self, code_PGG: Tensor) -> None:
        return None

    def save(self, folder: Path) -> None:
        with without_bars():
            self.network.save_pretrained(folder / "network")
        _describe(self, "flava", folder)


def load_codebook(folder: Path) -> Codebook:
    """The codebook of a folder `visual_tokens/codebook`, to give codes to other pictures.

    Raises `DataError` naming the file that is missing, changed, or of another version.
    """
    path = folder / "codebook.json"
    try:
        described = _DESCRIPTION.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: not a codebook that the stage visual_tokens wrote: {error}") from None
    if described.format_version != FORMAT_VERSION:
        raise DataError(f"{path}: format_version {described.format_version}, but this Facetmill reads {FORMAT_VERSION}")
    require_hashes(folder, described.hashes)
    if described.kind == "flava":
        return FlavaCodebook(str(folder / "network"), described.size)
    network = VqNetwork(described.size, described.grid, described.num_codes)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(f"{folder / 'weights.safetensors'}: {error}") from error
    return VqCodebook(network)


def _describe(codebook: Codebook, kind: Literal["vq", "flava"], folder: Path) -> None:
    described = _Description(FORMAT_VERSION, kind, codebook.size, codebook.grid, codebook.num_codes, hash_files(folder))
    write_json(folder / "codebook.json", asdict(described))
