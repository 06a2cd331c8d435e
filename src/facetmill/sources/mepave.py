"""MEPAVE: Chinese fashion sentences with values marked in the text (Zhu et al. 2020, "M-JAVE").

Lines of `cid TAB sid TAB text TAB tagged text`, where the tagged text wraps each value as
`<attribute>value</attribute>` and otherwise spells the plain text. 26 attributes; the published sample files hold 200
train and 200 valid lines, the authors' own release 50 / 20 / 20. The whole set (87,194 lines, 34,041 products) is given
out by its owner on request.
Licence: research use, as its owner says.

`cid` is the product, `sid` the sentence: several sentences describe one product, so `cid` is the group. A folder of the
published files `*.train`, `*.valid` and `*.test`, or `*.train.sample` and the like, is read as one, and each sentence
comes with its file's split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from facetmill.records import Facet, Product, Span
from facetmill.sources.base import BadRow, Reason, RowError, SourceOptions, Stretch
from facetmill.sources.rows import (
    ImageFolder,
    Row,
    bad_row,
    build_each,
    checked,
    cut_lines,
    identifier,
    input_files,
    named_split,
    read_lines,
    title,
)

_SAMPLE = ".sample"  # behind the split in the authors' own release
_SUFFIXES = (".train", ".valid", ".test", _SAMPLE)
_COLUMNS = ("cid", "sid", "text", "tagged")
_MARKED = re.compile(r"<(?P<attribute>[^<>/][^<>]*)>(?P<value>[^<>]*)</(?P=attribute)>")
_TAG = re.compile(r"</?[^<>]+>")


def read(path: Path, options: SourceOptions) -> Iterator[Product | BadRow]:
    """Stream the sentences of a file or folder; the values' spans are on the title.

    With `options.images` set, the picture of a product is `<images>/<cid>.jpg`. As in the authors' own reader a line
    is refused that holds a space or whose markup does not spell its text. Raises `DataError` without such a file.
    """
    images = ImageFolder(options.images) if options.images else None
    for file in input_files(path, *_SUFFIXES, only=options.only):
        yield from _read_file(file, images, options.only)


def _read_file(file: Path, images: ImageFolder | None, only: Stretch | None) -> Iterator[Product | BadRow]:
    def build(row: Row) -> Product:
        text, tagged = title(row.fields, "text"), checked("tagged", row.fields["tagged"])
        if any(character.isspace() for character in text):
            raise RowError("text", text, Reason.SPACE_IN_TEXT)
        cid = identifier(row.fields, "cid")
        return Product(
            product_id=identifier(row.fields, "sid"),
            source="mepave",
            title=text,
            group_id=cid,
            images=images.paths("cid", [f"{cid}.jpg"]) if images else (),
            facets=_facets(text, tagged),
            split=named_split(Path(file.name.removesuffix(_SAMPLE)).suffix.removeprefix(".")),
        )

    yield from build_each(file, _rows(file, only), build)


def cut(path: Path) -> list[Stretch]:
    """Between any two lines."""
    return [stretch for file in input_files(path, *_SUFFIXES) for stretch in cut_lines(file)]


def _rows(path: Path, only: Stretch | None) -> Iterator[Row | BadRow]:
    for line in read_lines(path, only):
        if isinstance(line, BadRow):
            yield line
            continue
        number, text = line
        cells = text.split("\t")
        if len(cells) < len(_COLUMNS):
            yield bad_row(path, number, _COLUMNS[len(cells)], text, Reason.MISSING_FIELD)
        elif len(cells) > len(_COLUMNS):
            yield bad_row(path, number, f"column {len(_COLUMNS) + 1}", text, Reason.BROKEN_TABLE_ROW)
        else:
            yield Row(number, dict(zip(_COLUMNS, cells, strict=True)))


def _facets(text: str, tagged: str) -> tuple[Facet, ...]:
    """Facets in order of first mention; one value marked twice is one facet with two spans."""
    spelled = ""
    spans: dict[tuple[str, str], list[Span]] = {}
    done = 0
    for mark in _MARKED.finditer(tagged):
        spelled += tagged[done : mark.start()]
        attribute, value = mark["attribute"], mark["value"]
        if not value:
            raise RowError("tagged", mark[0], Reason.SPAN_OUT_OF_TEXT)
        spans.setdefault((attribute, value), []).append(Span("title", len(spelled), len(spelled) + len(value)))
        spelled += value
        done = mark.end()
    spelled += tagged[done:]
    if spelled != text:
        raise RowError("tagged", tagged, Reason.UNCLOSED_TAG if _TAG.search(spelled) else Reason.TAGS_DISAGREE)
    return tuple(Facet(attribute, value, tuple(places)) for (attribute, value), places in spans.items())
