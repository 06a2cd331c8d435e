"""What is one text to a reader is one to the project, and what is another stays another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.encoders.folding import fold, fold_value

SAME = {
    "composed and decomposed": ("foncé", "fonce\u0301"),
    "two marks in either order": ("e\u0323\u0302", "e\u0302\u0323"),
    "Hangul in jamo": ("각", "\u1100\u1161\u11a8"),
    "full width": ("100％ ＡＢＣ", "100% abc"),
    "half-width kana": ("ｶﾞﾗｽ", "ガラス"),
    "ligature": ("ﬂannel", "flannel"),
    "mathematical bold": ("𝗦𝗮𝗹𝗲", "sale"),
    "units in one character": ("10㎝ × 2㎡", "10cm x 2m2"),
    "exponent of a unit": ("cm³", "cm3"),
    "fraction": ("½ in", "1/2 in"),
    "mixed number": ("1½ in", "1 1/2 in"),
    "Arabic digits": ("٥٠٠", "500"),
    "Roman numeral": ("Ⅳ", "IV"),
    "curly quotes": ("Men’s “best”", 'men\'s "best"'),
    "primes": ("15′ 6″", "15' 6\""),
    "dashes": ("wi‑fi – 5−6", "wi-fi - 5-6"),
    "multiplication sign": ("10×20", "10x20"),
    "degrees": ("90ºC", "90°c"),
    "sharp s": ("Straße", "STRASSE"),
    "final sigma": ("ΟΔΟΣ", "οδος"),
    "Turkish": ("KIRMIZI İNCİ", "kırmızı inci"),
    "no-break, thin and ideographic spaces": ("a\u00a0b\u2009c\u3000d", "a b c d"),
    "many spaces": (" dark \t\n  red ", "dark red"),
    "soft hyphen": ("Baum\u00adwolle", "Baumwolle"),
    "joiners and marks of direction": ("in\u200ddoor\u2060 \u200eA\ufeff", "indoor a"),
    "variation selector": ("❤\ufe0f", "❤"),
    "tatweel": ("أحـــمر", "أحمر"),
    "references of HTML": ("Black &amp; White&nbsp;&#39;s caf&eacute;", "Black & White 's café"),
    "tags of HTML": ("<p>Dark<br/>blue <b>h</b>at</p>", "dark blue hat"),
}

OTHER = {
    "accents": ("café", "cafe"),
    "Cyrillic": ("а", "a"),
    "power of a number": ("10²", "102"),
    "number and fraction": ("1½", "11/2"),
    "hyphen and space": ("wi-fi", "wi fi"),
    "a space less": ("100 %", "100%"),
    "trade mark": ("Nike™", "Niketm"),
    "a size in brackets": ("<XL>", ""),
    "less than": ("a <3 b> c", "a c"),
    "no reference": ("AT&T;", "AT"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_the_same_to_a_reader(one: str, other: str) -> None:
    assert fold_value(one) == fold_value(other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER)
def test_other_letters(one: str, other: str) -> None:
    assert fold_value(one) != fold_value(other)


def test_case_counts_where_asked_and_nothing_else_changes() -> None:
    assert fold_value("Größe ΣA", ignore_case=False) == "Größe ΣA"
    assert fold_value("ﬂat\u00a0İx", ignore_case=False) == fold_value("flat İx", ignore_case=False)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('<p style="color:red">Nice <b>blue</b> hat</p>', "nice blue hat"),
        ('<img src="red-hat.jpg" alt="a > b"> green', "green"),
        ("<!-- red --> <style>p {color: red}</style><SCRIPT>var red</SCRIPT>green", "green"),
        ("<ul><li>red</li><li>green</li></ul>", "red green"),
        ("a<sup>2</sup>", "a2"),
        ('cut off <img src="red', "cut off"),
        ("sizes <S>, <M> & <L>", "sizes , <m> & <l>"),  # <s> is an element of HTML
        ("&lt;b&gt; &unknown; &amp;amp;", "<b> &unknown; &amp;"),
    ],
)
def test_a_reader_sees_no_markup(text: str, seen: str) -> None:
    assert fold_value(text) == seen


def test_tags_are_letters_where_html_is_not_read() -> None:
    assert fold("<b>red</b> &amp;", html=False).text == "<b>red</b> &amp;"


TEXTS = st.text(
    alphabet="aSß ﬂe\u0301\u00ad\u200d½5²é红ｶﾞ\u0e19\u0e49\u0e33👩\u200d💻İ\t\n<b>/&amp; ", max_size=30
) | st.text(max_size=20)


@given(TEXTS, st.booleans())
def test_a_fold_is_a_view_of_the_raw_text(text: str, ignore_case: bool) -> None:
    view = fold(text, ignore_case)
    assert "\n" not in view.text
    assert "  " not in view.text
    if view.starts is None or view.ends is None:
        assert len(view.text) == len(text)
        return
    assert len(view.starts) == len(view.ends) == len(view.text)
    ranges = list(zip(view.starts, view.ends, strict=True))
    assert all(0 <= start < end <= len(text) for start, end in ranges)
    for before, after in pairwise(ranges):
        assert before == after or before[1] <= after[0]  # units stand one behind the other


@given(TEXTS, st.booleans())
def test_a_unit_alone_folds_to_what_it_stands_for(text: str, ignore_case: bool) -> None:
    """So a place in the fold is one in the raw text: what is read there is what was compared."""
    view = fold(text, ignore_case, html=False)
    for at in range(len(view.text)):
        start, end = view.covered(*view.raw(at, at + 1))
        alone = fold(text[slice(*view.raw(at, at + 1))], ignore_case, html=False).text
        assert alone.strip() == view.text[start:end].strip() or view.text[at - 1].isdigit()  # "10²", "1½"
