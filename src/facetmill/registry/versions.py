"""Registered versions: the candidates, the live model, and how a name that a person types becomes a model folder.

Candidates and the live model are two registered models, so that on a shared server only the promotion may write to the
live one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from facetmill.errors import NoAnswer, PlatformError
from facetmill.files import hash_folder
from facetmill.serving.package import NAME, weights_dir
from facetmill.serving.plain import require_plain
from facetmill.tracking.tags import DICTIONARY_RUN, GIT_DIRTY, PACKAGE_SHA256, RUN
from facetmill.tracking.tracker import Tracker

CANDIDATES = "facets-candidates"
LIVE = "facets"
ALIAS = "champion"
CHAMPION = f"{LIVE}@{ALIAS}"
DICTIONARY = "dictionary"
PURPOSE = {
    CANDIDATES: """\
Every trained model that may go live: a version for each training that was offered. Retraining writes here; on a \
shared server ML engineers may. Nothing is served from here.

A version's description says on which data it was trained, how it scored, and what each gate said of it. The tag \
`facetmill.verdict` says whether it was accepted. To promote one: `facetmill promote VERSION --why "..."`.
""",
    LIVE: """\
What is served: load `models:/facets@champion`. Versions are copies of candidates that every gate accepted.

Only `facetmill promote` and `facetmill rollback` write here, and on a shared server only release managers may. Do not \
move the alias `champion` by hand: the ledger (`facetmill history`) would not know who did it and why.
""",
}
MAX_BYTES, MAX_FILES = 20 * 1024**3, 10_000  # of a package
ADDED_BY_MLFLOW = "registered_model_meta"  # a file that a download of a registered version adds to the package

_VERSION = re.compile(rf"({CANDIDATES}|{LIVE})/(\d{{1,9}})")
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Resolved:
    """What a reference means. `uri` is None for a local folder; `version` is None for what is not registered."""

    ref: str
    uri: str | None = None
    folder: Path | None = None
    version: int | None = None
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def trained_in(self) -> str | None:
        """Id of the run that trained it; None for a folder."""
        return self.tags.get(RUN) or self.run_id


def register(tracker: Tracker, run_id: str, tags: Mapping[str, str]) -> int:
    """Register the packaged model of a run as a candidate, and return its version number.

    The version carries the given tags, the run id, the run's git commit and the hash of the model folder.
    """
    model = _model_of_run(tracker, run_id)
    if model is None:
        raise PlatformError(f"run {run_id} holds no packaged model; it can only be registered after `package`")
    run_tags = tracker.run_info(run_id).tags
    git = {name: run_tags[name] for name in ("mlflow.source.git.commit", GIT_DIRTY) if name in run_tags}
    all_tags = {**tags, RUN: run_id, PACKAGE_SHA256: model.tags[PACKAGE_SHA256], **git}  # as the UI lists them
    ensure_registered(tracker, CANDIDATES)
    made = tracker.client.create_model_version(
        CANDIDATES, f"models:/{model.model_id}", run_id, tags=all_tags, model_id=model.model_id
    )
    return int(made.version)


def registered(tracker: Tracker) -> list[ModelVersion]:
    """Every version of both registered models: what is or was live, and all candidates."""
    return [version for name in (LIVE, CANDIDATES) for version in _search(tracker, name)]


def version_of_run(tracker: Tracker, run_id: str) -> int | None:
    """The candidate version of a run, or None."""
    found = [int(v.version) for v in _search(tracker, CANDIDATES) if v.tags.get(RUN) == run_id]
    return max(found, default=None)


def champion(tracker: Tracker) -> ModelVersion | None:
    """The live version, or None when nothing was promoted yet."""
    try:
        return tracker.client.get_model_version_by_alias(LIVE, ALIAS)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def tags_of_live(tracker: Tracker, version: int) -> dict[str, str] | None:
    """The tags of a version of the live model, or None where there is no such version."""
    try:
        return dict(tracker.client.get_model_version(LIVE, str(version)).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def live_version_of(tracker: Tracker, candidate_version: int) -> int | None:
    """The version of the live model that was copied from a candidate, or None; the first, should there be several."""
    source = f"models:/{CANDIDATES}/{candidate_version}"
    return min((int(v.version) for v in _search(tracker, LIVE) if v.source == source), default=None)


def resolve(tracker: Tracker, ref: str) -> Resolved:
    """Find what `ref` names: `facets@champion`, `facets/3`, `facets-candidates/7`, a run id, a local model folder, or
    `dictionary` (the one that the champion was judged beside).

    Raises `PlatformError` that lists what exists.
    """
    if ref == CHAMPION:
        live = champion(tracker)
        if live is None:
            raise PlatformError(f"{ref}: nothing is live yet; {_existing(tracker)}")
        return _resolve_version(tracker, ref, live)
    if ref == DICTIONARY:
        return _resolve_dictionary(tracker)
    if match := _VERSION.fullmatch(ref):
        return _resolve_version(tracker, ref, _version(tracker, match[1], match[2]))
    if _RUN_ID.fullmatch(ref):
        return _resolve_run(tracker, ref)
    folder = Path(ref).expanduser()
    if (folder / "model.json").is_file():
        return Resolved(ref, folder=folder.resolve())
    raise PlatformError(f"{ref!r} is no version, run id or model folder; {_existing(tracker)}")


def fetch(tracker: Tracker, resolved: Resolved, target_dir: Path) -> Path:
    """The folder that `load_model` reads: that of the package, or the local folder itself."""
    if resolved.folder is not None:
        return resolved.folder
    return weights_dir(fetch_package(tracker, resolved, target_dir))


def fetch_package(tracker: Tracker, resolved: Resolved, target_dir: Path) -> Path:
    """The whole package, as a server loads it, in `target_dir/package`.

    Raises `PlatformError` when its hash is not the one noted at packaging: what is loaded is what was judged. Raises
    `NoAnswer` for one that is too large to be a model, or of which more than its model file would be run.
    """
    if resolved.uri is None:
        raise PlatformError(f"{resolved.ref}: a model folder, not a package; register it first")
    _require_room(tracker, resolved.ref, resolved.uri, target_dir)
    folder = tracker.download_uri(resolved.uri, target_dir / "package")
    (folder / ADDED_BY_MLFLOW).unlink(missing_ok=True)
    expected = resolved.tags.get(PACKAGE_SHA256)
    found = hash_folder(folder)
    if found != expected:
        raise PlatformError(
            f"{resolved.ref}: the stored package is {found}, but {expected} was registered: do not use it"
        )
    try:
        require_plain(folder)
    except NoAnswer as error:
        raise NoAnswer(f"{resolved.ref}: not loaded: {error}") from error
    return folder


def _require_room(tracker: Tracker, ref: str, uri: str, target_dir: Path) -> None:
    """Before anything is downloaded: it is no more than a model can be, and there is room for it."""
    num_files = num_bytes = 0
    for size in tracker.file_sizes(uri):
        num_files, num_bytes = num_files + 1, num_bytes + size
        if num_files > MAX_FILES or num_bytes > MAX_BYTES:
            raise NoAnswer(
                f"{ref}: not loaded: {num_bytes:,} bytes in {num_files:,} files of its package and more, but a package "
                f"has at most {MAX_BYTES:,} in {MAX_FILES:,}"
            )
    target_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target_dir).free
    if num_bytes > free:
        raise PlatformError(f"{ref}: its package has {num_bytes:,} bytes, but {free:,} are free in {target_dir}")


def _resolve_version(tracker: Tracker, ref: str, version: ModelVersion) -> Resolved:
    return Resolved(
        ref=ref,
        uri=f"models:/{version.name}/{version.version}",
        version=int(version.version),
        run_id=version.run_id,
        tags=dict(version.tags),
    )


def _resolve_run(tracker: Tracker, ref: str) -> Resolved:
    tags = tracker.run_info(ref).tags
    model = _model_of_run(tracker, ref)
    if model is None:
        raise PlatformError(f"run {ref} holds no packaged model; {_existing(tracker)}")
    return Resolved(ref, uri=f"models:/{model.model_id}", run_id=ref, tags={**tags, **model.tags})


def _resolve_dictionary(tracker: Tracker) -> Resolved:
    live = champion(tracker)
    run_id = None if live is None else live.tags.get(DICTIONARY_RUN)
    if run_id is None:
        raise PlatformError(f"{DICTIONARY}: no champion that names one; {_existing(tracker)}")
    return _resolve_run(tracker, run_id)


def _version(tracker: Tracker, name: str, number: str) -> ModelVersion:
    try:
        return tracker.client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise PlatformError(f"{name}/{number}: no such version; {_existing(tracker)}") from error
        raise


def _model_of_run(tracker: Tracker, run_id: str) -> LoggedModel | None:
    """The newest ready package of a run."""
    found = tracker.client.search_logged_models(
        [tracker.experiment_id], f"source_run_id = '{run_id}'", order_by=[{"field_name": "creation_time"}]
    )
    ready = [model for model in found if str(model.status) == "READY" and model.name == NAME]
    return max(ready, key=lambda model: model.creation_timestamp, default=None)


def ensure_registered(tracker: Tracker, name: str) -> None:
    """Make one of the two registered models, with words for those who find it in the UI, where it is missing."""
    try:
        tracker.client.create_registered_model(name, description=PURPOSE[name])
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _search(tracker: Tracker, name: str) -> list[ModelVersion]:
    versions: list[ModelVersion] = []
    token = None
    while True:
        page = tracker.client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        versions += page
        token = page.token
        if not token:
            return versions


def _existing(tracker: Tracker) -> str:
    """What may be asked for, newest first."""
    live = champion(tracker)
    names = [] if live is None else [CHAMPION]
    for name in (LIVE, CANDIDATES):
        numbers = sorted((int(v.version) for v in _search(tracker, name)), reverse=True)
        names += [f"{name}/{number}" for number in numbers[:10]]
    return f"there are: {', '.join(names)}" if names else "no model is registered yet"
