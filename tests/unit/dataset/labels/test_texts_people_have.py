"""Catalogues as shops export them, from the file to spans: letters in other code points, soft hyphens, scripts without
spaces, HTML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facetmill.dataset.store.reading import reading_data
from facetmill.params import load_params

CATALOGUES = {
    "letters in other code points": (
        "title,A",
        {
            "Robe fonce\u0301,foncé": ["fonce\u0301"],
            "100％ cotton,100% cotton": ["100％ cotton"],
            "ﬂannel shirt,flannel": ["ﬂannel"],
            "Men’s shoe,Men's": ["Men’s"],
            "10×20 cm box,10x20 cm": ["10×20 cm"],
            "wi‑fi radio,wi-fi": ["wi‑fi"],
            "ｶｯﾄｿｰ,カットソー": ["ｶｯﾄｿｰ"],
        },
    ),
    "soft hyphens and joiners": (
        "title,A",
        {
            "Hemd aus Baum\u00adwolle,Wolle": [],
            "Hemd aus Baum\u00adwolle,Baumwolle": ["Baum\u00adwolle"],
            "in\u200ddoor lamp,door": [],
        },
    ),
    "scripts without spaces": (
        "title,A",
        {
            "เสื้อยืดสีแดงคอกลม,แดง": ["แดง"],
            "ກະເປົາສີແດງ,ແດງ": ["ແດງ"],
            "ក្រហមអាវ,ក្រហម": ["ក្រហម"],
            "အနီရောင်အင်္ကျီ,အနီ": ["အနီ"],
        },
    ),
    "HTML": (
        "title,text,A",
        {
            'Hat,"<p style=""color:red"">Nice <b>blue</b> hat</p>",red': [],
            "Pot,<p>Stainless&nbsp;Steel</p>,Stainless Steel": ["Stainless&nbsp;Steel"],
            "Hat,Black &amp; White,Black & White": ["Black &amp; White"],
            "Tape,<strong>Nice</strong>,Strong": [],
            "Hat,dark<br>blue,dark blue": ["dark<br>blue"],
            'Hat,"<img src=""red-hat.jpg""> green",red': [],
        },
    ),
}


@pytest.mark.parametrize(("header", "rows"), CATALOGUES.values(), ids=CATALOGUES)
def test_a_value_stands_where_a_reader_sees_it(
    header: str, rows: dict[str, list[str]], tmp_path: Path, root: Path
) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_text(f"id,{header}\n" + "".join(f"{number},{row}\n" for number, row in enumerate(rows)), "utf-8")
    params = load_params(root / "params.yaml")
    dataset = replace(params.dataset, format="products", path=str(path))
    with reading_data(replace(params, dataset=dataset)) as (products, _):
        found = [[p.surface(span) for facet in p.facets for span in facet.spans] for p in products]
    assert found == list(rows.values())
