"""Where products come from: one reader per format, all in the list `SOURCES`."""

from __future__ import annotations

from facetmill.errors import DataError
from facetmill.sources import (
    demo,
    extractgpt,
    implicitave,
    mae,
    mepave,
    merchant,
    products,
    shopify,
    wdc_pave,
    woocommerce,
)
from facetmill.sources.base import Source

SOURCES: dict[str, Source] = {
    "demo": Source("demo", demo.SUMMARY, "that of Facetmill", demo.read),
    "products": Source(
        "products",
        "your own catalogue: .csv, .tsv, .xlsx, .ods, .jsonl, .parquet",
        "yours",
        products.read,
        products.cut,
    ),
    "shopify": Source("shopify", "Shopify's product export", "yours", shopify.read),
    "woocommerce": Source("woocommerce", "WooCommerce's product export", "yours", woocommerce.read),
    "merchant": Source("merchant", "Google Merchant's feed, XML or TSV", "yours", merchant.read),
    "mae": Source(
        "mae", "MAE's JSON arrays of listings with specs", "that of the set it was built from", mae.read, mae.cut
    ),
    "mepave": Source(
        "mepave",
        "MEPAVE's tagged Chinese fashion sentences",
        "research use, as its owner says",
        mepave.read,
        mepave.cut,
    ),
    "implicitave": Source(
        "implicitave",
        "ImplicitAVE's titles with a value only the picture shows",
        "none stated; research use",
        implicitave.read,
    ),
    "extractgpt": Source(
        "extractgpt",
        "ExtractGPT's task files: AE-110k, OA-Mine",
        "Apache-2.0, and a wish that they train no language model",
        extractgpt.read,
    ),
    "wdc-pave": Source(
        "wdc-pave", "WDC-PAVE's offers with title and description", "none stated; research use", wdc_pave.read
    ),
}


def parse_data(text: str) -> tuple[str, str]:
    """(format, path) of data named `format:path`; the path may be empty ("demo:").

    Raises `DataError` for a name without a colon and for an unknown format.
    """
    name, colon, path = text.partition(":")
    if not colon:
        raise DataError(f"data {text!r}: expected format:path, such as products:catalogue.csv")
    if name not in SOURCES:
        raise DataError(f"data {text!r}: unknown format {name!r}; known are {', '.join(SOURCES)}")
    return name, path
