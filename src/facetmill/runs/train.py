"""Training that counts: one MLflow run per seed, scored on the frozen test split, never repeated needlessly.

A run is identified by everything that decides its result (data, config, training parameters with the seed, code), so
asking for the same training twice finds the first one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.store.fingerprints import FINGERPRINTS, Fingerprints
from facetmill.dataset.store.readers import reader_of, settings_of
from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import DVC_FILES, read_split
from facetmill.files import hash_json
from facetmill.gates.pictures import LookCache
from facetmill.metrics.counted import Metric
from facetmill.models import model_class
from facetmill.models.base import Model
from facetmill.params import ModelConfig, Params, TrainingParams, model_config, to_mapping, training_of
from facetmill.platform.isolated import warm_up
from facetmill.platform.locks import exclusive
from facetmill.project import Project
from facetmill.records import Product
from facetmill.registry.notes import training_note
from facetmill.runs.code_digest import code_digest
from facetmill.serving.package import package
from facetmill.tracking.tags import CATALOGUE, DATASET, DATASET_VERSION, KIND, METRIC, MODEL, STUDY, TRAINING
from facetmill.tracking.tracker import Run
from facetmill.training.checkpoint import save_model
from facetmill.training.evaluate import BATCH, evaluate
from facetmill.training.fit import fit
from facetmill.training.predict import calibrate
from facetmill.training.state import EpochResult

DICTIONARY = "dictionary"
RECIPE = "recipe.json"  # artifact: what was trained, and by which code


@dataclass(frozen=True)
class Recipe:
    """What to train: a model key, its config, how, and by which metric its best epoch is told; recipes that name none
    are older than there was a choice."""

    key: str
    config: ModelConfig
    training: TrainingParams
    metric: Metric = "value_f1"


def recipe_of(params: Params, key: str) -> Recipe:
    """The recipe that params.yaml gives for a model."""
    return Recipe(key, model_config(params, key), training_of(params, key), params.promotion.metric)


@dataclass(frozen=True)
class TrainedRun:
    """A finished training: its run, and how it scored by its recipe's metric. `new` is False when the run was there
    already."""

    run_id: str
    key: str
    seed: int
    metric: Metric
    validation_score: float
    test_score: float
    new: bool


def training_id(dataset: Dataset, recipe: Recipe) -> str:
    """One hash for everything that decides a training's result. How pictures were read is part of it: two datasets may
    hold the same words, and models of the one read others in service."""
    config, training = to_mapping(recipe.config), to_mapping(recipe.training)
    read = to_mapping(settings_of(dataset))
    code = code_digest(recipe.key)
    return hash_json([dataset.version, read, recipe.key, config, training, recipe.metric, code])


def best_on_validation(metric: Metric) -> str:
    """The name of a training's best validation score in MLflow."""
    return f"validation/best_{metric}"


def describe_run(catalogue: str, dataset: Dataset, key: str, kind: str, metric: Metric) -> dict[str, str]:
    """The tags that every training run carries."""
    return {
        KIND: kind,
        CATALOGUE: catalogue,
        MODEL: key,
        DATASET: dataset.name,
        DATASET_VERSION: dataset.version,
        METRIC: metric,
    }


def build_model(dataset: Dataset, recipe: Recipe, train: Sequence[Product]) -> Model:
    """A new model that knows the words of some train products, its weights drawn from the recipe's seed."""
    seed_everything(recipe.training.seed)
    model = model_class(recipe.key).fit_vocabulary(recipe.config, dataset.schema, train)
    model.read_with(reader_of(dataset, model.reads))
    return model


def train(project: Project, dataset: Dataset, recipe: Recipe, study: str | None = None) -> TrainedRun:
    """Train one model with one seed, or find the run that did. The model lies in the run as a served package.

    `study` names the sweep that the recipe comes from. Raises `Busy` while another process is at the same training.
    """
    wanted = {TRAINING: training_id(dataset, recipe)}
    with only_training(project, dataset, recipe, kind="training") as state_dir:
        found = project.tracker.find_run(wanted)
        if found is None:
            warm_up()  # what is trained will be judged, in processes that get ready on another core meanwhile
            tags = wanted if study is None else wanted | {STUDY: study}
            return train_anew(project, dataset, recipe, state_dir, kind="training", tags=tags)
    key, seed = recipe.key, recipe.training.seed
    print(f"{key} with seed {seed} was trained on this before: run {found}")
    metrics = project.tracker.run_info(found).metrics
    validation, test = metrics[best_on_validation(recipe.metric)], metrics[f"test/{recipe.metric}"]
    return TrainedRun(found, key, seed, recipe.metric, validation, test, new=False)


@contextmanager
def only_training(project: Project, dataset: Dataset, recipe: Recipe, *, kind: str) -> Iterator[Path]:
    """Be the only process at a training; yields the folder of its state. Raises `Busy` while another one is."""
    state_dir = project.layout.state_dir / "training" / f"{kind}-{training_id(dataset, recipe)[:16]}"
    what = f"training {recipe.key} with seed {recipe.training.seed} on {dataset.name} like this"
    with exclusive(state_dir.with_name(f"{state_dir.name}.lock"), what, timeout=0):
        yield state_dir


def train_anew(
    project: Project,
    dataset: Dataset,
    recipe: Recipe,
    state_dir: Path,
    *,
    kind: str,
    tags: Mapping[str, str] | None = None,
) -> TrainedRun:
    """One run of that kind: trained, scored on the test split, packaged. A killed one goes on where it was: `state_dir`
    is that of `only_training`."""
    dataset.require_passed()
    key, seed = recipe.key, recipe.training.seed
    all_tags = describe_run(project.catalogue, dataset, key, kind, recipe.metric) | dict(tags or {})
    params = {"model": to_mapping(recipe.config), "training": to_mapping(recipe.training)}
    with project.tracker.run(f"{key} seed {seed} {dataset.name}", tags=all_tags, params=params) as run:
        log_dataset(run, dataset)
        products, validation = read_split(dataset, "train"), read_split(dataset, "validation")
        model = build_model(dataset, recipe, products)
        result = fit(
            model,
            products,
            validation,
            recipe.training,
            metric=recipe.metric,
            state_dir=state_dir,
            features_dir=project.layout.features_dir,
            on_epoch=lambda epoch: log_epoch(run, epoch),
            progress=True,
        )
        trained = replace(recipe, training=replace(recipe.training, precision=result.precision))
        run.log_params({"precision": result.precision})
        run.log_json(RECIPE, {**to_mapping(trained), "code": code_digest(key)})
        test_products = read_split(dataset, "test")
        with compute_settings(recipe.training.threads):
            if recipe.training.calibrate:
                calibrate(model, validation, BATCH)
            model.prepare(test_products, project.layout.features_dir)
            test = evaluate(model, test_products, bootstrap=project.params.promotion.bootstrap)
        metrics = {f"test/{metric}": value for metric, value in test.flat().items()}
        metrics["test/facets_outside_category"] = dataset.schema.outside_category(test_products)
        run.log_metrics({**metrics, best_on_validation(recipe.metric): result.score})
        run.describe(training_note(all_tags, seed, metrics))
        run.log_json("test_scores.json", test.to_json())
        run.log_json("model_report.json", dict(model.report()))
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "model"
            save_model(model, saved)
            with LookCache(project.layout.looks_path) as looks:
                Fingerprints.of_dataset(dataset, looks).write(saved / FINGERPRINTS)
            package(saved, run, project.tracker, tags=all_tags)
    shutil.rmtree(state_dir, ignore_errors=True)  # only an unfinished training needs it
    test_score = metrics[f"test/{recipe.metric}"]
    return TrainedRun(run.run_id, key, seed, recipe.metric, result.score, test_score, new=True)


def train_dictionary(project: Project, dataset: Dataset) -> TrainedRun:
    """The baseline that always runs first: anything below it is a bug.

    Of both ways to count what nobody said it takes the one that validation prefers, so that the bar for every model is
    as high as a dictionary can lay it: "known" suits metrics that leave unknown attributes out, "all" the others.
    """
    recipe, config = recipe_of(project.params, DICTIONARY), project.params.models.dictionary
    ways = (replace(config, negatives="known"), replace(config, negatives="all"))
    return best_run([train(project, dataset, replace(recipe, config=way)) for way in ways])


def train_seeds(project: Project, dataset: Dataset, recipe: Recipe, study: str | None = None) -> list[TrainedRun]:
    """The same training on each of `sweep.final_seeds`."""
    return [
        train(project, dataset, replace(recipe, training=replace(recipe.training, seed=seed)), study)
        for seed in project.params.sweep.final_seeds
    ]


def best_run(runs: Sequence[TrainedRun]) -> TrainedRun:
    """The run to register: best on *validation*; the test split chooses nothing. Equal: the lowest seed."""
    return max(runs, key=lambda run: (run.validation_score, -run.seed))


def log_epoch(run: Run, epoch: EpochResult) -> None:
    run.log_metrics(
        {
            **{f"train/{name}": value for name, value in epoch.losses.items()},
            **{f"validation/{name}": value for name, value in epoch.scores.items()},
            **{f"train/learning_rate/{group}": rate for group, rate in epoch.learning_rates.items()},
            "train/products_per_second": epoch.items_per_second,
        },
        step=epoch.epoch,
    )


def log_dataset(run: Run, dataset: Dataset) -> None:
    """What the run was trained on: the dataset as MLflow input, DVC's hashes, and the gate's verdict and page."""
    run.log_dataset(dataset.name, dataset.version)
    for name in DVC_FILES:
        run.log_file(dataset.dir / name, "dataset")
    run.log_folder(dataset.dir / "checked", "dataset/checked")
    run.log_folder(dataset.dir / "reports", "dataset/reports")
