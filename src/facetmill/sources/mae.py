"""MAE's layout: JSON arrays of listings with free-form specs.

Each element is {diffbotUri, clean_title, clean_text, images[], specs{attribute: value or [values]}}. MAE itself
(multimodal attribute extraction, Logan et al. 2017) holds 2.2 million web listings and is not to be had any more; the
layout is also what the public sets were rebuilt in for the MAE-text / MAE-image split: 5,197 products, 19,180 pairs.
Licence: that of whatever set the file was built from.

Shards of about 1 MB are usual; larger ones are fine, since elements are streamed one by one. Every product is a group
of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facetmill.records import Product
from facetmill.sources.base import BadRow, SourceOptions, Stretch
from facetmill.sources.json_arrays import read_json_array
from facetmill.sources.plain import PlainProducts
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    build_each,
    collect_facets,
    cut_files,
    identifier,
    input_files,
    optional_text,
    plain_products,
    required,
    spec_pairs,
    title,
)


def read(path: Path, options: SourceOptions) -> Iterator[Product | PlainProducts | BadRow]:
    """Stream the listings of a file, or of every `.json` below a folder, in the order of their names.

    Pictures lie in `options.images`, else in `images/` beside the data. An attribute whose spec is null or "n/a" is
    absent. Raises `DataError` when there is no such file or it is no JSON array.
    """
    images = ImageFolder(options.images or (path if path.is_dir() else path.parent) / "images")

    def build(row: Row) -> Product:
        facets, absent = collect_facets(spec_pairs("specs", required(row.fields, "specs")))
        return Product(
            product_id=identifier(row.fields, "diffbotUri"),
            source="mae",
            title=title(row.fields, "clean_title"),
            text=optional_text(row.fields, "clean_text"),
            images=images.paths("images", row.fields.get("images") or []),
            facets=facets,
            absent=absent,
        )

    for file in input_files(path, ".json", only=options.only):
        yield from build_each(file, read_json_array(file, _together), build)


def _together(listings: list[Any]) -> PlainProducts | None:
    """Listings without pictures as columns; None where one has to be built by itself."""
    try:
        if any(listing.get("images") for listing in listings):
            return None
        return plain_products(
            "mae",
            [listing["diffbotUri"] for listing in listings],
            [listing["clean_title"] for listing in listings],
            [listing["clean_text"] for listing in listings],
            [listing["specs"] for listing in listings],
        )
    except (AttributeError, KeyError, TypeError):  # nothing unusual is told of here
        return None


def cut(path: Path) -> list[Stretch]:
    """Each file by itself: what is an element of a JSON array is known only from its start."""
    return cut_files(path, ".json")
