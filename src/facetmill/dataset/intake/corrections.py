"""What people have set right: a table that outranks whatever the source, a rule or a model says.

A table as `any_table` reads it. Columns `product_id`, `attribute` and `value`, in any case; others are ignored, such as
who wrote it. All rows of one product and one attribute together are what is true of it: each value is one facet, `n/a`
says that there is none. What the source said of that attribute is dropped. The table is written by hand and small: a
row that is wrong stops the build, and so does an attribute that is only spelled otherwise than in the data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from facetmill.errors import DataError
from facetmill.records import Facet, Product
from facetmill.sources.any_table import read_any_table
from facetmill.sources.base import NOTES, BadRow, Reason, RowError
from facetmill.sources.rows import ABSENT, bad_row, checked, required
from facetmill.sources.tables import require_columns

COLUMNS = ("product_id", "attribute", "value")

_Values: TypeAlias = tuple[str, ...]  # none: the attribute is absent


@dataclass(frozen=True)
class Corrections:
    """The corrections of one file, by product and attribute."""

    path: Path
    of_product: Mapping[str, Mapping[str, _Values]]
    first_rows: Mapping[str, int] = field(default_factory=dict)  # where each attribute stands first

    def apply(self, product: Product) -> Product:
        """The product as people say it is. Its corrected facets are annotated, without spans: `match` finds those."""
        corrected = self.of_product.get(product.product_id)
        if corrected is None:
            return product
        facets = [facet for facet in product.facets if facet.attribute not in corrected]
        facets += [Facet(attribute, value) for attribute, values in corrected.items() for value in values]
        absent = [attribute for attribute in product.absent if attribute not in corrected]
        absent += [attribute for attribute, values in corrected.items() if not values]
        return replace(product, facets=tuple(facets), absent=tuple(absent))

    def unknown_attributes(self, known: Set[str]) -> tuple[str, ...]:
        """What is to be said of each attribute that is none of the `known` ones of the data: it may be a new one.

        Raises `DataError` for one that differs from a known one only in case, spaces or signs.
        """
        said = []
        for attribute, row in self.first_rows.items():
            if attribute in known:
                continue
            where = f"{self.path}, row {row}, field attribute: no product has {attribute!r}"
            if alike := sorted(name for name in known if _letters(name) == _letters(attribute)):
                raise DataError(f"{where}; did you mean {alike[0]!r}?")
            near = get_close_matches(attribute, sorted(known), n=1)
            said.append(f"{where}; did you mean {near[0]!r}?" if near else where)
        return tuple(said)

    def unused(self, came: Set[str]) -> tuple[str, ...]:
        """Ids of products that were to be corrected and are not among those that came."""
        return tuple(sorted(self.of_product.keys() - came))


def read_corrections(path: Path) -> Corrections:
    """Raises `DataError` that names file, row, field and value of what is wrong."""
    header, rows = read_any_table(path, COLUMNS)
    column_of = {name.casefold(): name for name in header}
    require_columns(path, list(column_of), *COLUMNS)
    found: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    first_rows: dict[str, int] = {}
    for row in rows:
        if isinstance(row, BadRow):
            if row.reason in NOTES:
                continue
            raise DataError(str(row))
        try:
            product_id, attribute, value = (_filled(row.fields, column_of[name]) for name in COLUMNS)
        except RowError as error:
            raise DataError(str(bad_row(path, row.number, error.field, error.value, error.reason))) from None
        first_rows.setdefault(attribute, row.number)
        values = found[product_id][attribute]
        if value.lower() == ABSENT:
            value = ""
        if values and ("" in values) != (value == ""):
            raise DataError(
                f"{path}, row {row.number}, field value: {attribute!r} of product {product_id!r} is n/a and has a value"
            )
        values[value] = None
    return Corrections(
        path,
        {
            product_id: {attribute: tuple(value for value in values if value) for attribute, values in said.items()}
            for product_id, said in found.items()
        },
        first_rows,
    )


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _filled(fields: Mapping[str, str], name: str) -> str:
    text = checked(name, required(fields, name)).strip()
    if not text:
        raise RowError(name, text, Reason.MISSING_FIELD)
    return text
