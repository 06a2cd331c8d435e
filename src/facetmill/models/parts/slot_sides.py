"""Which slots of MuJo-SF the text tells and which the picture, and what a model of such slots has to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from facetmill.errors import ParamsError
from facetmill.params import MujoSfConfig
from facetmill.records import AttributeSchema


@dataclass(frozen=True)
class Sides:
    """The slots that the text tells, and those that the picture tells; one may be told by both. Those of one vector
    count as told by the text."""

    text: list[int]
    picture: list[int]

    @classmethod
    def of(cls, config: MujoSfConfig, schema: AttributeSchema) -> Self:
        """Raises `ParamsError` for attributes that there are not, and where no slot is left."""
        every = range(len(schema.attributes))
        modality = [attribute.modality for attribute in schema.attributes]
        both = {slot for slot in every if modality[slot] == "both"}
        picture = {slot for slot in every if modality[slot] == "image"} | both
        if config.image_slots != "schema":
            wanted = schema.names if config.image_slots == "all" else config.image_slots
            unknown = sorted({*wanted} - {*schema.names})
            if unknown:
                raise ParamsError(f"models.mujo_sf.image_slots: {unknown[0]!r} is no attribute of the data")
            picture, both = {schema.names.index(name) for name in wanted}, set()
        text = {*every} - picture | (picture if config.image_slots_read == "both" else both)
        if config.heads == "one":
            text, picture = {*every}, set()
        found = cls(sorted(text) if config.text_weight else [], sorted(picture) if config.image_weight else [])
        if every and not found.text and not found.picture:
            raise ParamsError("models.mujo_sf: image_slots, text_weight and image_weight leave no slot to fill")
        return found


def reads_text(config: MujoSfConfig, sides: Sides) -> bool:
    """Whether the encoder has a use."""
    return (bool(sides.text) and (config.text_by != "words" or config.heads == "one")) or config.ca != "none"


def bags_words(config: MujoSfConfig, sides: Sides) -> bool:
    return bool(sides.text) and config.text_by != "states" and config.heads == "separate"


def looks(config: MujoSfConfig, sides: Sides) -> bool:
    return bool(sides.picture) or config.ca != "none"
