"""The five domains of ImplicitAVE, which its papers score by and its rows do not name: files of the rows do.

An attribute is of one domain, but for Material and Shape, which both household goods and jewelry have; there the
product's category decides (so 7 of the 68,604 titles without a picture are taken for the other domain).
"""

from __future__ import annotations

from facetmill.records import Product

JEWELRY = "Jewelry and General Apparel"
DOMAINS = {
    "Clothing": ("Length", "Neckline", "Shoulder Style", "Sleeve Style"),
    "Food": ("Candy Variety", "Container", "Flavor", "Form", "Occasion"),
    "Footwear": ("Athletic Shoe Style", "Boot Style", "Heel Height", "Shaft Height", "Toe Style"),
    "Home": (
        "Animal Theme",
        "Attachment Method",
        "Location",
        "Material",
        "Season",
        "Shape",
        "Size",
        "Special Occasion",
    ),
    JEWELRY: ("Pattern",),
}
_WORN_OR_CARRIED = (
    "Backpacks",
    "Briefcases",
    "Camera Bags & Cases",
    "Charms & Pendants",
    "Duffel Bags",
    "Jewelry Holders",
    "Leather & Vinyl",
    "Messenger Bags",
    "Wigs",
)
_DOMAIN_OF = {attribute: domain for domain, attributes in DOMAINS.items() for attribute in attributes}


def domain_of(product: Product) -> str | None:
    """The domain of a product of ImplicitAVE, by the attribute that it is asked for; None of any other product."""
    if product.source != "implicitave" or not product.facets:
        return None
    attribute = product.facets[0].attribute
    if attribute in ("Material", "Shape") and product.category in _WORN_OR_CARRIED:
        return JEWELRY
    return _DOMAIN_OF.get(attribute)
