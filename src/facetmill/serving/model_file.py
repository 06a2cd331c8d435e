"""The file that MLflow loads a packaged model with ("models from code"): rows in, answers out, no pickle.

It stands alone in the package, beside the weights; everything else comes from the installed `facetmill`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel

from facetmill.errors import DataError, FacetmillError
from facetmill.records import Product
from facetmill.serving.answer import answer
from facetmill.serving.request import to_products
from facetmill.training.checkpoint import load_model
from facetmill.training.predict import answer_all

BATCH = 32
ARTIFACT = "model"


class FacetModel(PythonModel):
    """A Facetmill model behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        self.model = load_model(Path(context.artifacts[ARTIFACT]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row `product_id, facets, attributes` per input row, in its order. `serving.request` says what may stand
        in the one, `serving.answer` what is in the other."""
        products = self._products(model_input)
        found = answer_all(self.model, products, BATCH)
        rows = [answer(product, each.facets, each.attributes) for product, each in zip(products, found, strict=True)]
        return pd.DataFrame(rows, columns=["product_id", "facets", "attributes"])

    def _products(self, model_input: pd.DataFrame) -> list[Product]:
        try:
            return to_products(model_input.to_dict("records"), self.model.reader)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        except FacetmillError as error:  # an engine that is missing here
            raise MlflowException(str(error)) from None


mlflow.models.set_model(FacetModel())
