"""What a model learns of its own answers: how sure it truly is, below which confidence it had better be silent, and of
which attributes a product has one value.

The temperature T makes a confidence c the share of such answers that are right (Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017): c becomes sigmoid(logit(c) / T). Then each attribute has the threshold at which its pairs
have the best F1 on validation, and a facet that is less sure is not said. Of an attribute that has one value in nearly
every product of train, the surest alone is said: a tagger finds others in further words of a title. One implementation
serves all models, since all answer with facets and confidences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facetmill.files import read_json, write_json
from facetmill.metrics.pairs import pairs
from facetmill.records import Facet, Product

FILE = "calibration.json"

MIN_PRODUCTS = 20  # of train that have an attribute; fewer do not tell whether it has one value
MAX_SEVERAL = 0.02  # share of those that may have several values all the same: annotators err
MIN_PAIRS = 20  # predicted of an attribute on validation; fewer say nothing, and all are kept
TEMPERATURES = (0.05, 20.0)
_NEVER = 1e-6  # confidences are kept this far from 0 and 1, where a logit is infinite


@dataclass(frozen=True)
class Calibration:
    """`thresholds` (0..1) are by attribute, of the calibrated confidence; one that is not named keeps everything.
    `one_value` are the attributes of which a product has one value."""

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    one_value: tuple[str, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        return self == Calibration()

    def applied(self, facets: Iterable[Facet]) -> list[Facet]:
        """The facets that are sure enough, with calibrated confidences, of an attribute in `one_value` the surest (the
        first of equals). One without a confidence is kept as it is."""
        found = [facet if facet.confidence is None else replace(facet, confidence=self._of(facet)) for facet in facets]
        sure = [f for f in found if f.confidence is None or f.confidence >= self.thresholds.get(f.attribute, 0.0)]
        surest: dict[str, int] = {}
        for place, facet in enumerate(sure):
            if facet.attribute in self.one_value:
                rival = surest.setdefault(facet.attribute, place)
                if _sureness(facet) > _sureness(sure[rival]):
                    surest[facet.attribute] = place
        return [facet for place, facet in enumerate(sure) if surest.get(facet.attribute, place) == place]

    def _of(self, facet: Facet) -> float | None:
        if self.temperature == 1.0 or facet.confidence is None:
            return facet.confidence
        return float(_warmed(np.array([facet.confidence]), self.temperature)[0])

    def save(self, folder: Path) -> None:
        """Write it, unless it changes nothing."""
        if not self.changes_nothing:
            write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        path = folder / FILE
        saved = read_json(path) if path.exists() else {}
        return cls(**{**saved, "one_value": tuple(saved.get("one_value", ()))})


def _sureness(facet: Facet) -> float:
    return 1.0 if facet.confidence is None else facet.confidence


def with_one_value(train: Iterable[Product]) -> tuple[str, ...]:
    """The attributes of which nearly every labelled product that has them has one value, by name."""
    having: Counter[str] = Counter()
    several: Counter[str] = Counter()
    for product in train:
        values = Counter(name for name, _ in pairs(product.facets))
        having.update(values.keys())
        several.update(name for name, number in values.items() if number > 1)
    return tuple(sorted(name for name, n in having.items() if n >= MIN_PRODUCTS and several[name] <= MAX_SEVERAL * n))


def fitted(validation: Iterable[tuple[Product, Sequence[Facet]]]) -> Calibration:
    """The calibration that fits what a model answered about labelled products."""
    attributes, sure, right = [], [], []
    num_gold: dict[str, int] = {}
    for product, facets in validation:
        gold, said = pairs(product.facets), pairs(facets)
        for name, _ in gold:
            num_gold[name] = num_gold.get(name, 0) + 1
        surest: dict[tuple[str, str], float] = {}
        for facet in facets:
            for pair in pairs([facet]):
                surest[pair] = max(surest.get(pair, 0.0), _sureness(facet))
        attributes += [pair[0] for pair in said]
        sure += [surest[pair] for pair in said]
        right += [pair in gold for pair in said]
    names, confidences, hits = np.array(attributes), np.array(sure, np.float64), np.array(right, np.bool_)
    temperature = _temperature(confidences, hits)
    calibrated = confidences if temperature == 1.0 else _warmed(confidences, temperature)
    thresholds = {}
    for name in sorted(set(attributes)):
        chosen = names == name
        if chosen.sum() >= MIN_PAIRS:
            threshold = best_threshold(calibrated[chosen], hits[chosen], num_gold.get(name, 0))
            if threshold > 0:
                thresholds[name] = threshold
    return Calibration(temperature, thresholds)


def best_threshold(sure: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], num_gold: int) -> float:
    """The lowest confidence at which F1 is best if nothing less sure is said; 0 where all had better be said."""
    candidates = np.unique(sure)
    best, threshold = 2 * right.sum() / max(1, len(sure) + num_gold), 0.0
    for candidate in candidates[1:]:
        kept = sure >= candidate
        f1 = 2 * right[kept].sum() / max(1, kept.sum() + num_gold)
        if f1 > best + 1e-9:
            best, threshold = f1, float(candidate)
    return threshold


def _temperature(sure: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """That of the greatest likelihood; 1 where all answers are right, or all wrong, which says nothing of it."""
    if not right.any() or right.all():
        return 1.0

    def loss(log_temperature: float) -> float:
        warmed = _warmed(sure, float(np.exp(log_temperature)))
        return -float(np.log(np.where(right, warmed, 1 - warmed)).mean())

    from scipy.optimize import minimize_scalar  # which a model that is served never needs

    low, high = TEMPERATURES
    return float(np.exp(minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded").x))


def _warmed(sure: npt.NDArray[np.float64], temperature: float) -> npt.NDArray[np.float64]:
    kept = np.clip(sure, _NEVER, 1 - _NEVER)
    logit = (np.log(kept) - np.log1p(-kept)) / temperature
    return np.clip(1 / (1 + np.exp(-logit)), _NEVER, 1 - _NEVER)
