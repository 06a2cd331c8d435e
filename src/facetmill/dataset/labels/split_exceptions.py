"""Groups whose split is not that of their hash: those that came with one, and those that share a picture.

Groups that share a picture (a file of the same name), directly or by others between them, get the split of the highest
hash among them. Train has the highest hashes, so a picture that a later version adds may move a group into train, but
never out of it. Where some of them keep a published split, the others follow the strictest of those. A picture of more
than 50 groups ("no picture yet", a size chart) shows no product: it joins none, and is counted if it stands across.

Shapes: G groups; a hash is the number that `splitting.hash_group` gives a group, a place that of a split in `SPLITS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facetmill.records import SPLITS

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]
_Usual = Callable[[Hashes], Places]

MAX_SHARING = 50  # groups that a picture may have and still be taken for one of a product
_EVERY = 2**20  # hashes that wait to be merged: memory stays that of the distinct ones
#: Of a group whose listings came in several splits, the first of these: what is measured must not be trained on.
_STRICTEST = tuple(SPLITS.index(split) for split in ("test", "validation", "train"))


@dataclass(frozen=True)
class Survey:
    """What there is: `hashes` of all groups, sorted and distinct; of groups that came with a split their hash (sorted)
    and its place; the (group, picture) pairs by their hashes [N,2]. Both are empty where nobody asked.

    `num_given` counts products that came with a split, `num_torn` groups that came with several.
    """

    hashes: Hashes
    given_hashes: Hashes
    given_places: Places
    pictures: Hashes
    num_given: int
    num_torn: int


@dataclass(frozen=True)
class Exceptions:
    """Groups by their hashes, sorted, and the place of the split that each has."""

    hashes: Hashes
    places: Places

    def applied(self, hashes: Hashes, places: Places) -> Places:
        """`places` of groups, but for those that are exceptions."""
        if not len(self.hashes):
            return places
        at = np.searchsorted(self.hashes, hashes).clip(max=len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, self.places[at], places)


class Surveyor:
    """Gathers a `Survey` batch by batch."""

    def __init__(self, *, keep_published: bool, pictures_together: bool) -> None:
        self._keep_published, self._pictures_together = keep_published, pictures_together
        self._hashes = _Distinct(1)
        self._given = _Distinct(2)
        self._pictures = _Distinct(2)
        self._num_given = 0

    def add(self, hashes: Hashes, batch: pa.RecordBatch) -> None:
        """Take a batch with the columns `split` and `images`, and the hash of each product's group."""
        self._hashes.add(hashes[:, None])
        given = batch.column("split")
        self._num_given += len(given) - given.null_count
        if self._keep_published and given.null_count < len(given):
            has_split = given.is_valid().to_numpy(zero_copy_only=False)
            places = np.array([_STRICTEST.index(SPLITS.index(split)) for split in given.drop_null().to_pylist()])
            self._given.add(np.stack([hashes[has_split], places.astype(np.uint64)], axis=1))
        if self._pictures_together:
            images = batch.column("images")
            product_of = pc.list_parent_indices(images).to_numpy()
            if len(product_of):
                digests = [blake2b(path.encode(), digest_size=8).digest() for path in images.flatten().to_pylist()]
                pictures = np.frombuffer(b"".join(digests), dtype=np.uint64)
                self._pictures.add(np.stack([hashes[product_of], pictures], axis=1))

    def result(self) -> Survey:
        """What was gathered."""
        given = self._given.rows()  # sorted by group, then from the strictest split
        distinct, first = np.unique(given[:, 0], return_index=True)
        places = np.array(_STRICTEST)[given[first, 1].astype(np.intp)] if len(first) else np.empty(0, np.intp)
        num_torn = len(given) - len(distinct)
        return Survey(self._hashes.rows()[:, 0], distinct, places, self._pictures.rows(), self._num_given, num_torn)


def find_exceptions(survey: Survey, usual: _Usual) -> tuple[Exceptions, dict[str, int]]:
    """The exceptions from the `usual` places of groups, and counts for the report:

    `num_source_splits_kept` and `num_source_splits_replaced` products came with a split; `num_groups_torn` groups came
    with several and went to the strictest; `num_groups_joined` share a picture and moved to the others;
    `num_pictures_across` pictures are shared by groups of different splits all the same: the source put them there, or
    too many groups have it. Pictures are looked at only with `split.pictures_together`.
    """
    kept = Exceptions(survey.given_hashes, survey.given_places)
    groups, component = _sharing(survey.pictures)
    free = ~np.isin(groups, kept.hashes)
    wanted = _places_of_components(groups, component, free, kept, usual)[component]
    moved = free & (wanted != usual(groups))
    hashes = np.concatenate([kept.hashes, groups[moved]])
    order = np.argsort(hashes)
    exceptions = Exceptions(hashes[order], np.concatenate([kept.places, wanted[moved]])[order])
    num_kept = survey.num_given if len(kept.hashes) else 0
    return exceptions, {
        "num_source_splits_kept": num_kept,
        "num_source_splits_replaced": survey.num_given - num_kept,
        "num_groups_torn": survey.num_torn,
        "num_groups_joined": int(moved.sum()),
        "num_pictures_across": _num_across(survey.pictures, exceptions, usual),
    }


def _places_of_components(
    groups: Hashes, component: npt.NDArray[np.int32], free: npt.NDArray[np.bool_], kept: Exceptions, usual: _Usual
) -> Places:
    """Where the free groups of each component go: with the kept ones, else by the highest hash."""
    num_components = int(component.max(initial=-1)) + 1
    highest = np.zeros(num_components, np.uint64)
    np.maximum.at(highest, component[free], groups[free])
    none = len(_STRICTEST)
    strictness = np.full(num_components, none)
    there = np.argsort(_STRICTEST)[kept.applied(groups, usual(groups))][~free]
    np.minimum.at(strictness, component[~free], there)
    return np.where(strictness < none, np.array([*_STRICTEST, 0])[strictness], usual(highest))


def _sharing(pictures: Hashes) -> tuple[Hashes, npt.NDArray[np.int32]]:
    """The groups that share a picture with another, sorted, and the number of the component that each belongs to."""
    by_picture = pictures[np.argsort(pictures[:, 1], kind="stable")]
    _, which, num_sharing = np.unique(by_picture[:, 1], return_inverse=True, return_counts=True)
    by_picture = by_picture[num_sharing[which] <= MAX_SHARING]
    same = by_picture[1:, 1] == by_picture[:-1, 1]
    left, right = by_picture[:-1][same, 0], by_picture[1:][same, 0]
    groups = np.unique(np.concatenate([left, right]))
    edges = np.searchsorted(groups, left), np.searchsorted(groups, right)
    shape = (len(groups), len(groups))
    if not len(groups):
        return groups, np.empty(0, np.int32)
    _, component = connected_components(coo_array((np.ones(len(left), bool), edges), shape=shape), directed=False)
    return groups, component


def _num_across(pictures: Hashes, exceptions: Exceptions, usual: _Usual) -> int:
    """How many pictures are shared by groups of different splits."""
    places = exceptions.applied(pictures[:, 0], usual(pictures[:, 0])).astype(np.uint64)
    by_split = _distinct(np.stack([pictures[:, 1], places], axis=1))
    _, num_splits = np.unique(by_split[:, 0], return_counts=True)
    return int((num_splits > 1).sum())


def _distinct(rows: Hashes) -> Hashes:
    """Without repeated rows, sorted by the first column, then the next."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    new = np.ones(len(rows), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    distinct: Hashes = ordered[new]
    return distinct


class _Distinct:
    """Distinct rows of hashes, sorted."""

    def __init__(self, width: int) -> None:
        self._rows = np.empty((0, width), np.uint64)
        self._waiting: list[Hashes] = []

    def add(self, rows: Hashes) -> None:
        self._waiting.append(_distinct(rows))
        if sum(map(len, self._waiting)) > len(self._rows) + _EVERY:
            self.rows()

    def rows(self) -> Hashes:
        if self._waiting:
            self._rows = _distinct(np.concatenate([self._rows, *self._waiting]))
            self._waiting = []
        return self._rows
