"""The simulated catalogue: products that never were, with pictures, texts and a truth that is known to the last value.

It has what makes real catalogues hard: words that are a value of one product and not of the next ("rose": a colour,
a scent, a print, or half of a brand), value words that are no value at all ("goes with black jeans"), values that only
the picture shows, brands never seen before, and one product listed under two titles. Values are Zipf-distributed.

Everything about listing i comes from the seed and i, so the same knobs give the same bytes, and a larger catalogue
begins with the smaller one. Words, noise, variants and pictures are drawn from separate streams of chance: more noise
changes the noisy titles and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facetmill.params import DemoParams
from facetmill.records import Facet, Modality, Product
from facetmill.sources.base import BadRow, SourceOptions
from facetmill.sources.demo.catalogue import Truth, draw_truth
from facetmill.sources.demo.pictures import Picture, draw, draw_stock
from facetmill.sources.demo.titles import Chances, Listing, write_listing

SUMMARY = "the built-in simulated catalogue: pictures, packs and titles with known truth"

_SECOND_LISTING = 0.15  # share of listings that sell a product already listed
_FARTHEST_BACK = 40  # listings between two of one product
_JPEG_QUALITY = 90


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the listings of the catalogue that `options.demo` describes; `path` is ignored.

    Pictures (RGB JPEG, `image_size` pixels square) are drawn into `options.scratch`, which is made where it is missing;
    without a scratch folder none are drawn and `images`, `ocr` and `regions` stay empty. A facet's modality says what
    the product's own picture shows, also where the listing has none, or one of another product (`stock_pictures`).
    """
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
    for number in range(options.demo.products):
        yield _listing(number, options.demo, options.scratch)


def _listing(number: int, demo: DemoParams, scratch: Path | None) -> Product:
    product_number = _product_behind(demo.seed, number)
    truth = draw_truth(demo.seed, product_number, demo.drift)
    writing, noise, variants, photo, stock = (
        random.Random(f"{demo.seed}:{number}:{part}") for part in ("text", "noise", "variants", "picture", "stock")
    )
    listing = write_listing(
        truth,
        Chances(writing, noise, variants),
        implicit=demo.implicit,
        noise=demo.noise,
        variants=demo.variants,
    )
    images: tuple[str, ...] = ()
    picture: Picture | None = None
    if scratch and photo.random() >= demo.missing_images:
        if stock.random() < demo.stock_pictures:
            picture = draw_stock(_another(truth, listing, demo, stock), photo, demo.image_size)
        else:
            picture = draw(truth, photo, demo.image_size)
        image_path = scratch / f"{_name(number)}.jpg"
        picture.image.save(image_path, quality=_JPEG_QUALITY, subsampling=0)
        images = (str(image_path),)
    return Product(
        product_id=_name(number),
        source="demo",
        title=listing.title,
        text=listing.text,
        category=truth.category.name,
        group_id=_name(product_number),
        images=images,
        ocr=picture.ocr if picture else (),
        regions=picture.regions if picture else (),
        facets=tuple(_facet(truth, listing, attribute) for attribute in truth.values),
        absent=truth.absent,
    )


def _another(truth: Truth, listing: Listing, demo: DemoParams, rng: random.Random) -> Truth:
    """A product of the same category that this one might be mistaken for: it has the values that the listing names
    beside the true ones, as where one listing and one picture serve all colours."""
    while True:
        other = draw_truth(demo.seed, rng.randrange(10**9), demo.drift)
        if other.category == truth.category:
            return replace(other, values={**other.values, **listing.beside})


def _facet(truth: Truth, listing: Listing, attribute: str) -> Facet:
    spans = listing.spans.get(attribute, ())
    seen: Modality = "text" if attribute not in truth.visible else "both" if spans else "image"
    return Facet(attribute, truth.values[attribute], spans, modality=seen)


def _product_behind(seed: int, number: int) -> int:
    """The number of the listing that first sold the product of listing `number`, which may be itself."""
    rng = random.Random(f"{seed}:{number}:group")
    earlier = number - rng.randint(1, _FARTHEST_BACK)
    return _product_behind(seed, earlier) if earlier >= 0 and rng.random() < _SECOND_LISTING else number


def _name(number: int) -> str:
    return f"demo-{number:06d}"
