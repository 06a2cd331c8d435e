"""A batch of products beside what a registered model was trained on, and whether the model may answer for it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from facetmill.dataset.store import workspace
from facetmill.dataset.store.reading import reading_data
from facetmill.errors import DataError, GateFailed, PlatformError
from facetmill.gates.drift import Profile, drift
from facetmill.project import Project
from facetmill.registry import versions
from facetmill.registry.lineage import bring_back, dataset_version_of
from facetmill.terminal import one_line
from facetmill.tracking.names import DICTIONARY
from facetmill.tracking.tags import CATALOGUE

NEVER_SEEN = ("categories_are_known", "words_are_known")  # claims without which a model would guess


def batch_drift(project: Project, ref: str) -> dict[str, Any]:
    """Whether the data of `project.params` has drifted from what `ref` was trained on, and by which claims.

    Raises `PlatformError` where the model's dataset is not known, `DataError` where it cannot be brought back.
    """
    dataset = bring_back(project.tracker, project.layout.root, dataset_version_of(project.tracker, ref))
    with workspace.reading(dataset.dir) as current:
        trained = Profile.of(current.read("train"))
        held_out = Profile.of(chain(current.read("validation"), current.read("test")))
    with reading_data(project.params) as (products, report):
        verdict = drift(trained, held_out, Profile.of(products), project.params.drift)
    return {
        "model": ref,
        "trained_on": dataset.version,
        "rows_dropped": report.num_dropped,
        "drifted": not verdict.passed,
        **verdict.to_json(),
    }


def require_own(project: Project, ref: str, *, anyway: bool, log: Callable[[str], None]) -> None:
    """Whether a model may answer for the products in hand: it is of their catalogue, and it has seen their categories
    and words. Those of a catalogue's own data it has; of a batch that is named beside it this is counted.

    Raises `GateFailed` where not, or where it may be answered `anyway`, tells that. What cannot be known is told, too.
    """
    of_model = versions.resolve(project.tracker, ref).tags.get(CATALOGUE)
    if of_model is not None and of_model != project.catalogue and ref != DICTIONARY:
        said = f"{ref} is of the catalogue {of_model}, and the products are of {project.catalogue}"
        _object(f"{said}: say --catalogue {of_model} where they are its own", anyway, log)
    if not project.is_batch:
        return
    try:
        found = batch_drift(project, ref)
    except (DataError, PlatformError) as error:  # what is wrong with the batch itself, reading it again will tell
        log(f"whether {ref} has seen such products is not known: {error}")
        return
    wrong = [verdict for verdict in found["verdicts"] if not verdict["passed"]]
    for verdict in wrong:
        examples = f"; such as {', '.join(verdict['examples'][:3])}" if verdict["examples"] else ""
        log(f"not as trained: {one_line(verdict['reason'] + examples)}")
    if any(verdict["gate"] in NEVER_SEEN for verdict in wrong):
        _object(f"{ref} has not seen such products", anyway, log)


def _object(said: str, anyway: bool, log: Callable[[str], None]) -> None:
    if not anyway:
        raise GateFailed(f"{said}. Nothing was answered; --anyway has it answer all the same")
    log(f"{said}; it answers anyway")
