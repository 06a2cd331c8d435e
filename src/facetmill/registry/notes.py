"""What a person reads in the MLflow UI: Markdown about runs, versions and the two registered models.

Everything here repeats what runs, tags and the ledger say, for people; nothing reads it back. So a note that cannot be
written stops nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from mlflow.exceptions import MlflowException

from facetmill.errors import PlatformError
from facetmill.gates.verdict import Decision, Verdict
from facetmill.registry.ledger import Entry, Ledger
from facetmill.report.metric_names import in_sentence
from facetmill.report.numbers import count, is_number, score
from facetmill.tracking.names import Names
from facetmill.tracking.tags import DATASET, DATASET_VERSION, METRIC, MODEL, RUN, SEED_RUNS, STUDY, VERDICT
from facetmill.tracking.tracker import Tracker

OLD_METRIC = "value_f1"  # decided before there was a choice
MAX_NOTE = 5000  # characters; a description of MLflow's registry holds no more
MAX_TEXT = 300  # of what a person or a gate has said
HEADLINES = ("pair_f1", "value_f1", "attribute_f1", "predicted_attribute_f1", "na_f1")
WEAKEST = 3  # attributes that a training's note names

_log = logging.getLogger(__name__)


def training_note(tags: Mapping[str, str], seed: int, metrics: Mapping[str, float]) -> str:
    """One training: its scores with their intervals, where it is weakest, and what it was trained on.

    `tags` and `metrics` are those of the run, by their names in MLflow.
    """
    told = [name for name in HEADLINES if f"test/{name}" in metrics]
    rows = [(f"`{name}`", score(metrics[f"test/{name}"]), _interval(metrics, name)) for name in told]
    return _note(
        f"{_headline(tags, metrics)}, seed {seed}",
        _table(("test split", "score", "95 % interval"), rows),
        _weakest(_metric(tags), metrics),
        _data(tags),
        f"Hyper-parameters: the best of the sweep `{tags[STUDY]}`." if STUDY in tags else "",
    )


def sweep_note(summary: Mapping[str, Any]) -> str:
    """One sweep, from what `training.search.summary` gives: what won, and from where to where its values changed."""
    trials, winner = summary["trials"], summary["winner"]
    about = (
        f"Search for {_text(summary['model'])} on {_text(summary['dataset']['name'])}, {count(len(trials), 'trial')}"
    )
    if winner is None:
        return _note(f"{about}: none is complete", "")
    first, won = trials[0]["params"], trials[winner]["params"]
    said = "the values of params.yaml won" if winner == 0 else f"trial {winner} won"
    rows = [(f"`{name}`", _number(first.get(name)), _number(value)) for name, value in won.items()]
    metric = in_sentence(summary.get("metric", OLD_METRIC))
    return _note(
        f"{about}: {said}, {metric} {score(trials[winner]['value'])} in the short training",
        _table(("parameter", "params.yaml", f"trial {winner}"), rows) if winner else "",
        "Artifact `sweep.html` has every trial, how the score rose, and which parameters mattered.",
    )


def describe_candidate(tracker: Tracker, version: int, decision: Decision | None = None, approval: str = "") -> None:
    """Say of a candidate what it is, and once it was judged what each gate said; the tag VERDICT is the short of it.
    `approval` is a sentence on what a person said of it, or still has to."""
    with _dispensable():
        found = tracker.client.get_model_version(tracker.names.candidates, str(version))
        verdict = "Not judged yet" if decision is None else _verdict(decision.accepted, decision.verdicts)
        note = _version_note(tracker, found.tags, verdict, [_text(approval)] if approval else [])
        if decision is not None:
            said = "accepted" if decision.accepted else "rejected"
            tracker.client.set_model_version_tag(tracker.names.candidates, str(version), VERDICT, said)
            note = _note(note, _gates([asdict(each) for each in decision.verdicts]))
        tracker.client.update_model_version(tracker.names.candidates, str(version), note)


def describe_live(tracker: Tracker, ledger: Ledger, *live_versions: int | None) -> None:
    """Say of versions of the live model who made each the champion, when and why, and what the gates had said."""
    done = [entry for entry in ledger.history() if entry.state == "done"]
    for version in live_versions:
        mine = [entry for entry in done if entry.to_version == version]
        if version is None or not mine:
            continue
        with _dispensable():
            found = tracker.client.get_model_version(tracker.names.live, str(version))
            if RUN not in found.tags:  # registered by hand
                continue
            is_live = done[-1].to_version == version
            story = [line for entry in done if (line := _event(entry, version))]
            note = _version_note(tracker, found.tags, "Live" if is_live else "Not live any more", story)
            judged = next((entry for entry in reversed(mine) if entry.decision.get("verdicts")), None)
            gates = [] if judged is None else judged.decision["verdicts"]
            tracker.client.update_model_version(tracker.names.live, str(version), _note(note, _gates(gates)))


def _version_note(tracker: Tracker, tags: Mapping[str, str], state: str, story: Sequence[str]) -> str:
    run = tracker.run_info(tags[RUN])
    metric = _metric(tags)
    run_ids = [run_id for run_id in tags.get(SEED_RUNS, "").split(",") if run_id]
    seeds = [tracker.run_info(run_id).metrics.get(f"test/{metric}") for run_id in run_ids]
    return _note(
        f"{state}: {_headline(tags, run.metrics)}",
        "\n".join(f"- {line}" for line in story),
        f"All seeds: `{metric}` {', '.join(map(score, seeds))}." if len(seeds) > 1 else "",
        _data(tags),
        f"Run: {_text(run.name)}. Its artifact `review.html` is the comparison, product by product.",
    )


def _headline(tags: Mapping[str, str], metrics: Mapping[str, float]) -> str:
    about = f"{_text(tags.get(MODEL, 'model'))} on {_text(tags.get(DATASET, 'unknown data'))}"
    metric = _metric(tags)
    found = metrics.get(f"test/{metric}")
    if not is_number(found):
        return about
    return f"{about}, {in_sentence(metric)} {score(found)} {_interval(metrics, metric)}".rstrip()


def _metric(tags: Mapping[str, str]) -> str:
    return tags.get(METRIC, OLD_METRIC)


def _interval(metrics: Mapping[str, float], name: str) -> str:
    low, high = (metrics.get(f"test/interval/{name}_{end}") for end in ("low", "high"))
    return f"({score(low)} to {score(high)})" if is_number(low) else ""


def _weakest(metric: str, metrics: Mapping[str, float]) -> str:
    """The attributes that bring the score down, where there is anything to find."""
    of_pairs = metric == "pair_f1"
    start, counted = ("test/attribute/pair_f1/", "pairs") if of_pairs else ("test/attribute/value_f1/", "support")
    support = {
        name: metrics.get(f"test/attribute/{counted}/{name[len(start) :]}", 0)
        for name in metrics
        if name.startswith(start)
    }
    ranked = sorted((name for name in support if support[name]), key=lambda name: metrics[name])[:WEAKEST]
    said = (f"{_text(name[len(start) :])} {score(metrics[name])} (of {int(support[name])})" for name in ranked)
    return f"Weakest attributes: {', '.join(said)}." if ranked else ""


def _data(tags: Mapping[str, str]) -> str:
    version = tags.get(DATASET_VERSION, "")[:12]
    return (
        f"Data: {_text(tags.get(DATASET, 'unknown'))}, version `{version}`; what its gate said is "
        "`dataset/checked/report.html` among the run's artifacts."
    )


def _verdict(accepted: bool, verdicts: Iterable[Verdict]) -> str:
    if accepted:
        return "Accepted by every gate"
    return f"Rejected by {', '.join(each.gate for each in verdicts if each.blocks)}"


def _gates(verdicts: Sequence[Mapping[str, Any]]) -> str:
    rows = [(f"`{each['gate']}`", "yes" if each["passed"] else "**no**", _text(each["reason"])) for each in verdicts]
    return _table(("gate", "passed", "why"), rows) if rows else ""


def _event(entry: Entry, version: int) -> str:
    """A ledger row from one version's side; empty where it is about others."""
    if version not in (entry.to_version, entry.from_version):
        return ""
    did = "rolled back to" if entry.decision.get("action") == "rollback" else "promoted"
    if entry.from_version == version:
        did = f"replaced by {Names(entry.catalogue).live}/{entry.to_version}"
    when = entry.when.strftime("%Y-%m-%d %H:%M UTC")
    return f"{when}: {did} by {_text(entry.who)}: {_text(entry.why)} (ledger row {entry.id})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _note(first: str, *others: str) -> str:
    """Paragraphs, cut where MLflow takes no more. Its tables show how the first begins, markup and all."""
    whole = "\n\n".join(part for part in (first, *others) if part)
    return whole if len(whole) <= MAX_NOTE else whole[: MAX_NOTE - 8] + "\n\n...cut"


def _number(value: Any) -> str:
    return f"{value:.4g}" if is_number(value) else _text(str(value))


def _text(said: str) -> str:
    """Anything that was said, on one line, as Markdown that shows it and does nothing else."""
    line = " ".join(said.split())
    line = line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 4] + " ..."
    line = re.sub(r"([\\`*_\[\]~#!])", r"\\\1", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")


@contextmanager
def _dispensable() -> Iterator[None]:
    try:
        yield
    except (MlflowException, PlatformError) as error:
        _log.warning("a note in MLflow could not be written: %s", error)
