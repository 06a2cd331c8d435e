"""How a challenger fares on the champion's own test split, where the champion was trained on other data.

A challenger is judged on the test split of its own data. What the champion was proved on may hardly be in there, last
season's products say, and a challenger that has forgotten it would go live unseen. A product that is in both is held
against its labels of today: they may have been corrected since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from facetmill.dataset.store.readers import as_read_by
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import read_split
from facetmill.errors import DataError, NoAnswer, PlatformError
from facetmill.judging.challenge import Served, facets_of
from facetmill.judging.given_up import GivenUp
from facetmill.judging.unseen import unseen
from facetmill.metrics.paired import PairedResult, paired_test
from facetmill.metrics.resampling import LEVEL
from facetmill.project import Project
from facetmill.records import Facet, Product
from facetmill.registry.lineage import bring_back
from facetmill.tracking.tags import DATASET_VERSION


@dataclass(frozen=True)
class ChampionsTest:
    """Both on the `num_products` of that split that are new to both, by `promotion.metric`, the candidate first.
    `paired` is None where there was nothing to ask, and `why` says it then."""

    num_products: int
    paired: PairedResult | None
    why: str = ""


def champions_test(
    project: Project, own: Dataset, tested: Sequence[Product], challenger: Served, champion: Served, given_up: GivenUp
) -> ChampionsTest:
    """`tested` are the test products of the challenger's `own` data. What is `given_up` does not count.

    Raises `NoAnswer` for a challenger that does not answer.
    """
    version = champion.model.tags.get(DATASET_VERSION, "")
    if version == own.version:
        return ChampionsTest(0, None, "it was trained on the same data")
    try:
        dataset = bring_back(project.tracker, project.layout.root, version)
        products = read_split(dataset, "test")
    except (DataError, PlatformError) as error:
        return ChampionsTest(0, None, f"its data is gone: {error}")
    today = {product.product_id: product for product in tested}
    products = [_without(_labelled(p, today.get(p.product_id)), given_up) for p in products]
    products = [p for p in products if (p.category or "") not in given_up.categories]
    split = unseen(project, products, (challenger, champion))
    new = [products[place] for place in split.new]
    limits = project.params.promotion
    if len(new) < max(2, limits.min_unseen_products):
        return ChampionsTest(len(new), None, f"only {len(new)} of its test products are new to both")
    try:
        second = _told(project, dataset, champion, new, given_up)
    except NoAnswer as error:
        return ChampionsTest(len(new), None, f"it does not answer about them: {champion.without_path(error)}")
    first = _told(project, dataset, challenger, new, given_up)
    level = LEVEL if limits.significance is None else 1 - limits.significance
    paired = paired_test(new, first, second, limits.metric, resamples=limits.bootstrap, level=level)
    return ChampionsTest(len(new), paired)


def _told(
    project: Project, dataset: Dataset, served: Served, products: Sequence[Product], given_up: GivenUp
) -> list[tuple[Facet, ...]]:
    workers, cache_dir = project.params.dataset.workers, project.layout.state_dir
    read = list(as_read_by(served.reader, dataset, products, cache_dir, workers))
    return [_kept(facets, given_up) for facets in facets_of(project, served, read)]


def _labelled(product: Product, today: Product | None) -> Product:
    return product if today is None else replace(product, facets=today.facets, absent=today.absent)


def _without(product: Product, given_up: GivenUp) -> Product:
    return replace(product, facets=_kept(product.facets, given_up))


def _kept(facets: Iterable[Facet], given_up: GivenUp) -> tuple[Facet, ...]:
    return tuple(facet for facet in facets if facet.attribute not in given_up.attributes)
