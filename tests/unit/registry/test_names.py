"""How references name catalogues and their registered models."""

from __future__ import annotations

import pytest

from facetmill.tracking.names import Named, Names, named


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("facets@champion", Named(None, False, None)),
        ("shop@champion", Named("shop", False, None)),
        ("demo@champion", Named("demo", False, None)),
        ("facets/3", Named("demo", False, 3)),
        ("facets-candidates/7", Named("demo", True, 7)),
        ("shop-candidates/7", Named("shop", True, 7)),
        ("my-shop_2/12", Named("my-shop_2", False, 12)),
        ("shop/latest", None),
        ("shop@latest", None),
        ("0" * 32, None),
        ("../shop/3", None),
        ("/tmp/model", None),
        ("dictionary", None),
    ],
)
def test_a_reference_says_whose_model_it_is(ref: str, parts: Named | None) -> None:
    assert named(ref) == parts


def test_models_are_called_after_their_catalogue_and_those_of_demo_as_ever() -> None:
    shop, demo = Names("shop"), Names("demo")
    assert (shop.live, shop.candidates, shop.champion) == ("shop", "shop-candidates", "shop@champion")
    assert (demo.live, demo.candidates, demo.champion) == ("facets", "facets-candidates", "facets@champion")
