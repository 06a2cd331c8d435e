"""The one on-disk record: a product, its text, its pictures, and the facets it is known to have.

`Product` is the view a person or a model works with; `PRODUCT_SCHEMA` is the same thing in Arrow, written to
Parquet. Stages move record batches and turn a row into a `Product` only where they need one.

Spans are character offsets into the *raw* field, so they survive any tokenizer: `product.title[start:end]` is what
the shop printed. BIO tags exist only inside a training batch.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from facetmill.errors import DataError

SCHEMA_VERSION = 1

Field = Literal["title", "text"]
Modality = Literal["text", "image", "both"]
Provenance = Literal["annotated", "matched", "distant", "predicted"]
Split = Literal["train", "validation", "test"]

FIELDS: tuple[Field, ...] = get_args(Field)
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open range of characters [start, end) in one text field of a product."""

    field: Field
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Facet:
    """One attribute-value pair of one product.

    A facet without spans is *implicit*: its value is true but does not stand in the text. `modality` says where the
    value can be seen. It is None until the match stage has looked, and where that cannot tell: the product has no
    picture, or the value's letters stand in the text, but only inside a longer word ("Print" in "Printed").
    `confidence` (0..1) is set on predictions.
    """

    attribute: str
    value: str
    spans: tuple[Span, ...] = ()
    modality: Modality | None = None
    provenance: Provenance = "annotated"
    confidence: float | None = None

    @property
    def explicit(self) -> bool:
        return bool(self.spans)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an image, as shares (0..1) of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class OcrToken:
    """A word printed on the pack and where it stands."""

    text: str
    box: Box | None = None


class Place(NamedTuple):
    """Where something was read: the file, and its row as a person counts."""

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Product:
    """One listing. `group_id` names the product behind it: listings of one group never sit in two splits.

    `absent` holds attributes that an annotator looked for and found to have no value ("n/a"); one that is in `facets`
    too was given a value after that. An attribute in neither is simply unknown. Image paths are absolute, or relative
    to the folder of the dataset. `place` is known only while a product is read, and no part of what it is.
    """

    product_id: str
    source: str
    title: str
    text: str = ""
    category: str | None = None
    group_id: str = ""
    images: tuple[str, ...] = ()
    ocr: tuple[OcrToken, ...] = ()
    regions: tuple[Box, ...] = ()
    facets: tuple[Facet, ...] = ()
    absent: tuple[str, ...] = ()
    split: Split | None = None
    place: Place | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.group_id:
            object.__setattr__(self, "group_id", self.product_id)

    def field(self, name: Field) -> str:
        return self.title if name == "title" else self.text

    def surface(self, span: Span) -> str:
        """The characters a span covers, as the shop wrote them."""
        return self.field(span.field)[span.start : span.end]


_SPAN = pa.struct(
    [
        pa.field("field", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
    ]
)
_FACET = pa.struct(
    [
        pa.field("attribute", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("spans", pa.list_(_SPAN), nullable=False),
        pa.field("modality", pa.string()),
        pa.field("provenance", pa.string(), nullable=False),
        pa.field("confidence", pa.float32()),
    ]
)
_BOX = pa.struct([pa.field(edge, pa.float32(), nullable=False) for edge in ("left", "top", "right", "bottom")])
_OCR = pa.struct([pa.field("text", pa.string(), nullable=False), pa.field("box", _BOX)])

PRODUCT_SCHEMA = pa.schema(
    [
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("images", pa.list_(pa.string()), nullable=False),
        pa.field("ocr", pa.list_(_OCR), nullable=False),
        pa.field("regions", pa.list_(_BOX), nullable=False),
        pa.field("facets", pa.list_(_FACET), nullable=False),
        pa.field("absent", pa.list_(pa.string()), nullable=False),
        pa.field("split", pa.string()),
    ],
    metadata={"facetmill.schema_version": str(SCHEMA_VERSION)},
)

_PRODUCT = pa.struct(list(PRODUCT_SCHEMA))


def is_unicode(text: str) -> bool:
    """Whether text has no lone surrogates, which neither UTF-8 nor Arrow can hold."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_row(product: Product) -> dict[str, Any]:
    """A product as the plain dict that `PRODUCT_SCHEMA` describes; several times as fast as `dataclasses.asdict`."""
    row = _fields(product)
    del row["place"]
    row["ocr"] = tuple({"text": token.text, "box": _fields(token.box) if token.box else None} for token in product.ocr)
    row["regions"] = tuple(map(_fields, product.regions))
    row["facets"] = tuple(_fields(facet) | {"spans": tuple(map(_fields, facet.spans))} for facet in product.facets)
    return row


def _fields(record: Product | Facet | Span | Box | Attribute) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def from_row(row: Mapping[str, Any]) -> Product:
    """The inverse of `to_row`, for a row read back from Arrow."""
    facets = tuple(map(facet_from_row, row["facets"]))
    ocr = tuple(OcrToken(token["text"], Box(**token["box"]) if token["box"] else None) for token in row["ocr"])
    return Product(
        product_id=row["product_id"],
        source=row["source"],
        title=row["title"],
        text=row["text"],
        category=row["category"],
        group_id=row["group_id"],
        images=tuple(row["images"]),
        ocr=ocr,
        regions=tuple(Box(**box) for box in row["regions"]),
        facets=facets,
        absent=tuple(row["absent"]),
        split=row["split"],
    )


def facet_from_row(row: Mapping[str, Any]) -> Facet:
    """One of the `facets` of a product's row."""
    return Facet(
        attribute=row["attribute"],
        value=row["value"],
        spans=tuple(Span(**span) for span in row["spans"]),
        modality=row["modality"],
        provenance=row["provenance"],
        confidence=row["confidence"],
    )


def to_batch(products: Iterable[Product]) -> pa.RecordBatch:
    """Products as one Arrow record batch of `PRODUCT_SCHEMA`."""
    return pa.RecordBatch.from_struct_array(_column(list(products), _PRODUCT)).replace_schema_metadata(
        PRODUCT_SCHEMA.metadata
    )


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as an Arrow column. Records and lists are taken apart first: a row at a time is four times slower."""
    if pa.types.is_list(kind):
        offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
        return pa.ListArray.from_arrays(offsets, _column(list(chain.from_iterable(values)), kind.value_type), type=kind)
    if pa.types.is_struct(kind) and None not in values:
        columns = [_column([getattr(value, part.name) for value in values], part.type) for part in kind]
        return pa.StructArray.from_arrays(columns, fields=list(kind))
    if pa.types.is_struct(kind):
        return pa.array([_fields(value) if value else None for value in values], kind)
    return pa.array(values, kind)


def from_batch(batch: pa.RecordBatch) -> list[Product]:
    return [from_row(row) for row in batch.to_pylist()]


def shards(folder: Path) -> list[Path]:
    """The Parquet shards of a folder, in the order they were written."""
    return sorted(folder.glob("part-*.parquet"))


def read_batches(
    folder: Path, batch_rows: int = 4096, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream the record batches of a folder of shards, see `read_shard`; memory does not grow with their number."""
    for path in shards(folder):
        yield from read_shard(path, batch_rows, columns)


def read_shard(path: Path, batch_rows: int = 4096, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Stream the record batches of a shard, whole or only these columns.

    Raises `DataError` where it was written by another schema version.
    """
    with pq.ParquetFile(path) as parquet:
        require_schema(path, parquet.schema_arrow)
        yield from parquet.iter_batches(batch_rows, columns=columns)


def read_products(folder: Path) -> Iterator[Product]:
    """Stream the products of a folder of shards."""
    for batch in read_batches(folder):
        yield from from_batch(batch)


def require_schema(path: Path, schema: pa.Schema) -> None:
    """Refuse a shard that is not of this schema version: silent misreading is worse than a rebuild."""
    found = (schema.metadata or {}).get(b"facetmill.schema_version", b"none").decode()
    if found != str(SCHEMA_VERSION):
        raise DataError(
            f"{path}: record schema version {found}, but this Facetmill reads {SCHEMA_VERSION}; rebuild the dataset"
        )


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a schema. `values` maps each value seen in the train split to its number of products, and
    `category_values` does so for each category that the attribute was seen in. `modality` says what tells its values,
    text or image (MuJo-SF's text-dependent and image-dependent slots); None until stage `saliency` has asked."""

    name: str
    values: Mapping[str, int]
    categories: tuple[str, ...] = ()
    category_values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    modality: Modality | None = None

    def candidates(self, category: str | None, at_most: int | None = None) -> tuple[str, ...]:
        """The values that a product of a category may have, the commonest first; all of them where the category is
        unknown to train. (PAM's dynamic vocabulary, MuJo-SF's candidate lists.)"""
        counts = self.category_values.get(category or "", self.values)
        return tuple(sorted(counts, key=lambda value: (-counts[value], value)))[:at_most]


@dataclass(frozen=True)
class AttributeSchema:
    """Which attributes exist, and what the *train* split alone says of them; saved beside the data."""

    attributes: tuple[Attribute, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    def of_category(self, category: str | None) -> tuple[Attribute, ...]:
        """The attributes that a category has in train; all of them where it has none (ULS-DRAM's attribute range).

        The rest are likely, not surely, lacking (DEFLATE's negatives): `outside_category` counts where they do not.
        """
        return self.by_category.get(category or "", self.attributes)

    @cached_property
    def by_category(self) -> Mapping[str, tuple[Attribute, ...]]:
        """The attributes of each category of train. It is made once: a shop may have fifty thousand categories."""
        found: defaultdict[str, list[Attribute]] = defaultdict(list)
        for attribute in self.attributes:
            for category in attribute.categories:
                found[category].append(attribute)
        return {category: tuple(attributes) for category, attributes in found.items()}

    def outside_category(self, products: Iterable[Product]) -> int:
        """How many facets have an attribute of this schema that their product's category lacks in train: what it costs
        to take such attributes for lacking."""
        names = set(self.names)
        num_outside = 0
        for product in products:
            likely = {attribute.name for attribute in self.of_category(product.category)}
            num_outside += sum(facet.attribute in names - likely for facet in product.facets)
        return num_outside

    def to_json(self) -> str:
        described = {"attributes": [*map(_fields, self.attributes)], "schema_version": self.schema_version}
        return json.dumps(described, ensure_ascii=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> AttributeSchema:
        raw = json.loads(text)
        if raw["schema_version"] != SCHEMA_VERSION:
            raise DataError(
                f"attribute schema version {raw['schema_version']}, but this Facetmill reads {SCHEMA_VERSION}"
            )
        return cls(
            tuple(
                Attribute(
                    a["name"], a["values"], tuple(a["categories"]), a.get("category_values", {}), a.get("modality")
                )
                for a in raw["attributes"]
            )
        )
