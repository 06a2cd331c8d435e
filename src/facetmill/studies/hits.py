"""Of models that rank an attribute's values: how often is the true one among the first? After Logan et al., "Multimodal
Attribute Extraction", 2017.

They are asked for each attribute that a product has. Beside them values are ranked by how common they are in the
product's category.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.errors import ParamsError
from facetmill.metrics.hits import hits, true_ranks
from facetmill.models import model_class
from facetmill.models.base import Model
from facetmill.params import Params
from facetmill.records import Product
from facetmill.runs.train import recipe_of
from facetmill.studies.arms import Part, parts_of
from facetmill.training.fit import fit

KS = (1, 5, 10, 20)
RANKING = ("mae_model", "butd", "mujo_sf")
COMMONEST = "the commonest of the category"


@dataclass(frozen=True)
class Hits:
    """By model, hit@k in percent; `num_queries` attributes were asked for."""

    scored_on: str
    num_queries: int
    hits: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_hits(
    params: Params,
    products: Iterable[Product],
    features_dir: Path,
    log: Callable[[str], None],
    *,
    models: Sequence[str] = RANKING,
    num_folds: int = 1,
) -> Hits:
    """Train each model as params.yaml says, and have it rank. Raises `ParamsError` for one that ranks nothing, and
    `DataError` for too few products."""
    for key in models:
        if model_class(key).chances is Model.chances:
            raise ParamsError(f"model {key!r} ranks no values")
    scored_on, parts = parts_of(list(products), num_folds)
    found: dict[str, list[int | None]] = {COMMONEST: [], **{key: [] for key in models}}
    for part in parts:
        for product in part.test:
            found[COMMONEST] += true_ranks(product.facets, _common(part, product))
        for key in models:
            model = _trained(params, key, part, features_dir)
            with compute_settings(recipe_of(params, key).training.threads):
                for product in part.test:
                    chances = model.chances(product) or {}
                    found[key] += true_ranks(product.facets, {name: [*own] for name, own in chances.items()})
            log(f"{part.name}, {key}: hit@1 {100 * hits(found[key], 1):.1f}")
    table = {name: {f"hit@{k}": round(100 * hits(ranks, k), 2) for k in KS} for name, ranks in found.items()}
    return Hits(scored_on, len(found[COMMONEST]), table)


def _common(part: Part, product: Product) -> dict[str, Sequence[str]]:
    return {attribute.name: attribute.candidates(product.category) for attribute in part.schema.attributes}


def _trained(params: Params, key: str, part: Part, features_dir: Path) -> Model:
    recipe = recipe_of(params, key)
    seed_everything(recipe.training.seed)
    model = model_class(key).fit_vocabulary(recipe.config, part.schema, part.train)
    fit(model, part.train, part.validation, recipe.training, metric="pair_f1", features_dir=features_dir)
    return model.eval()
