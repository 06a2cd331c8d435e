"""An hour's baseline for implicit values: logistic regressions by attribute, on the words of titles and on pictures.

Titles are TF-IDF of single words and pairs, with the category; pictures are the mean region of a frozen encoder, of
unit length. "Both" is the product of what the two say. A model that does not tell more is not worth its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from facetmill.encoders.cache import FeatureCache
from facetmill.encoders.main_picture import picture_batch, store_regions
from facetmill.encoders.vision import ImageEncoder
from facetmill.records import Product

PLAIN_ARMS = ("plain title", "plain picture", "plain both")

Features = NDArray[np.float32]


def pooled_pictures(products: Sequence[Product], encoder: ImageEncoder, cache: FeatureCache) -> Features:
    """The mean region of each product's first picture, of unit length [products,E]; 0 where there is none to read."""
    store_regions(products, encoder, cache)
    found = np.zeros((len(products), encoder.width), dtype=np.float32)
    for number, product in enumerate(products):
        batch = picture_batch([product], [0], encoder.size, cache)
        if batch is not None and batch.region_PKE is not None:
            pooled = batch.region_PKE[0].float().mean(0).numpy()
            found[number] = pooled / max(float(np.linalg.norm(pooled)), 1e-12)
    return found


def choose_plainly(
    train: Sequence[Product], test: Sequence[Product], pictures: Mapping[str, NDArray[np.float32]]
) -> dict[str, list[str]]:
    """The value of each test product's attribute, by arm; "" where training has none. Products have one facet each, and
    `pictures` holds the features of each by its id."""
    chosen = {arm: [""] * len(test) for arm in PLAIN_ARMS}
    for attribute in {product.facets[0].attribute for product in test}:
        known = [product for product in train if product.facets[0].attribute == attribute]
        asked = [number for number, product in enumerate(test) if product.facets[0].attribute == attribute]
        values = [product.facets[0].value for product in known]
        if not known:
            continue
        if len(set(values)) == 1:
            for arm in PLAIN_ARMS:
                for number in asked:
                    chosen[arm][number] = values[0]
            continue
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        titles = words.fit_transform(map(_words, known)), words.transform(_words(test[n]) for n in asked)
        seen = np.stack([pictures[product.product_id] for product in known])
        new = np.stack([pictures[test[number].product_id] for number in asked])
        classes, title = _told(*titles, values, strength=10.0)
        _, picture = _told(seen, new, values, strength=30.0)
        for arm, told in zip(PLAIN_ARMS, (title, picture, title * picture), strict=True):
            for number, row in zip(asked, told, strict=True):
                chosen[arm][number] = classes[int(row.argmax())]
    return chosen


def _words(product: Product) -> str:
    return f"{product.category or ''} {product.title}"


def _told(train: Features, test: Features, values: Sequence[str], strength: float) -> tuple[list[str], Features]:
    """The known values, and the probability of each for each test row; all values weigh alike, however common."""
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(train, values)
    return list(model.classes_), model.predict_proba(test)
