"""What the stage does: the frozen dataset as it is, with a schema that says of each attribute what tells its values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facetmill.dataset.pictures.passing import pass_on_dataset
from facetmill.dataset.saliency.judge import Slot, judge, slots
from facetmill.files import replace_folder, write_text
from facetmill.params import SaliencyParams
from facetmill.records import AttributeSchema, Product, read_products


def ascribe(source_dir: Path, out_dir: Path, params: SaliencyParams, log: Callable[[str], None]) -> dict[str, Any]:
    """Train on the train split, judge on validation, and write the dataset to `out_dir`, replaced as a whole. Returns
    the report: a row for each attribute of validation, and the products left out of either split by reason.

    The test split takes no part. At most `params.max_products` of each split are read, drawn at random.
    """
    train, validation = (
        sample(read_products(source_dir / split), params.max_products) for split in ("train", "validation")
    )
    judged = judge(train, validation, params, log, source_dir.absolute().parent)
    found = slots(judged, params.min_dif)
    with replace_folder(out_dir) as folder:
        num_products = pass_on_dataset(source_dir, folder)
        schema = AttributeSchema.from_json((source_dir / "schema.json").read_text(encoding="utf-8"))
        write_text(folder / "schema.json", with_modality(schema, found).to_json() + "\n")
    return {"num_products": num_products, "left_out": judged.left_out, "slots": [slot.to_json() for slot in found]}


def with_modality(schema: AttributeSchema, found: Sequence[Slot]) -> AttributeSchema:
    """The schema with what was found; an attribute of which nothing was stays undecided."""
    modality = {slot.attribute: slot.modality for slot in found}
    return replace(
        schema,
        attributes=tuple(replace(attribute, modality=modality.get(attribute.name)) for attribute in schema.attributes),
    )


def sample(products: Iterable[Product], size: int) -> list[Product]:
    """At most `size` of them, drawn evenly (reservoir sampling); the same ones every time."""
    rng, kept = random.Random(0), list[Product]()
    for number, product in enumerate(products):
        if number < size:
            kept.append(product)
        elif (place := rng.randrange(number + 1)) < size:
            kept[place] = product
    return kept
