"""Whether ledger and registry still tell of the same champions. Each is made anew, empty, where its file is gone: then
the other one knows, and nothing may go on as if nothing had ever been live.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from facetmill.errors import PlatformError
from facetmill.params.catalogue import DEMO
from facetmill.platform.outages import reason
from facetmill.platform.sqlite_files import RESTORE
from facetmill.registry import versions
from facetmill.registry.ledger import Entry, Ledger
from facetmill.tracking.names import ALIAS
from facetmill.tracking.tags import CATALOGUE, DATASET, DATASET_VERSION, PACKAGE_SHA256
from facetmill.tracking.tracker import Tracker

MOVED_OUTSIDE = "moved outside"  # the action of a row about what nobody here has done
OUTSIDE = "outside Facetmill"  # who did it


@dataclass(frozen=True)
class Mismatch:
    """What ledger and registry do not agree on. A `loss` stops promotions."""

    loss: bool
    wrong: str


def mismatch(tracker: Tracker, ledger: Ledger) -> Mismatch | None:
    """None while a promotion is under way: its row says what comes next."""
    rows, names = ledger.history(), tracker.names
    if any(row.state == "pending" for row in rows):
        return None
    live = versions.champion(tracker)
    done = [row for row in rows if row.state == "done" and row.to_version is not None]
    if not done:
        if live is None:
            return None
        wrong = (
            f"{names.live}/{live.version} is live, but the ledger at {ledger.place} knows of no promotion, so it was "
            f"lost; {RESTORE}. If there is none: facetmill adopt --catalogue {names.catalogue} --why REASON begins a "
            "new ledger with it"
        )
        return Mismatch(True, wrong)
    last, option = done[-1], f"--catalogue {names.catalogue}"
    noted = versions.tags_of_live(tracker, last.to_version or 0)
    when = f"by the ledger at {ledger.place} {names.live}/{last.to_version} is live since {last.when.isoformat()}"
    if noted is None and _candidate_is_there(tracker, last):
        wrong = (
            f"{when}, but in MLflow that version was deleted; facetmill promote {last.candidate_version} {option} "
            f"--why REASON puts the same model live again, facetmill rollback {option} --to VERSION an earlier one"
        )
        return Mismatch(False, wrong)
    if noted is None or noted.get(PACKAGE_SHA256) != last.decision.get("package_sha256", noted.get(PACKAGE_SHA256)):
        what = "has no such version" if noted is None else "has another model of that number"
        wrong = (
            f"{when}, but MLflow at {tracker.uri} {what}, so its store was lost; {RESTORE}. If there is none, move the "
            "ledger away, and everything begins anew"
        )
        return Mismatch(True, wrong)
    now = None if live is None else int(live.version)
    if now != last.to_version:
        said = "no version is" if now is None else f"{names.live}/{now} is"
        wrong = (
            f"{when}, but in MLflow {said}: the alias {ALIAS!r} was moved by hand; facetmill rollback {option} --to "
            f"{last.to_version} --why REASON puts it back, and the next promotion notes in the ledger what was live"
        )
        return Mismatch(False, wrong)
    return None


def _candidate_is_there(tracker: Tracker, row: Entry) -> bool:
    """Whether the registry has the candidate of a row still, with the package that was judged: then it was not lost."""
    tags = versions.tags_of(tracker, tracker.names.candidates, row.candidate_version)
    return tags is not None and tags.get(PACKAGE_SHA256) == row.decision.get("package_sha256")


def mismatches(tracker: Tracker, ledger: Ledger) -> list[str]:
    """What ledger and registry do not agree on, in any catalogue."""
    names = sorted({*ledger.catalogues(), *versions.catalogues(tracker)})
    found = (mismatch(tracker.of(name), ledger.of(name)) for name in names)
    return [each.wrong for each in found if each is not None]


def migrated(tracker: Tracker, ledger: Ledger) -> list[str]:
    """What became of a store from before there were catalogues, a line each: its champion is that of `demo`, whose
    models keep their names, until a catalogue adopts it."""
    said = []
    if ledger.num_migrated:
        rows = f"its {ledger.num_migrated:,} rows" if ledger.num_migrated > 1 else "its only row"
        said.append(
            f"the ledger tells catalogues apart now; {rows} so far, and the champion, are of the catalogue demo"
        )
    demo = tracker.of(DEMO)
    live = versions.champion(demo)
    dataset = "" if live is None else live.tags.get(DATASET, "")
    if live is not None and dataset and not dataset.startswith(f"{DEMO}-"):
        said.append(
            f"{demo.names.live}/{live.version} is live in the catalogue demo, but was trained on {dataset}: it stays "
            "so until a catalogue of that data takes it: facetmill catalogue add FILE --name NAME, then facetmill "
            f"adopt --catalogue NAME --from {demo.names.live}/{live.version} --why REASON"
        )
    return said


def require_no_loss(tracker: Tracker, ledger: Ledger) -> None:
    """Raises `PlatformError` where the ledger or the registry has lost what the other one knows."""
    found = mismatch(tracker, ledger)
    if found is not None and found.loss:
        raise PlatformError(f"{found.wrong}. Nothing was changed")


def problems(tracker: Tracker, ledger: Ledger) -> list[str]:
    """What is wrong with what is live: that it is not what the ledger says, or not the bytes that were judged."""
    found = mismatch(tracker, ledger)
    said = [] if found is None else [found.wrong]
    live = versions.champion(tracker)
    if live is not None and PACKAGE_SHA256 not in live.tags:
        said.append(f"{live.name}/{live.version} was not registered by Facetmill, so nobody judged it")
    elif live is not None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                versions.fetch_package(tracker, versions.resolve(tracker, tracker.names.champion), Path(folder))
            except PlatformError as error:
                said.append(f"{error}. Roll back (facetmill rollback), or {RESTORE}")
            except MlflowException as error:
                wrong = f"{live.name}/{live.version}: its package cannot be read ({reason(error)})"
                said.append(f"{wrong}. Roll back (facetmill rollback), or {RESTORE}")
    return said


def note_moved(tracker: Tracker, ledger: Ledger, who: str) -> None:
    """Where the alias was moved outside Facetmill, note in the ledger what is live by it, before `who` promotes
    something else. The lock of promotions must be held."""
    found, live = mismatch(tracker, ledger), versions.champion(tracker)
    if found is None or found.loss or live is None:
        return
    done = [row for row in ledger.history() if row.state == "done" and row.to_version is not None]
    row = ledger.append(
        who=OUTSIDE,
        why=f"found when {who} was about to change what is live: the alias {ALIAS!r} was moved in MLflow",
        candidate_version=versions.candidate_of(live),
        from_version=done[-1].to_version,
        dataset_version=live.tags.get(DATASET_VERSION, ""),
        decision={"action": MOVED_OUTSIDE, "package_sha256": live.tags.get(PACKAGE_SHA256)},
        state="pending",
    )
    ledger.close(row, "done", int(live.version))


def adopt(tracker: Tracker, ledger: Ledger, *, who: str, why: str, source: str | None = None) -> int:
    """Make the ledger of a catalogue begin with a champion that nobody judged here; returns the row. That is the one
    that is live, whose ledger was lost, or a copy of `source`, a version of another catalogue.

    Raises `PlatformError` where nothing is live, or something is although there is a source, or the ledger knows of
    promotions.
    """
    catalogue, names = tracker.names.catalogue, tracker.names
    with ledger.exclusive():
        live = versions.champion(tracker)
        if source is None and live is None:
            raise PlatformError(f"nothing is live in the catalogue {catalogue}, so there is nothing to adopt")
        if source is not None and live is not None:
            raise PlatformError(
                f"{names.live}/{live.version} is live in the catalogue {catalogue}, so it adopts no other"
            )
        if ledger.history():
            raise PlatformError(
                f"the ledger at {ledger.place} has rows of {catalogue}; only one without takes a champion as it is"
            )
        if live is None:
            live = _copied(tracker, source or "")
        resolved = versions.resolve(tracker, f"{names.live}/{live.version}")
        row = ledger.append(
            who=who,
            why=why,
            candidate_version=versions.candidate_of(live),
            from_version=None,
            dataset_version=resolved.tags.get(DATASET_VERSION, ""),
            decision={"action": "adoption", "package_sha256": resolved.tags.get(PACKAGE_SHA256)},
            state="pending",
        )
        tracker.client.set_registered_model_alias(names.live, ALIAS, live.version)
        ledger.close(row, "done", int(live.version))
    return row


def _copied(tracker: Tracker, source: str) -> ModelVersion:
    """A version of another catalogue as a candidate and as a live version of this one, its bytes held against its
    hash."""
    found = versions.resolve(tracker, source)
    if found.version is None or found.uri is None:
        raise PlatformError(f"{source}: no registered version")
    with tempfile.TemporaryDirectory() as folder:
        versions.fetch_package(tracker, found, Path(folder))
    uri = found.uri
    for name in (tracker.names.candidates, tracker.names.live):
        versions.ensure_registered(tracker, name)
        made = tracker.client.copy_model_version(uri, name)
        tracker.client.set_model_version_tag(name, made.version, CATALOGUE, tracker.names.catalogue)
        uri = f"models:/{name}/{made.version}"
    return made
