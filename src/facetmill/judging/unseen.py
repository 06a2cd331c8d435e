"""Which test products are new to the models that are compared: only those decide.

A champion that was trained on other data may have seen what the candidate is tested on, under other ids; it would be
compared by what it remembers. What either side was trained on is known by fingerprints in its package, or, for one that
was packaged before there were any, from its dataset.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facetmill.dataset.store.fingerprints import FINGERPRINTS, Fingerprints, Sign
from facetmill.errors import DataError, PlatformError
from facetmill.gates.pictures import LookCache
from facetmill.judging.challenge import Served
from facetmill.project import Project
from facetmill.records import Product
from facetmill.registry.lineage import bring_back
from facetmill.serving.package import weights_dir
from facetmill.tracking.tags import DATASET_VERSION

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unseen:
    """The places of test products that no side was trained on, and of those `left_out`. By side, how many products it
    was trained on, by the sign that told them (one may be counted for both sides); None where that is not known."""

    new: tuple[int, ...]
    left_out: tuple[int, ...]
    sides: tuple[Mapping[str, int] | None, ...]

    def num_trained_on(self, side: int) -> int | None:
        signs = self.sides[side]
        return None if signs is None else sum(signs.values())


def unseen(project: Project, products: Sequence[Product], sides: Sequence[Served]) -> Unseen:
    """Hold the fingerprints of every side against the test products."""
    with LookCache(project.layout.looks_path) as looks:
        known = [_trained_on(project, side, looks) for side in sides]
        signs = [None if each is None else each.signs(products, looks) for each in known]
    seen = [any(side is not None and side[place] is not None for side in signs) for place in range(len(products))]
    return Unseen(
        new=tuple(place for place, left_out in enumerate(seen) if not left_out),
        left_out=tuple(place for place, left_out in enumerate(seen) if left_out),
        sides=tuple(None if side is None else _counted(side) for side in signs),
    )


def _counted(signs: Sequence[Sign | None]) -> dict[str, int]:
    return dict(Counter(sign for sign in signs if sign is not None))


def _trained_on(project: Project, served: Served, looks: LookCache) -> Fingerprints | None:
    path = weights_dir(served.package) / FINGERPRINTS
    try:
        if path.is_file():
            return Fingerprints.read(path)
        version = served.model.tags[DATASET_VERSION]
        return Fingerprints.of_dataset(bring_back(project.tracker, project.layout.root, version), looks)
    except (DataError, KeyError, PlatformError) as error:
        _log.warning("what %s was trained on is not known: %s", served.model.ref, error)
        return None
