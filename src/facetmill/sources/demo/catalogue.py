"""What is for sale: categories, their attributes, the values from common to rare, and the truth of one product.

A value is drawn by its rank, and rank r has about the probability 1 / (r + 1) (Zipf): some values are everywhere, many
are rare. Brands, places, blends and quantities are made up as they are needed, so a test split holds values that no
train split has seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Rgb = tuple[int, int, int]

#: Colours of the usual season, from common to rare. Any two, here and below, are far enough apart to be told by eye.
COLORS: Mapping[str, Rgb] = {
    "Black": (28, 28, 30),
    "White": (250, 250, 248),
    "Blue": (42, 92, 205),
    "Red": (205, 28, 38),
    "Rose": (226, 112, 140),
    "Green": (38, 135, 62),
    "Grey": (134, 136, 140),
    "Golden": (202, 158, 44),
    "Navy": (24, 36, 92),
    "Mint": (160, 226, 192),
    "Orange": (242, 128, 24),
    "Brown": (108, 66, 38),
    "Beige": (208, 184, 146),
    "Lavender": (184, 160, 226),
    "Yellow": (250, 216, 44),
    "Silver": (194, 198, 204),
    "Purple": (112, 44, 152),
    "Peach": (252, 186, 148),
    "Teal": (16, 128, 134),
    "Burgundy": (112, 16, 44),
    "Olive": (116, 116, 40),
    "Cream": (246, 232, 190),
    "Turquoise": (60, 204, 208),
    "Coral": (250, 110, 92),
    "Charcoal": (68, 70, 76),
}

#: Colours that only a new season has.
NEW_COLORS: Mapping[str, Rgb] = {
    "Fuchsia": (218, 26, 142),
    "Sage": (152, 172, 140),
    "Terracotta": (186, 84, 54),
    "Ice Blue": (190, 222, 244),
    "Petrol": (8, 76, 104),
    "Pistachio": (186, 208, 104),
    "Cobalt": (0, 44, 164),
    "Aubergine": (72, 28, 68),
}


def rgb_of(values: Mapping[str, str]) -> Rgb:
    """The product's own colour, of either season."""
    name = values["Color"]
    return COLORS[name] if name in COLORS else NEW_COLORS[name]


@dataclass(frozen=True, slots=True)
class Season:
    """Which brands and colours are in the shops. Brands are made up, so they too depend on the seed."""

    seed: int
    new: bool


Pick = Callable[[random.Random, Season], str]


@dataclass(frozen=True, slots=True)
class Trait:
    """One attribute of one category: how to pick a value, how often there is one, and whether a picture shows it."""

    attribute: str
    pick: Pick
    visible: bool = False
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Category:
    """`nouns` name any product of the category. After its Type, a product is named by one of `after_type` instead."""

    name: str
    nouns: tuple[str, ...]
    traits: tuple[Trait, ...]
    after_type: tuple[str, ...] = ("",)

    def trait(self, attribute: str) -> Trait:
        return next(trait for trait in self.traits if trait.attribute == attribute)


@dataclass(frozen=True, slots=True)
class Truth:
    """What one product is: one value for each attribute in `values`, none for those in `absent`.

    No two values share a word, so a word of the text is never a mention of two of them.
    """

    category: Category
    season: Season
    values: Mapping[str, str]
    absent: tuple[str, ...]

    @property
    def visible(self) -> tuple[str, ...]:
        """The attributes whose value the product's picture shows."""
        return tuple(name for name in self.values if self.category.trait(name).visible)


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def stands_in(value: str, text: str) -> bool:
    """Whether `value` occurs in `text` as words, ignoring case."""
    value, text = value.lower(), f" {text.lower()} "  # far faster than compiling a pattern for every new value
    start = text.find(value)
    while start > 0:
        if not (text[start - 1].isalnum() or text[start + len(value)].isalnum()):
            return True
        start = text.find(value, start + 1)
    return False


def zipf(rng: random.Random, num: int) -> int:
    """A rank in 0..num-1 with P(r) = log((r + 2) / (r + 1)) / log(num + 1), which falls like 1 / (r + 1)."""
    return min(num - 1, int((num + 1) ** rng.random()) - 1)


def draw_truth(seed: int, number: int, drift: float) -> Truth:
    """The truth of product `number`; it depends on nothing else, so a larger catalogue begins with the smaller one."""
    rng = random.Random(f"{seed}:{number}:truth")
    season = Season(seed, new=rng.random() < drift)
    category = rng.choice(CATEGORIES)
    values: dict[str, str] = {}
    for trait in category.traits:
        wanted = rng.random() < trait.chance
        value = _pick_apart(trait, rng, season, values.values())
        if wanted and value is not None and _goes_with(trait.attribute, value, values):
            values[trait.attribute] = value
    absent = tuple(trait.attribute for trait in category.traits if trait.attribute not in values)
    return Truth(category, season, values, absent)


def _pick_apart(trait: Trait, rng: random.Random, season: Season, taken: Iterable[str]) -> str | None:
    """A value of the trait that shares no word with the `taken` ones; None where twenty draws find none."""
    used = words(" ".join(taken))
    drawn = (trait.pick(rng, season) for _ in range(20))
    return next((value for value in drawn if not words(value) & used), None)


def _goes_with(attribute: str, value: str, values: Mapping[str, str]) -> bool:
    """A printed motif needs no pattern, sneakers have no heel, and shoes open at the front are not laced or zipped."""
    match attribute:
        case "Pattern":
            return "Motif" not in values
        case "Heel Height":
            return values.get("Type") != "Sneakers"
        case "Closure":
            return values.get("Type") not in ("Pumps", "Sandals") or value not in ("Lace-Up", "Zipper")
        case _:
            return True


def _listed(values: str) -> tuple[str, ...]:
    return tuple(values.split(", "))


def _one_of(values: str) -> Pick:
    """One of the values of a comma-separated list, the first being the commonest."""
    ranked = _listed(values)
    return lambda rng, _: ranked[zipf(rng, len(ranked))]


def _color(rng: random.Random, season: Season) -> str:
    colors = tuple(NEW_COLORS if season.new else COLORS)
    return colors[zipf(rng, len(colors))]


def _amount(unit: str, smallest: int, step: int, num: int) -> Pick:
    """Quantities such as "350 ml": the middle of the range is common, its ends are rare."""

    def pick(rng: random.Random, _: Season) -> str:
        return f"{smallest + step * ((rng.randrange(num) + rng.randrange(num)) // 2)} {unit}"

    return pick


def _blend(values: tuple[str, ...]) -> Pick:
    """One of the values, or two of them together: "Lemon", "Lemon Ginger"."""

    def pick(rng: random.Random, _: Season) -> str:
        first, second = values[zipf(rng, len(values))], rng.choice(values)
        return first if first == second or rng.random() < 0.65 else f"{first} {second}"

    return pick


_SYLLABLES = _listed(
    "ba, ce, da, el, fi, go, ha, jo, ka, li, mo, na, or, pe, ra, sa, ti, ul, va, we, zo, bri, cla, dre, fen, gil, kor"
)
_NEW_SYLLABLES = _listed("yx, qua, zhe, phi, thy, vrou, ske, plo, tza, nyo, xan, qir, oom, yve, jyn")
_BRAND_TAILS = _listed("Home, Studio, & Sons, Living, Works, Atelier, London, Goods")
_BRAND_COLORS = _listed("Silver, Golden, Black, Blue, Red, Rose, Orange, Olive, Cotton, Linen, Mint, Oak")
_BRAND_THINGS = _listed("Fern, Lane, Harbour, Fox, Bridge, Elephant, Feather, Hill, Door, Whale")
_NUM_BRANDS = 2000  # in each category and season


def _made_up_name(rng: random.Random, season: Season) -> str:
    syllables = _NEW_SYLLABLES if season.new else _SYLLABLES
    return "".join(rng.choices(syllables, k=rng.choice((2, 3, 3)))).capitalize()


def _brand(category: str) -> Pick:
    """Mostly made-up names; one in six borrows a word that elsewhere is a value ("Silver Fern")."""

    def pick(rng: random.Random, season: Season) -> str:
        rank = zipf(rng, _NUM_BRANDS)
        namer = random.Random(f"{season.seed}:{category}:{season.new}:brand:{rank}")
        kind = namer.random()
        if kind < 0.17:
            return f"{namer.choice(_BRAND_COLORS)} {namer.choice(_BRAND_THINGS)}"
        name = _made_up_name(namer, season)
        return f"{name} {namer.choice(_BRAND_TAILS)}" if kind < 0.4 else name

    return pick


_PLACES = _listed("Assam, Darjeeling, Ceylon, Uji, Yunnan, Nilgiri, Kenya")


def _origin(rng: random.Random, season: Season) -> str:
    """A known growing region, or a garden that nobody has heard of."""
    rank = zipf(rng, 300)
    if rank < len(_PLACES):
        return _PLACES[rank]
    namer = random.Random(f"{season.seed}:{season.new}:origin:{rank}")
    return f"{_made_up_name(namer, season)} {namer.choice(('Valley', 'Estate', 'Highlands'))}"


_PATTERN = Trait("Pattern", _one_of("Solid, Striped, Floral, Polka Dot, Checked, Chevron, Color Block"), visible=True)
_MOTIF = Trait(
    "Motif",
    _one_of("Rose, Golden Retriever, Cat, Orange, Heart, Lavender, Moon, Olive, Star, Cactus, Peach"),
    visible=True,
    chance=0.5,
)
_COLOR = Trait("Color", _color, visible=True)
_AROMAS = _listed("Rose, Mint, Vanilla, Orange, Lavender, Lemon, Peach, Ginger, Cherry, Jasmine, Fig")

CATEGORIES: tuple[Category, ...] = (
    Category(
        "Dresses",
        ("Dress", "Gown", "Ladies Dress"),
        (
            Trait("Brand", _brand("Dresses")),
            _COLOR,
            Trait(
                "Material",
                _one_of(
                    "Cotton, Polyester, Viscose, Linen, Silk, Chiffon, Satin, Velvet, Wool, Modal, Denim, Bamboo Jersey"
                ),
            ),
            _PATTERN,
            Trait(
                "Sleeve Length",
                _one_of("Sleeveless, Short Sleeve, Long Sleeve, Three-Quarter Sleeve"),
                visible=True,
            ),
            Trait("Neckline", _one_of("Round Neck, V-Neck, Square Neck, Boat Neck, Keyhole"), visible=True),
            Trait("Dress Length", _one_of("Midi, Mini, Maxi"), visible=True),
        ),
    ),
    Category(
        "Shoes",
        ("Shoes", "Footwear", "Ladies Shoes"),
        (
            Trait("Brand", _brand("Shoes")),
            _COLOR,
            Trait(
                "Material",
                _one_of(
                    "Leather, Suede, Canvas, Faux Leather, Mesh, Nubuck, Satin, Velvet, Patent Leather, Cork, Felt"
                ),
            ),
            Trait("Type", _one_of("Sneakers, Pumps, Ankle Boots, Loafers, Sandals"), visible=True),
            Trait("Heel Height", _one_of("Flat Sole, Low Heel, High Heel, Wedge Heel"), visible=True),
            Trait("Closure", _one_of("Lace-Up, Slip-On, Buckle, Zipper, Velcro"), visible=True, chance=0.8),
        ),
    ),
    Category(
        "Bags",
        ("Bag", "Handbag", "Everyday Bag"),
        (
            Trait("Brand", _brand("Bags")),
            _COLOR,
            Trait(
                "Material",
                _one_of(
                    "Leather, Canvas, Nylon, Cotton, Faux Leather, Polyester, Suede, Jute, Straw, Waxed Canvas, Hemp"
                ),
            ),
            Trait("Type", _one_of("Tote, Backpack, Crossbody, Clutch, Duffel"), visible=True),
            _MOTIF,
            _PATTERN,
            Trait("Closure", _one_of("Zipper, Magnetic Snap, Drawstring, Buckle, Twist Lock"), chance=0.7),
        ),
        after_type=("", "Bag"),
    ),
    Category(
        "Mugs",
        ("Mug", "Coffee Mug", "Cup"),
        (
            Trait("Brand", _brand("Mugs")),
            _COLOR,
            Trait(
                "Material",
                _one_of(
                    "Ceramic, Porcelain, Stoneware, Bone China, Enamel, Earthenware, Stainless Steel, Bamboo Fibre"
                ),
            ),
            _MOTIF,
            _PATTERN,
            Trait("Capacity", _amount("ml", 200, 10, 40)),
        ),
    ),
    Category(
        "Tea",
        ("Tea", "Loose Leaf", "Brew"),
        (
            Trait("Brand", _brand("Tea"), visible=True),
            Trait(
                "Type",
                _one_of("Green Tea, Black Tea, Herbal Tea, Rooibos, White Tea, Oolong, Mate"),
                visible=True,
            ),
            Trait("Flavor", _blend(_AROMAS), visible=True, chance=0.85),
            Trait("Packaging", _one_of("Box, Tin, Pouch"), visible=True),
            Trait("Net Weight", _amount("g", 40, 5, 60)),
            Trait("Origin", _origin, chance=0.7),
        ),
    ),
    Category(
        "Candles",
        ("Candle", "Scented Candle", "Votive"),
        (
            Trait("Brand", _brand("Candles"), visible=True),
            _COLOR,
            Trait("Scent", _blend(_AROMAS), chance=0.9),
            Trait("Material", _one_of("Soy Wax, Beeswax, Paraffin, Coconut Wax, Rapeseed Wax, Palm Wax")),
            Trait("Packaging", _one_of("Glass Jar, Pillar, Tin"), visible=True),
            Trait("Net Weight", _amount("g", 80, 10, 50)),
        ),
    ),
    Category(
        "Lamps",
        ("Lamp", "Light", "Luminaire"),
        (
            Trait("Brand", _brand("Lamps")),
            _COLOR,
            Trait(
                "Material",
                _one_of("Metal, Wood, Linen, Glass, Brass, Rattan, Concrete, Marble, Paper, Oak"),
            ),
            Trait("Type", _one_of("Table, Pendant, Floor, Desk"), visible=True),
            Trait("Shade Shape", _one_of("Drum, Cone, Dome, Globe"), visible=True),
            Trait("Light Source", _one_of("LED, E27, E14, GU10, Halogen"), chance=0.8),
        ),
        after_type=("Lamp", "Light"),
    ),
)
