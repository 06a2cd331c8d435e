"""A bag of words: TF-IDF of hashed words and pieces of words, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from facetmill.models.parts.word_bag import BUCKETS, SCALE, WordBag, read_words
from facetmill.records import Product


def product(title: str, category: str | None = None) -> Product:
    return Product(title, "t", title, category=category)


def test_words_pairs_and_pieces_are_counted_in_buckets_of_their_own() -> None:
    words = read_words([product("red red shoe"), product(""), product("red")], category=False)
    start, end = words.start_B.tolist(), [*words.start_B.tolist()[1:], len(words.bucket_N)]
    assert len(start) == 6
    counts = [sorted(words.count_N[a:b].tolist()) for a, b in zip(start, end, strict=True)]
    assert counts[0] == [1, 1, 1, 2]  # shoe, red red, red shoe; red
    assert counts[2] == counts[3] == []
    assert counts[4] == [1]
    assert (words.bucket_N[start[0] : end[0]] < BUCKETS).all()
    assert (words.bucket_N[start[1] : end[1]] >= BUCKETS).all()
    assert counts[5] == [1, 1, 1, 1, 1, 1]  # " re", "red", "ed ", " red", "red ", " red "


def test_the_category_is_read_where_it_is_asked_for() -> None:
    shoe, with_category = product("shoe"), product("shoe", "Boots")
    assert (
        read_words([with_category], category=False).bucket_N.tolist()
        == read_words([shoe], category=False).bucket_N.tolist()
    )
    assert len(read_words([with_category], category=True).bucket_N) > len(read_words([shoe], category=True).bucket_N)


def test_a_logit_is_the_bias_and_the_weights_by_tf_idf_of_unit_length() -> None:
    """Of two products one says "red": its rarity is ln(3/2) + 1, that of "blue blue" and its pair likewise."""
    train = [product("red"), product("blue blue")]
    bag = WordBag([2, 3])
    bag.settle([read_words(train, category=False)])
    torch.nn.init.normal_(bag.weights.weight)
    torch.nn.init.normal_(bag.bias)
    words = read_words(train, category=False)
    assert bag.rarity_N[words.bucket_N].tolist() == pytest.approx([math.log(3 / 2) + 1] * len(words.bucket_N))
    found = bag(words, 3)
    assert found.shape == (2, 2, 3)
    assert found[:, 0, 2].tolist() == [-math.inf] * 2
    first, second = words.start_B[0], words.start_B[1]
    assert second - first == 1  # "red" alone, so of length 1
    pieces = words.bucket_N[second : words.start_B[2]]
    expected = bag.bias + SCALE * (
        bag.weights.weight[words.bucket_N[0]] + bag.weights.weight[pieces].sum(0) / math.sqrt(len(pieces))
    )
    torch.testing.assert_close(found[0][:, :].flatten()[[0, 1, 3, 4, 5]], expected)


def test_a_product_without_words_has_the_bias_alone() -> None:
    bag = WordBag([2])
    torch.nn.init.normal_(bag.weights.weight)
    torch.nn.init.normal_(bag.bias)
    for products in ([product("")], [product(""), product("red"), product("")]):
        found = bag(read_words(products, category=False), 2)
        assert found.isfinite().all()
        torch.testing.assert_close(found[0, 0], bag.bias)
        torch.testing.assert_close(found[-1, 0], bag.bias)
