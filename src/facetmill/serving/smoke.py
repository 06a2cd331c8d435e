"""`python -m facetmill.serving.smoke MODEL_URI`: load a packaged model as a server does and ask it its own example."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import mlflow.pyfunc
import pandas as pd

from facetmill.errors import PlatformError
from facetmill.records import FIELDS


def main(model_uri: str) -> None:
    """Raises `PlatformError` when the package has no example or an answer is not a valid facet."""
    model = mlflow.pyfunc.load_model(model_uri)
    example = model.input_example
    if not isinstance(example, pd.DataFrame) or example.empty:
        raise PlatformError(f"{model_uri}: the package has no input example")
    answer = model.predict(example)
    if list(answer["product_id"]) != list(example["product_id"]):
        raise PlatformError(f"{model_uri}: asked for {list(example['product_id'])}, got {list(answer['product_id'])}")
    rows = example.to_dict("records")
    for row, facets in zip(rows, answer["facets"], strict=True):
        for facet in facets:
            require_valid(row, facet)
    print(f"{model_uri}: {sum(map(len, answer['facets']))} facets for {len(rows)} products")


def require_valid(row: Mapping[Any, Any], facet: Mapping[str, Any]) -> None:
    """A served facet names its attribute and value, has a confidence in 0..1, and stands inside its field."""
    if not (facet["attribute"] and facet["value"]):
        raise PlatformError(f"{row['product_id']}: a facet without attribute or value: {facet}")
    if facet["confidence"] is not None and not 0 <= facet["confidence"] <= 1:
        raise PlatformError(
            f"{row['product_id']}: confidence {facet['confidence']} of {facet['attribute']} not in 0..1"
        )
    place = (facet["field"], facet["start"], facet["end"])
    if place == (None, None, None):
        return
    if facet["field"] not in FIELDS or not 0 <= facet["start"] < facet["end"] <= len(row[facet["field"]]):
        raise PlatformError(f"{row['product_id']}: {facet['attribute']} at {place}, which is not in the product")


if __name__ == "__main__":
    main(sys.argv[1])
