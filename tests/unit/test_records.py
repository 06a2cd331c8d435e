"""The record survives Arrow and Parquet as it was, and another schema version is refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.errors import DataError
from facetmill.records import (
    PRODUCT_SCHEMA,
    Attribute,
    AttributeSchema,
    Box,
    Facet,
    OcrToken,
    Product,
    Span,
    from_batch,
    read_products,
    to_batch,
    to_row,
)

FULL = Product(
    product_id="p1",
    source="unit",
    title="Blauwe jas – 蓝色",
    text="A blue coat.",
    category="Coats",
    group_id="g1",
    images=("a.jpg", "b.jpg"),
    ocr=(OcrToken("ACME", Box(0.0, 0.25, 0.5, 1.0)), OcrToken("XL")),
    regions=(Box(0.0, 0.0, 1.0, 1.0),),
    facets=(
        Facet("Color", "蓝色", (Span("title", 13, 15),), "both", "matched"),
        Facet("Fit", "slim", modality="image", confidence=0.5),
    ),
    absent=("Pattern",),
    split="train",
)
BARE = Product(product_id="p2", source="unit", title="Lamp")


def test_a_product_survives_arrow_and_parquet(tmp_path: Path) -> None:
    batch = to_batch([FULL, BARE])
    assert batch.schema.equals(PRODUCT_SCHEMA)
    assert from_batch(batch) == [FULL, BARE]
    pq.write_table(pa.Table.from_batches([batch]), tmp_path / "part-00000.parquet")
    assert list(read_products(tmp_path)) == [FULL, BARE]


texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(0, 2**31 - 1)
facets = st.builds(
    Facet,
    texts,
    texts,
    st.lists(st.builds(Span, st.sampled_from(["title", "text"]), numbers, numbers), max_size=2).map(tuple),
    st.none() | st.sampled_from(["text", "image", "both"]),
    confidence=st.none() | st.floats(0, 1, width=32),
)
several = st.lists(texts, max_size=3).map(tuple)
drawn = st.builds(
    Product,
    *(texts, texts, texts, texts, st.none() | texts, texts, several),
    ocr=st.lists(st.builds(OcrToken, texts), max_size=2).map(tuple),
    facets=st.lists(facets, max_size=3).map(tuple),
    absent=several,
)


@given(st.lists(drawn, max_size=4))
def test_any_text_and_number_survives_arrow(products: list[Product]) -> None:
    batch = to_batch(products)
    batch.validate(full=True)
    assert from_batch(batch) == products


@pytest.mark.parametrize("products", [[FULL, BARE], [BARE], [FULL, FULL], []], ids=["both", "bare", "full", "none"])
def test_columns_are_filled_as_arrow_fills_them_from_plain_rows(products: list[Product]) -> None:
    batch = to_batch(products)
    batch.validate(full=True)
    rows = [asdict(product) for product in products]
    for row in rows:
        del row["place"]  # no part of what a product is
    assert [to_row(product) for product in products] == rows
    assert batch.equals(pa.RecordBatch.from_pylist(rows, schema=PRODUCT_SCHEMA), check_metadata=True)


def test_a_span_gives_the_characters_of_the_raw_field() -> None:
    assert FULL.surface(FULL.facets[0].spans[0]) == "蓝色"


def test_a_product_without_a_group_is_its_own_group() -> None:
    assert BARE.group_id == "p2"


def test_a_shard_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    old = PRODUCT_SCHEMA.with_metadata({"facetmill.schema_version": "0"})
    table = pa.Table.from_batches([to_batch([BARE])]).replace_schema_metadata(old.metadata)
    pq.write_table(table, tmp_path / "part-00000.parquet")
    with pytest.raises(DataError, match=r"part-00000.parquet: record schema version 0"):
        list(read_products(tmp_path))


def test_the_attribute_schema_survives_json_and_refuses_another_version() -> None:
    schema = AttributeSchema((Attribute("Color", {"red": 3, "蓝色": 1}, ("Coats",)), Attribute("Fit", {})))
    assert AttributeSchema.from_json(schema.to_json()) == schema
    assert schema.names == ("Color", "Fit")
    with pytest.raises(DataError, match="version 7"):
        AttributeSchema.from_json(schema.to_json().replace('"schema_version": 1', '"schema_version": 7'))
