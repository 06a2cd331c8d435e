"""The stages of dvc.yaml that can be switched off, one entry each: all that the rest of the house must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facetmill.params import Params


@dataclass(frozen=True)
class Stage:
    """`name` is that of the stage, its section and its report; the order of the table is that of the pipeline.

    `switch` is the key that is null while it is off. `place` is the output that there is not then, and what is read or
    written in its place; None for a stage that no other one reads. `folders` are the keys that may name a folder, which
    the stage then watches. `pictures`: it looks at pictures, which shards name only by their paths.
    """

    name: str
    switch: str
    place: tuple[str, str] | None
    folders: tuple[str, ...] = ()
    pictures: bool = False

    @property
    def report(self) -> str:
        """Its counts, which the data gate's `every_stage_reported` asks for while the stage is on."""
        return f"reports/{self.name}.json"

    def is_on(self, params: Params) -> bool:
        return setting(params, self.switch) is not None


STAGES = (
    Stage("ocr", "ocr.engine", ("read", "ingested")),
    Stage("regions", "regions.kind", ("located", "read"), ("regions.kind",), pictures=True),
    Stage("distant", "distant.labeller", ("supervised", "matched"), ("distant.labeller",)),
    Stage(
        "saliency",
        "saliency.seeds",
        ("divided", "dataset"),
        ("saliency.encoder.network", "saliency.image_encoder.network"),
        pictures=True,
    ),
    Stage("visual_tokens", "visual_tokens.codebook", None, ("visual_tokens.codebook",), pictures=True),
)


def switched_off(params: Params) -> tuple[str, ...]:
    """The names of the stages that change nothing, in the order of the pipeline."""
    return tuple(stage.name for stage in STAGES if not stage.is_on(params))


def setting(params: Any, key: str) -> Any:
    """The value of a key such as "ocr.engine"."""
    for name in key.split("."):
        params = getattr(params, name)
    return params


def with_settings(params: Any, values: Mapping[str, Any]) -> Any:
    """Params with other values of some keys."""
    for key, value in values.items():
        params = _with_setting(params, key.split("."), value)
    return params


def _with_setting(section: Any, names: list[str], value: Any) -> Any:
    first, *rest = names
    return replace(section, **{first: _with_setting(getattr(section, first), rest, value) if rest else value})
