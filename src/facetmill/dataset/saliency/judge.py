"""Whether seeing the picture helps to tell an attribute's masked values, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetmill.compute.device import compute_settings, pick_device
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.saliency.networks import Guesser, Task, fit, right
from facetmill.dataset.saliency.questions import Pictured, pictured, questions_about
from facetmill.encoders.text import build_text_encoder
from facetmill.encoders.vision import build_image_encoder
from facetmill.metrics.resampling import Rows, percentiles, resample
from facetmill.params import SaliencyParams
from facetmill.records import Modality, Product

RESAMPLES = 2000
MIN_QUESTIONS = 10  # of an attribute; fewer say nothing, and it stays undecided


@dataclass(frozen=True)
class Judged:
    """Each question that was asked: its attribute, its product's group, and with how many of the seeds the network
    answered rightly, by the text alone and with the picture. `left_out` counts the products of which nothing was
    learned or asked, by reason."""

    num_seeds: int
    attributes: list[str]
    groups: list[str]
    text_X: Rows
    picture_X: Rows
    left_out: Mapping[str, Mapping[str, int]]

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        return cls(
            parts[0].num_seeds,
            [attribute for part in parts for attribute in part.attributes],
            [group for part in parts for group in part.groups],
            np.concatenate([part.text_X for part in parts]),
            np.concatenate([part.picture_X for part in parts]),
            {"asked": sum((Counter(part.left_out["asked"]) for part in parts), Counter[str]())},
        )


@dataclass(frozen=True)
class Slot:
    """One attribute. `text` and `picture` are accuracies (0..1), means over the seeds; `dif` is what the picture adds,
    with its 95 % interval (bootstrap over products). `modality` is None where too little was asked."""

    attribute: str
    questions: int
    text: float
    picture: float
    dif: float
    low: float
    high: float
    modality: Modality | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    train: Iterable[Product],
    held_out: Iterable[Product],
    params: SaliencyParams,
    log: Callable[[str], None],
    pictures_root: Path = Path(),
) -> Judged:
    """Train both networks with every seed on some products, and ask them about others.

    Relative paths of pictures are taken from `pictures_root`; raises `DataError` for one that leaves it.
    """
    assert params.seeds
    known, asked = (pictured(products, params.image_encoder.size, pictures_root) for products in (train, held_out))
    hits: dict[bool, list[NDArray[np.bool_]]] = {False: [], True: []}
    with compute_settings(params.threads):
        for seed in params.seeds:
            for looks in (False, True):
                hits[looks].append(_hits(known, asked, params, seed, looks))
                share = float(hits[looks][-1].mean()) if len(hits[looks][-1]) else 0.0
                log(f"seed {seed}, {'text and picture' if looks else 'text alone'}: {share:.3f} right")
    facets = [(facet.attribute, product.group_id) for product in asked.products for facet in product.facets]
    text_X, picture_X = (np.stack(hits[looks]).astype(np.int64).sum(axis=0) for looks in (False, True))
    names, groups = [name for name, _ in facets], [group for _, group in facets]
    left_out = {"learned": dict(sorted(known.left_out.items())), "asked": dict(sorted(asked.left_out.items()))}
    return Judged(len(params.seeds), names, groups, text_X, picture_X, left_out)


def slots(judged: Judged, min_dif: float) -> tuple[Slot, ...]:
    """A row for each attribute, what the picture adds most first. From `min_dif` (0..1) on, an attribute's values are
    told by the picture: the paper's threshold is 0.09."""
    attributes = np.array(judged.attributes)
    found = [_slot(name, judged, attributes == name, min_dif) for name in sorted(set(judged.attributes))]
    return tuple(sorted(found, key=lambda slot: (-slot.dif, slot.attribute)))


def _hits(known: Pictured, asked: Pictured, params: SaliencyParams, seed: int, looks: bool) -> NDArray[np.bool_]:
    seed_everything(seed)
    encoder, tokenizer = build_text_encoder(
        params.encoder, [f"{product.title}\n{product.text}" for product in known.products]
    )
    train, held_out = questions_about(known, tokenizer), questions_about(asked, tokenizer)
    if not len(train) or not len(held_out):
        return np.empty(len(held_out), np.bool_)
    values = sorted(set(train.answers))
    guesser = Guesser(encoder, build_image_encoder(params.image_encoder) if looks else None, len(values), params)
    guesser.to(pick_device(params.device))
    fit(guesser, Task.of(train, values), tokenizer, params, seed)
    return right(guesser, Task.of(held_out, values), tokenizer, params)


def _slot(name: str, judged: Judged, chosen: NDArray[np.bool_], min_dif: float) -> Slot:
    asked = int(chosen.sum())
    text, picture = (
        float(hits_X[chosen].sum()) / (asked * judged.num_seeds) for hits_X in (judged.text_X, judged.picture_X)
    )
    _, group_X = np.unique(np.array(judged.groups)[chosen], return_inverse=True)
    gain_X = (judged.picture_X - judged.text_X)[chosen]
    gain_G = np.bincount(group_X, gain_X).astype(np.int64)  # sums of whole numbers
    drawn = resample(np.stack([gain_G, np.bincount(group_X)], axis=1), RESAMPLES, seed=0)
    low, high = percentiles(drawn[:, 0] / (drawn[:, 1] * judged.num_seeds))
    modality: Modality | None = None
    if asked >= MIN_QUESTIONS:
        # Exactly: as floats 0.59 - 0.5 is less than 0.09.
        gain = Fraction(int(gain_X.sum()), asked * judged.num_seeds)
        modality = "image" if gain >= Fraction(repr(min_dif)) else "text"
    return Slot(name, asked, text, picture, picture - text, float(low), float(high), modality)
