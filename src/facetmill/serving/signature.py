"""What goes into a served model and what comes out, as every client relies on it."""

from __future__ import annotations

from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Object, Property, Schema, TensorSpec

_TEXTS: list[ColSpec | TensorSpec] = [
    *(ColSpec(DataType.string, name) for name in ("product_id", "title", "text")),
    *(ColSpec(DataType.string, name, required=False) for name in ("category", "image")),
]
_FACET = Object(
    [
        Property("attribute", DataType.string),
        Property("value", DataType.string),
        Property("field", DataType.string, required=False),
        Property("start", DataType.long, required=False),
        Property("end", DataType.long, required=False),
        Property("confidence", DataType.double, required=False),
    ]
)
_ATTRIBUTE = Object([Property("attribute", DataType.string), Property("probability", DataType.double)])
_ANSWERS: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "product_id"), ColSpec(Array(_FACET), "facets")]

_ANY = AnyType()  # type: ignore[no-untyped-call]  # MLflow has no types for it

#: `images`, `ocr` and `regions` are lists as `serving/request.py` has them. MLflow is told "any": its own lists take
#: no bytes and no row without one, and what it says of a wrong one names neither row nor product.
SIGNATURE = ModelSignature(
    inputs=Schema([*_TEXTS, *(ColSpec(_ANY, name, required=False) for name in ("images", "ocr", "regions"))]),
    outputs=Schema([*_ANSWERS, ColSpec(Array(_ATTRIBUTE), "attributes", required=False)]),
)

#: All that were ever published, the oldest first. Each takes and gives what the one before it does, and more.
PUBLISHED = (ModelSignature(inputs=Schema(_TEXTS), outputs=Schema(_ANSWERS)), SIGNATURE)


def serves_clients_of(found: ModelSignature | None, live: ModelSignature | None) -> bool:
    """Whether a package takes and gives all that clients of the live one may rely on: its signature is a published one,
    and no older than that of what is live (None: nothing, or nothing published)."""
    if found not in PUBLISHED:
        return False
    return live not in PUBLISHED or PUBLISHED.index(found) >= PUBLISHED.index(live)
