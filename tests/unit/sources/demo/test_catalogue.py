"""The simulated catalogue: its truth is true, its knobs do what they say, and the same knobs give the same bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from facetmill.params import DemoParams
from facetmill.records import Facet, Product, Span
from facetmill.sources import demo
from facetmill.sources.base import SourceOptions
from facetmill.sources.demo import read
from facetmill.sources.demo.catalogue import COLORS, NEW_COLORS, Rgb, Truth, draw_truth, stands_in, words, zipf
from facetmill.sources.demo.pictures import Picture, draw, draw_stock
from tests import small

KNOBS = replace(small.DEMO, products=400, seed=7, image_size=64, implicit=0.25)
ANY_COLOR = {**COLORS, **NEW_COLORS}


def catalogue(knobs: DemoParams = KNOBS, scratch: Path | None = None, **changes: float) -> list[Product]:
    rows = read(Path("ignored"), SourceOptions(demo=replace(knobs, **changes), scratch=scratch))
    return [row for row in rows if isinstance(row, Product)]


def occurrences(product: Product, value: str) -> set[Span]:
    """Every place where a value stands as words, found without the generator's help."""
    found = set()
    for field in ("title", "text"):
        text = product.field(field).lower()
        start = text.find(value.lower())
        while start >= 0:
            end = start + len(value)
            if not text[max(0, start - 1) : start].isalnum() and not text[end : end + 1].isalnum():
                found.add(Span(field, start, end))
            start = text.find(value.lower(), start + 1)
    return found


def facet(product: Product, attribute: str) -> Facet | None:
    return next((facet for facet in product.facets if facet.attribute == attribute), None)


@pytest.mark.parametrize(
    "changes", [{}, {"noise": 1.0}, {"drift": 1.0}, {"implicit": 1.0}, {"implicit": 0.0}, {"variants": 1.0}]
)
def test_spans_are_all_the_places_where_a_true_value_stands_and_nothing_else(changes: dict[str, float]) -> None:
    for product in catalogue(**changes):
        for known in product.facets:
            assert set(known.spans) == occurrences(product, known.value), product
            assert all(product.surface(span).lower() == known.value.lower() for span in known.spans)
        spans = sorted(span for known in product.facets for span in known.spans)
        assert all(a.field != b.field or a.end <= b.start for a, b in pairwise(spans)), "two values overlap"


def test_modality_says_where_a_value_can_be_seen() -> None:
    products = catalogue(noise=0.5)
    for product in products:
        for known in product.facets:
            assert known.modality in (("text", "both") if known.explicit else ("image",))
            assert known.provenance == "annotated"
    modalities = {(f.attribute, f.modality) for product in products for f in product.facets}
    assert {("Color", "image"), ("Color", "both"), ("Material", "text")} <= modalities
    assert not {("Color", "text"), ("Material", "image")} & modalities


def test_titles_and_texts_are_tidy() -> None:
    for product in catalogue():
        for text in (product.title, product.text):
            assert text
            assert text == " ".join(text.split()), repr(text)
            assert not set("{}<>") & set(text), "a hole of the grammar was not filled"


def test_a_product_knows_every_attribute_of_its_category_or_says_that_it_has_none() -> None:
    products = catalogue()
    of_category: dict[str | None, set[frozenset[str]]] = {}
    for product in products:
        found = [known.attribute for known in product.facets]
        assert len(found) == len(set(found))
        assert not set(found) & set(product.absent)
        of_category.setdefault(product.category, set()).add(frozenset((*found, *product.absent)))
    assert len(of_category) == 7
    assert all(len(attributes) == 1 for attributes in of_category.values()), "attributes vary within a category"
    every = frozenset().union(*(attributes for sets in of_category.values() for attributes in sets))
    assert len(every) == 19
    assert any(product.absent for product in products)


def test_one_word_is_a_value_of_several_attributes_and_also_of_none() -> None:
    meanings = set()
    for product in catalogue(products=1500):
        for place in occurrences(product, "rose"):
            covering = [
                known.attribute
                for known in product.facets
                for span in known.spans
                if span.field == place.field and span.start <= place.start and place.end <= span.end
            ]
            meanings.add((product.category, covering[0] if covering else None))
    assert {attribute for _, attribute in meanings} >= {"Color", "Motif", "Scent", "Flavor", "Brand", None}
    assert {("Candles", "Color"), ("Candles", "Scent")} <= meanings, "within a category only the picture tells"
    assert {("Mugs", "Color"), ("Mugs", "Motif")} <= meanings


def test_many_texts_name_a_colour_that_the_product_does_not_have() -> None:
    products = catalogue()
    misled = sum(
        any(
            stands_in(color, f"{product.title} {product.text}")
            for color in COLORS
            if color not in _values(product).values()
        )
        for product in products
    )
    assert 0.35 < misled / len(products) < 0.75


def test_brands_have_a_long_tail_so_that_unseen_ones_come_up() -> None:
    brands = [facet(product, "Brand") for product in catalogue(products=1500)]
    values = [brand.value for brand in brands if brand]
    unseen = sum(value not in set(values[:1200]) for value in values[1200:])
    assert 0.15 < unseen / 300 < 0.5
    assert max(map(values.count, set(values))) >= 15, "the head of the distribution is missing"


def test_zipf_ranks_fall_like_their_formula() -> None:
    rng = random.Random(0)
    drawn = [zipf(rng, 7) for _ in range(8000)]
    # P(0) = log 2 / log 8 = 1/3, P(1) = log 1.5 / log 8 = 0.195, P(6) = log(8 / 7) / log 8 = 0.0642
    assert drawn.count(0) / 8000 == pytest.approx(1 / 3, abs=0.02)
    assert drawn.count(1) / 8000 == pytest.approx(0.195, abs=0.02)
    assert drawn.count(6) / 8000 == pytest.approx(0.0642, abs=0.01)
    assert set(drawn) == set(range(7))


@pytest.mark.parametrize("implicit", [0.0, 0.1, 0.25, 0.4])
def test_implicit_is_the_share_of_values_that_only_the_picture_shows(implicit: float) -> None:
    facets = [known for product in catalogue(implicit=implicit) for known in product.facets]
    share = sum(not known.explicit for known in facets) / len(facets)
    assert share == pytest.approx(implicit, abs=0.03)
    assert implicit > 0 or share == 0


def test_noise_is_the_share_of_titles_that_it_changes_and_it_changes_nothing_else() -> None:
    clean, noisy = catalogue(), catalogue(noise=0.3)
    changed = [a.title != b.title for a, b in zip(clean, noisy, strict=True)]
    assert sum(changed) / len(changed) == pytest.approx(0.3, abs=0.07)
    for a, b in zip(clean, noisy, strict=True):
        assert a.text == b.text
        assert [known.value for known in a.facets] == [known.value for known in b.facets]
    lost = sum(len(a.spans) - len(b.spans) for p, q in zip(clean, noisy, strict=True) for a, b in _pairs(p, q))
    assert lost > 20, "a misspelt value is still counted as a mention"


def test_variants_is_the_share_of_visible_values_said_beside_another_and_changes_nothing_else() -> None:
    plain, varied = catalogue(), catalogue(variants=0.5)
    alone = other_first = other_last = 0
    for before, after in zip(plain, varied, strict=True):
        assert [(f.attribute, f.value, f.modality) for f in before.facets] == [
            (f.attribute, f.value, f.modality) for f in after.facets
        ]
        for known in after.facets:
            span = known.spans[0] if known.spans else None
            first = span is not None and after.field(span.field)[: span.start].endswith(" / ")
            last = span is not None and after.field(span.field)[span.end :].startswith(" / ")
            if known.modality == "both":
                alone, other_first, other_last = (
                    alone + (not first and not last),
                    other_first + first,
                    other_last + last,
                )
            else:
                assert not first
                assert not last
    said = alone + other_first + other_last
    assert other_first / said == pytest.approx(0.25, abs=0.05)
    assert other_last / said == pytest.approx(0.25, abs=0.05)


def test_stock_pictures_is_the_share_that_shows_another_product_with_a_badge(tmp_path: Path) -> None:
    plain = catalogue(scratch=tmp_path / "plain", products=60)
    stock = catalogue(scratch=tmp_path / "stock", products=60, stock_pictures=0.4)
    changed = 0
    for before, after in zip(plain, stock, strict=True):
        assert replace(before, images=(), ocr=(), regions=()) == replace(after, images=(), ocr=(), regions=())
        corner = Image.open(after.images[0]).getpixel((2, 2))
        assert isinstance(corner, tuple)
        badged = corner[0] > 150 > 90 > corner[1]
        same = Path(before.images[0]).read_bytes() == Path(after.images[0]).read_bytes()
        assert badged != same
        assert not badged or after.ocr == ()
        changed += badged
    assert changed / 60 == pytest.approx(0.4, abs=0.15)


def test_a_stock_picture_shows_the_value_that_is_named_beside_the_true_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Truth] = []

    def drawn(truth: Truth, rng: random.Random, size: int) -> Picture:
        shown.append(truth)
        return draw_stock(truth, rng, size)

    monkeypatch.setattr(demo, "draw_stock", drawn)
    products = catalogue(scratch=tmp_path, products=60, variants=1.0, stock_pictures=1.0)
    beside = 0
    for product, truth in zip(products, shown, strict=True):
        assert truth.category.name == product.category
        for known in product.facets:
            for span in known.spans:
                said = product.field(span.field)
                if said[span.end :].startswith(" / "):
                    other = truth.values[known.attribute]
                    assert said[span.end + 3 :].lower().startswith(other.lower())
                    assert other != known.value
                    beside += 1
    assert beside > 50


def test_drift_is_the_share_of_products_with_colours_and_brands_of_a_new_season() -> None:
    old, half, new = catalogue(products=1000), catalogue(products=1000, drift=0.4), catalogue(products=1000, drift=1.0)
    assert _share_of_new_colors(old) == 0
    assert _share_of_new_colors(half) == pytest.approx(0.4, abs=0.06)
    assert _share_of_new_colors(new) == 1
    old_brands = {brand.value for product in old if (brand := facet(product, "Brand"))}
    new_brands = {brand.value for product in new if (brand := facet(product, "Brand"))}
    made_up = {name for name in new_brands if not words(name) & words("silver golden black blue red rose orange olive")}
    assert len(made_up - old_brands) / len(made_up) > 0.9
    assert any("drop" in product.text.lower() for product in new)
    assert not any("drop" in product.text.lower() for product in old)


def test_some_products_are_listed_twice_under_other_titles() -> None:
    products = catalogue(products=1000)
    first = {product.product_id: product for product in products}
    seconds = [product for product in products if product.group_id != product.product_id]
    assert len(seconds) / len(products) == pytest.approx(0.15, abs=0.035)
    for second in seconds:
        assert _values(second) == _values(first[second.group_id])
        assert second.category == first[second.group_id].category
    same = sum(second.title == first[second.group_id].title for second in seconds)
    assert same / len(seconds) < 0.15


def test_missing_images_is_the_share_of_products_without_a_picture(tmp_path: Path) -> None:
    knobs = replace(KNOBS, image_size=32, missing_images=0.3)
    products = catalogue(knobs, tmp_path)
    without = [product for product in products if not product.images]
    assert len(without) / len(products) == pytest.approx(0.3, abs=0.07)
    assert not any(product.ocr or product.regions for product in without)
    assert {Path(path) for product in products for path in product.images} == set(tmp_path.iterdir())


def test_without_a_scratch_folder_nothing_is_drawn_and_all_else_is_equal(tmp_path: Path) -> None:
    drawn, plain = catalogue(products=30, scratch=tmp_path), catalogue(products=30)
    assert not any(product.images for product in plain)
    assert [replace(product, images=(), ocr=(), regions=()) for product in drawn] == plain


def test_the_same_knobs_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    once, again = (catalogue(products=40, noise=0.5, scratch=tmp_path / name) for name in "ab")
    for a, b in zip(once, again, strict=True):
        assert replace(a, images=()) == replace(b, images=())
        assert Path(a.images[0]).read_bytes() == Path(b.images[0]).read_bytes()
    assert [product.title for product in catalogue(products=40, seed=8)] != [product.title for product in once]


def test_a_larger_catalogue_begins_with_the_smaller_one(tmp_path: Path) -> None:
    knobs = replace(KNOBS, noise=0.2, drift=0.3, missing_images=0.2, image_size=32)
    small = catalogue(replace(knobs, products=25), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert catalogue(replace(knobs, products=60), tmp_path)[:25] == small
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_picture_is_an_rgb_jpeg_of_the_size_asked_for(tmp_path: Path) -> None:
    for product in catalogue(products=20, image_size=50, scratch=tmp_path):
        assert product.images == (str(tmp_path / f"{product.product_id}.jpg"),)
        with Image.open(product.images[0]) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (50, 50))
        for region in product.regions:
            assert 0 <= region.left < region.right <= 1
            assert 0 <= region.top < region.bottom <= 1


def test_a_picture_shows_the_true_colour() -> None:
    right = 0
    plain = [truth for number in range(1500) if _is_plain(truth := draw_truth(3, number, drift=0.3))]
    for category in ("Dresses", "Shoes", "Bags", "Mugs", "Candles", "Lamps"):
        for number, truth in enumerate([truth for truth in plain if truth.category.name == category][:10]):
            picture = draw(truth, random.Random(number), 96)
            mean = ImageStat.Stat(picture.image, mask=picture.cloth).mean
            right += _nearest_color((mean[0], mean[1], mean[2])) == truth.values["Color"]
    assert right >= 54, "of 60"


def test_patterns_and_shapes_change_the_picture() -> None:
    truth = next(
        t for n in range(500) if "Pattern" in (t := draw_truth(5, n, 0.0)).values and t.category.name == "Dresses"
    )
    variants = [
        {"Pattern": pattern, "Neckline": neck, "Sleeve Length": sleeve, "Dress Length": length}
        for pattern in ("Solid", "Striped", "Floral", "Polka Dot", "Checked", "Chevron", "Color Block")
        for neck, sleeve, length in (
            ("V-Neck", "Sleeveless", "Mini"),
            ("Boat Neck", "Sleeveless", "Mini"),
            ("V-Neck", "Long Sleeve", "Mini"),
            ("V-Neck", "Sleeveless", "Maxi"),
        )
    ]
    drawn = [draw(replace(truth, values={**truth.values, **v}), random.Random(1), 48).image.tobytes() for v in variants]
    assert len(set(drawn)) == len(variants)


def test_the_words_on_a_pack_are_true_and_stand_where_their_boxes_say(tmp_path: Path) -> None:
    packs = [p for p in catalogue(image_size=128, products=120, scratch=tmp_path) if p.category in ("Tea", "Candles")]
    assert len(packs) > 20
    for product in packs:
        printed = ("Brand", "Type", "Flavor", "Net Weight") if product.category == "Tea" else ("Brand",)
        expected = [word for name in printed if (known := facet(product, name)) for word in known.value.split()]
        assert [token.text for token in product.ocr] == expected
        with Image.open(product.images[0]) as picture:
            grey = picture.convert("L")
        for token in product.ocr:
            assert token.box is not None
            edges = (token.box.left, token.box.top, token.box.right, token.box.bottom)
            darkest, brightest = grey.crop(tuple(round(edge * 128) for edge in edges)).getextrema()
            assert brightest - darkest > 60, f"nothing is printed in the box of {token}"
    assert not any(product.ocr for product in catalogue(products=40) if product.category == "Mugs")


def _values(product: Product) -> dict[str, str]:
    return {known.attribute: known.value for known in product.facets}


def _pairs(a: Product, b: Product) -> list[tuple[Facet, Facet]]:
    return list(zip(a.facets, b.facets, strict=True))


def _share_of_new_colors(products: list[Product]) -> float:
    colors = [color.value for product in products if (color := facet(product, "Color"))]
    return sum(color in NEW_COLORS for color in colors) / len(colors)


def _is_plain(truth: Truth) -> bool:
    values = truth.values
    return "Color" in values and "Motif" not in values and values.get("Pattern", "Solid") == "Solid"


def _nearest_color(mean: tuple[float, float, float]) -> str:
    def distance(color: Rgb) -> float:
        return sum((a - b) ** 2 for a, b in zip(color, mean, strict=True))

    return min(ANY_COLOR, key=lambda name: distance(ANY_COLOR[name]))
