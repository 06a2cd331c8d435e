"""Which tells an implicit value: the title, the picture, or both? Asked of real products, such as ImplicitAVE's.

An implicit value stands nowhere in the text, so a model that tags words cannot find it: MuJo-SF chooses it among the
values that the attribute has. One model learns from titles, then from pictures; its arms are what it is shown: title,
picture, or both, and the words on the pack where `ocr` names an engine. Products with a picture and one implicit value
are scored in folds, each by a model that has not seen it; products without a picture are only learned from, those left
out whose product or title is among the scored ones. An answer is right strictly, or as ImplicitAVE counts it
(`metrics/closed_choice.py`); intervals are those of the bootstrap over products, and differences of arms are taken
product by product.

Peers are the value that the attribute most often has in training, and an hour's logistic regressions on words and on
the same frozen pictures (`plain_choice.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.labels.schema import build_schema
from facetmill.encoders.cache import FeatureCache, encoder_identity
from facetmill.encoders.folding import fold_value
from facetmill.encoders.vision import build_image_encoder
from facetmill.errors import DataError
from facetmill.metrics.closed_choice import ClosedChoice
from facetmill.metrics.resampling import Rows, percentiles, resample
from facetmill.models.mujo_sf import MujoSf
from facetmill.params import Params
from facetmill.records import Product, to_batch
from facetmill.studies.beside import PublishedRow, published_beside
from facetmill.studies.domains import domain_of
from facetmill.studies.folds import FOLDS, folds
from facetmill.studies.plain_choice import PLAIN_ARMS, choose_plainly, pooled_pictures
from facetmill.training.fit import fit
from facetmill.training.predict import predict

RESAMPLES = 2000
BATCH = 64

#: Of each product one attribute is told, so the others are unknown; what is rare counts for as much as what is common.
_MUJO_SF: dict[str, Any] = {
    "heads": "separate",
    "ca": "none",
    "image_slots": "all",
    "image_slots_read": "both",
    "text_by": "words",
    "pack_words": True,
    "unsaid": "unknown",
    "balance": "logit_adjusted",
    "category_input": True,
    "category_attributes": False,
    "dropout": 0.3,
}
_TEXT: dict[str, Any] = {"network": "packaged", "keep_layers": 3, "freeze": True}
_SEES: dict[str, Any] = {"network": ".facetmill/encoders/efficientnet-lite2", "freeze": True, "size": 260}
_TITLES: dict[str, Any] = {"epochs": 2, "batch_size": 256, "learning_rate": 0.002, "validate_products": 500}
_PICTURES: dict[str, Any] = {"epochs": 20, "batch_size": 32, "learning_rate": 0.0005, "patience": 10}


def _without_text(product: Product) -> Product:
    return replace(product, title="", text="", category=None)


def _without_words(product: Product) -> Product:
    return replace(product, ocr=())


#: What the model is shown of a product, by arm.
_ARMS: dict[str, Callable[[Product], Product]] = {
    "title": lambda product: replace(product, images=(), ocr=()),
    "picture": lambda product: _without_words(_without_text(product)),
    "both": _without_words,
    "picture and words on it": _without_text,
    "both and words on it": lambda product: product,
}


@dataclass(frozen=True)
class Share:
    """A share (0..1) of products, or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """How many products an arm tells right, strictly and as ImplicitAVE counts it."""

    strict: Share
    contained: Share


@dataclass(frozen=True)
class Accuracies:
    """Of some products, by arm."""

    num_products: int
    arms: Mapping[str, Accuracy]


@dataclass(frozen=True)
class Implicit:
    """The study's table. `num_titles` products without a picture were learned from and `num_left_out` were not, since
    they are among the scored ones. `differences` are of strict shares; `beside` is what others published."""

    num_titles: int
    num_left_out: int
    of_all: Accuracies
    differences: Mapping[str, Share]
    by_domain: Mapping[str, Accuracies]
    by_attribute: Mapping[str, Accuracies]
    beside: tuple[PublishedRow, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_implicit(
    params: Params,
    products: Iterable[Product],
    features_dir: Path,
    log: Callable[[str], None],
    *,
    titles: Iterable[Product] = (),
    beside: str | None = None,
) -> Implicit:
    """Train and score every arm in folds of the products that have a picture and one implicit value.

    Those of `products` and `titles` that have one value and no picture are learned from as well. What frozen encoders
    give is kept below `features_dir`. The first lines say how many products were taken, and how many titles were not;
    `beside` names the data set of which published rows are wanted. Raises `DataError` for fewer than two groups of
    products a fold, and for a data set of which nothing is known.
    """
    rows = tuple(published_beside(beside, "implicit", ["choice"])) if beside is not None else ()
    given = [*products, *titles]
    single = [product for product in given if len({facet.attribute for facet in product.facets}) == 1]
    chosen = [p for p in single if p.images and len(p.facets) == 1 and not p.facets[0].explicit]
    log(f"{len(chosen)} of {len(given)} products have a picture and one implicit value")
    if len({product.group_id for product in chosen}) < 2 * FOLDS:
        raise DataError(f"{len(chosen)} products with a picture and one implicit value: too few for {FOLDS} folds")
    unseen = [product for product in single if not product.images and len(product.facets) == 1]
    learned = _apart(unseen, chosen)
    num_left_out = len(unseen) - len(learned)
    log(f"{len(learned)} without a picture are learned from; {num_left_out} are not, whose product or title is scored")
    answers = _answers(params, chosen, learned, features_dir, log)
    told = {name: _right(said, chosen) for name, said in answers.items()}
    pairs = [("both", "title"), ("both", "picture"), ("both and words on it", "both")]
    pairs += [(name, f"plain {name}") for name in ("title", "picture", "both")]
    domains = [domain_of(product) for product in chosen]
    attributes = [
        product.facets[0].attribute if domain is None else f"{domain}: {product.facets[0].attribute}"
        for product, domain in zip(chosen, domains, strict=True)
    ]
    return Implicit(
        num_titles=len(learned),
        num_left_out=num_left_out,
        of_all=_accuracies(told, range(len(chosen))),
        differences={f"{a} - {b}": _share(told[a][:, 0] - told[b][:, 0]) for a, b in pairs},
        by_domain=_by(domains, told),
        by_attribute=_by(attributes, told),
        beside=rows,
    )


def _apart(titles: Sequence[Product], scored: Sequence[Product]) -> list[Product]:
    """The titles of other products than the scored ones, that read otherwise."""
    groups = {product.group_id for product in scored}
    known = {_read(product) for product in scored}
    return [product for product in titles if product.group_id not in groups and _read(product) not in known]


def _read(product: Product) -> str:
    return " ".join(fold_value(product.title).split())


def _answers(
    params: Params,
    chosen: Sequence[Product],
    titles: Sequence[Product],
    features_dir: Path,
    log: Callable[[str], None],
) -> dict[str, list[str]]:
    """What each arm answers about each chosen product; "" is no answer."""
    schema = build_schema([to_batch([*chosen, *titles])])  # a closed choice: every value that there is may be chosen
    config = params.models.mujo_sf
    config = replace(
        config,
        **_MUJO_SF,
        encoder=replace(config.encoder, **_TEXT),
        image_encoder=replace(config.image_encoder, **_SEES),
    )
    answers = {name: [""] * len(chosen) for name in ("majority", *PLAIN_ARMS, *_ARMS)}
    encoder = build_image_encoder(config.image_encoder).eval()
    pooled = pooled_pictures(chosen, encoder, FeatureCache(features_dir, encoder_identity(encoder)))
    pictures = {product.product_id: row for product, row in zip(chosen, pooled, strict=True)}
    seed_everything(params.training.seed)
    reader = MujoSf.fit_vocabulary(config, schema, titles)
    by_titles = _learned(params, reader, titles, _TITLES, features_dir).word_bag
    log(f"{len(titles)} titles learned")
    fold_of = folds(chosen)
    for fold in range(FOLDS):
        held_out = [number for number, product in enumerate(chosen) if fold_of[product.group_id] == fold]
        rest = [product for product in chosen if fold_of[product.group_id] != fold]
        test = [chosen[number] for number in held_out]
        told = {"majority": _commonest(rest, titles, test), **choose_plainly(rest, titles, test, pictures)}
        model = MujoSf.fit_vocabulary(config, schema, rest)
        if titles and model.word_bag is not None and by_titles is not None:
            model.word_bag.load_state_dict(by_titles.state_dict())
            model.word_bag.requires_grad_(requires_grad=False)  # so few titles more would only be learned by heart
        _learned(params, model, rest, _PICTURES, features_dir)
        model.weigh(rest[::10])
        told |= {name: _chosen(model, [*map(show, test)], params, features_dir) for name, show in _ARMS.items()}
        for name, said in told.items():
            for number, value in zip(held_out, said, strict=True):
                answers[name][number] = value
            log(f"fold {fold + 1} of {FOLDS}, {name}: {_right(said, test)[:, 0].mean():.3f}")
    return answers


def _learned(
    params: Params, model: MujoSf, products: Sequence[Product], training: Mapping[str, Any], features_dir: Path
) -> MujoSf:
    """The model, trained further; every tenth product chooses its best epoch. Without products it stays as it is."""
    if products:
        train = [product for number, product in enumerate(products) if number % 10]
        settings = replace(params.training, **training)
        fit(model, train, products[::10], settings, metric="pair_f1", features_dir=features_dir)
    return model


def _chosen(model: MujoSf, test: Sequence[Product], params: Params, features_dir: Path) -> list[str]:
    """What a model answers about the one attribute that each product is asked for."""
    with compute_settings(params.training.threads):
        model.prepare(test, features_dir)
        predicted = [*predict(model, test, BATCH)]
    values = [{facet.attribute: facet.value for facet in facets} for facets in predicted]
    return [told.get(product.facets[0].attribute, "") for told, product in zip(values, test, strict=True)]


def _commonest(rest: Sequence[Product], titles: Sequence[Product], test: Sequence[Product]) -> list[str]:
    """The value that each one's attribute most often has in training."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for product in (*rest, *titles):
        counts[product.facets[0].attribute][product.facets[0].value] += 1
    return [max(counts[p.facets[0].attribute].items(), key=itemgetter(1), default=("", 0))[0] for p in test]


def _right(said: Sequence[str], products: Sequence[Product]) -> Rows:
    """Which answers are right, strictly and as ImplicitAVE counts it. [products,2]"""
    choices = [ClosedChoice.of(answer, product.facets[0].value) for answer, product in zip(said, products, strict=True)]
    return np.array([(each.strict, each.contained) for each in choices], np.int64).reshape(-1, 2)


def _by(kinds: Sequence[str | None], told: Mapping[str, Rows]) -> dict[str, Accuracies]:
    """Of the products of each kind, in the order of the alphabet; those of none are nowhere."""
    names = sorted({kind for kind in kinds if kind is not None})
    return {name: _accuracies(told, [number for number, kind in enumerate(kinds) if kind == name]) for name in names}


def _accuracies(told: Mapping[str, Rows], numbers: Sequence[int]) -> Accuracies:
    arms = {name: Accuracy(*(_share(right[numbers, count]) for count in (0, 1))) for name, right in told.items()}
    return Accuracies(len(numbers), arms)


def _share(hits: Rows) -> Share:
    means = resample(hits[:, None], RESAMPLES, seed=0)[:, 0] / len(hits)
    low, high = percentiles(means)
    return Share(float(hits.mean()), float(low), float(high))
