"""Which attributes does the picture tell? The question of stage `saliency`, asked of every product by folds.

The stage judges on the validation split, as the paper does; of a thousand products that is too few to see much. Here
every product is asked about by networks that have not seen it, and intervals are narrower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from facetmill.dataset.saliency.judge import Judged, Slot, judge, slots
from facetmill.errors import DataError
from facetmill.params import SaliencyParams
from facetmill.records import Product
from facetmill.studies.folds import FOLDS, folds


@dataclass(frozen=True)
class Saliency:
    """The study's table: what the picture adds to each attribute, most first. `left_out` counts products that could not
    be asked about, by reason."""

    num_products: int
    left_out: Mapping[str, int]
    seeds: tuple[int, ...]
    min_dif: float
    slots: tuple[Slot, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_saliency(
    params: SaliencyParams, products: Iterable[Product], seeds: Sequence[int], log: Callable[[str], None]
) -> Saliency:
    """Raises `DataError` for fewer than two groups of products a fold."""
    given = list(products)
    fold_of = folds(given)
    if len(fold_of) < 2 * FOLDS:
        raise DataError(f"{len(given)} products: too few for {FOLDS} folds")
    asking = replace(params, seeds=list(seeds))
    parts = []
    for fold in range(FOLDS):
        log(f"fold {fold + 1} of {FOLDS}")
        rest = [product for product in given if fold_of[product.group_id] != fold]
        held_out = [product for product in given if fold_of[product.group_id] == fold]
        parts.append(judge(rest, held_out, asking, log))
    judged = Judged.joined(parts)
    left_out = dict(sorted(judged.left_out["asked"].items()))
    return Saliency(len(given), left_out, tuple(seeds), params.min_dif, slots(judged, params.min_dif))
