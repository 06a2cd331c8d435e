"""Whether a new batch of products is still what the champion was trained on.

Each claim compares one thing that can be counted without a model. What a batch of the same shop differs by, by chance
alone, is no drift: shares of what is new are held against those of the champion's own validation and test products,
which it was not trained on either, and shifts of a distribution against what samples of the trained products, as large
as the batch, differ from the whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from facetmill.encoders.measures import normal_value
from facetmill.gates.verdict import MAX_EXAMPLES, DataVerdict, Verdict, shown
from facetmill.params import DriftParams
from facetmill.records import Product

SAMPLES = 200  # from what was trained, to see how far chance goes
NO_CATEGORY = "(none)"
CHANCE = 0.99  # the quantile of those that a shift must exceed

_WORD = re.compile(r"[^\W\d_]+")
_LENGTHS = (2, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)  # words of title and text

_Floats = npt.NDArray[np.float64]


@dataclass
class Profile:
    """What there is to compare of some products. Memory grows with distinct words and values, not with products."""

    num_products: int = 0
    num_pictured: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    lengths: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, products: Iterable[Product]) -> Profile:
        made = cls()
        for product in products:
            words = _WORD.findall(f"{product.title} {product.text}".casefold())
            made.num_products += 1
            made.num_pictured += bool(product.images)
            made.categories[product.category or NO_CATEGORY] += 1
            made.lengths[_length(len(words))] += 1
            made.words.update(words)
            made.attributes.update({facet.attribute for facet in product.facets})
            made.values.update({f"{facet.attribute} = {normal_value(facet.value)}" for facet in product.facets})
        return made


def drift(trained: Profile, held_out: Profile, batch: Profile, params: DriftParams) -> DataVerdict:
    """Judge a batch. `held_out` are products of the champion's dataset that it was not trained on.

    Claims about facets are left out where the batch has none, as products to be extracted from have none.
    """
    categories = _named(trained), _named(held_out), _named(batch)
    verdicts = [
        _shift("categories_as_trained", "categories", trained.categories, batch.categories, batch.num_products, params),
        _shift("texts_as_long", "words in title and text", trained.lengths, batch.lengths, batch.num_products, params),
        _pictures(trained, batch, params),
        _new("categories_are_known", "categories", *categories, params),
        _new("words_are_known", "words of title and text", trained.words, held_out.words, batch.words, params),
    ]
    if batch.attributes:
        number = batch.attributes.total()
        verdicts += [
            _shift("attributes_as_trained", "attributes", trained.attributes, batch.attributes, number, params),
            _new("values_are_known", "values", trained.values, held_out.values, batch.values, params),
        ]
    counts = {"products of the batch": batch.num_products, "products trained on": trained.num_products}
    return DataVerdict(tuple(verdicts), counts)


def _named(profile: Profile) -> Counter[str]:
    """How many products have each category, but for those that have none: nobody knows whether theirs was trained."""
    return Counter({name: num for name, num in profile.categories.items() if name != NO_CATEGORY})


def divergence(left: _Floats, right: _Floats) -> float:
    """Jensen-Shannon divergence of two distributions, to base 2: 0 for equal ones, 1 for those that share nothing."""
    middle = (left + right) / 2

    def relative(one: _Floats) -> float:
        there = one > 0
        return float((one[there] * np.log2(one[there] / middle[there])).sum())

    return (relative(left) + relative(right)) / 2


def _shift(
    gate: str, subject: str, trained: Counter[str], batch: Counter[str], number: int, params: DriftParams
) -> Verdict:
    """How far a distribution moved, against the limit and against chance."""
    names = sorted(trained.keys() | batch.keys())
    before, now = _distribution(trained, names), _distribution(batch, names)
    observed = divergence(before, now)
    draw = np.random.default_rng(0)
    by_chance = [divergence(before, sample / number) for sample in draw.multinomial(number, before, SAMPLES)]
    limit = max(params.max_shift, float(np.quantile(by_chance, CHANCE)))
    moved = sorted(zip(np.abs(now - before).tolist(), names, strict=True), reverse=True)[:MAX_EXAMPLES]
    share = dict(zip(names, zip(before.tolist(), now.tolist(), strict=True), strict=True))
    examples = tuple(f"{name}: {share[name][0]:.3f} of what was trained, {share[name][1]:.3f} now" for _, name in moved)
    reason = f"shift of {subject} (Jensen-Shannon divergence): {shown(observed)}, must be at most {shown(limit)}"
    return _verdict(gate, observed <= limit, observed, limit, reason, examples)


def _pictures(trained: Profile, batch: Profile, params: DriftParams) -> Verdict:
    before, now = (one.num_pictured / max(one.num_products, 1) for one in (trained, batch))
    chance = 2.6 * (before * (1 - before) / max(batch.num_products, 1)) ** 0.5  # as CHANCE, of a normal distribution
    limit = max(params.max_new_share, chance)
    reason = f"share of products with a picture: {shown(now)}, must be within {shown(limit)} of {shown(before)}"
    return _verdict("pictures_as_often", abs(now - before) <= limit, now, limit, reason, ())


def _new(
    gate: str,
    subject: str,
    trained: Counter[str],
    held_out: Counter[str],
    batch: Counter[str],
    params: DriftParams,
) -> Verdict:
    """The share of words, or values, that were not trained, against that of held-out products."""
    usual, observed = (
        sum(num for key, num in counts.items() if key not in trained) / max(sum(counts.values()), 1)
        for counts in (held_out, batch)
    )
    limit = usual + params.max_new_share
    new = Counter({key: num for key, num in batch.items() if key not in trained})
    examples = tuple(
        f"{key}: {num:,}" for key, num in sorted(new.items(), key=lambda one: (-one[1], one[0]))[:MAX_EXAMPLES]
    )
    reason = (
        f"share of {subject} that were not trained: {shown(observed)}, must be at most {shown(limit)} "
        f"({shown(usual)} of held-out products)"
    )
    return _verdict(gate, observed <= limit, observed, limit, reason, examples)


def _verdict(gate: str, passed: bool, observed: float, limit: float, reason: str, examples: tuple[str, ...]) -> Verdict:
    return Verdict(gate, passed, "critical", observed, f"at most {shown(limit)}", reason, () if passed else examples)


def _distribution(counts: Counter[str], names: list[str]) -> _Floats:
    numbers = np.array([counts[name] for name in names], np.float64)
    shares: _Floats = numbers / max(numbers.sum(), 1)
    return shares


def _length(num_words: int) -> str:
    above = next((limit for limit in _LENGTHS if num_words < limit), None)
    return f"fewer than {above}" if above else f"{_LENGTHS[-1]} or more"
