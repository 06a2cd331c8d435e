"""What do the words on packs add to titles, and which engine reads them? After Table 8 of PAM (Lin et al., KDD 2021).

The paper compares two engines by the words they find in a picture and by the F1 of one attribute. Here every engine
reads the same pictures, by turns; where they agree is told by the words that both found. Then a dictionary looks for
values in the title alone and in the title with the words of each engine's packs, in folds, so that every product is
scored by a dictionary made of others. A value counts where attribute and value are right, whatever place it was found
in; attributes that nobody looked for in a product are not held against it. Intervals are those of the bootstrap over
groups of products, and differences are taken group by group.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetmill.dataset.labels.schema import build_schema
from facetmill.encoders.grounding import ground
from facetmill.encoders.pictures import Fault, decode_unstretched, picture_bytes
from facetmill.errors import DataError
from facetmill.metrics.paired import PairedResult, paired_rows
from facetmill.metrics.resampling import Rows, Values, f1_of, percentiles, resample
from facetmill.models.dictionary import Dictionary
from facetmill.params import OcrParams, Params
from facetmill.perception.ocr_engines import ENGINES, MAX_ENLARGEMENT, Engine
from facetmill.records import Facet, Product, to_batch
from facetmill.studies.folds import FOLDS, folds

RESAMPLES = 2000
EXAMPLES = 10
TITLE = "title"

Words = list[list[str]]  # of each product, in reading order


@dataclass(frozen=True)
class Reading:
    """What one engine found. Seconds are those of reading one picture on one core, without decoding it."""

    engine: str
    tokens_mean: float
    tokens_median: float
    share_with_tokens: float
    seconds_median: float


@dataclass(frozen=True)
class Estimate:
    """A score (0..1) and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Arm:
    """How the dictionary did with one kind of text. `stands` is the share (0..1) of the true values that stand in that
    text as whole words: no extractor of text can find more."""

    name: str
    stands: Estimate
    recall: Estimate
    precision: float
    value_f1: Estimate


@dataclass(frozen=True)
class OnThePack:
    """A true value that some engine read on the pack, and that is not in the title."""

    product_id: str
    title: str
    attribute: str
    value: str
    words: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Ocr:
    """The study's table. `agreement` is the F1 (0..1) of two engines' words against each other, picture by picture and
    without case; `differences` are of value F1."""

    num_products: int
    num_pictures: int
    num_unreadable: int
    engines: tuple[Reading, ...]
    agreement: Mapping[str, Estimate]
    arms: tuple[Arm, ...]
    differences: Mapping[str, PairedResult]
    examples: tuple[OnThePack, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_ocr(
    params: Params,
    products: Iterable[Product],
    log: Callable[[str], None],
    *,
    categories: Sequence[str] = (),
    limit: int | None = None,
) -> Ocr:
    """Read the pictures with every engine and score the dictionary on what was read.

    Of the products with pictures and facets, only those of `categories` are taken, if any are named, and at most
    `limit` of them, drawn at random. Nothing is taken from the cache, for reading is timed. Raises `DataError` for
    fewer than two groups of products a fold, and `PlatformError` for an engine that is not installed.
    """
    chosen = _chosen(products, categories, limit)
    log(f"{len(chosen)} products with a picture and facets")
    if len({product.group_id for product in chosen}) < 2 * FOLDS:
        raise DataError(f"{len(chosen)} products with a picture and facets: too few for {FOLDS} folds")
    logs, num_pictures, num_unreadable = _read(chosen, params.ocr, log)
    texts = {TITLE: chosen} | {f"{TITLE} + {kept.engine.name}": _with_words(chosen, kept.words) for kept in logs}
    counts = {name: _score(params, shown) for name, shown in texts.items()}
    return Ocr(
        num_products=len(chosen),
        num_pictures=num_pictures,
        num_unreadable=num_unreadable,
        engines=tuple(kept.summary() for kept in logs),
        agreement={f"{a.engine.name}, {b.engine.name}": _agreement(a, b) for a, b in combinations(logs, 2)},
        arms=tuple(_arm(name, counts[name], _standing(shown)) for name, shown in texts.items()),
        differences={f"{b} - {a}": paired_rows(counts[b], counts[a]) for a, b in combinations(texts, 2)},
        examples=tuple(islice(_examples(chosen, logs), EXAMPLES)),
    )


def _chosen(products: Iterable[Product], categories: Sequence[str], limit: int | None) -> list[Product]:
    found = [
        product
        for product in products
        if product.images and product.facets and (not categories or product.category in categories)
    ]
    if limit is None or limit >= len(found):
        return found
    return [found[place] for place in sorted(np.random.default_rng(0).permutation(len(found))[:limit])]


class _Log:
    """What one engine found in one picture after the other."""

    def __init__(self, engine: Engine, num_products: int) -> None:
        self.engine = engine
        self.words: Words = [[] for _ in range(num_products)]
        self.bags: list[Counter[str]] = []
        self.seconds: list[float] = []
        engine.read(np.full((64, 64, 3), 255, np.uint8))  # loads its models

    def read(self, product: int, pixels: NDArray[np.uint8], min_confidence: float) -> None:
        started = time.perf_counter()
        found = self.engine.read(pixels)
        self.seconds.append(time.perf_counter() - started)
        words = [word.token.text for word in found if word.confidence >= min_confidence]
        self.words[product] += words
        self.bags.append(Counter(map(str.casefold, words)))

    def summary(self) -> Reading:
        lengths = np.array([bag.total() for bag in self.bags])
        return Reading(
            self.engine.name,
            float(lengths.mean()),
            float(np.median(lengths)),
            float((lengths > 0).mean()),
            float(np.median(self.seconds)),
        )


def _read(products: Sequence[Product], params: OcrParams, log: Callable[[str], None]) -> tuple[list[_Log], int, int]:
    """What every engine found, and how many pictures were read and how many could not be."""
    logs = [_Log(make(), len(products)) for make in ENGINES.values()]
    num_pictures = num_unreadable = 0
    for number, product in enumerate(products):
        for path in product.images[: 1 if params.images == "first" else None]:
            pixels = _pixels(path, params.longest_side)
            if isinstance(pixels, Fault):
                num_unreadable += 1
                continue
            for kept in logs if num_pictures % 2 else reversed(logs):  # neither is always the first to see a picture
                kept.read(number, pixels, params.min_confidence)
            num_pictures += 1
        if (number + 1) % 50 == 0:
            log(f"{number + 1} of {len(products)} products read")
    if not num_pictures:
        raise DataError(f"none of {num_unreadable} pictures could be read")
    return logs, num_pictures, num_unreadable


def _pixels(path: str, longest_side: int) -> NDArray[np.uint8] | Fault:
    data = picture_bytes(path)
    return data if isinstance(data, Fault) else decode_unstretched(data, longest_side, max_enlargement=MAX_ENLARGEMENT)


def _agreement(first: _Log, second: _Log) -> Estimate:
    rows = [[(a & b).total(), a.total(), b.total()] for a, b in zip(first.bags, second.bags, strict=True)]
    counts = np.array(rows, np.int64)
    return _estimate(f1_of(counts.sum(axis=0)), f1_of(resample(counts, RESAMPLES, seed=0)))


def _with_words(products: Sequence[Product], words: Words) -> list[Product]:
    """The products with the words on their packs behind their text."""
    return [
        replace(product, text=" ".join([product.text, *found]).strip())
        for product, found in zip(products, words, strict=True)
    ]


def _score(params: Params, products: Sequence[Product]) -> Rows:
    """Counts [groups, 3] (correct, predicted, gold) of the values that dictionaries made of other folds find."""
    fold_of = folds(products)
    place = {group: number for number, group in enumerate(sorted(fold_of))}
    counts = np.zeros((len(place), 3), np.int64)
    for fold in range(FOLDS):
        rest = [product for product in products if fold_of[product.group_id] != fold]
        held_out = [product for product in products if fold_of[product.group_id] == fold]
        model = Dictionary.fit_vocabulary(params.models.dictionary, build_schema([to_batch(rest)]), rest)
        for product, facets in zip(held_out, model.predict(model.collate(held_out)), strict=True):
            gold, known = _pairs(product.facets), {facet.attribute for facet in product.facets} | set(product.absent)
            predicted = {pair for pair in _pairs(facets) if pair[0] in known}
            counts[place[product.group_id]] += (len(gold & predicted), len(predicted), len(gold))
    return counts


def _pairs(facets: Iterable[Facet]) -> set[tuple[str, str]]:
    """Attributes with their values as they are compared: without case and without spaces."""
    return {(facet.attribute, "".join(facet.value.casefold().split())) for facet in facets}


def _standing(products: Sequence[Product]) -> Rows:
    """Counts [groups, 2] (in the text, all) of the true values."""
    place = {group: number for number, group in enumerate(sorted({product.group_id for product in products}))}
    counts = np.zeros((len(place), 2), np.int64)
    for product in products:
        found = [_stands(facet.value, f"{product.title} {product.text}") for facet in product.facets]
        counts[place[product.group_id]] += (sum(found), len(found))
    return counts


def _stands(value: str, text: str) -> bool:
    return bool(ground(Product("", "", text), value))


def _arm(name: str, counts: Rows, standing: Rows) -> Arm:
    correct, predicted, gold = counts.sum(axis=0).tolist()
    sums = resample(counts, RESAMPLES, seed=0)
    return Arm(
        name=name,
        stands=_estimate(standing[:, 0].sum() / standing[:, 1].sum(), _shares(resample(standing, RESAMPLES, seed=0))),
        recall=_estimate(correct / gold, _shares(sums[:, [0, 2]])),
        precision=correct / predicted if predicted else 0.0,
        value_f1=_estimate(f1_of(counts.sum(axis=0)), f1_of(sums)),
    )


def _shares(sums: Rows) -> Values:
    shares: Values = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return shares


def _estimate(value: Any, resampled: Values) -> Estimate:
    low, high = percentiles(resampled)
    return Estimate(float(value), float(low), float(high))


def _examples(products: Sequence[Product], logs: Sequence[_Log]) -> Iterator[OnThePack]:
    for number, product in enumerate(products):
        words = {kept.engine.name: kept.words[number] for kept in logs}
        for facet in product.facets:
            on_pack = any(_stands(facet.value, " ".join(found)) for found in words.values())
            if on_pack and not _stands(facet.value, f"{product.title} {product.text}"):
                yield OnThePack(product.product_id, product.title, facet.attribute, facet.value, words)
