"""Numbers with units in one form, whatever way a shop writes them: "1.5 L", "1,5 l", "1½ litres" and "1500 ml" are one.

    numbers     decimal point or comma; thousands where they cannot be decimals ("1.500,00", "1,234,567", "12 500");
                fractions ("1/2", "1½"). "1,500" may be either, and stays as it is
    units       of length, mass, volume, time, power, voltage, current, charge, frequency and memory, as `pint` defines
                them; those that mean two things (gallon, fluid ounce, MB or Mb in one) stay as they are
    dimensions  "10 x 20 x 30 cm" has its unit at each number, and so has a range, "10-20 cm"

All else of a value is as `folding` has it. This is how values are held against each other where "the same, otherwise
written" is asked: drift, and the list of values written in several ways. Metrics, models and spans compare by `folding`
alone, so that published figures and old models stay what they are.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache, lru_cache

from facetmill.encoders.folding import fold_value

#: Unit as folded text has it: the name that `pint` has for it, and the unit that it is written in here.
_UNITS = {
    spelling: (name, normal)
    for name, normal, spellings in (
        ("micrometer", "mm", "µm μm"),
        ("millimeter", "mm", "mm millimeter millimetre millimeters millimetres"),
        ("centimeter", "mm", "cm centimeter centimetre centimeters centimetres zentimeter"),
        ("meter", "mm", "m meter metre meters metres"),
        ("kilometer", "mm", "km kilometer kilometers kilometre kilometres"),
        ("inch", "mm", 'in inch inches zoll "'),
        ("foot", "mm", "ft foot feet"),
        ("yard", "mm", "yd yard yards"),
        ("milligram", "g", "mg"),
        ("gram", "g", "g gr gram grams gramm"),
        ("kilogram", "g", "kg kilo kilogram kilograms kilogramm"),
        ("ounce", "g", "oz ounce ounces"),
        ("pound", "g", "lb lbs pound pounds"),
        ("milliliter", "ml", "ml milliliter millilitre milliliters millilitres"),
        ("centiliter", "ml", "cl centiliter centilitre zentiliter"),
        ("deciliter", "ml", "dl deciliter decilitre"),
        ("liter", "ml", "l ltr liter litre liters litres"),
        ("second", "s", "s sec secs second seconds sekunden"),
        ("minute", "s", "min mins minute minutes minuten"),
        ("hour", "s", "h hr hrs hour hours stunden"),
        ("watt", "w", "w watt watts"),
        ("kilowatt", "w", "kw kilowatt"),
        ("volt", "v", "v volt volts"),
        ("milliampere", "a", "ma"),
        ("ampere", "a", "a amp amps ampere"),
        ("milliampere_hour", "mah", "mah"),
        ("ampere_hour", "mah", "ah"),
        ("hertz", "hz", "hz hertz"),
        ("kilohertz", "hz", "khz"),
        ("megahertz", "hz", "mhz"),
        ("gigahertz", "hz", "ghz"),
        ("gigabyte", "gb", "gb gigabyte gigabytes"),
        ("terabyte", "gb", "tb terabyte terabytes"),
    )
    for spelling in spellings.split()
}
#: What `pint` calls the units that values are written in.
_NORMAL = {"mm": "millimeter", "g": "gram", "ml": "milliliter", "s": "second", "w": "watt", "v": "volt", "a": "ampere"}
_NORMAL |= {"mah": "milliampere_hour", "hz": "hertz", "gb": "gigabyte"}

_NUMBER = r"\d+(?:[.,' ]\d+)*(?:\s?\d*/\d+)?"
_ALTERNATIVES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_BETWEEN = r"\s?(?:x|by|\*|-)\s?"
#: One number, or several of a body or a range, with a unit behind each or behind the last. "2 in 1" is no length.
_MEASURE = re.compile(
    rf"(?<![\w.,/])(?P<numbers>{_NUMBER}(?:\s?(?:{_ALTERNATIVES})?{_BETWEEN}{_NUMBER})*)\s?-?(?P<unit>{_ALTERNATIVES})"
    r"(?!\w|\s?/|\s\d)"
)
_PART = re.compile(rf"(?P<number>{_NUMBER})\s?(?P<unit>{_ALTERNATIVES})?(?P<between>{_BETWEEN}|\Z)")
_LONGEST = 200  # characters of a value; a longer one is a text


@lru_cache(maxsize=1 << 16)
def normal_value(value: str) -> str:
    """`fold_value`, and each measure in it in one form: "2 x 1,5 L" and "2x1500ml" are one."""
    folded = fold_value(value)
    if len(folded) > _LONGEST or not any(map(str.isdigit, folded)):
        return folded
    return _MEASURE.sub(lambda found: _normal_measure(found["numbers"], found["unit"], found.group()), folded)


def _normal_measure(numbers: str, unit: str, written: str) -> str:
    """A number without a unit of its own has that behind it, but for "2 x 1.5 l": only lengths are sides of a body."""
    normal = ""
    for part in reversed(list(_PART.finditer(numbers))):
        number, between = _number(part["number"]), part["between"].strip()
        if number is None:
            return written
        if not part["unit"] and between not in ("", "-") and _UNITS[unit][1] != "mm":
            measure = part["number"]
        else:
            unit = part["unit"] or unit
            measure = f"{_written(number * _factor(*_UNITS[unit]))} {_UNITS[unit][1]}"
        normal = f"{measure} {'-' if between == '-' else 'x'} {normal}" if between else measure
    return normal


def _number(text: str) -> Fraction | None:
    """None for one that may be read in two ways."""
    whole, slash, below = text.rpartition("/")
    if slash:
        before, _, above = whole.rpartition(" ")
        if int(below) == 0 or not (above.isdigit() and (before.isdigit() or not before)):
            return None
        return int(before or 0) + Fraction(int(above), int(below))
    signs = [char for char in text if not char.isdigit()]
    *groups, last = re.split(r"[.,' ]", text)
    if not groups:
        return Fraction(text)
    decimal = signs[-1] in ".," and signs.count(signs[-1]) == 1
    thousands = all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3
    if decimal and len(groups) == 1:
        either = len(last) == 3 and groups[0] != "0" and len(groups[0]) <= 3
        return None if either else Fraction(f"{groups[0]}.{last}")
    if decimal and thousands and len(set(signs[:-1])) == 1:
        return Fraction("".join(groups) + "." + last)
    if thousands and len(last) == 3 and len(set(signs)) == 1:
        return Fraction("".join(groups) + last)
    return None


def _written(number: Fraction) -> str:
    """With six digits, and no more zeros than are needed."""
    return f"{float(number):.6g}" if number.denominator != 1 else str(number.numerator)


@cache
def _factor(name: str, normal: str) -> Fraction:
    """How many of the normal unit one of this unit is; exact."""
    return Fraction(_registry().Quantity(Fraction(1), name).to(_NORMAL[normal]).magnitude)


@cache
def _registry():  # type: ignore[no-untyped-def]
    import pint  # takes a second or two

    return pint.UnitRegistry(non_int_type=Fraction)
