"""How texts and values are compared: in one form for all that a reader takes for the same letters.

    case        as Unicode folds it, so that "ß" is "ss" and a final sigma a sigma; the four letters i, ı, I and İ are
                one, because an upper case does not say in which language it was written (only with `ignore_case`)
    form        composed and decomposed ("é"), full and half width, ligatures, Roman numerals, units in one character
                ("㎡"), letters of mathematics and digits of any script are what they stand for
    exponents   "m²" is "m2", but "10²" is no "102"; "1½" is "1 1/2"
    signs       curly and straight quotes and primes; dashes, hyphens and the minus sign; "×" and "x"; "º" and "°"
    spaces      of any kind and number are one space
    nothing     soft hyphens, joiners, direction marks, variation selectors and all that a reader never sees
    HTML        see `markup`

What stays apart are other letters: "café" and "cafe", Cyrillic and Latin "а", "colour" and "color".

A fold is made of grapheme clusters (what a reader takes for one character, Unicode annex 29), and each cluster is a
unit of the view: what is found in it has exact places in the raw text and never cuts a letter from its accent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache, lru_cache

from facetmill.encoders.markup import seen
from facetmill.encoders.view import View, ViewWriter

_ASCII_SPACES = "\t\n\v\f\r"
_SIGNS = "™℠"  # not the letters that Unicode takes them for: "Nike™" is no word "niketm"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_SPACES = re.compile(" {2,}")

_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′‵´ʹʻʼʽˈ＇\u055a\ua78c", "'"),
        **dict.fromkeys("“”„‟″‶«»〝〞＂", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("×✕✖⨯╳", "x"),
        **dict.fromkeys("\u2044\u2215", "/"),
        **dict.fromkeys("º˚", "°"),
        **dict.fromkeys("〜～∼", "~"),
        "\u0640": None,  # Arabic's tatweel makes a word longer and says nothing
    }
)


def fold(text: str, ignore_case: bool = True, *, html: bool = True) -> View:
    """`text` as it is compared, a view of the raw one. It holds no line break and never two spaces together. Without
    `html`, tags and references are letters like all others."""
    same_length = one_for_one(text, ignore_case)
    if same_length is not None:
        return View(same_length)
    page = seen(text) if html else None
    if page is None:
        return _single_spaced(_letters(text, ignore_case))
    return _single_spaced(_letters(page.text, ignore_case)).of(page)


def one_for_one(text: str, ignore_case: bool = True) -> str | None:
    """The fold of a text whose characters all stand for themselves, by a short way; None where that must be seen."""
    if not text.isascii() or "<" in text or "&" in text:
        return None
    folded = _ascii(text, ignore_case)
    return None if "  " in folded else folded


@lru_cache(maxsize=1 << 16)
def fold_value(value: str, ignore_case: bool = True) -> str:
    """A value as it is compared, without spaces around it: equal for values that are one to a reader."""
    return fold(value, ignore_case).text.strip(" ")


def _letters(text: str, ignore_case: bool) -> View:
    if text.isascii():
        return View(_ascii(text, ignore_case))
    writer = ViewWriter()
    at = 0
    for island in _NOT_ASCII.finditer(text):  # the seas between are folded in one go
        start, end = island.span()
        if start > at and _attaches(text[start]):
            start -= 1
        writer.copy(_ascii(text[at:start], ignore_case), at)
        before = text[start - 1 : start]
        for cluster in _clusters(text[start:end]):
            folded = _cluster(cluster, ignore_case)
            if folded[:1].isdigit() and before.isdigit():
                folded = _after_digit(cluster, folded)
            writer.unit(folded, start, start + len(cluster))
            start += len(cluster)
            before = folded[-1:] or before
        at = end
    writer.copy(_ascii(text[at:], ignore_case), at)
    return writer.view(len(text))


def _ascii(text: str, ignore_case: bool) -> str:
    if ignore_case:
        text = text.lower()
    for space in _ASCII_SPACES:
        text = text.replace(space, " ")  # far faster than one pass of a regular expression or `str.translate`
    return text


@lru_cache(maxsize=1 << 16)
def _cluster(cluster: str, ignore_case: bool) -> str:
    if cluster.isspace():
        return " "
    text = _unseen()("", cluster).translate(_SAME)
    text = "".join(map(_plain, text)).translate(_SAME)
    if ignore_case:
        text = text.casefold().replace("i\u0307", "i").replace("ı", "i")
    return unicodedata.normalize("NFC", text)


def _plain(char: str) -> str:
    """The characters that one of Unicode's compatibility characters stands for; others are themselves."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    plain = unicodedata.normalize("NFKC", char)
    return char if char in _SIGNS or plain.startswith(" ") else plain  # "¨" alone is no space with a mark on it


def _after_digit(cluster: str, folded: str) -> str:
    """A character that is read as a number, behind a digit: "10²" is not 102, and "1½" is not 11/2."""
    kind = unicodedata.decomposition(cluster[0]).partition(" ")[0]
    if kind == "<fraction>":
        return f" {folded}"
    return cluster if kind in ("<super>", "<sub>", "<circle>", "<compat>", "<square>") else folded


@lru_cache(maxsize=4096)
def _attaches(char: str) -> bool:
    """Whether a character is one cluster with a letter before it."""
    return len(_grapheme_clusters()(f"a{char}")) == 1


def _single_spaced(view: View) -> View:
    if "  " not in view.text:
        return view
    writer = ViewWriter()
    at = 0
    for run in _SPACES.finditer(view.text):
        writer.copy(view.text[at : run.start()], at)
        writer.unit(" ", *run.span())
        at = run.end()
    writer.copy(view.text[at:], at)
    return writer.view(len(view.text)).of(view)


def _clusters(text: str) -> Iterable[str]:
    return text if len(text) == 1 else _grapheme_clusters()(text)


@cache
def _grapheme_clusters() -> Callable[[str], list[str]]:
    import regex  # only where a text is not ASCII: it takes a tenth of a second

    return regex.compile(r"\X").findall  # type: ignore[no-any-return]


@cache
def _unseen() -> Callable[[str, str], str]:
    import regex

    return regex.compile(r"\p{Default_Ignorable_Code_Point}+").sub  # type: ignore[no-any-return]
