"""Run a study: read its data, divide it, train what was not trained before, and make its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from facetmill.dataset.store.reading import reading_data
from facetmill.dataset.store.workspace import resolve
from facetmill.errors import DataError
from facetmill.metrics.counted import Metric
from facetmill.models import MODELS
from facetmill.params import Params
from facetmill.params.perception import ReaderSettings
from facetmill.perception.reader import Reader
from facetmill.platform.layout import Layout
from facetmill.studies.arms import Part, parts_of
from facetmill.studies.beside import published_beside
from facetmill.studies.folds import FOLDS
from facetmill.studies.lines import paper_lines, share_lines, system_lines, transfer_lines
from facetmill.studies.papers import PAPER_TABLES, SUBSETS, SYSTEMS, TRANSFER
from facetmill.studies.table import Line, Table, with_rows

PAPERS_MODELS = ("jave", "m_jave")  # whose subsets and transfer the paper has


def run_study(
    layout: Layout,
    params: Params,
    study: str,
    *,
    models: Sequence[str] = (),
    elsewhere: str | None = None,
    seeds: int = 1,
    folds: int = FOLDS,
    metric: Metric = "value_f1",
    beside: str | None = None,
    workers: int = 1,
    log: Callable[[str], None],
) -> Table:
    """The table of a study on the data of resolved `params`. Studies of any models take their keys, `transfer` takes
    other data, as "format:path". `beside` names data of which published figures are added.

    What was trained before, by whichever study, is not trained again. Raises `ParamsError` for an unknown key, and
    `DataError` for an unknown study, unknown or missing other data, and too few products.
    """
    asks, lines = _asked(params, study, models)
    if (study == "transfer") != (elsewhere is not None):
        raise DataError("the study transfer, and no other, asks about other data too (--elsewhere)")
    others = published_beside(beside, study, (metric, "attribute_f1")) if beside else []
    with _divided(layout, params, folds, elsewhere) as (scored_on, parts):
        table = Table(study, asks, address(params), scored_on, metric, tuple(range(seeds)), published=tuple(others))
        kept, features_dir = layout.state_dir / "studies", layout.features_dir
        return with_rows(table, lines, parts, workers=workers, kept=kept, features_dir=features_dir, log=log)


def address(params: Params) -> str:
    """The data of resolved `params` as "format:path", wherever it is read from."""
    dataset = params.dataset
    return f"{dataset.format}:" + (dataset.path if dataset.format != "demo" else "")


def _asked(params: Params, study: str, models: Sequence[str]) -> tuple[str, list[Line]]:
    """What a study asks, and its rows."""
    match study:
        case "systems":
            return SYSTEMS, system_lines(params, models or list(MODELS))
        case "subsets":
            return SUBSETS, share_lines(params, models or PAPERS_MODELS)
        case "transfer":
            return TRANSFER, transfer_lines(params, models or PAPERS_MODELS)
    for table in PAPER_TABLES:
        if table.name == study:
            return table.asks, paper_lines(params, table)
    raise DataError(f"no study {study!r}")


@contextmanager
def _divided(layout: Layout, params: Params, folds: int, elsewhere: str | None) -> Iterator[tuple[str, list[Part]]]:
    """Which products are scored, in words, and the parts. Of what is elsewhere, products with the words of one of the
    first data are left out: a model may have learned from it."""
    with ExitStack() as stack:
        reader = _reader(params)
        read, _ = stack.enter_context(reading_data(params, reader, layout.state_dir))
        products = list(read)
        scored_on, parts = parts_of(products, folds)
        if elsewhere is not None:
            other = resolve(layout.root, params, elsewhere)
            there, _ = stack.enter_context(reading_data(other, reader, layout.state_dir))
            words = {(product.title, product.text) for product in products}
            found = list(there)
            asked = tuple(product for product in found if (product.title, product.text) not in words)
            if not asked:
                raise DataError(f"{elsewhere}: no product that is not in the first data too")
            scored_on += f"; elsewhere: {address(other)}, {len(found) - len(asked)} products left out that are in both"
            parts = [replace(part, elsewhere=asked) for part in parts]
        yield scored_on, parts


def _reader(params: Params) -> Reader:
    """What reads words and boxes off pictures; where `ocr` and `regions` say nothing, those of the data stay."""
    return Reader(
        ReaderSettings(
            ocr=params.ocr if params.ocr.engine is not None else None,
            regions=params.regions if params.regions.kind is not None else None,
        )
    )
