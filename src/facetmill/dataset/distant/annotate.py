"""Distant facets: what a labeller sees in the main picture of a product, where nobody has said it.

A product gets a facet of an attribute that its category may have, that it has no facet of and that no annotator found
absent, when the labeller is sure enough. Such a facet has no spans, modality "image", provenance "distant" and the
calibrated probability as its confidence. Everything else of a product stays as it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facetmill.compute.device import compute_settings
from facetmill.compute.pieces import map_pieces
from facetmill.dataset.distant.labeller import Labeller, LearnedAttribute, load_labeller
from facetmill.encoders.pictures import Fault, decode_picture, picture_bytes, picture_path
from facetmill.files import hash_folder, replace_folder
from facetmill.records import PRODUCT_SCHEMA, Facet, Product, from_batch, require_schema, shards, to_batch

_THREADS = 1  # as many on every machine, for the same last digits
_BATCH_ROWS = 512  # of which the pixels are held at once


@dataclass
class AnnotateCounts:
    """What annotating did. `asked` counts pairs of product and attribute; each was added, or abstained from because the
    labeller was not sure, or without a picture that can be read. `added` is by attribute and value."""

    num_products: int = 0
    num_asked: int = 0
    num_added: int = 0
    num_abstained: int = 0
    num_no_picture: int = 0
    added: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __add__(self, other: AnnotateCounts) -> AnnotateCounts:
        return AnnotateCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def to_json(self) -> dict[str, Any]:
        added: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for (attribute, value), count in sorted(self.added.items()):
            added[attribute][value] = count
        return {**vars(self), "added": added}


@dataclass(frozen=True)
class _Piece:
    """A shard of the source, and the shard to write of it."""

    source: Path
    target: Path


def annotate_shards(
    source_dir: Path, out_dir: Path, labeller_dir: Path, min_confidence: float, workers: int = 1
) -> AnnotateCounts:
    """Annotate the shards of `source_dir` into `out_dir`, which is replaced as a whole: a shard each, in their order.

    Relative pictures are below the folder that holds `source_dir`. Any process may annotate a shard (see `engine.py`):
    of this machine `workers`, each with a labeller and a few hundred products in memory.
    """
    labeller_dir = labeller_dir.absolute()  # the same for a process of another folder
    labeller_hash = hash_folder(labeller_dir)
    _labeller(labeller_dir, labeller_hash)  # one that cannot be loaded is told before any process is started
    with replace_folder(out_dir) as folder:
        pieces = [_Piece(path, folder.absolute() / path.name) for path in shards(source_dir.absolute())]
        work = partial(
            _annotate_piece, labeller_dir=labeller_dir, labeller_hash=labeller_hash, min_confidence=min_confidence
        )
        return sum(map_pieces(work, pieces, workers), AnnotateCounts())


def _annotate_piece(piece: _Piece, labeller_dir: Path, labeller_hash: str, min_confidence: float) -> AnnotateCounts:
    counts = AnnotateCounts()
    labeller, root = _labeller(labeller_dir, labeller_hash), piece.source.parents[1]
    with (
        pq.ParquetFile(piece.source) as source,
        pq.ParquetWriter(piece.target, PRODUCT_SCHEMA, compression="snappy") as target,
        compute_settings(_THREADS),
    ):
        require_schema(piece.source, source.schema_arrow)
        for batch in source.iter_batches(_BATCH_ROWS, use_threads=False):
            done = annotate(from_batch(batch), labeller, min_confidence, root, counts)
            target.write_batch(to_batch(done))
    return counts


@lru_cache(maxsize=1)
def _labeller(folder: Path, content_hash: str) -> Labeller:
    """One for each process, since networks take a second to load; another when the folder holds another one, which a
    cluster's workers may live to see."""
    return load_labeller(folder)


def annotate(
    products: Sequence[Product], labeller: Labeller, min_confidence: float, pictures_root: Path, counts: AnnotateCounts
) -> list[Product]:
    """The products with their distant facets, whose confidence is at least `min_confidence` (0..1)."""
    counts.num_products += len(products)
    wanted = [_wanted(product, labeller) for product in products]
    pixels = {
        number: picture
        for number, (product, attributes) in enumerate(zip(products, wanted, strict=True))
        if attributes and (picture := main_picture(product, labeller.size, pictures_root)) is not None
    }
    predicted = labeller.tell(_stacked(list(pixels.values()), labeller.size))
    row_of = {number: row for row, number in enumerate(pixels)}
    done = []
    for number, (product, attributes) in enumerate(zip(products, wanted, strict=True)):
        counts.num_asked += len(attributes)
        if number not in row_of:
            counts.num_no_picture += len(attributes)
            done.append(product)
            continue
        facets = []
        for attribute in attributes:
            confidence, place = (found.item() for found in predicted[attribute.name][row_of[number]].max(0))
            if confidence < min_confidence:
                counts.num_abstained += 1
                continue
            value = attribute.values[int(place)]
            facets.append(Facet(attribute.name, value, (), "image", "distant", confidence))
            counts.added[attribute.name, value] += 1
        counts.num_added += len(facets)
        done.append(replace(product, facets=(*product.facets, *facets)) if facets else product)
    return done


def main_picture(product: Product, size: int, pictures_root: Path) -> NDArray[np.uint8] | None:
    """The pixels of a product's first picture, or None where there is none that can be read.

    Raises `DataError` for a relative path that leaves `pictures_root`.
    """
    if not product.images:
        return None
    data = picture_bytes(str(picture_path(pictures_root, product.images[0], product.product_id)))
    pixels = data if isinstance(data, Fault) else decode_picture(data, size)
    return None if isinstance(pixels, Fault) else pixels


def _wanted(product: Product, labeller: Labeller) -> list[LearnedAttribute]:
    """The attributes nobody has said anything of: annotated and matched facets outrank distant ones."""
    said = {facet.attribute for facet in product.facets} | set(product.absent)
    return [each for each in labeller.attributes if each.name not in said and each.suits(product.category)]


def _stacked(pictures: Sequence[NDArray[np.uint8]], size: int) -> NDArray[np.uint8]:
    return np.stack(pictures) if pictures else np.zeros((0, 3, size, size), np.uint8)
