"""Spreadsheets as the office programs save them, written by hand: what a test needs of them and no more."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

#: Text or a number; `None` is no cell.
Cell = str | float | None
Sheet = Sequence[Sequence[Cell]]

_OOXML = "http://schemas.openxmlformats.org"
_REL = f"{_OOXML}/officeDocument/2006/relationships"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"


def xlsx(path: Path, sheets: Mapping[str, Sheet] | Sheet, *, hidden: Sequence[str] = (), raw: str = "") -> Path:
    """`raw` stands in for the rows of the first sheet."""
    named = sheets if isinstance(sheets, Mapping) else {"Sheet1": sheets}
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_OOXML}/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.main+xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": _relations({"r1": ("officeDocument", "xl/workbook.xml")}),
        "xl/_rels/workbook.xml.rels": _relations(
            {f"r{number}": ("worksheet", f"worksheets/s{number}.xml") for number in range(len(named))}
        ),
        "xl/workbook.xml": f'<workbook xmlns="{_OOXML}/spreadsheetml/2006/main" xmlns:r="{_REL}"><sheets>'
        + "".join(
            f'<sheet name="{name}" sheetId="{number + 1}" r:id="r{number}"{_state(name in hidden)}/>'
            for number, name in enumerate(named)
        )
        + "</sheets></workbook>",
    }
    for number, rows in enumerate(named.values()):
        body = raw if raw and number == 0 else "".join(_xlsx_row(at, row) for at, row in enumerate(rows, start=1))
        parts[f"xl/worksheets/s{number}.xml"] = (
            f'<worksheet xmlns="{_OOXML}/spreadsheetml/2006/main"><sheetData>{body}</sheetData></worksheet>'
        )
    return _zipped(path, parts)


def ods(path: Path, rows: Sheet) -> Path:
    body = "".join(
        "<table:table-row>" + "".join(map(_ods_cell, row)) + "</table:table-row>" for row in rows
    )  # and what LibreOffice writes behind: all other rows of the sheet
    rest = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    content = (
        f'<office:document-content xmlns:office="{_ODF}:office:1.0" xmlns:table="{_ODF}:table:1.0" '
        f'xmlns:text="{_ODF}:text:1.0"><office:body><office:spreadsheet><table:table table:name="Tabelle1">'
        f"{body}{rest}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = f'<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0"/>'
    return _zipped(path, {"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content})


def _zipped(path: Path, parts: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    inside = "".join(
        f'<Relationship Id="{name}" Type="{_REL}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_OOXML}/package/2006/relationships">{inside}</Relationships>'


def _state(hidden: bool) -> str:
    return ' state="hidden"' if hidden else ""


def _xlsx_row(number: int, row: Sequence[Cell]) -> str:
    cells = "".join(
        f'<c r="{chr(65 + at)}{number}"'
        + (f' t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if isinstance(cell, str) else f"><v>{cell}</v></c>")
        for at, cell in enumerate(row)
        if cell is not None
    )
    return f'<row r="{number}">{cells}</row>'


def _ods_cell(cell: Cell) -> str:
    match cell:
        case None:
            return "<table:table-cell/>"
        case str():
            return f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
        case _:
            return f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
