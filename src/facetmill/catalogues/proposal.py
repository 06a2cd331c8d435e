"""What each column of a shop's file seems to be, and why: a proposal that a person reads and corrects.

A column has a role because of its name, in the languages below, where what it holds does not speak against that; or
because of what it holds. What is left over is an attribute, unless it looks like something that nobody filters by:
prices, ids, dates, links, free text, numbers of things, nothing at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from facetmill.catalogues.columns import Column, Looked
from facetmill.errors import DataError
from facetmill.params.problems import did_you_mean
from facetmill.sources.tables import shown_names
from facetmill.terminal import one_line

#: By field, the names of columns that mean it, likeliest first, as `plain` has them.
NAMES: Mapping[str, tuple[str, ...]] = {
    "product_id": (
        *("product id", "id", "sku", "item no", "item number", "item id", "article number", "article no"),
        *("product number", "product code", "artikelnummer", "artikel nr", "art nr", "artikel id", "produkt id"),
        *("produktnummer", "bestellnummer", "referencia", "reference", "ref", "codice", "codigo", "asin", "mpn"),
        *("gtin", "ean", "handle", "variant sku"),
    ),
    "title": (
        *("title", "name", "product name", "product title", "item name", "item", "product", "titel", "produktname"),
        *("produkttitel", "artikelname", "bezeichnung", "artikelbezeichnung", "produktbezeichnung", "titre", "nom"),
        *("nom du produit", "titulo", "nombre", "titolo", "nome", "naam"),
    ),
    "text": (
        *("text", "description", "long description", "product description", "body html", "body", "details"),
        *("beschreibung", "produktbeschreibung", "langtext", "descripcion", "descrizione", "descricao", "omschrijving"),
        "short description",
    ),
    "category": (
        *("category", "product category", "categories", "product type", "google product category"),
        *("kategorie", "produktkategorie", "warengruppe", "produktgruppe", "categorie", "categoria", "department"),
        "type",
    ),
    "group_id": ("group id", "item group id", "parent sku", "parent id", "variant group"),
    "images": (
        *("images", "image", "image file", "picture", "pictures", "photo", "photos", "bild", "bilder", "foto", "fotos"),
        *("imagen", "immagine", "image src", "image link", "image url", "bild url"),
    ),
}
REQUIRED = ("product_id", "title")

_PRICES = ("price", "cost", "preis", "prix", "precio", "prezzo", "msrp", "rrp", "uvp", "currency", "wahrung")
_NUMBERS_OF_THINGS = (
    *(
        "stock",
        "inventory",
        "quantity",
        "qty",
        "bestand",
        "lagerbestand",
        "lager",
        "menge",
        "availability",
        "rating",
        "reviews",
    ),
    *("rank", "views", "sales", "position", "sort"),
)
_IDS = ("id", "ids", "sku", "gtin", "ean", "upc", "isbn", "asin", "mpn", "barcode", "handle", "slug", "uuid", "guid")
_DATES = ("date", "datum", "created", "updated", "modified", "published", "timestamp", "fecha", "data")

_MONEY = r"(?:[€$£¥₹]|\b(?:EUR|USD|GBP|CHF|JPY|CAD|AUD|PLN|SEK|NOK|DKK|INR)\b)"
_AMOUNT = r"-?\d[\d.,' \u00a0\u202f]*"
_PRICE = re.compile(rf"{_MONEY}\s*{_AMOUNT}|{_AMOUNT}\s*{_MONEY}", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d[\d.,]*")
_LINK = re.compile(r"(?:https?://|ftp://|www\.)\S+", re.IGNORECASE)
_DATE = re.compile(r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?:[T ]\d{1,2}:\d{2}\S*)?.{0,6}")
_PICTURE = re.compile(r"(?!https?://).+\.(?:jpe?g|png|webp|gif|avif|tiff?|bmp)", re.IGNORECASE)
_CODE = re.compile(r"(?=\S*\d)\S+")

_MOST = 0.9  # share of cells that tell what a column holds
_ENOUGH = 10  # cells, below which what they have in common may be chance
_LONG = 60  # characters of a cell, on average, above which it is a text


@dataclass(frozen=True)
class Proposal:
    """`columns` are columns by field, `attributes` the rest that is kept with the number of their distinct values, and
    `ignored` says of each other column why; `pictures_on_the_web` names one whose pictures are addresses."""

    columns: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    pictures_on_the_web: str | None = None


def propose(
    looked: Looked,
    said: Mapping[str, str],
    ignore: Collection[str] = (),
    keep: Collection[str] = (),
    *,
    pictures_here: bool = False,
) -> Proposal:
    """Look at every column. What a person has `said`, by field, and what is to be ignored or kept, stands. A column of
    addresses names pictures where files of these names are here.

    Raises `DataError` for a field or a column that there is not, and where no column can be the id or the title.
    """
    _require_known(looked, said, (*ignore, *keep))
    made = Proposal(columns=dict(said))
    for name in NAMES:
        taken = {*made.columns.values(), *ignore, *keep}
        free = {column: cells for column, cells in looked.columns.items() if column not in taken}
        found = None if name in said else _by_name(name, free, looked) or _by_content(name, free, looked)
        if found is not None and name == "images" and not pictures_here and _share(_LINK, free[found].cells) >= _MOST:
            made = replace(made, pictures_on_the_web=found)
        elif found is not None:
            made.columns[name] = found
    if lacking := [name for name in REQUIRED if name not in made.columns]:
        raise DataError(
            f"{looked.file}: no column looks like the {lacking[0]} of a product; say which: "
            f"--column {lacking[0]}=NAME. The columns are {shown_names(list(looked.columns))}"
        )
    if "facets" in looked.columns:  # one column with all of them: the reader leaves all others alone
        return made
    for column in looked.columns.values():
        if column.name in made.columns.values():
            continue
        why = "you said so" if column.name in ignore else "" if column.name in keep else _why_ignored(column, looked)
        if why:
            made.ignored[column.name] = why
        else:
            made.attributes[column.name] = len(column.distinct)
    return made


def _require_known(looked: Looked, said: Mapping[str, str], named: Collection[str]) -> None:
    for name in said:
        if name not in NAMES:
            raise DataError(
                f"--column {name}={said[name]}: no field {name!r}{did_you_mean(name, NAMES)}; "
                f"fields are {', '.join(NAMES)}"
            )
    for column in (*said.values(), *named):
        if column not in looked.columns:
            near = did_you_mean(column, looked.columns)
            raise DataError(
                f"{looked.file}: no column {column!r}{near}; the columns are {shown_names(list(looked.columns))}"
            )


def _by_name(name: str, free: Mapping[str, Column], looked: Looked) -> str | None:
    """The column that is called so, if what it holds is possible."""
    called = {plain(column): column for column in reversed(list(free))}
    fits = _FITS.get(name)
    found = (called[wanted] for wanted in NAMES[name] if wanted in called)
    return next((column for column in found if fits is None or fits(free[column], looked)), None)


def _by_content(name: str, free: Mapping[str, Column], looked: Looked) -> str | None:
    """The first column that holds what ids, titles or pictures are; other fields need a name."""
    looks = _LOOKS.get(name)
    if looks is None or looked.num_rows < 2:
        return None
    return next((column for column, cells in free.items() if looks(cells, looked)), None)


def _filled_and_distinct(column: Column, looked: Looked) -> bool:
    return len(column.cells) == looked.num_rows and len(column.distinct) >= _MOST * looked.num_rows


def _filled(column: Column, looked: Looked) -> bool:
    return len(column.cells) >= _MOST * looked.num_rows


def _looks_like_id(column: Column, looked: Looked) -> bool:
    return _filled_and_distinct(column, looked) and _share(_CODE, column.cells) == 1


def _looks_like_title(column: Column, looked: Looked) -> bool:
    words = sum(len(cell.split()) for cell in column.cells) / max(len(column.cells), 1)
    return _filled(column, looked) and len(column.distinct) > looked.num_rows / 2 and 2 <= words <= 40


def _looks_like_pictures(column: Column, looked: Looked) -> bool:
    return bool(column.cells) and _share(_PICTURE, column.cells) >= _MOST


_FITS: Mapping[str, Callable[[Column, Looked], bool]] = {"product_id": _filled_and_distinct, "title": _filled}
_LOOKS: Mapping[str, Callable[[Column, Looked], bool]] = {
    "product_id": _looks_like_id,
    "title": _looks_like_title,
    "images": _looks_like_pictures,
}


def _why_ignored(column: Column, looked: Looked) -> str:
    """Why nobody would filter by a column; empty for an attribute."""
    cells, words = column.cells, set(plain(column.name).split())
    if not cells:
        return "every cell is empty"
    such = f"such as {one_line(repr(_short(cells[0])))}"
    if _share(_LINK, cells) >= _MOST:
        return f"links, {such}"
    if _share(_PICTURE, cells) >= _MOST:
        return f"names of pictures, {such}"
    if _share(_PRICE, cells) >= _MOST or (words & {*_PRICES} and _share(_NUMBER, cells) >= _MOST):
        return f"prices, {such}"
    if words & {*_PRICES} and len(column.distinct) < _ENOUGH and all(len(cell) <= 3 for cell in cells):
        return f"a currency, {such}"
    if _share(_DATE, cells) >= _MOST or (words & {*_DATES} and any(_DATE.fullmatch(cell) for cell in cells)):
        return f"dates, {such}"
    if words & {*_NUMBERS_OF_THINGS}:
        return f"stock, ratings and the like change from day to day, {such}"
    if words & {*_IDS} and len(column.distinct) > len(cells) / 2:
        return f"ids, {such}"
    if len(cells) >= _ENOUGH and len(column.distinct) >= _MOST * len(cells) and _share(_CODE, cells) >= _MOST:
        return f"ids, nearly every one another, {such}"
    if sum(map(len, cells)) / len(cells) > _LONG:
        return f"free text, {such}"
    if len(cells) >= 2 * _ENOUGH and len(column.distinct) >= _MOST * len(cells) and " " in "".join(cells):
        return f"free text, nearly every one another, {such}"
    if len(column.distinct) == 1 and len(cells) == looked.num_rows >= 2 * _ENOUGH:
        return f"the same in every row: {one_line(repr(_short(cells[0])))}"
    return ""


def plain(name: str) -> str:
    """A column's name in small letters without signs or accents: "Catégorie_ID." is "categorie id"."""
    letters = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", "".join(letters).casefold()))


def _share(pattern: re.Pattern[str], cells: list[str]) -> float:
    return sum(pattern.fullmatch(cell) is not None for cell in cells) / max(len(cells), 1)


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:37]}..."
