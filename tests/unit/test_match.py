"""Values become spans by the rules in the docstring of `facetmill.dataset.match`; each test is one rule."""

from __future__ import annotations

import random
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facetmill.dataset import match
from facetmill.dataset.match import MatchCounts, fold, match_batch, match_shards
from facetmill.errors import DataError
from facetmill.params import MatchParams
from facetmill.records import PRODUCT_SCHEMA, Facet, Product, Span, from_batch, read_products, to_batch

RULES = MatchParams(ignore_case=True, word_boundary=True, fields=["title", "text"], workers=1)


def matched(title: str, *facets: Facet, text: str = "", rules: MatchParams = RULES) -> tuple[Product, MatchCounts]:
    batch, counts = match_batch(to_batch([Product("p", "s", title, text, facets=facets)]), rules)
    batch.validate(full=True)
    return from_batch(batch)[0], counts


def surfaces(title: str, value: str, text: str = "", rules: MatchParams = RULES) -> list[str]:
    product, _ = matched(title, Facet("a", value), text=text, rules=rules)
    return [product.surface(span) for span in product.facets[0].spans]


def starts(title: str, value: str, rules: MatchParams = RULES) -> list[int]:
    product, _ = matched(title, Facet("a", value), rules=rules)
    return [span.start for span in product.facets[0].spans]


def test_every_occurrence_in_every_field_by_field_then_start() -> None:
    product, counts = matched("red shirt, red", Facet("colour", "red"), text="a red one")
    assert product.facets[0].spans == (Span("title", 0, 3), Span("title", 11, 14), Span("text", 2, 5))
    assert counts == MatchCounts(num_products=1, num_facets=1, num_explicit=1, num_spans=3, num_products_text=1)


def test_only_the_fields_named_in_the_order_named() -> None:
    only_text = replace(RULES, fields=["text"])
    product, _ = matched("red", Facet("colour", "red"), text="red", rules=only_text)
    assert product.facets[0].spans == (Span("text", 0, 3),)
    text_first = replace(RULES, fields=["text", "title"])
    product, _ = matched("red", Facet("colour", "red"), text="red", rules=text_first)
    assert product.facets[0].spans == (Span("text", 0, 3), Span("title", 0, 3))
    product, _ = matched("red", Facet("colour", "red"), rules=replace(RULES, fields=[]))
    assert not product.facets[0].explicit


def test_a_value_does_not_overlap_itself() -> None:
    assert starts("a b a b a", "a b a") == [0]


def test_spaces_around_a_value_do_not_count_and_an_empty_value_stands_nowhere() -> None:
    assert surfaces("dark red", " red ") == ["red"]
    assert surfaces("dark red", "") == []
    assert surfaces("dark red", " \u00a0") == []


@pytest.mark.parametrize(("ignore_case", "expected"), [(True, [0, 4]), (False, [4])])
def test_case(ignore_case: bool, expected: list[int]) -> None:
    assert starts("RED red", "red", replace(RULES, ignore_case=ignore_case)) == expected


def test_offsets_refer_to_the_raw_text_behind_letters_that_grow_in_lower_case() -> None:
    assert surfaces("İİ ΣΑΣ Red", "rEd") == ["Red"]
    assert surfaces("ΟΔΟΣ", "οδοσ") == ["ΟΔΟΣ"]  # per character: not the final sigma of a whole word
    assert surfaces("STRASSE Straße", "straße") == ["Straße"]


def test_folding_a_string_is_folding_its_characters() -> None:
    """Only the two characters handled apart differ; a new Unicode version may bring others."""
    chars = [chr(code) for code in range(sys.maxunicode + 1)]
    expected = [
        " " if char.isspace() and char not in "\x1c\x1d\x1e\x1f" else lower if len(lower := char.lower()) == 1 else char
        for char in chars
    ]
    assert [fold(char, True) for char in chars] == expected
    blocks = range(0, len(chars), 4096)
    assert all(fold("".join(chars[i : i + 4096]), True) == "".join(expected[i : i + 4096]) for i in blocks)


@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u3000", "\t", "\n"])
def test_any_space_equals_any_other_one_for_one(space: str) -> None:
    assert surfaces(f"a dark{space}red shirt", "dark red") == [f"dark{space}red"]
    assert surfaces("a dark red shirt", f"dark{space}red") == ["dark red"]
    assert surfaces(f"a dark{space} red shirt", "dark red") == []


@pytest.mark.parametrize(
    ("title", "value", "expected"),
    [
        ("reddish red infrared", "red", [8]),
        ("red_wine red", "red", [9]),
        ("red-wine", "red", [0]),
        ("5GHz", "5", []),
        ("size 5.", "5", [5]),
        ("c++ and c", "c++", [0]),
        ("100% cotton", "100%", [0]),
        ("100%cotton", "100%", [0]),  # "%" is no word character, so no word is cut
        ("cafe\u0301 cafe", "cafe", [6]),
        ("红色连衣裙", "红色", [0]),
        ("纯棉T恤", "T", [2]),
        ("XXL码", "XXL", [0]),
        ("빨간색 셔츠", "빨간", [0]),
        ("ワンピース red", "ピース", [2]),
        ("größe", "gr", []),
    ],
)
def test_a_match_does_not_cut_a_word(title: str, value: str, expected: list[int]) -> None:
    assert starts(title, value) == expected


def test_inside_words_where_asked() -> None:
    assert starts("reddish red", "red", replace(RULES, word_boundary=False)) == [0, 8]


def test_longest_value_claims_first_and_the_overlap_is_counted() -> None:
    short, long = Facet("material", "cotton"), Facet("blend", "cotton blend")
    product, counts = matched("cotton blend of cotton", short, long)
    assert product.facets[0].spans == (Span("title", 16, 22),)
    assert product.facets[1].spans == (Span("title", 0, 12),)
    assert (counts.num_overlaps, counts.num_shared, counts.num_nested) == (1, 0, 0)


def test_of_equally_long_values_the_first_facet_claims() -> None:
    product, counts = matched("red wool hat, wool hat", Facet("a", "red wool"), Facet("b", "wool hat"))
    assert product.facets[0].spans == (Span("title", 0, 8),)
    assert product.facets[1].spans == (Span("title", 14, 22),)
    assert counts.num_overlaps == 1


def test_one_range_may_be_the_value_of_two_attributes() -> None:
    product, counts = matched("black shoe", Facet("upper", "Black"), Facet("sole", "black"))
    assert product.facets[0].spans == product.facets[1].spans == (Span("title", 0, 5),)
    assert (counts.num_shared, counts.num_overlaps, counts.num_spans) == (1, 0, 2)


def test_a_facet_that_would_lose_every_occurrence_keeps_them() -> None:
    product, counts = matched("cotton blend", Facet("material", "cotton"), Facet("blend", "cotton blend"))
    assert product.facets[0].spans == (Span("title", 0, 6),)
    assert (counts.num_overlaps, counts.num_nested, counts.num_explicit) == (0, 1, 2)


def test_annotated_spans_stay_and_claim_first() -> None:
    annotated = Facet("material", "cotton", (Span("title", 0, 6),))
    product, counts = matched("cotton blend, cotton", annotated, Facet("blend", "cotton blend"), Facet("x", "cotton"))
    assert product.facets[0] == replace(annotated, modality="text")
    assert product.facets[1].spans == (Span("title", 0, 12),)  # its only occurrence, so it is kept
    assert product.facets[2].spans == (Span("title", 0, 6), Span("title", 14, 20))
    assert (counts.num_nested, counts.num_shared) == (1, 1)


def test_annotated_spans_of_a_field_that_is_not_matched_stay() -> None:
    annotated = Facet("material", "cotton", (Span("text", 2, 8),))
    product, _ = matched(
        "cotton", annotated, Facet("x", "cotton"), text="a cotton", rules=replace(RULES, fields=["title"])
    )
    assert product.facets[0].spans == (Span("text", 2, 8),)
    assert product.facets[1].spans == (Span("title", 0, 6),)


def test_modality_and_provenance() -> None:
    product, counts = matched(
        "red shirt",
        Facet("colour", "red"),
        Facet("neck", "round"),
        Facet("kind", "shirt", modality="both"),
        Facet("sleeve", "long", modality="text"),
    )
    assert [(f.modality, f.provenance) for f in product.facets] == [
        ("text", "matched"),
        ("image", "annotated"),
        ("both", "matched"),
        ("text", "annotated"),
    ]
    assert (counts.num_explicit, counts.num_implicit) == (2, 2)
    assert (counts.num_products_text, counts.num_products_image) == (0, 1)


def test_a_product_without_facets_is_neither_text_nor_image() -> None:
    _, counts = matched("red shirt")
    assert counts == MatchCounts(num_products=1)


def test_a_slice_of_a_batch_and_an_empty_one() -> None:
    """Arrow slices share buffers, with offsets that do not start at 0."""
    products = [Product(str(i), "s", f"x{i} y{i}", facets=(Facet("a", f"x{i}"), Facet("b", f"y{i}"))) for i in range(9)]
    batch, counts = match_batch(to_batch(products).slice(3, 4), RULES)
    got = from_batch(batch)
    assert [p.product_id for p in got] == ["3", "4", "5", "6"]
    assert [[p.surface(s) for f in p.facets for s in f.spans] for p in got] == [[f"x{i}", f"y{i}"] for i in range(3, 7)]
    assert counts.num_facets == 8
    empty, counts = match_batch(to_batch([]), RULES)
    assert (empty.num_rows, counts) == (0, MatchCounts())


words = st.text(alphabet="aA bé_\u0301İΣσ红\u00a0-", max_size=12)


@settings(max_examples=300, deadline=None)
@given(title=words, text=words, values=st.lists(words.filter(bool), max_size=4))
def test_spans_always_hold_their_value(title: str, text: str, values: list[str]) -> None:
    """The promise to every user of a span, whatever the letters; and what was not found really is not there."""
    product, counts = matched(title, *(Facet(str(i), v) for i, v in enumerate(values)), text=text)
    for facet in product.facets:
        wanted = fold(facet.value, True).strip(" ")
        for span in facet.spans:
            assert fold(product.surface(span), True) == wanted
        if not facet.explicit and wanted:
            for field in (title, text):
                folded = fold(field, True)
                places = [i for i in range(len(folded)) if folded.startswith(wanted, i)]
                assert all(cuts_a_word(folded, i) or cuts_a_word(folded, i + len(wanted)) for i in places)
    assert counts.num_spans == sum(len(f.spans) for f in product.facets)


def cuts_a_word(text: str, i: int) -> bool:
    def word(char: str) -> bool:
        return char != "红" and (char.isalnum() or char == "_" or unicodedata.combining(char) > 0)

    return 0 < i < len(text) and word(text[i - 1]) and word(text[i])


def write(folder: Path, num_shards: int) -> None:
    folder.mkdir()
    draw = random.Random(0)
    for shard in range(num_shards):
        products = [
            Product(
                f"{shard}-{i}", "s", " ".join(draw.choices("abcdef", k=6)), facets=(Facet("x", draw.choice("abcdxyz")),)
            )
            for i in range(50)
        ]
        pq.write_table(pa.Table.from_batches([to_batch(products)]), folder / f"part-{shard:05d}.parquet")


def test_shards_do_not_depend_on_the_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "_ROWS_WORTH_A_POOL", 1)
    write(tmp_path / "in", 3)
    counts = [
        match_shards(tmp_path / "in", tmp_path / f"out{workers}", replace(RULES, workers=workers)) for workers in (1, 2)
    ]
    assert counts[0] == counts[1]
    assert counts[0].num_products == 150
    names = sorted(path.name for path in (tmp_path / "out1").iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    for name in names:
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()
    assert [p.product_id for p in read_products(tmp_path / "out2")] == [
        p.product_id for p in read_products(tmp_path / "in")
    ]


def test_a_shard_of_another_version_leaves_the_old_output(tmp_path: Path) -> None:
    write(tmp_path / "in", 2)
    match_shards(tmp_path / "in", tmp_path / "out", RULES)
    before = (tmp_path / "out" / "part-00000.parquet").read_bytes()
    other = PRODUCT_SCHEMA.with_metadata({"facetmill.schema_version": "0"})
    pq.write_table(other.empty_table(), tmp_path / "in" / "part-00001.parquet")
    with pytest.raises(DataError, match=r"part-00001\.parquet: record schema version 0"):
        match_shards(tmp_path / "in", tmp_path / "out", RULES)
    assert (tmp_path / "out" / "part-00000.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
