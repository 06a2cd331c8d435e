"""Values become spans by the rules in the docstring of `facetmill.dataset.labels.match`; each test is one rule."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facetmill.dataset.labels import match
from facetmill.dataset.labels.match import MatchCounts, match_batch, match_shards
from facetmill.encoders.folding import fold_value
from facetmill.encoders.grounding import ground
from facetmill.errors import DataError
from facetmill.params import MatchParams
from facetmill.records import FIELDS, PRODUCT_SCHEMA, Facet, Product, Span, from_batch, read_products, to_batch
from tests.fuzzing import examples

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


@pytest.mark.parametrize(("ignore_case", "expected"), [(True, [0, 4]), (False, [4])])
def test_case(ignore_case: bool, expected: list[int]) -> None:
    assert starts("RED red", "red", replace(RULES, ignore_case=ignore_case)) == expected


def test_inside_words_where_asked() -> None:
    assert starts("reddish red", "red", replace(RULES, word_boundary=False)) == [0, 8]


def test_an_empty_value_stands_nowhere() -> None:
    assert surfaces("dark red", " red ") == ["red"]
    assert surfaces("dark red", "") == []
    assert surfaces("dark red", " \u00a0") == []


def test_places_are_those_of_the_raw_fields() -> None:
    """In the field behind one whose folded form is longer or shorter, and of one batch with plain products."""
    facets = (Facet("a", "café"), Facet("b", "red"), Facet("c", "dark blue"))
    odd = Product("odd", "s", "ß ﬂ Cafe\u0301, <b>Red</b>", "İ \u00ad½ RED dark<br>blue", facets=facets)
    plain = Product("plain", "s", "a dark blue", "red", facets=facets)
    found = from_batch(match_batch(to_batch([plain, odd, plain]), RULES)[0])
    assert [[p.surface(span) for f in p.facets for span in f.spans] for p in found] == [
        ["red", "dark blue"],
        ["Cafe\u0301", "Red", "RED", "dark<br>blue"],
        ["red", "dark blue"],
    ]
    assert found[1].facets[1].spans == (Span("title", 14, 17), Span("text", 5, 8))


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
    facets = (
        Facet("colour", "red"),
        Facet("neck", "round"),
        Facet("kind", "shirt", modality="both"),
        Facet("sleeve", "long", modality="text"),
    )
    batch, counts = match_batch(to_batch([Product("p", "s", "red shirt", images=("p.jpg",), facets=facets)]), RULES)
    (product,) = from_batch(batch)
    assert [(f.modality, f.provenance) for f in product.facets] == [
        ("text", "matched"),
        ("image", "annotated"),
        ("both", "matched"),
        ("text", "annotated"),
    ]
    assert (counts.num_explicit, counts.num_implicit) == (2, 2)
    assert (counts.num_products_text, counts.num_products_image) == (0, 1)


def test_a_product_without_pictures_shows_nothing_in_one() -> None:
    product, counts = matched("red shirt", Facet("colour", "red"), Facet("neck", "round"))
    assert [f.modality for f in product.facets] == ["text", None]
    assert (counts.num_implicit, counts.num_without_picture, counts.num_products_image) == (1, 1, 0)


def test_what_stands_inside_a_word_or_in_markup_is_counted_apart() -> None:
    facets = (Facet("a", "Print"), Facet("b", "500 ml"), Facet("c", "red"), Facet("d", "round"))
    described = Product("p", "s", "Printed 1,500 ml", '<p class="red">x</p>', images=("p.jpg",), facets=facets)
    batch, counts = match_batch(to_batch([described]), RULES)
    (product,) = from_batch(batch)
    assert [(f.spans, f.modality) for f in product.facets] == [((), None), ((), None), ((), "image"), ((), "image")]
    assert (counts.num_implicit, counts.num_inside_words, counts.num_in_markup) == (4, 2, 1)
    assert (counts.num_without_picture, counts.num_products_image) == (0, 1)


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


# Letters that change length, a letter of two characters, scripts without spaces, and all kinds of spaces.
LETTERS = "aAbB é5_\u0301İΣσςßﬂǅ红カ한😀 \u00a0\u3000\t\n-"
words = st.text(alphabet=LETTERS, max_size=12)


@st.composite
def listings(draw: st.DrawFn) -> Product:
    """Values are mostly cut out of the text, so that they nest, touch and overlap; some have spans already."""
    texts = {"title": draw(words), "text": draw(words)}
    facets = []
    for number in range(draw(st.integers(0, 5))):
        text = texts[draw(st.sampled_from(FIELDS))]
        start = draw(st.integers(0, len(text)))
        cut = text[start : start + draw(st.integers(1, 5))]
        value = draw(st.sampled_from([cut, cut.upper(), cut.swapcase()]) | words)
        spans = tuple(
            Span(name, begin, draw(st.integers(begin + 1, len(text))))
            for name, text in texts.items()
            if text and draw(st.integers(0, 9)) == 0
            for begin in [draw(st.integers(0, len(text) - 1))]
        )
        facets.append(Facet(str(number), value, spans))
    return Product("p", "s", **texts, facets=tuple(facets))


ALL_RULES = st.builds(
    MatchParams,
    ignore_case=st.booleans(),
    word_boundary=st.booleans(),
    fields=st.sampled_from([["title", "text"], ["text", "title"], ["text"], []]),
    workers=st.just(1),
)


@examples(500)
@given(batch=st.lists(listings(), max_size=3), rules=ALL_RULES)
@example(batch=[Product("p", "s", "", "\u03015", facets=(Facet("a", "\u0301"),))], rules=RULES)  # a mark on nothing
def test_matching_is_what_the_rules_say(batch: list[Product], rules: MatchParams) -> None:
    """Against the rules written down once more: every pair of places compared."""
    found, counts = match_batch(to_batch(batch), rules)
    found.validate(full=True)
    expected = [by_the_rules(product, rules) for product in batch]
    assert [[facet.spans for facet in product.facets] for product in from_batch(found)] == [e[0] for e in expected]
    assert counts.num_spans == sum(len(spans) for e in expected for spans in e[0])
    assert (counts.num_overlaps, counts.num_shared, counts.num_nested) == tuple(
        sum(e[n] for e in expected) for n in (1, 2, 3)
    )


def by_the_rules(product: Product, rules: MatchParams) -> tuple[list[tuple[Span, ...]], int, int, int]:
    claimed = {span for facet in product.facets for span in facet.spans if span.field in rules.fields}
    result = [facet.spans for facet in product.facets]
    num_overlaps = num_shared = num_nested = 0
    how = {"ignore_case": rules.ignore_case, "word_boundary": rules.word_boundary}
    for place in sorted(
        range(len(result)), key=lambda place: -len(fold_value(product.facets[place].value, rules.ignore_case))
    ):
        if result[place]:
            continue
        standing = ground(product, product.facets[place].value, rules.fields, **how)
        shared = [span for span in standing if span in claimed]
        free = [
            s for s in standing if not any(s.field == c.field and s.start < c.end and c.start < s.end for c in claimed)
        ]
        kept = [span for span in standing if span in shared or span in free]
        num_nested += bool(standing) and not kept
        num_overlaps += len(standing) - len(kept) if kept else 0
        num_shared += len(shared)
        claimed.update(free)
        result[place] = tuple(kept or standing)
    return result, num_overlaps, num_shared, num_nested


def write(folder: Path, num_shards: int, num_groups: int = 1) -> None:
    """Shards of `num_groups` row groups of 50 products, with ids that count up."""
    folder.mkdir()
    draw = random.Random(0)
    for shard in range(num_shards):
        with pq.ParquetWriter(folder / f"part-{shard:05d}.parquet", PRODUCT_SCHEMA) as writer:
            for group in range(num_groups):
                products = [
                    Product(
                        f"{shard}-{group}-{i}",
                        "s",
                        " ".join(draw.choices("abcdef", k=6)),
                        facets=(Facet("x", draw.choice("abcdxyz")),),
                    )
                    for i in range(50)
                ]
                writer.write_batch(to_batch(products))


@pytest.mark.parametrize(("num_shards", "num_groups"), [(3, 1), (1, 4)])
def test_the_output_does_not_depend_on_the_number_of_processes(
    num_shards: int, num_groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row group becomes a shard, so that one large shard too is work for all processes."""
    monkeypatch.setattr(match, "_ROWS_WORTH_A_POOL", 1)
    write(tmp_path / "in", num_shards, num_groups)
    runs = (1, 2, 3)
    counts = [match_shards(tmp_path / "in", tmp_path / f"out{n}", replace(RULES, workers=n)) for n in runs]
    assert counts[0] == counts[1] == counts[2]
    assert counts[0].num_products == 50 * num_shards * num_groups
    outputs = [{path.name: path.read_bytes() for path in (tmp_path / f"out{n}").iterdir()} for n in runs]
    assert outputs[0] == outputs[1] == outputs[2]
    assert sorted(outputs[0]) == [f"part-0000{number}.parquet" for number in range(num_shards * num_groups)]
    ids_before, ids_after = (
        [product.product_id for product in read_products(tmp_path / name)] for name in ("in", "out2")
    )
    assert ids_after == ids_before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_shard_leaves_the_old_output_and_no_rest(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match, "_ROWS_WORTH_A_POOL", 1)
    write(tmp_path / "in", 3)
    match_shards(tmp_path / "in", tmp_path / "out", RULES)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    damaged = tmp_path / "in" / "part-00001.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:4] + b"\xff" * 1000 + content[1004:])
    with pytest.raises(OSError):  # worded by Arrow, by what the damage hits
        match_shards(tmp_path / "in", tmp_path / "out", replace(RULES, workers=workers))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


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
