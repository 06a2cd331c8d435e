"""The short way from rows to Arrow, for rows in which there is nothing to do.

Checking and building products one at a time is most of the time of reading. But in most files nearly every row is
text where text should be, of which no rule changes or refuses anything. Of many such rows together it takes a few
questions to see that, and then their fields are columns already. Rows of which it is not so go the long way of
`rows.py`, which alone says what becomes of them; a product is the same whichever way it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count, pairwise

import pyarrow as pa

from facetmill import arrow
from facetmill.records import PRODUCT_SCHEMA, Facet, Place, Product

_FACET = PRODUCT_SCHEMA.field("facets").type.value_type
_ANNOTATED = Facet("", "").provenance


@dataclass(frozen=True, slots=True)
class PlainProducts:
    """Products of one source as columns: id, title, text, and facets without spans. They have nothing else.

    `attributes` and `values` are those of all facets, one product's behind the other's; `num_facets` is each product's.
    They stand in the rows of `file` from `first_row` on.
    """

    source: str
    ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]
    attributes: Sequence[str]
    values: Sequence[str]
    num_facets: Sequence[int]
    file: str = ""
    first_row: int = 1

    def products(self) -> Iterator[Product]:
        """The same one by one."""
        facets = list(map(Facet, self.attributes, self.values))
        bounds = pairwise(accumulate(self.num_facets, initial=0))
        places = (Place(self.file, row) for row in count(self.first_row))
        rows = zip(self.ids, self.titles, self.texts, bounds, strict=True)
        for (product_id, title, text, (begin, end)), place in zip(rows, places, strict=False):
            yield Product(product_id, self.source, title, text, facets=tuple(facets[begin:end]), place=place)


def plain_batch(parts: Sequence[PlainProducts]) -> pa.RecordBatch:
    """Products of one source as a record batch of `PRODUCT_SCHEMA`; the same as `records.to_batch` makes of them."""
    ids, titles, texts, attributes, values = (
        arrow.strings(list(chain.from_iterable(getattr(part, name) for part in parts)))
        for name in ("ids", "titles", "texts", "attributes", "values")
    )
    facet_columns = {
        "attribute": attributes,
        "value": values,
        "provenance": arrow.repeated(_ANNOTATED, len(values)),
    }
    facets = pa.StructArray.from_arrays(_filled(facet_columns, _FACET, len(values)), fields=list(_FACET))
    bounds = arrow.offsets(chain.from_iterable(part.num_facets for part in parts))
    columns = {
        "product_id": ids,
        "source": arrow.repeated(parts[0].source, len(ids)),
        "title": titles,
        "text": texts,
        "group_id": ids,
        "facets": pa.ListArray.from_arrays(bounds, facets, type=PRODUCT_SCHEMA.field("facets").type),
    }
    return pa.RecordBatch.from_arrays(_filled(columns, PRODUCT_SCHEMA, len(ids)), schema=PRODUCT_SCHEMA)


def _filled(columns: Mapping[str, pa.Array], fields: Iterable[pa.Field], length: int) -> list[pa.Array]:
    """A column for each field, in their order; one that says nothing where there is none."""
    return [columns[field.name] if field.name in columns else arrow.empty(field.type, length) for field in fields]
