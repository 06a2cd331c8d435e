"""The arms of a study: what is trained, on which parts of the products and with which seeds, and what it answered.

Every training has a process of its own, so that its peak memory is its own. What it answered is kept in a file that is
named by all that decides it, so a study that was cut off, or is asked with one more arm, trains only what is missing.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.labels.schema import build_schema
from facetmill.dataset.labels.splitting import subset_of
from facetmill.errors import DataError
from facetmill.files import hash_file, hash_json, read_json, write_json
from facetmill.models import model_class
from facetmill.params import to_mapping
from facetmill.platform.isolated import fork_context
from facetmill.records import AttributeSchema, Facet, Product, facet_from_row, to_batch, to_row
from facetmill.runs.code_digest import code_digest
from facetmill.runs.train import Recipe
from facetmill.studies.folds import FOLDS, folds
from facetmill.training.evaluate import BATCH
from facetmill.training.fit import fit
from facetmill.training.predict import answer_all, calibrate

VALIDATION_EVERY = 10  # groups of what is not scored, of which one chooses the epoch


@dataclass(frozen=True)
class Part:
    """One way to divide products: by `train` is learned, by `validation` an epoch chosen, and `test` is scored.

    `elsewhere` are products of other data, which are asked about and scored too.
    """

    name: str
    train: tuple[Product, ...]
    validation: tuple[Product, ...]
    test: tuple[Product, ...]
    elsewhere: tuple[Product, ...] = ()

    @cached_property
    def schema(self) -> AttributeSchema:
        """What the products that are not scored say of attributes and values."""
        return build_schema([to_batch([*self.train, *self.validation])])

    @cached_property
    def digest(self) -> str:
        """Hash of the products and of the bytes of their pictures, wherever these lie."""
        splits = (self.train, self.validation, self.test, self.elsewhere)
        return hash_json([[_content(product) for product in split] for split in splits])

    def with_less(self, share: float, seed: int) -> Part:
        """The same with `share` (0..1) of the groups in `train`. Those of one seed are nested, see `subset_of`."""
        if share == 1:
            return self
        kept = subset_of((product.group_id for product in self.train), share, seed)
        return replace(self, train=tuple(product for product in self.train if product.group_id in kept))


def _content(product: Product) -> dict[str, Any]:
    return {**to_row(product), "images": [hash_file(Path(image)) for image in product.images]}


@dataclass(frozen=True)
class Arm:
    """One system of a study, trained on each of `seeds`; the seed of the recipe itself is not used. Of what there is to
    learn from it gets `share` (0..1), drawn by the seed."""

    name: str
    recipe: Recipe
    seeds: tuple[int, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Trained:
    """What one training answered about the `test` products of its part and those `elsewhere`, in their order.

    `attributes` are those that it predicts as such, by product; None of a model that predicts values alone.
    `train_seconds` are those of training with validation, `products_per_second` those of answering, `peak_mib` the most
    memory its process had.
    """

    part: Part
    answers: tuple[tuple[Facet, ...], ...]
    attributes: tuple[tuple[str, ...], ...] | None
    best_epoch: int
    train_seconds: float
    products_per_second: float
    peak_mib: float

    def about(self, elsewhere: bool) -> Iterator[tuple[Product, Sequence[Facet], Sequence[str] | None]]:
        """Each product of the test split, or of those elsewhere, with the facets and attributes told of it."""
        asked, start = (self.part.elsewhere, len(self.part.test)) if elsewhere else (self.part.test, 0)
        for place, product in enumerate(asked, start):
            yield product, self.answers[place], None if self.attributes is None else self.attributes[place]


def parts_of(products: Sequence[Product], num_folds: int = FOLDS) -> tuple[str, list[Part]]:
    """What the products are scored on, in words, and the parts: the test split that their source published, where it
    did; else the first `num_folds` of five folds, so that a product is scored by models that have not seen it.

    Raises `DataError` for too few products.
    """
    test = tuple(product for product in products if product.split == "test")
    if test and len(test) < len(products):
        return "the published test split", [_part("published", [p for p in products if p.split != "test"], test)]
    fold_of = folds(products)
    if len(fold_of) < 2 * FOLDS:
        raise DataError(f"{len(products)} products: too few for {FOLDS} folds")
    parts = []
    for fold in range(num_folds):
        held_out = tuple(product for product in products if fold_of[product.group_id] == fold)
        parts.append(_part(f"fold {fold}", [p for p in products if fold_of[p.group_id] != fold], held_out))
    return f"{num_folds} of {FOLDS} folds", parts


def _part(name: str, rest: Sequence[Product], test: tuple[Product, ...]) -> Part:
    """Validation products are those of the split that the source published, or else every tenth group."""
    chosen = {product.group_id for product in rest if product.split == "validation"}
    if not chosen:
        chosen = set(sorted({product.group_id for product in rest})[::VALIDATION_EVERY])
    train = tuple(product for product in rest if product.group_id not in chosen)
    return Part(name, train, tuple(product for product in rest if product.group_id in chosen), test)


def run_arm(
    arm: Arm, parts: Sequence[Part], kept: Path, features_dir: Path, workers: int, log: Callable[[str], None]
) -> list[list[Trained]]:
    """What each seed's training answered, by part: [seeds][parts]. Finished trainings are found below `kept`.

    `workers` trainings go on at once. A line for each goes to `log`.
    """
    wanted = [(seed, part.with_less(arm.share, seed)) for seed in arm.seeds for part in parts]
    paths = [_path(kept, _seeded(arm.recipe, seed), part) for seed, part in wanted]
    with ProcessPoolExecutor(workers, fork_context(), max_tasks_per_child=1) as pool:
        trainings = {
            pool.submit(_train, _seeded(arm.recipe, seed), part, features_dir, path): f"seed {seed}, {part.name}"
            for (seed, part), path in zip(wanted, paths, strict=True)
            if not path.exists()
        }
        for done in as_completed(trainings):
            done.result()
            log(f"{arm.name}, {trainings[done]}: trained")
    found = [_read(path, part) for path, (_, part) in zip(paths, wanted, strict=True)]
    return [found[start : start + len(parts)] for start in range(0, len(found), len(parts))]


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    return replace(recipe, training=replace(recipe.training, seed=seed))


def _path(kept: Path, recipe: Recipe, part: Part) -> Path:
    config, training = to_mapping(recipe.config), to_mapping(recipe.training)
    decides = [recipe.key, config, training, recipe.metric, code_digest(recipe.key), part.digest]
    return kept / f"{hash_json(decides)[:32]}.json"


def _train(recipe: Recipe, part: Part, features_dir: Path, path: Path) -> None:
    """In a process of its own: one training, written to `path` when it is finished."""
    seed_everything(recipe.training.seed)
    model = model_class(recipe.key).fit_vocabulary(recipe.config, part.schema, part.train)
    started = time.perf_counter()
    result = fit(model, part.train, part.validation, recipe.training, metric=recipe.metric, features_dir=features_dir)
    train_seconds = time.perf_counter() - started
    with compute_settings(recipe.training.threads):
        if recipe.training.calibrate:
            calibrate(model, part.validation, BATCH)
        asked = (*part.test, *part.elsewhere)
        model.prepare(asked, features_dir)
        started = time.perf_counter()
        answers = list(answer_all(model, asked, BATCH))
        pace = len(asked) / (time.perf_counter() - started)
    answered = [replace(p, facets=tuple(answer.facets)) for p, answer in zip(asked, answers, strict=True)]
    told = [answer.attributes for answer in answers]
    trained = {
        "facets": [to_row(product)["facets"] for product in answered],
        "attributes": None if None in told else [sorted(attributes or ()) for attributes in told],
        "best_epoch": result.best_epoch,
        "train_seconds": round(train_seconds, 2),
        "products_per_second": round(pace, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, trained)


def _read(path: Path, part: Part) -> Trained:
    raw = read_json(path)
    answers = tuple(tuple(facet_from_row(row) for row in rows) for rows in raw.pop("facets"))
    told = raw.pop("attributes")
    attributes = None if told is None else tuple(map(tuple, told))
    return Trained(part=part, answers=answers, attributes=attributes, **raw)
