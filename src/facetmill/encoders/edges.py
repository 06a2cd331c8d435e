"""Where in a folded text a value may start or end: rules 2 and 3 of `grounding`, words and numbers."""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import category

from facetmill.encoders.scripts import UNSPACED

_UNSPACED = re.compile(f"[{UNSPACED}]")
_FIRST_MARK = "\u0300"
_DIGITS = frozenset("0123456789")
_IN_NUMBERS = frozenset("0123456789.,'/ -")
_NUMBER = re.compile(
    r"""
      (?<![\d.,/])\d+[ -]\d{1,2}/\d{1,2}(?![\d/])                       # 1 1/2  1-1/2
    | (?<![\d/])\d{1,2}/\d{1,2}(?![\d/])                                # 1/2
    | (?<![\d])(?<!\d[.,])                                              # 1,500  1,500.25  1.500,25  1'500  1,00,000
        (?: \d{1,3}(?:,\d{3})+(?:\.\d+)? | \d{1,3}(?:\.\d{3})+(?:,\d+)? | \d{1,3}(?:'\d{3})+(?:\.\d+)?
          | \d{1,2}(?:,\d{2})+,\d{3} | \d+,\d+ )
        (?![.,]?\d)
    | (?<![\d])(?<!\d\.)\d+(?:\.\d+)+                                   # 12.5  1.2.3
    | (?<![\w.])\.\d+                                                   # .5
    """,
    re.VERBOSE | re.ASCII,
)
_LONGEST_NUMBER = 40  # characters to either side by which it is decided whether a place is inside a number

# Thai and Lao write some vowels before the consonant they belong to, and others behind it; a Burmese consonant under
# an asat ends the syllable before it.
_BEFORE_ITS_CONSONANT = frozenset("เแโใไເແໂໃໄ")
_BEHIND_ITS_CONSONANT = frozenset("ะาๅํະາໍ")
_ENDS_ITS_SYLLABLE = re.compile("[\u1000-\u102a\u103f]\u1037?\u103a")


def may_start(text: str, at: int) -> bool:
    """Whether a value may start at `text[at]` without cutting a word or a number. `text` ends with a line break."""
    left, right = text[at - 1], text[at]
    if is_word(right) and is_word_before(text, at):
        return left in "xX" and right in _DIGITS and text[at - 2] in _DIGITS
    return not _is_joined(text, at, left, right)


def may_end(text: str, at: int) -> bool:
    """Whether a value may end before `text[at]`, likewise."""
    left, right = text[at - 1], text[at]
    if is_word(right) and is_word_before(text, at):
        return left in _DIGITS and right in "xX" and text[at + 1] in _DIGITS
    return not _is_joined(text, at, left, right)


@lru_cache(maxsize=4096)
def is_word(char: str) -> bool:
    """Whether a character is one that words of scripts with spaces are made of, digits among them."""
    if category(char).startswith("M"):
        return True
    return (char.isalnum() or char == "_") and not _UNSPACED.match(char)


def is_word_before(text: str, at: int) -> bool:
    """Whether what stands before `text[at]` is of a word; a mark is what the character under it is. The line break
    that ends the text stands before it too, under a mark that has nothing else."""
    char = text[at - 1]
    if char >= _FIRST_MARK:
        while category(char).startswith("M"):
            at -= 1
            char = text[at - 1]
    return is_word(char)


@lru_cache(maxsize=4096)
def is_letter(char: str) -> bool:
    """Whether a character is a letter of such a word: next to it no number is cut, and no syllable."""
    return is_word(char) and char.isalpha()


def _is_joined(text: str, at: int, left: str, right: str) -> bool:
    """Whether two characters that are not both of one word belong together: in a number, or in a syllable."""
    if right in _DIGITS or left in _DIGITS:
        return left in _IN_NUMBERS and right in _IN_NUMBERS and _is_in_number(text, at)
    if not (_UNSPACED.match(left) and _UNSPACED.match(right)):
        return False
    in_syllable = left in _BEFORE_ITS_CONSONANT or right in _BEHIND_ITS_CONSONANT
    return in_syllable or _ENDS_ITS_SYLLABLE.match(text, at) is not None


def _is_in_number(text: str, at: int) -> bool:
    sign = text[at] if text[at - 1] in _DIGITS else text[at - 1]
    if sign in " -":
        if "/" not in text[at : at + 5]:
            return False
    elif sign == text[at] and text[at + 1] not in _DIGITS:  # a full stop, or a comma before a space
        return False
    found = _NUMBER.finditer(text, max(0, at - _LONGEST_NUMBER), at + _LONGEST_NUMBER)
    return any(number.start() < at < number.end() for number in found)
