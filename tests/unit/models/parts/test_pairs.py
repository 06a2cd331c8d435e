"""Pairs of a window and an attribute: which are kept, their tags, and what is told of them."""

from __future__ import annotations

import dataclasses

import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.parts.pairs import Pairs, facets_of_pairs, named, own_tags
from facetmill.models.parts.text_input import TextInput
from facetmill.records import Facet, Product, Span
from tests import small

NUMBERS = {"Colour": 0, "Material": 1, "Use": 2}


def text_input(*titles: str, window: int = 16, names: tuple[str, ...] = ()) -> TextInput:
    seed_everything(0)
    params = dataclasses.replace(small.TEXT, window=window)
    return TextInput.fitted(params, [Product("p", "s", title) for title in titles] * 2, category=False, names=names)


def test_where_pairs_are_too_many_the_likeliest_stay_and_the_rest_are_counted() -> None:
    probability = torch.tensor([[0.9, 0.6, 0.1], [0.7, 0.2, 0.8]])
    pairs = Pairs.selected(probability, probability > 0.5, at_most=3)
    assert list(zip(pairs.row_M.tolist(), pairs.attribute_M.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 2)]
    assert pairs.num_dropped == 1
    assert Pairs.selected(probability, probability > 0.5, at_most=9).num_dropped == 0


def test_values_that_overlap_have_tags_of_their_own_and_what_is_lost_is_counted() -> None:
    facets = (
        Facet("Colour", "dark red", (Span("title", 0, 8),)),
        Facet("Material", "red leather", (Span("title", 5, 16),)),
        Facet("Use", "hiking"),  # stands nowhere
        Facet("Size", "8", (Span("title", 17, 18),)),  # is no attribute of the schema
        Facet("Colour", "eather", (Span("title", 10, 16),)),
    )
    product = Product("p", "s", "dark red leather 8", facets=facets)
    (reading,) = text_input(product.title).read([product])
    tags, lost = own_tags(reading, product, NUMBERS)
    assert tags == {0: [1, 2, 1, 0], 1: [0, 1, 2, 0]}
    assert lost == {"spans_widened": 1}


def test_each_name_is_read_once_and_a_long_one_in_its_first_window() -> None:
    long = " ".join(["long"] * 20)
    text = text_input("red shoe", window=8, names=("Colour", long, "Use"))
    batch, row_M = named(text, ["Colour", long, "Use"], torch.tensor([2, 1, 2, 0]))
    assert batch.products_of_rows == [0, 1, 1, 1, 2]
    assert row_M.tolist() == [4, 1, 4, 0]


def test_a_name_that_no_title_has_is_a_word_all_the_same() -> None:
    for names, num_known in (((), 0), (("Colour", "Use"), 2)):
        batch, _ = named(text_input("red shoe", names=names), ["Colour", "Use"], torch.tensor([0, 1]))
        assert len(set(batch.ids_BT[:, 1].tolist()) - {1}) == num_known  # 1 is [UNK]


def test_facets_are_told_attribute_by_attribute_by_the_most_central_window() -> None:
    """Ten words in two windows of eight that share six: the first five are told by the first window."""
    words = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    products = [Product("p", "s", " ".join(words)), Product("q", "s", "x y")]
    batch = text_input(*[p.title for p in products], window=8).batch(products)
    assert [(number, cut.start) for number, cut in batch.pieces] == [(0, 0), (0, 2), (1, 0)]
    pairs = Pairs(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 2, 0, 2]))
    tags_MT = torch.zeros(4, 10, dtype=torch.int64)
    tags_MT[0, 2] = 1  # b
    tags_MT[0, 7:9] = torch.tensor([1, 2])  # g h, which the second window knows better
    tags_MT[2, 8] = 1  # j
    tags_MT[3, 1:3] = torch.tensor([1, 2])  # x y
    confidence_MT = torch.full(tags_MT.shape, 0.5)
    confidence_MT[3, 2] = 0.7
    found = facets_of_pairs(products, batch, pairs, tags_MT, confidence_MT, list(NUMBERS))
    told = [[(f.attribute, f.value, round(f.confidence or 0, 3)) for f in facets] for facets in found]
    assert told == [[("Colour", "b", 0.5), ("Colour", "j", 0.5)], [("Use", "x y", 0.6)]]
