"""Which tells an implicit value: the title, the picture, or both? Asked of real products, such as ImplicitAVE's.

An implicit value stands nowhere in the text, so a model that tags words cannot find it. Here the values that the
attribute has in training are listed as the product's text ("Round Neck / V-Neck / Cowl Neck"), and the model learns to
tag the true one: JAVE with title and list, M-JAVE with picture and list, and M-JAVE with all three. Its answer is the
listed value whose first word is most surely the beginning of a value of the attribute.

Products are scored in folds, each by a model that has not seen them; intervals are those of the bootstrap over
products, differences of arms are taken product by product. Peers are the value that the attribute most often has in
training, and logistic regressions on words and on the same frozen pictures (`plain_choice.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.labels.schema import build_schema
from facetmill.encoders.cache import FeatureCache, encoder_identity
from facetmill.encoders.vision import build_image_encoder
from facetmill.errors import DataError
from facetmill.metrics.resampling import Rows, percentiles, resample
from facetmill.models.jave import Jave, JointTagger
from facetmill.models.m_jave import MJave
from facetmill.models.parts.tagging import begin
from facetmill.params import JaveConfig, Params
from facetmill.records import Facet, Product, Span, to_batch
from facetmill.studies.folds import FOLDS, folds
from facetmill.studies.plain_choice import PLAIN_ARMS, choose_plainly, pooled_pictures
from facetmill.training.fit import fit

RESAMPLES = 2000
BATCH = 64
JOINT = " / "

# The text encoder is not trained further: a thousand products would teach it their titles by heart.
_TEXT: dict[str, Any] = {"network": "packaged", "keep_layers": 3, "freeze": True}
_SEES: dict[str, Any] = {"network": "packaged", "freeze": True, "size": 224}
_TRAINING: dict[str, Any] = {"epochs": 15, "batch_size": 32, "learning_rate": 0.002, "patience": 15}


@dataclass(frozen=True)
class Share:
    """A share (0..1) of products that were told right, or a difference of two, with its 95 % interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Implicit:
    """The study's table; `arms` and `differences` over all products, `by_attribute` the arms' shares of each."""

    num_products: int
    arms: tuple[Share, ...]
    differences: tuple[Share, ...]
    by_attribute: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_implicit(
    params: Params, products: Iterable[Product], features_dir: Path, log: Callable[[str], None]
) -> Implicit:
    """Train and score every arm in folds of the products that have a picture and one implicit value.

    What the frozen encoder gives is kept below `features_dir`. A first line
    says how many products were taken; raises `DataError` for fewer than two groups of them a fold.
    """
    given = list(products)
    chosen = [p for p in given if p.images and len(p.facets) == 1 and not p.facets[0].explicit]
    log(f"{len(chosen)} of {len(given)} products have a picture and one implicit value")
    if len({product.group_id for product in chosen}) < 2 * FOLDS:
        raise DataError(f"{len(chosen)} products with a picture and one implicit value: too few for {FOLDS} folds")
    jave, m_jave = params.models.jave, params.models.m_jave
    blind = replace(jave, attn_norm="none", encoder=replace(jave.encoder, **_TEXT))
    sees = replace(
        m_jave,
        attn_norm="none",
        encoder=replace(m_jave.encoder, **_TEXT),
        image_encoder=replace(m_jave.image_encoder, **_SEES),
    )
    arms: dict[str, tuple[type[JointTagger], JaveConfig, bool]] = {
        "title": (Jave, blind, True),
        "picture": (MJave, sees, False),
        "both": (MJave, sees, True),
    }
    fold_of = folds(chosen)
    right = {name: np.zeros(len(chosen), np.int64) for name in ("majority", *PLAIN_ARMS, *arms)}
    encoder = build_image_encoder(sees.image_encoder).eval()
    pooled = pooled_pictures(chosen, encoder, FeatureCache(features_dir, encoder_identity(encoder)))
    pictures = {product.product_id: row for product, row in zip(chosen, pooled, strict=True)}
    for fold in range(FOLDS):
        held_out = [number for number, product in enumerate(chosen) if fold_of[product.group_id] == fold]
        rest = [product for product in chosen if fold_of[product.group_id] != fold]
        values = _values_of(rest)
        for number in held_out:
            facet = chosen[number].facets[0]
            right["majority"][number] = values.get(facet.attribute, [""])[0] == facet.value
        plain = choose_plainly(rest, [chosen[number] for number in held_out], pictures)
        for name, told in plain.items():
            right[name][held_out] = [
                value == chosen[number].facets[0].value for number, value in zip(held_out, told, strict=True)
            ]
            log(f"fold {fold + 1} of {FOLDS}, {name}: {right[name][held_out].mean():.3f}")
        for name, (kind, config, with_title) in arms.items():
            asked = [_listed(product, values, with_title) for product in rest]
            test = [_listed(chosen[number], values, with_title) for number in held_out]
            right[name][held_out] = _train(params, kind, config, asked, test, values, features_dir)
            log(f"fold {fold + 1} of {FOLDS}, {name}: {right[name][held_out].mean():.3f}")
    pairs = [("both", "title"), ("both", "picture"), *((name, f"plain {name}") for name in arms)]
    attributes = [product.facets[0].attribute for product in chosen]
    return Implicit(
        num_products=len(chosen),
        arms=tuple(_share(name, hits) for name, hits in right.items()),
        differences=tuple(_share(f"{a} - {b}", right[a] - right[b]) for a, b in pairs),
        by_attribute={attribute: _of_attribute(attribute, attributes, right) for attribute in sorted(set(attributes))},
    )


def _values_of(products: Iterable[Product]) -> dict[str, list[str]]:
    """The values of each attribute, the commonest first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for product in products:
        counts[product.facets[0].attribute][product.facets[0].value] += 1
    return {attribute: [value for value, _ in found.most_common()] for attribute, found in counts.items()}


def _listed(product: Product, values: Mapping[str, Sequence[str]], with_title: bool) -> Product:
    """The product with its attribute's values as text, in the order of the alphabet; the true one is marked, and stays
    implicit where training does not have it."""
    facet = product.facets[0]
    listed = sorted(values.get(facet.attribute, ()))
    spans = tuple(Span("text", at, at + len(value)) for value, at in _places(listed) if value == facet.value)
    title = product.title if with_title else ""
    marked = Facet(facet.attribute, facet.value, spans)
    return replace(product, title=title, text=JOINT.join(listed), facets=(marked,))


def _train(
    params: Params,
    kind: type[JointTagger],
    config: JaveConfig,
    products: Sequence[Product],
    test: Sequence[Product],
    values: Mapping[str, Sequence[str]],
    features_dir: Path,
) -> list[bool]:
    """Which test products a new model tells right; every tenth of the others chooses its best epoch."""
    train = [product for number, product in enumerate(products) if number % 10]
    training = replace(params.training, **_TRAINING)
    seed_everything(training.seed)
    model = kind.fit_vocabulary(config, build_schema([to_batch(products)]), train)
    fit(model, train, products[::10], training, metric="value_f1", features_dir=features_dir, progress=False)
    with compute_settings(training.threads):
        model.prepare(test, features_dir)
        model.eval()
        chunks = [test[start : start + BATCH] for start in range(0, len(test), BATCH)]
        predicted = [value for chunk in chunks for value in _most_likely(model, chunk, values)]
    return [value == product.facets[0].value for value, product in zip(predicted, test, strict=True)]


@torch.inference_mode()
def _most_likely(model: JointTagger, products: Sequence[Product], values: Mapping[str, Sequence[str]]) -> list[str]:
    """Of each product the listed value that most surely begins where it stands; "" where none is listed."""
    batch = model.collate(products)
    _, tag_BTG = model(batch)
    tag_NG = tag_BTG.softmax(-1)[batch.text.row_N, batch.text.column_N]
    predicted, first = [], 0
    for product, reading in zip(products, batch.text.readings, strict=True):
        tag = begin(model.schema.names.index(product.facets[0].attribute)) if product.text else 0
        sure = {
            token.start: float(tag_NG[first + place, tag])
            for place, token in enumerate(reading.tokens)
            if token is not None and token.field == "text"
        }
        first += len(reading.tokens)
        starts = {
            start: value
            for value, start in _places(sorted(values.get(product.facets[0].attribute, ())))
            if start in sure
        }
        predicted.append(starts[max(starts, key=lambda start: sure[start])] if starts else "")
    return predicted


def _places(listed: Sequence[str]) -> list[tuple[str, int]]:
    """Where each value begins in the list written as text."""
    ends = accumulate(len(value) + len(JOINT) for value in listed)
    return list(zip(listed, (0, *ends), strict=False))


def _of_attribute(attribute: str, attributes: Sequence[str], right: Mapping[str, Rows]) -> dict[str, float]:
    here = [number for number, each in enumerate(attributes) if each == attribute]
    return {"products": len(here), **{name: float(hits[here].mean()) for name, hits in right.items()}}


def _share(name: str, hits: Rows) -> Share:
    means = resample(hits[:, None], RESAMPLES, seed=0)[:, 0] / len(hits)
    low, high = percentiles(means)
    return Share(name, float(hits.mean()), float(low), float(high))
