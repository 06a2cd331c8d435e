"""The parameters of a model by where their weights come from, for a learning rate each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from facetmill.models.base import RESTING

if TYPE_CHECKING:
    from facetmill.encoders.text import TextEncoder
    from facetmill.encoders.vision import ImageEncoder


def by_origin(model: nn.Module, **encoders: type[TextEncoder] | type[ImageEncoder]) -> dict[str, list[nn.Parameter]]:
    """What can be trained: of published encoders by the name that their kind is given here, all else "fresh"; and as
    `RESTING` what an encoder that learns keeps at rest, the words of its text."""
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in (*encoders, "fresh", RESTING)}
    published = {
        id(parameter): name if parameter.requires_grad else RESTING
        for name, kind in encoders.items()
        for encoder in model.modules()
        if isinstance(encoder, kind) and encoder.pretrained and not encoder.frozen
        for parameter in encoder.parameters()
    }
    for parameter in model.parameters():
        name = published.get(id(parameter), "fresh")
        if parameter.requires_grad or name == RESTING:
            groups[name].append(parameter)
    return groups
