"""From pictures to regions: boxes around what is to be seen become `Product.regions`, of the product's first picture.

Of what a finder finds, the best boxes are kept that do not overlap a better one too much and that it is sure enough of.
A product whose source came with regions keeps those. A picture that is missing or broken has no regions and is counted,
and so has a blank one, on which nothing is to be seen. With no finder the shards are passed on as they are.

The regions of a picture depend on its bytes, the finder and the parameters alone, so neither the number of processes
nor what was in the cache can be told from the output.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, astuple, dataclass, field
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from facetmill.compute.pieces import Call, caller
from facetmill.dataset.pictures.passing import pass_on
from facetmill.dataset.pictures.picture_cache import PictureCache, digest_of, look_at_all
from facetmill.dataset.pictures.row_groups import rewrite
from facetmill.encoders.pictures import Fault, picture_bytes, picture_path
from facetmill.files import hash_json, replace_folder
from facetmill.params import RegionsParams
from facetmill.perception.boxes import Candidate
from facetmill.perception.region_finders import best_boxes, finder_of, look_at_picture
from facetmill.records import PRODUCT_SCHEMA, Box

_REGIONS = PRODUCT_SCHEMA.names.index("regions")

_Finding: TypeAlias = list[Candidate] | Fault


@dataclass
class RegionCounts:
    """What was found, and where nothing was.

    `num_given` counts products whose source came with regions: their pictures are not looked at. `unreadable` counts
    first pictures by reason; `num_regions` says of how many that could be read each number of regions was kept.
    """

    kind: str | None
    num_products: int = 0
    num_given: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    num_regions: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Nothing in it depends on time, on the number of processes, or on what had been found before."""
        readable = self.num_regions.total()
        regions = sum(number * pictures for number, pictures in self.num_regions.items())
        return {
            "kind": self.kind,
            "num_products": self.num_products,
            "num_given": self.num_given,
            "num_pictures": readable + self.unreadable.total(),
            "num_pictures_with_regions": readable - self.num_regions[0],
            "num_regions": regions,
            "regions_per_picture_mean": round(regions / readable, 4) if readable else 0.0,
            "unreadable": {fault.value: self.unreadable[fault.value] for fault in Fault},
        }


def find_regions(source_dir: Path, target_dir: Path, params: RegionsParams, cache_dir: Path) -> RegionCounts:
    """Copy the shards of `source_dir` into `target_dir`, which is replaced as a whole, with the regions of pictures.

    Relative paths of pictures are taken from the folder that holds `source_dir`. What a finder finds is kept below
    `cache_dir`. Shards and their row groups stay as they were; memory is that of a row group. Raises `ParamsError` for
    a detector that cannot be loaded.
    """
    if params.kind is None:
        return RegionCounts(None, pass_on(source_dir, target_dir))
    with replace_folder(target_dir) as folder:
        cache_dir = cache_dir.absolute()  # the same for a process of another folder
        _cached_finder(params, cache_dir)  # what cannot be loaded is told before any process is started
        counts = RegionCounts(params.kind)
        root = source_dir.absolute().parent
        with caller(params.workers) as run:
            rewrite(source_dir, folder, lambda table: _with_regions(table, root, params, cache_dir, run, counts))
    return counts


def _with_regions(
    table: pa.Table, root: Path, params: RegionsParams, cache_dir: Path, run: Call[_Finding], counts: RegionCounts
) -> pa.Table:
    """The products with their regions; `root` is where relative paths of pictures begin."""
    regions = table.column("regions").to_pylist()
    pictures = [
        None if given or not images else str(picture_path(root, images[0], product_id))
        for product_id, images, given in zip(
            table.column("product_id").to_pylist(), table.column("images").to_pylist(), regions, strict=True
        )
    ]
    distinct = {path for path in pictures if path is not None}
    findings = look_at_all(distinct, _cached_finder(params, cache_dir).known, partial(_find, params, cache_dir), run)
    for place, path in enumerate(pictures):
        counts.num_products += 1
        counts.num_given += bool(regions[place])
        if path is None:
            continue
        finding = findings[path]
        if isinstance(finding, Fault):
            counts.unreadable[finding.value] += 1
            continue
        kept = best_boxes(finding, params)
        counts.num_regions[len(kept)] += 1
        regions[place] = [asdict(box) for box in kept]
    column = PRODUCT_SCHEMA.field(_REGIONS)
    return table.set_column(_REGIONS, column, pa.array(regions, column.type))


class _CachedFinder:
    """A finder that remembers what it found, whatever of it is kept."""

    def __init__(self, params: RegionsParams, cache_dir: Path) -> None:
        assert params.kind is not None
        self._finder = finder_of(params.kind, params.at_most)
        self._longest_side = params.longest_side
        identity = hash_json([self._finder.identity, version("pillow"), params.longest_side])
        self._cache = PictureCache(cache_dir / f"{self._finder.name}-{identity[:16]}", _to_json, _from_json)

    def known(self, digest: str) -> list[Candidate] | None:
        return self._cache.known(digest)

    def find(self, data: bytes) -> _Finding:
        digest = digest_of(data)
        candidates = self.known(digest)
        if candidates is not None:
            return candidates
        found = look_at_picture(self._finder, data, self._longest_side)
        if not isinstance(found, Fault):
            self._cache.keep(digest, found)
        return found


def _find(params: RegionsParams, cache_dir: Path, path: str) -> _Finding:
    data = picture_bytes(path)
    return data if isinstance(data, Fault) else _cached_finder(params, cache_dir).find(data)


@lru_cache(maxsize=1)
def _cached_finder(params: RegionsParams, cache_dir: Path) -> _CachedFinder:
    """One for each process, since a detector takes seconds to load."""
    return _CachedFinder(params, cache_dir)


def _to_json(candidates: list[Candidate]) -> Any:
    return [[*astuple(candidate.box), candidate.score] for candidate in candidates]


def _from_json(rows: Any) -> list[Candidate]:
    return [Candidate(Box(left, top, right, bottom), score) for left, top, right, bottom, score in rows]
