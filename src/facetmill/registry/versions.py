"""Registered versions: the candidates, the live model, and how a name that a person types becomes a model folder. Where
no catalogue is named, all is about the one that the tracker is of."""

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
from facetmill.params.catalogue import DEMO
from facetmill.serving.package import NAME, weights_dir
from facetmill.serving.plain import require_plain
from facetmill.tracking.names import ALIAS, DICTIONARY, Names, named
from facetmill.tracking.tags import CATALOGUE, DICTIONARY_RUN, GIT_DIRTY, PACKAGE_SHA256, RUN
from facetmill.tracking.tracker import Tracker

CANDIDATES_PURPOSE = """\
Every trained model of the catalogue {catalogue} that may go live: a version for each training that was offered. \
Retraining writes here; on a shared server ML engineers may. Nothing is served from here.

A version's description says on which data it was trained, how it scored, and what each gate said of it. The tag \
`facetmill.verdict` says whether it was accepted. To promote one: \
`facetmill promote VERSION --catalogue {catalogue} --why "..."`.
"""
LIVE_PURPOSE = """\
What is served for the catalogue {catalogue}: load `models:/{champion}`. Versions are copies of candidates that every \
gate accepted.

Only `facetmill promote` and `facetmill rollback` write here, and on a shared server only release managers may. Do not \
move the alias `champion` by hand: the ledger (`facetmill history --catalogue {catalogue}`) would not know who did it \
and why.
"""
MAX_BYTES, MAX_FILES = 20 * 1024**3, 10_000  # of a package
ADDED_BY_MLFLOW = "registered_model_meta"  # a file that a download of a registered version adds to the package

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
    ensure_registered(tracker, tracker.names.candidates)
    made = tracker.client.create_model_version(
        tracker.names.candidates, f"models:/{model.model_id}", run_id, tags=all_tags, model_id=model.model_id
    )
    return int(made.version)


def registered(tracker: Tracker) -> list[ModelVersion]:
    """Every version of every catalogue: what is or was live, and all candidates."""
    names = [Names(catalogue) for catalogue in catalogues(tracker)]
    return [version for each in names for name in (each.live, each.candidates) for version in search(tracker, name)]


def catalogues(tracker: Tracker) -> list[str]:
    """The catalogues that have a registered model, by name."""
    found: set[str] = set()
    token = None
    while True:
        page = tracker.client.search_registered_models(max_results=1000, page_token=token)
        for model in page:
            if model.name in (Names(DEMO).live, Names(DEMO).candidates):  # perhaps from before there were catalogues
                found.add(DEMO)
            elif CATALOGUE in model.tags:
                found.add(model.tags[CATALOGUE])
        token = page.token
        if not token:
            return sorted(found)


def champions(tracker: Tracker) -> dict[str, ModelVersion]:
    """What is live, by catalogue."""
    lives = {name: champion(tracker.of(name)) for name in catalogues(tracker)}
    return {name: live for name, live in lives.items() if live is not None}


def version_of_run(tracker: Tracker, run_id: str) -> int | None:
    """The candidate version of a run, or None."""
    found = [int(v.version) for v in search(tracker, tracker.names.candidates) if v.tags.get(RUN) == run_id]
    return max(found, default=None)


def champion(tracker: Tracker) -> ModelVersion | None:
    """The live version of the catalogue, or None when nothing was promoted yet."""
    try:
        return tracker.client.get_model_version_by_alias(tracker.names.live, ALIAS)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def candidate_of(live: ModelVersion) -> int:
    """The candidate that a live version is a copy of; 0 for one that is no copy."""
    number = str(live.source or "").rpartition("/")[2]
    return int(number) if number.isdigit() else 0


def tags_of_live(tracker: Tracker, version: int) -> dict[str, str] | None:
    """The tags of a version of the live model, or None where there is no such version."""
    return tags_of(tracker, tracker.names.live, version)


def tags_of(tracker: Tracker, name: str, version: int) -> dict[str, str] | None:
    """The tags of a version of a registered model, or None where there is no such version."""
    try:
        return dict(tracker.client.get_model_version(name, str(version)).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def live_version_of(tracker: Tracker, candidate_version: int) -> int | None:
    """The version of the live model that was copied from a candidate, or None; the first, should there be several."""
    source = f"models:/{tracker.names.candidates}/{candidate_version}"
    return min((int(v.version) for v in search(tracker, tracker.names.live) if v.source == source), default=None)


def resolve(tracker: Tracker, ref: str) -> Resolved:
    """Find what `ref` names: `facets@champion` of the catalogue in hand, `shop@champion` of another one, `shop/3`,
    `shop-candidates/7`, a run id, a local model folder, or `dictionary` (the one that the champion was judged beside).

    Raises `PlatformError` that lists what exists.
    """
    folder = Path(ref).expanduser()
    if (folder / "model.json").is_file():
        return Resolved(ref, folder=folder.resolve())
    if ref == DICTIONARY:
        return _resolve_dictionary(tracker)
    if _RUN_ID.fullmatch(ref):
        return _resolve_run(tracker, ref)
    parts = named(ref)
    if parts is None:
        raise PlatformError(f"{ref!r} is no version, run id or model folder; {_existing(tracker)}")
    its = tracker if parts.catalogue is None else tracker.of(parts.catalogue)
    if parts.version is not None:
        name = its.names.candidates if parts.is_candidate else its.names.live
        return _resolve_version(its, ref, _version(tracker, name, str(parts.version)))
    live = champion(its)
    if live is None:
        raise PlatformError(f"{ref}: nothing is live yet in the catalogue {its.names.catalogue}; {_existing(tracker)}")
    return _resolve_version(its, ref, live)


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
        tags=dict(version.tags) | {CATALOGUE: tracker.names.catalogue},
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
    """Make one of the two registered models of the catalogue, with words for those who find it in the UI, where it is
    missing."""
    names = tracker.names
    purpose = LIVE_PURPOSE if name == names.live else CANDIDATES_PURPOSE
    words = purpose.format(catalogue=names.catalogue, champion=names.champion)
    try:
        tracker.client.create_registered_model(name, {CATALOGUE: names.catalogue}, words)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def search(tracker: Tracker, name: str) -> list[ModelVersion]:
    """Every version of a registered model."""
    versions: list[ModelVersion] = []
    token = None
    while True:
        page = tracker.client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        versions += page
        token = page.token
        if not token:
            return versions


def _existing(tracker: Tracker) -> str:
    """What may be asked for: versions of the catalogue in hand, newest first, and the champions of others."""
    live, mine = champion(tracker), tracker.names
    names = [] if live is None else [mine.champion]
    for name in (mine.live, mine.candidates):
        numbers = sorted((int(v.version) for v in search(tracker, name)), reverse=True)
        names += [f"{name}/{number}" for number in numbers[:10]]
    others = [f"{catalogue}@{ALIAS}" for catalogue in champions(tracker) if catalogue != mine.catalogue]
    said = [f"there are: {', '.join(names)}"] if names else []
    said += [f"live in other catalogues: {', '.join(others)}"] if others else []
    return "; ".join(said) or "no model is registered yet"
