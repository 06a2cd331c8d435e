"""A sweep: short trainings of one model over its search space, each a nested MLflow run that ends as it really did."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import optuna

from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import read_split
from facetmill.files import hash_json
from facetmill.params import Params, SweepParams, model_config, to_mapping, training_of
from facetmill.platform.worker_processes import supervise
from facetmill.project import Project
from facetmill.registry.notes import sweep_note
from facetmill.report.sweep_page import sweep_page
from facetmill.runs.code_digest import code_digest
from facetmill.runs.recovery import close_lost_runs
from facetmill.runs.train import Recipe, best_on_validation, build_model, describe_run, log_epoch
from facetmill.tracking.tags import KIND, STUDY
from facetmill.tracking.tracker import Run
from facetmill.training.fit import fit
from facetmill.training.search.study import Candidate, Study
from facetmill.training.search.summary import best_so_far, summarize
from facetmill.training.state import EpochResult

SUMMARY, PAGE = "sweep.json", "sweep.html"  # artifacts of the sweep's run


@dataclass(frozen=True)
class Winner:
    """What the sweep found best: the recipe to train in earnest, and its score (0..1) by the recipe's metric in the
    short training."""

    study: str
    recipe: Recipe
    score: float
    num_trials: int
    num_new_trials: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def sweep(project: Project, dataset: Dataset, key: str) -> Winner:
    """Bring the study of one model on one dataset to `sweep.trials` finished trials, and return its best one.

    The same question has the same study, so an interrupted sweep goes on, and a finished one is only read: nothing new
    appears in MLflow.
    """
    dataset.require_passed()
    params = project.params
    name, study = open_study(project, dataset, key)
    if not study.records():
        _warn_of_lost_trials(project, name)
    num_new = params.sweep.trials - study.num_finished()
    if num_new > 0:
        if params.sweep.pool is not None:
            from facetmill.platform.pools import require_pool

            require_pool(params.sweep.pool)
        described = describe_run(project.catalogue, dataset, key, "sweep", params.promotion.metric) | {STUDY: name}
        with project.tracker.run(f"{key} sweep {dataset.name}", tags=described, params=to_mapping(params.sweep)) as run:
            run.log_dataset(dataset.name, dataset.version)
            if _tries_here(params.sweep):
                study.run(params.sweep.trials, Trial(project, dataset, key, name, run.run_id))
            else:
                _hand_out(project, job_of(project, dataset, key, run.run_id, study.num_failed()))
            log_summary(run, study, dataset, key, params)
            run.log_metrics({"trials": study.num_finished()})
    best = study.best(params.sweep.min_gain)
    recipe = Recipe(key, best.config, best.training, params.promotion.metric)
    return Winner(name, recipe, best.value, study.num_finished(), max(0, num_new))


def _warn_of_lost_trials(project: Project, study: str) -> None:
    """A study that has no trial is a new one, unless MLflow knows better."""
    known = project.tracker.search({KIND: "trial", STUDY: study})
    if known:
        storage = project.layout.study_storage
        where = "the database of FACETMILL_STORAGE" if "://" in storage else storage
        print(
            f"study {study} begins anew: MLflow has {len(known)} trials of it, but {where} has none any more. To go on "
            "with them, stop here and put it back from a back-up (facetmill restore DIR)",
            file=sys.stderr,
        )


def log_summary(run: Run, study: Study, dataset: Dataset, key: str, params: Params) -> None:
    """All trials of the study as `sweep.json`, the page `sweep.html`, and curves over trial numbers."""
    metric = params.promotion.metric
    about = {"model": key, "metric": metric, "dataset": {"name": dataset.name, "version": dataset.version}}
    summary = about | summarize(study, params.sweep.min_gain)
    run.log_json(SUMMARY, summary)
    run.log_text(PAGE, sweep_page(summary))
    run.describe(sweep_note(summary))
    for number, value in best_so_far(summary).items():
        tried = summary["trials"][number]["value"]
        run.log_metrics({f"validation/{metric}": tried, best_on_validation(metric): value}, step=number)


def open_study(project: Project, dataset: Dataset, key: str) -> tuple[str, Study]:
    """The study of one model on one dataset, and its name; made where there is none."""
    name = study_name(project, dataset, key)
    study = Study(
        name=name,
        storage=project.layout.study_storage,
        key=key,
        config=model_config(project.params, key),
        training=training_of(project.params, key),
        seed=project.params.sweep.seed,
    )
    return name, study


def job_of(project: Project, dataset: Dataset, key: str, run_id: str, failed_before: int) -> dict[str, Any]:
    """What a worker must know to go on where this process stands."""
    return {
        "root": str(project.layout.root),
        "catalogue": project.catalogue,
        "params": to_mapping(project.params),
        "dataset": str(dataset.dir),
        "model": key,
        "study": study_name(project, dataset, key),
        "run": run_id,
        "failed_before": failed_before,
    }


def _tries_here(params: SweepParams) -> bool:
    """Whether this process itself tries, one candidate after the other."""
    return params.workers == 1 and params.pool is None


def _hand_out(project: Project, job: Mapping[str, Any]) -> None:
    """Have `sweep.workers` workers do a job: processes of this one, or flow runs in the work pool `sweep.pool`."""

    def on_death() -> None:
        _report(close_lost_runs(project.tracker))

    params = project.params.sweep
    if params.pool is None:
        command = [sys.executable, "-P", "-m", "facetmill.runs.sweep_worker", json.dumps(job)]
        supervise(params.workers, command, on_death)
    else:
        from facetmill.platform.pools import run_in_pool  # Prefect, which a process that tries does not need

        run_in_pool(project.layout, "sweep_worker", params.pool, params.workers, {"job": job}, on_death)


def _report(closed: list[str]) -> None:
    for line in closed:
        print(line, file=sys.stderr)


def study_name(project: Project, dataset: Dataset, key: str) -> str:
    """Named after all that decides what its trials give; more trials or other final seeds are the same study."""
    params = project.params
    sweep_params = {
        name: value for name, value in to_mapping(params.sweep).items() if name in ("epochs", "train_share", "seed")
    }
    config, training = to_mapping(model_config(params, key)), to_mapping(training_of(params, key))
    asked = [dataset.version, config, training, params.promotion.metric, sweep_params]
    return f"{key}-{dataset.name}-{hash_json([*asked, code_digest(key)])[:8]}"


class Trial:
    """Trains one candidate of a sweep on a share of the train split, as a run below the sweep's."""

    def __init__(self, project: Project, dataset: Dataset, key: str, study: str, sweep_run: str) -> None:
        self.project = project
        self.dataset = dataset
        self.key = key
        self.tags = describe_run(project.catalogue, dataset, key, "trial", project.params.promotion.metric) | {
            STUDY: study
        }
        self.sweep_run = sweep_run
        params = project.params.sweep
        self.train = read_split(dataset, "train", share=params.train_share, seed=params.seed)
        self.validation = read_split(dataset, "validation")

    def __call__(self, candidate: Candidate) -> float:
        params = self.project.params.sweep
        training = replace(candidate.training, epochs=params.epochs, seed=params.seed)
        metric = self.project.params.promotion.metric
        recipe = Recipe(self.key, candidate.config, training, metric)
        logged = {"model": to_mapping(recipe.config), "training": to_mapping(training)}
        name = f"trial-{candidate.number}"
        alone = _tries_here(params)  # the bars of several processes would overwrite one another
        value: float | optuna.TrialPruned
        with self.project.tracker.run(name, parent=self.sweep_run, tags=self.tags, params=logged) as run:
            run.log_dataset(self.dataset.name, self.dataset.version)

            def on_epoch(epoch: EpochResult) -> None:
                log_epoch(run, epoch)
                if epoch.scores:
                    candidate.report(epoch.epoch, epoch.scores[metric])

            model = build_model(self.dataset, recipe, self.train)
            try:
                features_dir = self.project.layout.features_dir
                result = fit(
                    model,
                    self.train,
                    self.validation,
                    training,
                    metric=metric,
                    features_dir=features_dir,
                    on_epoch=on_epoch,
                    progress=alone,
                )
                value = result.score
                run.log_params({"precision": result.precision})
                run.log_metrics({best_on_validation(metric): value})
            except optuna.TrialPruned as signal:
                run.status = "KILLED"
                value = signal
        if isinstance(value, optuna.TrialPruned):
            raise value
        return value
