"""An image encoder that can see: it has learned to tell the visible values of simulated pictures.

Published encoders have learned from photographs with known labels; none comes with a package, and drawings are no
photographs. This one stands in their place where a study is about what a model does with a picture that it can read.
It learns from a catalogue of another seed, so from products that no study asks about.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facetmill.compute.device import compute_settings
from facetmill.dataset.distant.base import LabelledPicture
from facetmill.dataset.distant.labeller import require_replaceable
from facetmill.dataset.distant.mapping import LabelMapping
from facetmill.dataset.distant.samples import gather
from facetmill.dataset.distant.train import learn, score
from facetmill.files import hash_json, replace_folder, write_json
from facetmill.params import LabellerParams, to_mapping
from facetmill.sources.demo.catalogue import draw_truth
from facetmill.sources.demo.pictures import draw, draw_stock

SEED = 1001  # of the catalogue to learn from; with it as demo.seed a study would ask about products known from here
PRINTED = ("Brand", "Flavor")  # shown by letters alone, too small to read in so few pixels
BACKBONE = Path("network-0") / "backbone"  # in a labeller's folder
STOCK_PICTURES = 0.3  # share of its pictures, so that the encoder knows the badge


def learn_backbone(
    learning: LabellerParams, products: int, out: Path, log: Callable[[str], None]
) -> tuple[Path, dict[str, Any]]:
    """Learn from the pictures of so many products, and write a labeller to `out`, which is replaced. Returns the folder
    inside it to name as the `network` of an image encoder, and how well each attribute is told of held-out pictures.

    Raises `DataError` where `out` is something else than an earlier labeller, or for too few products to hold some out.
    """
    require_replaceable(out)
    with tempfile.TemporaryDirectory() as name, compute_settings(learning.threads), replace_folder(out) as folder:
        size = learning.image_encoder.size
        pictures = [_draw(number, size, Path(name)) for number in range(products)]
        mapping = _as_they_are(pictures)
        samples, _ = gather([("demo", pictures)], mapping, size, learning.seed, Path(name) / "pixels")
        labeller, _ = learn(samples, mapping, learning, log)
        found = score(labeller, samples)
        labeller.save(folder)
        write_json(folder / "report.json", found)
    return out / BACKBONE, found


def kept_backbone(learning: LabellerParams, products: int, kept: Path, log: Callable[[str], None]) -> Path:
    """The same encoder, found below `kept` where it was learned before with these settings."""
    out = kept / f"backbone-{hash_json([to_mapping(learning), products, SEED, STOCK_PICTURES])[:16]}"
    if not out.exists():  # it is moved there whole
        learn_backbone(learning, products, out, log)
    return out / BACKBONE


def _draw(number: int, size: int, folder: Path) -> LabelledPicture:
    """A picture with the values that it shows, and whether it is for illustration only."""
    truth, chance = draw_truth(SEED, number, drift=0.0), random.Random(f"{SEED}:{number}")
    is_stock = chance.random() < STOCK_PICTURES
    picture = (draw_stock if is_stock else draw)(truth, chance, size)
    path = folder / f"{number}.png"
    picture.image.save(path)
    shown = {name: (truth.values[name],) for name in truth.visible if name not in PRINTED}
    return LabelledPicture(str(path), str(number), {**shown, "Picture": ("stock" if is_stock else "own",)})


def _as_they_are(pictures: list[LabelledPicture]) -> LabelMapping:
    """Every label means the value that it names."""
    values: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for picture in pictures:
        for attribute, (value,) in picture.labels.items():
            values.setdefault(("demo", attribute), {}).setdefault(attribute, {})[value] = value
    return LabelMapping({attribute: None for _, attribute in values}, values)
