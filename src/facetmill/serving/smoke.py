"""The smoke test of a promotion: does what is live now serve?"""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw

from facetmill.encoders.pictures import data_uri
from facetmill.records import Product
from facetmill.serving.package import EXAMPLES
from facetmill.serving.query import query


def smoke_test(model_uri: str, tracking_uri: str) -> None:
    """Load a model as a server would, in a process of its own with nothing cached, and ask it about the examples and a
    product with a picture, whose words and boxes it has to find for itself where it reads any.

    Raises `PlatformError` when it does not load or answers nonsense.
    """
    pictured = Product("example-3", "example", "Oat drink", images=(data_uri(_pack()),))
    query(model_uri, (*EXAMPLES, pictured), tracking_uri=tracking_uri)


def _pack() -> bytes:
    """A PNG of a carton with a word on it."""
    image = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((24, 8, 104, 120), fill="darkgreen")
    draw.text((36, 48), "OAT", fill="white", font_size=28)
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
