"""Where values stand, by the rules in the docstring of `facetmill.encoders.grounding`."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from facetmill.encoders.folding import fold, fold_value
from facetmill.encoders.grounding import Scanner, ground, places, with_places
from facetmill.records import Facet, Product, Span
from tests.fuzzing import examples


def grounded(text: str, value: str, **rules: bool) -> list[str]:
    product = Product("p", "s", text)
    return [product.surface(span) for span in ground(product, value, **rules)]  # type: ignore[arg-type]


def test_every_place_in_every_field_in_the_order_asked() -> None:
    product = Product("p", "s", "red shirt, Red", "a red one")
    assert ground(product, " RED ") == (Span("title", 0, 3), Span("title", 11, 14), Span("text", 2, 5))
    assert ground(product, "red", ["text", "title"])[0] == Span("text", 2, 5)
    assert ground(product, "red", ["text"]) == (Span("text", 2, 5),)
    assert ground(product, "red", ignore_case=False) == (Span("title", 0, 3), Span("text", 2, 5))
    assert ground(product, "") == ground(product, " \u00a0") == ground(product, "\u00ad") == ()


def test_a_value_does_not_overlap_itself() -> None:
    assert ground(Product("p", "s", "a b a b a"), "a b a") == (Span("title", 0, 5),)


@pytest.mark.parametrize(
    ("text", "value", "surface"),
    [
        ("Robe fonce\u0301", "foncé", "fonce\u0301"),
        ("100％ cotton", "100% cotton", "100％ cotton"),
        ("ﬂannel shirt", "flannel", "ﬂannel"),
        ("Men’s shoe", "Men's", "Men’s"),
        ("10×20 cm box", "10x20 cm", "10×20 cm"),
        ("wi‑fi radio", "wi-fi", "wi‑fi"),
        ("ｶｯﾄｿｰ", "カットソー", "ｶｯﾄｿｰ"),
        ("Hemd aus Baum\u00adwolle", "Baumwolle", "Baum\u00adwolle"),
        ("a ❤\ufe0f pillow", "❤", "❤\ufe0f"),
        ("in 👩🏽\u200d💻 print", "👩🏽\u200d💻", "👩🏽\u200d💻"),
        ("dark \n red", "dark red", "dark \n red"),
        ("<p>Stainless&nbsp;Steel</p>", "Stainless Steel", "Stainless&nbsp;Steel"),
        ("Black &amp; White", "Black & White", "Black &amp; White"),
        ("dark<br>blue", "dark blue", "dark<br>blue"),
        ("<p>Nice <b>blue</b> hat</p>", "blue hat", "blue</b> hat"),
    ],
)
def test_a_place_is_one_of_the_raw_text(text: str, value: str, surface: str) -> None:
    assert grounded(text, value) == [surface]
    assert grounded(text, value, word_boundary=False) == [surface]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cafe\u0301", "cafe"),
        ("नीला", "नील"),
        ("คำ", "ค"),
        ("👩\u200d💻", "👩"),
        ("🇩🇪", "🇩"),
        ("ﬂag", "f"),
        ("1½", "1/2"),
        ("각", "\u1100\u1161"),
        ('<p style="color:red">blue</p>', "red"),
        ("<strong>Nice</strong>", "Strong"),
        ('<img src="red-hat.jpg"> green', "red"),
    ],
)
def test_no_cluster_is_cut_and_no_markup_is_text_even_where_words_may_be(text: str, value: str) -> None:
    assert grounded(text, value, word_boundary=False) == []


@pytest.mark.parametrize(
    ("text", "value", "stands"),
    [
        ("reddish infrared", "red", False),
        ("red_wine", "red", False),
        ("5GHz", "5", False),
        ("größe", "gr", False),
        ("Baum\u00adwolle", "Wolle", False),
        ("in\u200ddoor", "door", False),
        ("in\u2060door", "door", False),
        ("red-wine", "red", True),
        ("c++ and c", "c++", True),
        ("100%cotton", "100%", True),
        ("Nike™ shoe", "Nike", True),
    ],
)
def test_words(text: str, value: str, stands: bool) -> None:
    assert bool(grounded(text, value)) is stands
    assert grounded(text, value, word_boundary=False)


@pytest.mark.parametrize(
    ("text", "value", "stands"),
    [
        ("红色连衣裙", "红色", True),
        ("纯棉T恤", "T", True),
        ("XXL码", "XXL", True),
        ("빨간색 셔츠", "빨간", True),
        ("เสื้อยืดสีแดงคอกลม", "แดง", True),
        ("เสื้อ5ตัว", "5", True),
        ("เสื้อยืด", "สื้อ", False),  # its vowel stands before it
        ("ตาราง", "ต", False),  # its vowel stands behind it
        ("ກະເປົາສີແດງ", "ແດງ", True),
        ("ក្រហមអាវ", "ក្រហម", True),
        ("ក្រហម", "រហម", False),  # under the letter before it
        ("အနီရောင်အင်္ကျီ", "အနီ", True),
        ("အနီရောင်", "အနီရော", False),  # the rest ends this syllable
    ],
)
def test_scripts_without_spaces(text: str, value: str, stands: bool) -> None:
    assert bool(grounded(text, value)) is stands


@pytest.mark.parametrize(
    ("text", "value", "stands"),
    [
        ("12.5 oz", "5 oz", False),
        ("12.5 oz", "12.5 oz", True),
        ("5 oz. bottle", "5 oz", True),
        ("size 5. New", "5", True),
        ("1,500 ml", "500 ml", False),
        ("1.500,75 ml", "75 ml", False),
        ("1'500 ml", "500 ml", False),
        ("12,5 cm", "5 cm", False),
        ("1/2 in", "2 in", False),
        ("1/2 in", "1", False),
        ("½ in", "1/2 in", True),
        ("1 1/2 in", "1/2 in", False),
        ("1-1/2 in", "1/2 in", False),
        ("1½ in", "1", False),
        (".5 oz", "5 oz", False),
        ("0.5 oz", ".5 oz", False),
        ("No.5 perfume", "5", True),
        ("Bluetooth 1.2.3", "2.3", False),
        ("sizes 5,6,7", "6", True),
        ("5, 6", "6", True),
        ("110/220V", "220V", True),
        ("3-5 years", "5 years", True),
        ("5'6 tall", "6", True),
        ("10x20 cm", "20 cm", True),
        ("10×20 cm", "10", True),
        ("10x20 cm", "x20 cm", False),
        ("mx5", "5", False),
        ("10² m", "10", False),
        ("12.5", "12.", False),
    ],
)
def test_numbers(text: str, value: str, stands: bool) -> None:
    assert bool(grounded(text, value)) is stands


def test_answers_without_a_place_are_given_theirs() -> None:
    product = Product("p", "s", "Cafe\u0301 noir", "café")
    tagged = Facet("b", "noir", (Span("title", 6, 10),), "text", "predicted", 0.5)
    written = Facet("a", "Café", provenance="predicted", confidence=0.9)
    nowhere = Facet("c", "noi", provenance="predicted")
    assert with_places(product, [tagged, written, nowhere]) == [
        tagged,
        Facet("a", "Café", (Span("title", 0, 5), Span("text", 0, 4)), "text", "predicted", 0.9),
        nowhere,
    ]


def test_what_stands_inside_a_word_is_told_from_what_does_not_stand_at_all() -> None:
    assert places(fold("Printed shirt"), "print") == []
    assert places(fold("12.5 oz"), "5 oz") == []
    assert places(fold("blue shirt"), "print") is None


def test_a_scanner_finds_many_values_at_once_and_the_longer_ones_too() -> None:
    scanner = Scanner(map(fold_value, ["navy", "navy blue", "blue", "100% cotton", ""]))
    assert scanner.scan(fold("Navy  BLUE blue, 100% Cotton")) == {
        "navy": [(0, 4)],
        "navy blue": [(0, 10)],
        "blue": [(6, 10), (11, 15)],
        "100% cotton": [(17, 28)],
    }
    assert scanner.scan(fold("navyblue 100 % cotton")) == {}


def test_a_loose_scanner_does_not_ask_for_spaces() -> None:
    scanner = Scanner(["100 % cotton"], loose=True)
    assert [list(scanner.scan(fold(text))) for text in ("100% cotton", "100 % cotton", "100%cotton")] == [
        ["100 % cotton"]
    ] * 3
    assert scanner.scan(fold("100 cotton")) == {}


WORDS = [
    *(
        "red",
        "Red",
        "RED",
        "dark-red",
        "Größe",
        "cafe\u0301",
        "café",
        "12.5",
        "5",
        "1/2",
        "2",
        "10×20",
        "x20",
        "½",
        "m²",
    ),
    *(
        "น้ำ",
        "แดง",
        "红",
        "红色",
        "Baum\u00adwolle",
        "wolle",
        "👩\u200d💻",
        "ﬂag",
        "नीला",
        "Σας",
        "ΣΑΣ",
        "İI",
        "ｶﾞｶ",
        "𝗯ig",
    ),
    *("ကောင်", "က", "&amp;", "<b>bold</b>", "bo<i>ld</i>", "-", "%", "'", ".", ",", "/"),
]
TEXTS = st.lists(st.sampled_from([*WORDS, *" \u00a0\n", "  "]), max_size=12).map("".join)
VALUES = st.lists(st.sampled_from([*WORDS, " "]), min_size=1, max_size=3).map("".join)


@given(TEXTS, VALUES, TEXTS)
def test_what_is_written_between_spaces_is_found(before: str, value: str, after: str) -> None:
    text = f"{before} | {value} | {after}"
    spans = ground(Product("p", "s", text), value)
    wanted = fold_value(value)
    if wanted:
        assert any(span.start <= len(before) + 3 + len(value) and span.end > len(before) + 2 for span in spans)
    for span in spans:
        assert fold_value(text[span.start : span.end]) == wanted


@examples(200)
@given(TEXTS, st.lists(VALUES, max_size=5))
def test_one_value_and_many_values_follow_one_rule(text: str, values: list[str]) -> None:
    found = Scanner({fold_value(value) for value in values}).scan(fold(text))
    for value in values:
        expected = [(span.start, span.end) for span in ground(Product("p", "s", text), value)]
        assert found.get(fold_value(value), []) == expected


# Letters that change length or form, scripts without spaces, marks, joiners, and all kinds of spaces.
LETTERS = "aAbBcé_\u0301\u0304İIΣσςßﬂǅ红カｶ한แดง्नी😀\ufe0f\u200d\u00ad \u00a0\u3000\t\n-™"


@examples(300)
@given(st.text(alphabet=LETTERS, max_size=12), st.data(), st.booleans(), st.booleans())
def test_a_value_stands_where_the_raw_characters_fold_to_it(
    text: str, data: st.DataObject, ignore_case: bool, word_boundary: bool
) -> None:
    """Against every part of the text, made of whole clusters, that reads as the value does."""
    start = data.draw(st.integers(0, len(text)))
    cut = text[start : data.draw(st.integers(start, len(text)))]
    value = data.draw(st.sampled_from([cut, cut.upper(), unicodedata.normalize("NFD", cut)]))
    assume(not any(regex.search(r"(?:^|[\s\u00ad\u200d])\p{M}", each) for each in (text, value)))  # a mark on nothing
    wanted = fold_value(value, ignore_case)
    clusters = [
        (match.start(), match.end(), folded)
        for match in regex.finditer(r"\X", text)
        if (folded := fold(match.group(), ignore_case).text)
    ]
    expected: list[Span] = []
    for first, (start, _, folded) in enumerate(clusters):
        if folded == " " or (expected and start < expected[-1].end) or not wanted:
            continue
        for last in range(first, len(clusters)):
            end = clusters[last][1]
            edges = (first, last + 1)
            if fold_value(text[start:end], ignore_case) == wanted and clusters[last][2] != " ":
                if not word_boundary or not any(cuts_a_word([c[2] for c in clusters], at) for at in edges):
                    expected.append(Span("title", start, end))
                break
    product = Product("p", "s", text)
    assert ground(product, value, ["title"], ignore_case=ignore_case, word_boundary=word_boundary) == tuple(expected)


def cuts_a_word(clusters: list[str], at: int) -> bool:
    def word(cluster: str) -> bool:
        return unicodedata.category(cluster[0])[0] in "LNM" or cluster[0] == "_"

    if not 0 < at < len(clusters):
        return False
    left, right = clusters[at - 1], clusters[at]
    unspaced = {left[0], right[0]} & set("红カガ한แดง")
    return (word(left) and word(right) and not unspaced) or (left == "แ" and right[0] in "红カガ한แดง")
