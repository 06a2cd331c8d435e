"""What happened, told to MLflow. This is the only module that logs there.

Run ids are always explicit. MLflow's fluent calls (`mlflow.log_metric`) write to whatever run the thread thinks is
active, which on a reused thread is the wrong one.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils import mlflow_tags
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

from facetmill.errors import PlatformError
from facetmill.files import replace_file, replace_folder
from facetmill.params.catalogue import DEMO
from facetmill.platform.processes import this_process
from facetmill.tracking.names import Names
from facetmill.tracking.tags import GIT_DIRTY, PROCESS
from facetmill.tracking.view import experiment_tags

Status = Literal["FINISHED", "FAILED", "KILLED"]

MAX_BUFFERED = 500  # metrics; MLflow takes 1000 in one call
MAX_BUFFER_SECONDS = 10.0  # so that a watcher sees a long epoch go on
CUT = " ...cut"
DIGEST_DIGITS = 12  # of a dataset's version, as every page shows it; the source of the input holds all of it


@dataclass(frozen=True)
class RunInfo:
    """A run as MLflow shows it; `metrics` are the last value of each."""

    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class Run:
    """An open run. Its last `status` is what it ends as when nothing is raised; set "KILLED" for a pruned trial."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.run_id = run_id
        self.status: Status = "FINISHED"
        self._client = client
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers of one step. They are sent together, at the latest when the run ends."""
        now = int(time.time() * 1000)
        self._metrics += [Metric(name, float(value), now, step) for name, value in metrics.items()]
        if len(self._metrics) >= MAX_BUFFERED or time.monotonic() - self._flushed > MAX_BUFFER_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the metrics that wait."""
        while self._metrics:
            self._client.log_batch(self.run_id, metrics=self._metrics[:MAX_BUFFERED])
            del self._metrics[:MAX_BUFFERED]  # only what has arrived
        self._flushed = time.monotonic()

    def log_params(self, params: Mapping[str, object]) -> None:
        """Parameters; nested mappings become dotted names, and a value over MLflow's limit is cut with a mark."""
        flat = [Param(name, _param_text(value)) for name, value in flatten(params).items()]
        for start in range(0, len(flat), MAX_PARAMS_TAGS_PER_BATCH):
            self._client.log_batch(self.run_id, params=flat[start : start + MAX_PARAMS_TAGS_PER_BATCH])

    def log_json(self, name: str, value: object) -> None:
        """A JSON artifact at the path `name` of the run. NaN is refused: it is not JSON."""
        text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
        self.log_text(name, text + "\n")

    def log_text(self, name: str, text: str) -> None:
        """A text artifact at the path `name` of the run."""
        self._client.log_text(self.run_id, text, name)

    def describe(self, note: str) -> None:
        """What MLflow shows as the run's description, in Markdown."""
        self._client.set_tag(self.run_id, mlflow_tags.MLFLOW_RUN_NOTE, note)

    def log_folder(self, folder: Path, artifact_path: str) -> None:
        self._client.log_artifacts(self.run_id, str(folder), artifact_path)

    def log_file(self, path: Path, artifact_path: str | None = None) -> None:
        self._client.log_artifact(self.run_id, str(path), artifact_path)

    def log_dataset(self, name: str, version: str, context: str = "training") -> None:
        """The dataset as an input of the run: `name`, and `version`, the hash of its content that DVC also knows."""
        dataset = Dataset(
            name=name,
            digest=version[:DIGEST_DIGITS],
            source_type="dvc",
            source=json.dumps({"name": name, "version": version}),
        )
        tag = InputTag(mlflow_tags.MLFLOW_DATASET_CONTEXT, context)
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, [tag])])


class Tracker:
    """One experiment on one MLflow server, and the registered models of one catalogue. Safe to use from many threads:
    it keeps no active run."""

    def __init__(self, uri: str, experiment: str, catalogue: str = DEMO) -> None:
        self.names = Names(catalogue)
        self.uri = uri
        self.experiment = experiment
        self.client = MlflowClient(uri, uri)

    def of(self, catalogue: str) -> Tracker:
        """The same server for another catalogue."""
        other = copy(self)
        other.names = Names(catalogue)
        return other

    @cached_property
    def experiment_id(self) -> str:
        """Id of the experiment, made on first use; two processes may make it at once."""
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return str(self.client.create_experiment(self.experiment, tags=experiment_tags()))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self.client.get_experiment_by_name(self.experiment)
        if found is None or found.lifecycle_stage != "active":
            raise PlatformError(f"the MLflow experiment {self.experiment!r} was deleted; restore it in {self.uri}")
        return str(found.experiment_id)

    @contextmanager
    def run(
        self,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
    ) -> Iterator[Run]:
        """A new run that ends as it really ended: FAILED by an exception, KILLED by a signal, else its `status`.

        `parent` is the run id that it is shown under. Git commit and dirty flag are tagged where there is git,
        and the process, by which `runs.recovery` later tells a run that a crash has left open.
        """
        process = this_process()
        owner = dict(zip(PROCESS, (process.host, str(process.pid), str(process.created)), strict=True))
        all_tags = {**git_tags(), **(tags or {}), **owner}
        if parent is not None:
            all_tags[mlflow_tags.MLFLOW_PARENT_RUN_ID] = parent
        created = self.client.create_run(self.experiment_id, tags=all_tags, run_name=name)
        run = Run(self.client, created.info.run_id)
        status: Status | None = "FAILED"
        try:
            with _sigterm_raises():
                run.log_params(params or {})
                yield run
                run.flush()
                status = run.status
        except Exception as error:
            if is_lost(error):  # it would be waited for again, in vain; `runs.recovery` closes the run when it is back
                status = None
            raise
        except BaseException:  # Ctrl-C, SIGTERM, Prefect's cancellation: stopped from outside, not wrong inside
            status = "KILLED"
            raise
        finally:
            if status is not None:
                try:
                    run.flush()
                finally:
                    self.client.set_terminated(run.run_id, status)

    def find_run(self, tags: Mapping[str, str]) -> str | None:
        """Id of the newest FINISHED run with all these tags, or None."""
        terms = [f"tags.`{name}` = {_quoted(value)}" for name, value in tags.items()]
        terms.append("attributes.status = 'FINISHED'")
        found = self.client.search_runs(
            [self.experiment_id], " and ".join(terms), max_results=1, order_by=["attributes.start_time DESC"]
        )
        return str(found[0].info.run_id) if found else None

    def run_info(self, run_id: str) -> RunInfo:
        """What MLflow knows of a run. Raises `PlatformError` where there is none of that id."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise PlatformError(f"no run {run_id!r} in {self.uri}") from error
            raise
        return _info(run)

    def search(self, tags: Mapping[str, str], like: Mapping[str, str] | None = None) -> list[RunInfo]:
        """Every run with all these tags, newest first; `like` are SQL patterns, in which % stands for anything."""
        terms = [f"tags.`{name}` = {_quoted(value)}" for name, value in tags.items()]
        terms += [f"tags.`{name}` LIKE {_quoted(value)}" for name, value in (like or {}).items()]
        found: list[RunInfo] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], " and ".join(terms), order_by=["attributes.start_time DESC"], page_token=token
            )
            found += [_info(run) for run in page]
            token = page.token
            if not token:
                return found

    def read_text(self, run_id: str, artifact_path: str) -> str:
        """A text artifact of a run. Raises `PlatformError` where there is none."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.download_uri(f"runs:/{run_id}/{artifact_path}", Path(folder) / "artifact")
            return path.read_text(encoding="utf-8")

    def read_json(self, run_id: str, artifact_path: str) -> dict[str, Any]:
        """A JSON object among a run's artifacts. Raises `PlatformError` where there is none."""
        value = json.loads(self.read_text(run_id, artifact_path))
        if not isinstance(value, dict):
            raise PlatformError(f"run {run_id}: {artifact_path} is not a JSON object")
        return value

    def file_sizes(self, uri: str) -> Iterator[int]:
        """The bytes of each file that an MLflow URI names, folder by folder, as the store lists them.

        Raises `PlatformError` when it cannot.
        """
        folders: list[str | None] = [None]
        try:
            store = get_artifact_repository(uri, tracking_uri=self.uri, registry_uri=self.uri)
            while folders:
                for entry in store.list_artifacts(folders.pop()):
                    if entry.is_dir:
                        folders.append(entry.path)
                    else:
                        yield entry.file_size or 0
        except (MlflowException, OSError) as error:
            raise PlatformError(f"{uri}: cannot be read from {self.uri}: {error}") from error

    def download_uri(self, uri: str, target: Path) -> Path:
        """Bring what an MLflow URI (`runs:/`, `models:/`) names to `target`. Raises `PlatformError` when it cannot."""
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = mlflow.artifacts.download_artifacts(
                    artifact_uri=uri, dst_path=scratch, tracking_uri=self.uri, registry_uri=self.uri
                )
            except (MlflowException, OSError) as error:
                raise PlatformError(f"{uri}: cannot be downloaded from {self.uri}: {error}") from error
            return _move(Path(found), target)


def is_lost(error: BaseException) -> bool:
    """Whether the server did not answer, however often MLflow's client asked."""
    return isinstance(error, MlflowException) and str(error).startswith("API request to ")


def _info(run: mlflow.entities.Run) -> RunInfo:
    return RunInfo(
        run_id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )


def flatten(params: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one level with dotted names: {"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, object] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def git_tags(folder: Path | None = None) -> dict[str, str]:
    """Commit of the working tree and whether it differs from it; empty without git or a commit."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {mlflow_tags.MLFLOW_GIT_COMMIT: commit, GIT_DIRTY: str(bool(dirty)).lower()}


def _git(folder: Path | None, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _param_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_PARAM_VAL_LENGTH else text[: MAX_PARAM_VAL_LENGTH - len(CUT)] + CUT


def _quoted(value: str) -> str:
    """A value as MLflow's filter language takes it, which has no escapes."""
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise PlatformError(f"MLflow cannot search for a tag value that has both kinds of quotes: {value!r}")


def _move(found: Path, target: Path) -> Path:
    """Put a downloaded file or folder in place, whole."""
    if found.is_dir():
        with replace_folder(target) as temporary:
            shutil.copytree(found, temporary, dirs_exist_ok=True)
    else:
        with replace_file(target) as temporary:
            shutil.copyfile(found, temporary)
    return target


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into `SystemExit` meanwhile, so that a stopped run is not left RUNNING for ever.

    Only the main thread may set a handler, and a handler that someone else has set is theirs to keep.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
