"""What the shop writes of a product: a title and a short description, and where in them each true value stands.

A text is built of pieces, each either a mention of one attribute's value or plain words, and the spans are counted when
the pieces are joined: what reads like a value in plain words ("goes with black jeans") is no mention.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from facetmill.records import FIELDS, Field, Span
from facetmill.sources.demo.catalogue import CATEGORIES, Pick, Trait, Truth, stands_in


@dataclass(frozen=True, slots=True)
class Piece:
    """Some characters of a text; with an attribute they are a mention of its value."""

    text: str
    attribute: str | None = None


Pieces = Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Listing:
    """A written product. `spans` holds every mention of every value that is in the title or the text, `beside` the
    untrue value that stands beside a true one ("Red / Blue"), both by attribute."""

    title: str
    text: str
    spans: Mapping[str, tuple[Span, ...]]
    beside: Mapping[str, str]


#: How a value is said behind the noun, in titles and in sentences alike; {} is the value.
_CLAUSES: Mapping[str, tuple[str, ...]] = {
    "Brand": ("by {}", "from {}"),
    "Color": ("in {}", "in a {} tone"),
    "Material": ("made of {}", "in {}", "of pure {}"),
    "Pattern": ("with {} Pattern", "in {} design"),
    "Motif": ("with {} print", "with {}", "showing a {}"),
    "Sleeve Length": ("with {} cut", "in a {} cut"),
    "Neckline": ("with {}", "with a {}"),
    "Dress Length": ("in {} length", "{} style"),
    "Type": ("as {}", "in {} style"),
    "Heel Height": ("with {}", "on a {}"),
    "Closure": ("with {}", "with {} closure"),
    "Capacity": ("for {}", "holding {}"),
    "Flavor": ("with {}", "tasting of {}", "{} flavored"),
    "Packaging": ("in a {}", "packed as {}"),
    "Net Weight": ("at {}", "with {} net"),
    "Origin": ("from {}", "grown in {}"),
    "Scent": ("with {}", "scented with {}", "{} scented"),
    "Shade Shape": ("with {} shade", "with a {}"),
    "Light Source": ("with {}", "for {} bulbs"),
}
_AFTER_NOUN_ONLY = frozenset({"Capacity", "Net Weight", "Origin", "Closure", "Heel Height"})
_PROPER_NAMES = frozenset({"Brand", "Origin", "Light Source", "Capacity", "Net Weight"})  # never in lower case

_OPENERS = ("New", "Sale!", "Top Quality", "Hot", "Bestseller:", "Original", "Premium", "[NEW]", "Cozy")
_EXTRAS = (
    "Gift Idea",
    "Free Shipping",
    "Set of 2",
    "Limited Edition",
    "One Size",
    "Size {size}",
    "Model {model}",
    "#{model}",
)
_FILLERS = (
    "A favourite of our customers.",
    "Ships within two days.",
    "A lovely gift for every occasion.",
    "Made to last.",
    "Product no. {model}.",
    "Designed with love for detail.",
)
_NEW_OPENERS = ("Drop 2:", "Now Trending", "Resort Edit:", "Must-Have")
_NEW_EXTRAS = ("Capsule {model}", "Climate Neutral", "As Seen Online", "Members First", "Fit {size}")
_NEW_FILLERS = ("Part of our latest drop.", "Carbon footprint on the label.", "Styled by our community.")

#: Value words that are no value of this product; <Attribute> becomes a value that is not true of it.
_TITLE_DECOYS: Mapping[str, tuple[str, ...]] = {
    "Dresses": ("goes with <Color> Jeans", "not <Material>", "matches <Color> Shoes"),
    "Shoes": ("goes with <Color> Jeans", "not for <Material> Care", "matches <Color> Bags"),
    "Bags": ("for <Motif> Lovers", "fits <Color> Outfits", "not <Material>"),
    "Mugs": ("for <Motif> Lovers", "for <Flavor> Tea", "goes with <Color> Plates"),
    "Tea": ("without <Flavor>", "fits <Capacity> Mugs", "for <Motif> Lovers"),
    "Candles": ("without <Scent>", "for <Color> Rooms", "goes with <Color> Vases"),
    "Lamps": ("for <Color> Rooms", "without <Light Source>", "next to <Material> Furniture"),
}
_TEXT_DECOYS: Mapping[str, tuple[str, ...]] = {
    "Dresses": (
        "Goes with <Color> jeans and a <Material> jacket.",
        "Wash separately from <Color> items.",
        "Looks good with a <Color> bag and <Heel Height> shoes.",
        "Also available in <Color> and <Color>.",
        "Not to be confused with our <Neckline>, <Sleeve Length> model of <Material>.",
        "Unlike our <Dress Length> models it is not lined with <Material>.",
    ),
    "Shoes": (
        "Not suitable for <Material> polish.",
        "Goes with black jeans, a <Color> skirt or anything striped.",
        "Also available in <Color>.",
        "Comes with a <Material> shoe bag in <Color>.",
        "Unlike <Type> they need no breaking in.",
        "Also made with <Heel Height> and <Closure>, sold separately.",
    ),
    "Bags": (
        "Room for a <Capacity> bottle.",
        "Compatible with <Color> straps of our <Material> line.",
        "Also available in <Color> and <Color>.",
        "Goes with a <Color> coat; not suitable for <Material> care products.",
        "A gift for every Golden Retriever owner.",
        "Unlike bags with <Closure> or of <Material> it opens with one hand.",
    ),
    "Mugs": (
        "Goes with our <Color> plates.",
        "Perfect for <Flavor> tea or orange juice.",
        "Also available in <Color> and with <Motif>.",
        "Warmer than <Material> and lighter than <Material>.",
        "Ideal for a rose garden picnic.",
        "Also made in <Material>, and for <Capacity>.",
    ),
    "Tea": (
        "Contains no <Flavor> and no <Flavor>.",
        "Best served in a <Color> mug of <Material>.",
        "Also available as <Type>.",
        "Like a walk under orange trees at a golden hour.",
        "Compatible with <Capacity> pots of <Material>.",
        "A refill of <Net Weight> from <Origin> is sold separately.",
    ),
    "Candles": (
        "Compatible with our <Color> holders of <Material>.",
        "Free of <Scent> oil.",
        "Also available in <Color> and with <Scent>.",
        "Looks good on a <Color> table.",
        "Gives a golden light.",
        "Unlike <Material> it burns for days; a refill of <Net Weight> is sold separately.",
    ),
    "Lamps": (
        "Not compatible with <Light Source> bulbs.",
        "Looks good next to <Color> sofas and <Material> tables.",
        "Also available in <Color> and <Color>.",
        "Gives a golden light, as warm as a peach evening.",
        "Do not cover with <Material>.",
        "Also made with a <Shade Shape> of <Material>.",
    ),
}
_NEW_TEXT_DECOYS = ("Drop 3 comes in <Color>.", "Our community wears it with <Color> and <Color>.")

_ALL_TRAITS: tuple[Trait, ...] = tuple(trait for category in CATEGORIES for trait in category.traits)
_MENTION_ONLY_IN_TITLE, _MENTION_ONLY_IN_TEXT = 0.55, 0.3  # the rest of the explicit values stand in both
_DECOY_IN_TITLE, _DECOY_IN_TEXT = 0.2, 0.7


@dataclass(frozen=True, slots=True)
class Chances:
    """Where a listing's words, its noise and its variants are drawn from: streams of their own, so that turning one
    knob leaves the rest as it was."""

    words: random.Random
    noise: random.Random
    variants: random.Random


def write_listing(truth: Truth, chances: Chances, *, implicit: float, noise: float, variants: float) -> Listing:
    """One listing of a product.

    Values that the picture shows are left out of it so that a share `implicit` of *all* its values is (0..1, or as many
    as are visible, where those are fewer). With probability `noise` the title has a typo or a wrong word. A share
    `variants` of the visible values that are said stand beside another value, as where one listing is copied for all
    colours: "Red / Blue".
    """
    rng = chances.words
    hidden = _hide(truth, rng, implicit)
    in_title, in_text = _place([name for name in truth.values if name not in hidden], rng)
    title, text = _title(truth, in_title, rng), _text(truth, in_text, rng)
    if chances.noise.random() < noise:
        title = _disturb(truth, title, text, chances.noise)
    title, text, beside = _vary(truth, title, text, variants, chances.variants)
    joined = dict(zip(FIELDS, (title, text), strict=True))
    spans: dict[str, tuple[Span, ...]] = {}
    for field, pieces in joined.items():
        for attribute, span in _spans(field, pieces):
            spans[attribute] = (*spans.get(attribute, ()), span)
    return Listing(_join(title), _join(text), spans, beside)


def _hide(truth: Truth, rng: random.Random, implicit: float) -> set[str]:
    """Each visible value is left out with the probability that makes `implicit` a share of all values."""
    wanted = implicit * len(truth.values) / max(1, len(truth.visible))
    return {name for name in truth.visible if rng.random() < wanted}


def _place(explicit: Sequence[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """Which values are mentioned in the title, and which in the text; every one in at least one of them."""
    in_title, in_text = [], []
    for name in explicit:
        place = rng.random() * (0.7 if name == "Brand" else 1.0)  # a brand is rarely left out of a title
        if place < _MENTION_ONLY_IN_TITLE or place >= _MENTION_ONLY_IN_TITLE + _MENTION_ONLY_IN_TEXT:
            in_title.append(name)
        if place >= _MENTION_ONLY_IN_TITLE:
            in_text.append(name)
    return in_title, in_text


def _title(truth: Truth, names: Sequence[str], rng: random.Random) -> Pieces:
    """[opener] [brand] modifiers noun, clauses, [extra], [decoy], in one of several orders and styles."""
    brand_first = "Brand" in names and rng.random() < 0.7
    others = [name for name in names if name not in ("Type", "Brand")]
    rng.shuffle(others)
    before = [name for name in others if name not in _AFTER_NOUN_ONLY][: rng.choice((1, 2, 2, 3))]
    after = [name for name in others if name not in before]
    if "Brand" in names and not brand_first:
        after.append("Brand")

    pieces: list[Piece] = []
    if rng.random() < 0.25:
        pieces += [Piece(_plain(truth, _NEW_OPENERS if truth.season.new else _OPENERS, rng)), Piece(" ")]
    for name in [*(["Brand"] if brand_first else []), *before]:
        pieces += [Piece(truth.values[name], name), Piece(" ")]
    pieces += _head(truth, "Type" in names, rng)

    separator = rng.choice((" ", ", ", " - ", " | ", " "))
    for name in after:
        bare = rng.random() < 0.5 and name != "Brand"
        clause = "{}" if bare else rng.choice(_CLAUSES[name])
        pieces += [Piece(separator), *_fill(clause, truth, name)]
    if rng.random() < 0.35:
        pieces.append(Piece(separator + _plain(truth, _NEW_EXTRAS if truth.season.new else _EXTRAS, rng)))
    if rng.random() < _DECOY_IN_TITLE:
        pieces.append(Piece(separator + _plain(truth, _TITLE_DECOYS[truth.category.name], rng)))
    style = rng.random()
    if style < 0.12:
        pieces = [replace(piece, text=piece.text.upper() if style < 0.04 else piece.text.lower()) for piece in pieces]
    return pieces


def _head(truth: Truth, with_type: bool, rng: random.Random) -> Pieces:
    if not with_type:
        return [Piece(rng.choice(truth.category.nouns))]
    noun = rng.choice(truth.category.after_type)
    return [Piece(truth.values["Type"], "Type"), Piece(f" {noun}" if noun else "")]


def _text(truth: Truth, names: Sequence[str], rng: random.Random) -> Pieces:
    """One to three sentences: up to two that say values, and perhaps one that only seems to, in any order."""
    names = rng.sample(names, len(names))
    half = (len(names) + 1) // 2 if len(names) > 2 else len(names)
    sentences = [_sentence(truth, part, rng) for part in (names[:half], names[half:]) if part]
    if rng.random() < _DECOY_IN_TEXT:
        decoys = _TEXT_DECOYS[truth.category.name]
        sentences.append([Piece(_plain(truth, (*decoys, *_NEW_TEXT_DECOYS) if truth.season.new else decoys, rng))])
    elif len(sentences) < 2:
        sentences.append([Piece(_plain(truth, _NEW_FILLERS if truth.season.new else _FILLERS, rng))])
    rng.shuffle(sentences)
    return [piece for number, sentence in enumerate(sentences) for piece in ([Piece(" ")] * bool(number) + [*sentence])]


def _sentence(truth: Truth, names: Sequence[str], rng: random.Random) -> Pieces:
    """ "This mug comes in red and with Rose.", or a list as of a data sheet: "Color: Red; Motif: Rose." """
    noun = rng.choice(truth.category.nouns).lower()
    if rng.random() < 0.3:
        pieces = [Piece(rng.choice(("Details - ", "", "At a glance: ")))]
        for number, name in enumerate(names):
            pieces += [Piece(f"{'; ' if number else ''}{name}: "), Piece(truth.values[name], name)]
        return [*pieces, Piece(".")]
    opener = rng.choice((f"This {noun} comes ", f"Our {noun} ", f"A {noun} ", "It comes "))
    if truth.season.new:
        opener = rng.choice((f"Meet the {noun} ", f"Say hello to a {noun} ", opener))
    pieces = [Piece(opener)]
    in_lower_case = rng.random() < 0.6
    for number, name in enumerate(names):
        joint = "" if number == 0 else " and " if number == len(names) - 1 else ", "
        pieces.append(Piece(joint))
        for piece in _fill(rng.choice(_CLAUSES[name]), truth, name):
            lower = in_lower_case and name not in _PROPER_NAMES
            pieces.append(replace(piece, text=piece.text.lower()) if lower else piece)
    return [*pieces, Piece(".")]


def _fill(clause: str, truth: Truth, name: str) -> Pieces:
    """A clause with the true value in the place of {}."""
    left, right = clause.split("{}")
    return [Piece(left), Piece(truth.values[name], name), Piece(right)]


def _plain(truth: Truth, phrases: Sequence[str], rng: random.Random) -> str:
    """One of the phrases, filled so that no true value of the product stands in it; "" where twenty draws find none."""
    for _ in range(20):
        filled = re.sub("<([^>]+)>", lambda found: _any_value(truth, found[1], rng), rng.choice(phrases))
        model = f"{rng.choice('ABKMXZ')}{rng.choice('CDLRT')}-{rng.randrange(100, 1000)}"
        filled = filled.replace("{model}", model).replace("{size}", rng.choice(("S", "M", "L", "XL", "38", "40")))
        if not _is_said(truth, filled):
            return filled
    return ""


def _any_value(truth: Truth, attribute: str, rng: random.Random) -> str:
    """A value of the attribute, as it has them in this category or, if it has none here, in another."""
    own = [trait for trait in truth.category.traits if trait.attribute == attribute]
    trait = rng.choice(own or [trait for trait in _ALL_TRAITS if trait.attribute == attribute])
    value = trait.pick(rng, truth.season)
    return value if attribute in _PROPER_NAMES or rng.random() < 0.4 else value.lower()


def _is_said(truth: Truth, text: str) -> bool:
    return any(stands_in(value, text) for value in truth.values.values())


def _vary(
    truth: Truth, title: Pieces, text: Pieces, share: float, rng: random.Random
) -> tuple[list[Piece], list[Piece], dict[str, str]]:
    """Title and text with a second value beside some of the visible ones, the same one wherever that value is said; and
    those second values by attribute."""
    both = [list(title), list(text)]
    beside: dict[str, str] = {}
    said = _join(title) + " " + _join(text)
    for name in truth.visible:
        chosen, other_first = rng.random() < share, rng.random() < 0.5
        drawn = (truth.category.trait(name).pick(rng, truth.season) for _ in range(20))
        other = next((value for value in drawn if not stands_in(value, said) and not _is_said(truth, value)), None)
        if not chosen or other is None:
            continue
        for number, pieces in enumerate(both):
            if any(piece.attribute == name for piece in pieces):
                beside[name] = other
            both[number] = [part for piece in pieces for part in _beside(piece, name, other, other_first)]
    return both[0], both[1], beside


def _beside(piece: Piece, name: str, other: str, other_first: bool) -> list[Piece]:
    if piece.attribute != name:
        return [piece]
    like = other.upper() if piece.text.isupper() else other.lower() if piece.text.islower() else other
    return [Piece(f"{like} / "), piece] if other_first else [piece, Piece(f" / {like}")]


def _disturb(truth: Truth, title: Pieces, text: Pieces, rng: random.Random) -> Pieces:
    """The title with one word misspelt, or one visible value replaced by another that is not true.

    Neither hits the only mention of a value that the picture does not show: nobody could then know it.
    """
    wrong = [
        (number, trait.pick)
        for number, piece in enumerate(title)
        if piece.attribute in truth.visible
        for trait in [truth.category.trait(piece.attribute)]
    ]
    if wrong and rng.random() < 0.4:
        number, pick = rng.choice(wrong)
        return _with_wrong_value(truth, title, number, pick, rng)
    return _with_typo(truth, title, text, rng)


def _with_wrong_value(truth: Truth, title: Pieces, number: int, pick: Pick, rng: random.Random) -> Pieces:
    drawn = (pick(rng, truth.season) for _ in range(20))
    value = next((value for value in drawn if not _is_said(truth, value)), "Assorted")
    return [*title[:number], Piece(value), *title[number + 1 :]]


def _with_typo(truth: Truth, title: Pieces, text: Pieces, rng: random.Random) -> Pieces:
    """Two neighbouring letters swapped or one dropped, inside one word of four or more letters."""
    said = [piece.attribute for piece in (*title, *text) if piece.attribute]
    spare = {name for name in said if name in truth.visible or said.count(name) > 1}
    places = [
        (number, found.start(), found.end())
        for number, piece in enumerate(title)
        if piece.attribute is None or piece.attribute in spare
        for found in re.finditer(r"[A-Za-z]{3,}", piece.text)
    ]
    rng.shuffle(places)
    for number, start, end in places:
        old = title[number].text
        at = rng.randrange(start, end - 1)
        swapped = old[:at] + old[at + 1] + old[at] + old[at + 2 :]
        new = swapped if swapped != old and rng.random() < 0.5 else old[:at] + old[at + 1 :]
        disturbed = [*title[:number], Piece(new), *title[number + 1 :]]
        if new.lower() != old.lower() and not _says_more(truth, title, disturbed):
            return disturbed
    return title


def _says_more(truth: Truth, title: Pieces, disturbed: Pieces) -> bool:
    """Whether a typo happens to make a word of one of the product's values."""
    before, after = _join(title), _join(disturbed)
    return any(stands_in(value, after) and not stands_in(value, before) for value in truth.values.values())


def _join(pieces: Pieces) -> str:
    return "".join(piece.text for piece in pieces)


def _spans(field: Field, pieces: Pieces) -> Iterator[tuple[str, Span]]:
    position = 0
    for piece in pieces:
        end = position + len(piece.text)
        if piece.attribute:
            yield piece.attribute, Span(field, position, end)
        position = end
