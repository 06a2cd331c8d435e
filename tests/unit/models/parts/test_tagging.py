"""Spans to BIO tags and back."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.encoders.tokens import VocabularyTokenizer
from facetmill.encoders.windows import most_central, read, text_batch, windows
from facetmill.models.parts.tagging import Chunk, begin, chunks, decode, inside, tag_tokens
from facetmill.records import Facet, Product, Span

COLOUR, BRAND = 0, 1
NAMES = {"Colour": COLOUR, "Brand": BRAND}


def title_tokens(*ranges: tuple[int, int]) -> list[Span | None]:
    return [Span("title", start, end) for start, end in ranges]


def facet(attribute: str, *spans: tuple[int, int]) -> Facet:
    return Facet(attribute, "v", tuple(Span("title", start, end) for start, end in spans))


def test_every_piece_of_a_value_is_tagged_and_every_occurrence() -> None:
    tokens = title_tokens((0, 3), (3, 5), (6, 9), (10, 15))  # "Cro" "cs" "red" "cross"
    tags, counts = tag_tokens(tokens, [facet("Brand", (0, 5)), facet("Colour", (6, 9), (10, 15))], NAMES)
    assert tags == [begin(BRAND), inside(BRAND), begin(COLOUR), begin(COLOUR)]
    assert counts == Counter()


def test_the_longest_of_overlapping_spans_wins_and_the_other_is_counted() -> None:
    tokens = title_tokens((0, 3), (4, 8))
    tags, counts = tag_tokens(tokens, [facet("Brand", (4, 8)), facet("Colour", (0, 8))], NAMES)
    assert tags == [begin(COLOUR), inside(COLOUR)]
    assert counts == {"spans_overlapped": 1}


def test_equally_long_overlaps_go_to_the_first_attribute() -> None:
    tags, counts = tag_tokens(title_tokens((0, 3)), [facet("Brand", (0, 3)), facet("Colour", (0, 3))], NAMES)
    assert tags == [begin(COLOUR)]
    assert counts == {"spans_overlapped": 1}


def test_a_span_inside_a_token_is_widened_and_one_on_no_token_dropped() -> None:
    tokens = title_tokens((0, 4), (6, 9))
    tags, counts = tag_tokens(tokens, [facet("Colour", (1, 3)), facet("Brand", (4, 6))], NAMES)
    assert tags == [begin(COLOUR), 0]
    assert counts == {"spans_widened": 1, "spans_untokenized": 1}


def test_a_span_of_the_other_field_or_an_unknown_attribute_tags_nothing() -> None:
    tags, _ = tag_tokens([Span("text", 0, 4)], [facet("Colour", (0, 4)), facet("Size", (0, 4))], NAMES)
    assert tags == [0]


def test_illegal_sequences_open_chunks_as_in_conlleval() -> None:
    b, i = begin(COLOUR), inside(COLOUR)
    assert chunks([0, i, i]) == [Chunk(COLOUR, 1, 3)]
    assert chunks([b, inside(BRAND), inside(BRAND), i]) == [
        Chunk(COLOUR, 0, 1),
        Chunk(BRAND, 1, 3),
        Chunk(COLOUR, 3, 4),
    ]
    assert chunks([b, b, i, 0]) == [Chunk(COLOUR, 0, 1), Chunk(COLOUR, 1, 3)]
    assert chunks([]) == []


def test_decoding_takes_raw_text_merges_equal_values_and_never_crosses_from_title_to_text() -> None:
    product = Product("p", "s", "Navy  Blue", "navy  blue shoe")
    tokens = [Span("title", 0, 4), Span("title", 6, 10), None, Span("text", 0, 4), Span("text", 6, 10)]
    tags = [begin(COLOUR), inside(COLOUR), inside(COLOUR), inside(COLOUR), inside(COLOUR)]
    (found,) = decode(product, tokens, tags, [0.5, 0.7, 0.1, 0.9, 0.9], ["Colour", "Brand"])
    assert found.value == "Navy  Blue"
    assert found.spans == (Span("title", 0, 10), Span("text", 0, 10))
    assert (found.provenance, found.modality) == ("predicted", "text")
    assert found.confidence == 0.9  # the surer of 0.6 and 0.9


def test_a_chunk_of_nothing_but_spaces_is_no_value() -> None:
    product = Product("p", "s", "a b")
    assert decode(product, title_tokens((1, 2)), [begin(COLOUR)], [1.0], ["Colour"]) == []
    (found,) = decode(product, title_tokens((1, 2), (2, 3)), [begin(COLOUR), inside(COLOUR)], [1.0, 1.0], ["Colour"])
    assert (found.value, found.spans) == ("b", (Span("title", 2, 3),))


def test_a_value_is_whole_words_but_a_chinese_character_is_a_word() -> None:
    product = Product("p", "s", "Suncream 全棉T恤")
    tokens = title_tokens((0, 3), (3, 8), (9, 10), (10, 11), (11, 12), (12, 13))  # Sun cream 全 棉 T 恤
    tags = [0, begin(COLOUR), 0, begin(BRAND), 0, 0]
    found = decode(product, tokens, tags, [1.0] * 6, ["Colour", "Brand"])
    assert [(f.value, f.spans) for f in found] == [
        ("Suncream", (Span("title", 0, 8),)),
        ("棉", (Span("title", 10, 11),)),
    ]
    (twice,) = decode(product, tokens, [begin(COLOUR), begin(COLOUR), 0, 0, 0, 0], [1.0] * 6, ["Colour", "Brand"])
    assert twice.spans == (Span("title", 0, 8),)


@pytest.mark.parametrize(
    ("title", "value"),
    [
        ("un cafe\u0301 noir", "cafe\u0301"),
        ("यह नीला है", "नीला"),
        ("قميص أَحْمَرُ جديد", "أَحْمَرُ"),
        ("เสื้อยืดสีแดงคอกลม", "แดง"),
        ("น้ำ หอม", "น้ำ"),
        ("ក្រហមអាវ", "ក្រហម"),
        ("a ❤\ufe0f pillow", "❤\ufe0f"),
        ("in 👩🏽\u200d💻 print", "👩🏽\u200d💻"),
        ("Hemd Baum\u00adwolle", "Baum\u00adwolle"),
        ("a 10.5 oz pack", "10.5 oz"),
    ],
)
@pytest.mark.parametrize("unit", ["words", "characters"])
def test_a_value_comes_back_whole_in_any_script(title: str, value: str, unit: Literal["words", "characters"]) -> None:
    start = title.index(value)
    gold = facet("Colour", (start, start + len(value)))
    product = Product("p", "s", title)
    (reading,) = read([product], VocabularyTokenizer.fit(unit, [title]))
    tags, _ = tag_tokens(reading.tokens, [gold], NAMES)
    (found,) = decode(product, reading.tokens, tags, [1.0] * len(tags), ["Colour", "Brand"])
    if unit == "words" and title in ("เสื้อยืดสีแดงคอกลม", "ក្រហមអាវ"):  # more of them than the value is one token
        assert value in found.value
    else:
        assert (found.value, found.spans) == (value, gold.spans)


def test_no_tag_cuts_a_cluster_a_word_or_a_number() -> None:
    def decoded(title: str, start: int, end: int) -> str:
        (found,) = decode(Product("p", "s", title), title_tokens((start, end)), [begin(COLOUR)], [1.0], ["Colour"])
        return found.value

    assert decoded("cafe\u0301s", 1, 3) == "cafe\u0301s"
    assert decoded("Baum\u00adwolle", 5, 10) == "Baum\u00adwolle"
    assert decoded("นีล้ำ", 0, 1) == "นี"
    assert decoded("12.5 oz", 3, 7) == "12.5 oz"
    assert decoded("10x20 cm", 3, 8) == "20 cm"
    assert decoded("a <b>red</b> hat", 4, 8) == "red"  # "b>re"


def test_values_that_are_one_to_a_reader_are_one_facet() -> None:
    product = Product("p", "s", "Café Cafe\u0301")
    tags = [begin(COLOUR), begin(COLOUR)]
    (found,) = decode(product, title_tokens((0, 4), (5, 10)), tags, [1.0, 1.0], ["Colour"])
    assert (found.value, found.spans) == ("Café", (Span("title", 0, 4), Span("title", 5, 10)))


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4]), max_size=12))
def test_chunks_are_disjoint_ordered_and_cover_every_tag_that_is_not_o(tags: list[int]) -> None:
    covered = [place for chunk in chunks(tags) for place in range(chunk.first, chunk.end)]
    assert covered == [place for place, tag in enumerate(tags) if tag]
    assert all(
        (tags[place] - 1) // 2 == chunk.attribute for chunk in chunks(tags) for place in range(chunk.first, chunk.end)
    )


@given(st.text(max_size=40), st.text(max_size=40), st.data())
def test_spans_survive_tagging_and_decoding(title: str, text: str, data: st.DataObject) -> None:
    product = Product("p", "s", title, text)
    (reading,) = read([product], VocabularyTokenizer.fit("words", [title, text]))
    size = len(reading.tokens)
    tags = data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    for found in decode(product, reading.tokens, tags, [0.5] * size, ["Colour", "Brand"]):
        assert product.surface(found.spans[0]) == found.value
        assert all(product.surface(span).casefold() == found.value.casefold() for span in found.spans)
        assert found.value == found.value.strip() != ""
        assert found.confidence == 0.5


@given(st.integers(0, 200), st.integers(8, 40))
def test_windows_lose_no_token_and_each_is_read_where_it_is_most_central(length: int, size: int) -> None:
    pieces = windows(length, size)
    assert all(len(piece) <= size for piece in pieces)
    assert len(pieces) == 1 if length <= size else all(len(piece) == size for piece in pieces)
    assert {token for piece in pieces for token in piece} == set(range(length))
    assert len({piece.start for piece in pieces}) == len(pieces)
    for token, chosen in enumerate(most_central(length, pieces)):
        depths = [min(token - p.start, p.stop - 1 - token) if token in p else -1 for p in pieces]
        assert depths[chosen] == max(depths) >= 0


def test_a_batch_of_windows_finds_every_token_again() -> None:
    tokenizer = VocabularyTokenizer.fit("words", [" ".join(f"w{n}" for n in range(20))], min_count=1)
    products = [Product("a", "s", "w1 w2"), Product("b", "s", "w3", " ".join(f"w{n}" for n in range(4, 20)))]
    readings = read(products, tokenizer)
    batch = text_batch(readings, tokenizer, window=8)
    assert batch.ids_BT[batch.row_N, batch.column_N].tolist() == readings[0].ids + readings[1].ids
    assert batch.ids_BT.shape == (4, 10)  # 18 tokens of b need three windows of 8 at 0, 6 and 10
    assert batch.ids_BT[0].tolist() == [2, *readings[0].ids, 3, 0, 0, 0, 0, 0, 0]
    assert batch.mask_BT[0].tolist() == [True] * 4 + [False] * 6
    assert batch.token_mask_BT[0].tolist() == [False, True, True, False] + [False] * 6
    assert batch.token_mask_BT[1].tolist() == [False, True, False] + [True] * 6 + [False]  # the separator is no token
    assert batch.segment_BT[1].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
