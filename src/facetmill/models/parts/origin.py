"""The parameters of a model by where their weights come from, for a learning rate each."""

from __future__ import annotations

from torch import nn

from facetmill.encoders.text import TextEncoder
from facetmill.encoders.vision import ImageEncoder


def by_origin(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """What can be trained: "text" and "image" of published encoders, all else "fresh"."""
    published = {
        id(parameter): "text" if isinstance(encoder, TextEncoder) else "image"
        for encoder in model.modules()
        if isinstance(encoder, TextEncoder | ImageEncoder) and encoder.pretrained
        for parameter in encoder.parameters()
    }
    groups: dict[str, list[nn.Parameter]] = {"text": [], "image": [], "fresh": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[published.get(id(parameter), "fresh")].append(parameter)
    return groups
