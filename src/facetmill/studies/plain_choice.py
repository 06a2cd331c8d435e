"""An hour's baseline for implicit values: logistic regressions by attribute, on the words of titles and on pictures.

Titles are TF-IDF of single words and pairs, with the category; pictures are the mean region of a frozen encoder, of
unit length. "Both" is the product of what the two say. A model that does not tell more is not worth its time.
"""

from __future__ import annotations

import random
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
MAX_TITLES = 6000  # of an attribute, beside those of products with pictures: an hour has no time for more

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
    train: Sequence[Product],
    titles: Sequence[Product],
    test: Sequence[Product],
    pictures: Mapping[str, NDArray[np.float32]],
) -> dict[str, list[str]]:
    """The value of each test product's attribute, by arm; "" where training has none.

    Products have one facet each. `pictures` holds the features of those of `train` and `test` by their ids; `titles`
    are products without a picture, of which the words are learned from.
    """
    chosen = {arm: [""] * len(test) for arm in PLAIN_ARMS}
    for attribute in sorted({product.facets[0].attribute for product in test}):
        asked = [number for number, product in enumerate(test) if product.facets[0].attribute == attribute]
        shown = [product for product in train if product.facets[0].attribute == attribute]
        more = [product for product in titles if product.facets[0].attribute == attribute]
        if len(more) > MAX_TITLES:
            more = random.Random(0).sample(more, MAX_TITLES)
        values = sorted({product.facets[0].value for product in (*shown, *more)})
        if not values:
            continue
        questions = [test[number] for number in asked]
        title = _by_title([*shown, *more], questions, values)
        picture = _by_picture(shown, questions, values, pictures)
        for arm, told in zip(PLAIN_ARMS, (title, picture, title * picture), strict=True):
            for number, row in zip(asked, told, strict=True):
                chosen[arm][number] = values[int(row.argmax())]
    return chosen


def _by_title(known: Sequence[Product], asked: Sequence[Product], values: Sequence[str]) -> Features:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    learned = words.fit_transform(map(_words, known))
    return _told(learned, words.transform(map(_words, asked)), _values(known), values, strength=10.0)


def _by_picture(
    known: Sequence[Product], asked: Sequence[Product], values: Sequence[str], pictures: Mapping[str, Features]
) -> Features:
    """Where no picture is known all values are alike."""
    if not known:
        return np.ones((len(asked), len(values)), dtype=np.float32)
    seen, new = (np.stack([pictures[product.product_id] for product in each]) for each in (known, asked))
    return _told(seen, new, _values(known), values, strength=30.0)


def _words(product: Product) -> str:
    return f"{product.category or ''} {product.title}"


def _values(products: Sequence[Product]) -> list[str]:
    return [product.facets[0].value for product in products]


def _told(train: Features, test: Features, true: Sequence[str], values: Sequence[str], strength: float) -> Features:
    """The probability of each value for each test row [rows,values]; all that train has weigh alike, however common.
    What it does not have is as good as impossible."""
    told = np.full((test.shape[0], len(values)), 1e-9, dtype=np.float32)
    classes = sorted(set(true))
    columns = [values.index(value) for value in classes]
    if len(classes) == 1:
        told[:, columns] = 1.0
    else:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000, tol=1e-3).fit(train, true)
        told[:, columns] = model.predict_proba(test)
    return told
