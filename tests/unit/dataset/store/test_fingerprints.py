"""A product that a model was trained on is known again under another id, and another product is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facetmill.dataset.store.fingerprints import FINGERPRINTS, STOCK_GROUPS, Fingerprints, Sign
from facetmill.errors import DataError
from facetmill.gates.pictures import LookCache
from facetmill.records import Product

KNOWN = Product("p1", "shop", "Blue SHIRT, size 44 (cotton)", group_id="g1")


def picture(path: Path, seed: int, side: int = 96) -> str:
    """A picture of its own: a few grey fields that a copy in another size keeps."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST).save(path)
    return str(path)


@pytest.fixture
def cache() -> LookCache:
    return LookCache(None)


@pytest.mark.parametrize(
    ("asked", "sign"),
    [
        (Product("x", "shop", "Something else", group_id="g1"), "group"),
        (Product("x", "elsewhere", "Something else", group_id="g1"), None),  # ids of another source are other ids
        (Product("x", "elsewhere", "blue shirt size 44  cotton"), "title"),
        (Product("x", "elsewhere", "\uff22lue shirt / size 44 / cotton"), "title"),  # a wide letter
        (Product("x", "elsewhere", "Blue shirt, size 45 (cotton)"), None),  # another size
        (Product("x", "elsewhere", "Cotton shirt, blue, size 44"), None),  # other words in other places
        (Product("x", "elsewhere", "\u2605"), None),
    ],
)
def test_group_and_title(asked: Product, sign: Sign | None, cache: LookCache) -> None:
    known = Fingerprints.of([KNOWN, Product("p2", "shop", "\u2606")], cache)
    assert known.signs([asked], cache) == [sign]


def test_a_picture_in_another_size_and_format(tmp_path: Path, cache: LookCache) -> None:
    trained = replace(KNOWN, images=(picture(tmp_path / "a.png", 1),))
    known = Fingerprints.of([trained, replace(KNOWN, group_id="g2")], cache)
    others = [picture(tmp_path / "b.jpg", 1, side=60), picture(tmp_path / "c.png", 2), str(tmp_path / "gone.png")]
    asked = [Product("x", "elsewhere", f"title {number}", images=(path,)) for number, path in enumerate(others)]
    assert known.signs(asked, cache) == ["picture", None, None]


@pytest.mark.parametrize(("num_groups", "sign"), [(STOCK_GROUPS, "picture"), (STOCK_GROUPS + 1, None)])
def test_a_stock_picture_tells_no_product(num_groups: int, sign: Sign | None, tmp_path: Path, cache: LookCache) -> None:
    images = (picture(tmp_path / "a.png", 1),)
    trained = [Product(f"p{i}", "s", f"title {i % num_groups}", group_id=f"g{i % num_groups}", images=images)
               for i in range(2 * num_groups)]  # fmt: skip
    known = Fingerprints.of(trained, cache)
    assert known.signs([Product("x", "elsewhere", "new", images=images)], cache) == [sign]


def test_written_and_read_they_are_the_same_and_small(tmp_path: Path, cache: LookCache) -> None:
    products = [Product(f"p{i}", "s", f"thing {i}", images=(picture(tmp_path / f"{i}.png", i),)) for i in range(50)]
    known = Fingerprints.of(products, cache)
    known.write(tmp_path / FINGERPRINTS)
    read = Fingerprints.read(tmp_path / FINGERPRINTS)
    assert read.signs(products, cache) == known.signs(products, cache) == ["group"] * 50
    assert [len(each) for each in (read.groups, read.titles, read.looks)] == [50, 50, 50]
    assert (tmp_path / FINGERPRINTS).stat().st_size < 50 * 44 + 400


def test_none_is_trained_on(tmp_path: Path, cache: LookCache) -> None:
    Fingerprints.of([], cache).write(tmp_path / "f")
    assert Fingerprints.read(tmp_path / "f").signs([KNOWN], cache) == [None]


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    with pytest.raises(DataError, match="f: not fingerprints"):
        Fingerprints.read(tmp_path / "f")
