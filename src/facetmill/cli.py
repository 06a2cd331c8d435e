"""`facetmill <verb>`: one thin door; flows are the other, and both open on the same functions.

Only light modules are imported at the top, since `facetmill --help` must answer at once.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from facetmill.errors import FacetmillError
from facetmill.imports import unhindered_imports
from facetmill.platform import environment
from facetmill.platform.layout import Layout, find_root

app = typer.Typer(
    help="Extract product facets, and keep the models that do it fresh.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
dataset_app = typer.Typer(help="Build and look at datasets.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")
study_app = typer.Typer(help="Experiments that answer with a table.", no_args_is_help=True)
app.add_typer(study_app, name="study")

distant_app = typer.Typer(help="Learn from other picture sets what only pictures show.", no_args_is_help=True)
app.add_typer(distant_app, name="distant")

Data = Annotated[str | None, typer.Option(help="What to read, as format:path; without it, params.yaml says.")]
ModelKey = Annotated[str | None, typer.Option(help="Model key; without it, params.yaml says.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of words.")]
Why = Annotated[str, typer.Option(help="The reason that the ledger keeps.")]
Who = Annotated[str, typer.Option(default_factory=getpass.getuser, help="Who asks for it.", show_default="you")]
REF_HELP = "facets@champion, facets-candidates/VERSION, a run id, a model folder, or dictionary."
Ref = Annotated[str, typer.Argument(help=REF_HELP)]
DatasetVersion = Annotated[str, typer.Argument(help="A dataset version, or its first digits.")]


def main() -> None:
    """The console script: an error that a user can mend is one message and exit code 1, never a traceback."""
    try:
        app()
    except FacetmillError as error:
        print(f"facetmill: {error}", file=sys.stderr)
        sys.exit(1)


@app.command()
def init(as_json: AsJson = False) -> None:
    """Make the stores of MLflow, Prefect and the ledger, once; safe to repeat. A study makes its own when it begins."""
    layout = _layout()
    from facetmill.platform import servers
    from facetmill.registry.ledger import Ledger

    running = servers.up(layout)
    Ledger(layout.ledger_url)
    _show({"root": str(layout.root), **{name: server.url for name, server in running.items()}}, as_json)


@app.command()
def up(as_json: AsJson = False) -> None:
    """Start the MLflow and Prefect servers on loopback, or find them running; close what a crash left open."""
    layout = _layout()
    from facetmill.platform import servers

    started = [name for name, server in servers.start(layout).items() if server.started]
    with unhindered_imports():  # of MLflow, Prefect and Optuna, while the servers come up on another core
        from facetmill.platform.reconcile import reconcile
        from facetmill.platform.steps import connect_prefect
        from facetmill.registry.ledger import Ledger
        from facetmill.tracking import Tracker
        from facetmill.workbench import EXPERIMENT
    running = servers.up(layout)
    servers.connect(running)
    connect_prefect()
    closed = reconcile(layout, Tracker(running[servers.MLFLOW.name].url, EXPERIMENT), Ledger(layout.ledger_url))
    urls = {name: server.url for name, server in running.items()}
    _show({**urls, "started": started, "closed": closed}, as_json)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the servers that `up` started."""
    layout = _layout()
    from facetmill.platform import servers

    _show({"stopped": servers.down(layout)}, as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is wrong here, and what mends each thing; changes nothing. Exit code 1 when there is a problem."""
    from facetmill.platform.doctor import diagnose

    findings = diagnose(Path.cwd())
    if as_json:
        _show([asdict(finding) for finding in findings], as_json)
    else:
        for finding in findings:
            print(f"{finding.severity}: {finding.wrong}\n  mend: {finding.mend}")
        if not findings:
            print("nothing is wrong here")
    if any(finding.severity == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def status(as_json: AsJson = False) -> None:
    """What is live, since when, trained on what; and which servers run."""
    layout = _layout()
    from facetmill.registry.standing import standing
    from facetmill.workbench import open_workbench

    _show(standing(open_workbench(start=layout.root)), as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Every promotion that was asked for: who, when, why, from what to what, and how it ended."""
    layout = _layout()
    from facetmill.registry.ledger import Ledger

    rows = [row.to_json() for row in Ledger(layout.ledger_url).history()]
    if as_json:
        _show(rows, as_json)
        return
    for row in rows:
        moved = f"{row['from_version'] or 'none'} -> {row['to_version'] or 'unchanged'}"
        action = row["decision"].get("action", "promotion")
        what = f"{action} of candidate {row['candidate_version']}, champion {moved}, data {row['dataset_version'][:12]}"
        print(f"{row['when']}  {row['state']:<8}  {what}  {row['who']}: {row['why']}")
        for verdict in row["decision"].get("verdicts", []):
            print(f"    {'passed' if verdict['passed'] else 'FAILED'}  {verdict['gate']}: {verdict['reason']}")


@dataset_app.command("build")
def dataset_build(data: Data = None, as_json: AsJson = False) -> None:
    """Run the stale stages of a dataset (DVC) and the data gate."""
    _run_flow("build_dataset", as_json, data=data)


@dataset_app.command("describe")
def dataset_describe(data: Data = None, as_json: AsJson = False) -> None:
    """What a built dataset holds, what was dropped on the way, and the gate's verdict."""
    layout = _layout()
    from facetmill.dataset.describe import describe
    from facetmill.workbench import resolve_params

    _show(describe(layout.root, resolve_params(layout.root, data)), as_json)


@dataset_app.command("card")
def dataset_card(
    data: Data = None,
    out: Annotated[Path, typer.Option(help="The Markdown file to write.")] = Path("card.md"),
    as_json: AsJson = False,
) -> None:
    """Write a dataset's card: what is in it, where it is from, what is known to be wrong, examples."""
    layout = _layout()
    from facetmill.dataset.card import card
    from facetmill.dataset.version import Dataset
    from facetmill.dataset.workspace import workspace_dir
    from facetmill.files import write_text
    from facetmill.sources import SOURCES
    from facetmill.workbench import resolve_params

    params = resolve_params(layout.root, data)
    dataset = Dataset.open(workspace_dir(layout.root, params))
    write_text(out, card(dataset, SOURCES[params.dataset.format]))
    _show({"version": dataset.version, "card": str(out)}, as_json)


@dataset_app.command("diff")
def dataset_diff(first: DatasetVersion, second: DatasetVersion, as_json: AsJson = False) -> None:
    """What changed between two versions of a dataset: products, splits, facets by attribute."""
    layout = _layout()
    from facetmill.dataset.diff import diff
    from facetmill.registry.lineage import bring_back
    from facetmill.workbench import open_workbench

    bench = open_workbench(start=layout.root)
    _show(diff(bring_back(bench, first), bring_back(bench, second)), as_json)


@dataset_app.command("checkout")
def dataset_checkout(version: DatasetVersion, as_json: AsJson = False) -> None:
    """Bring back a dataset that something was trained on, byte for byte, from DVC's cache."""
    layout = _layout()
    from facetmill.registry.lineage import bring_back
    from facetmill.workbench import open_workbench

    found = bring_back(open_workbench(start=layout.root), version)
    _show({"version": found.version, "folder": str(found.dir)}, as_json)


@dataset_app.command("drift")
def dataset_drift(
    data: Annotated[str, typer.Option(help="The new batch, as format:path.")],
    ref: Annotated[str, typer.Option(help="The model whose training data it is held against.")] = "facets@champion",
    as_json: AsJson = False,
) -> None:
    """Whether a new batch of products is still what the champion was trained on. Exit code 1 when it has drifted."""
    layout = _layout()
    from facetmill.registry.drifting import judge_batch
    from facetmill.workbench import open_workbench

    found = judge_batch(open_workbench(data, start=layout.root), ref)
    if as_json:
        _show(found, as_json)
    else:
        for verdict in found["verdicts"]:
            print(f"{'as trained' if verdict['passed'] else 'DRIFTED'}: {verdict['reason']}")
            for example in verdict["examples"]:
                print(f"  {example}")
    if found["drifted"]:
        raise typer.Exit(1)


@dataset_app.command("push")
def dataset_push(data: Data = None, as_json: AsJson = False) -> None:
    """Copy a built dataset to the project's DVC remote, as every training does before it begins."""
    layout = _layout()
    from facetmill.dataset.dvc import remote_name
    from facetmill.dataset.storage import push
    from facetmill.dataset.version import Dataset
    from facetmill.dataset.workspace import workspace_dir
    from facetmill.workbench import resolve_params

    dataset = Dataset.open(workspace_dir(layout.root, resolve_params(layout.root, data)))
    push(layout.root, dataset, on_line=_say)
    _show({"version": dataset.version, "remote": remote_name(layout.root)}, as_json)


@dataset_app.command("gc")
def dataset_gc(
    remote: Annotated[bool, typer.Option("--remote", help="Also remove from the DVC remote.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget dataset versions that neither lie in data/ nor belong to a registered model."""
    layout = _layout()
    from facetmill.registry.lineage import collect_datasets
    from facetmill.workbench import open_workbench

    bench = open_workbench(start=layout.root)
    _show(collect_datasets(bench, remote=remote, dry_run=dry_run).to_json(), as_json)


@app.command()
def lineage(
    ref: Annotated[str | None, typer.Argument(help=REF_HELP)] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset version, or its first digits.")] = None,
    as_json: AsJson = False,
) -> None:
    """Where a model comes from; or, with --dataset, all that was trained on a dataset."""
    if (ref is None) == (dataset is None):
        raise typer.BadParameter("give a model, or --dataset VERSION")
    layout = _layout()
    from facetmill.registry.lineage import of_dataset, of_model
    from facetmill.workbench import open_workbench

    bench = open_workbench(start=layout.root)
    _show(of_model(bench, ref) if ref is not None else of_dataset(bench, dataset or ""), as_json)


@app.command()
def reproduce(ref: Ref, as_json: AsJson = False) -> None:
    """Train a registered model again from what its run kept. Exit code 1 when a metric comes out otherwise."""
    layout = _layout()
    from facetmill.training.reproduce import reproduce
    from facetmill.workbench import open_workbench

    done = reproduce(open_workbench(start=layout.root), ref)
    _show(done.to_json(), as_json)
    if not done.same:
        raise typer.Exit(1)


@app.command()
def sweep(data: Data = None, model: ModelKey = None, as_json: AsJson = False) -> None:
    """Search a model's hyper-parameters; an interrupted sweep goes on where it stopped."""
    _run_flow("sweep", as_json, data=data, model=model)


@app.command()
def train(data: Data = None, model: ModelKey = None, as_json: AsJson = False) -> None:
    """Train on the fixed seeds with params.yaml as it stands, and register the best; nothing live changes."""
    _run_flow("train", as_json, data=data, model=model)


@app.command()
def retrain(who: Who, data: Data = None, model: ModelKey = None, why: Why = "retrain", as_json: AsJson = False) -> None:
    """The whole loop: dataset, gate, sweep, training, judgement, promotion."""
    _run_flow("retrain", as_json, data=data, model=model, who=who, why=why)


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="Version of facets-candidates.")],
    who: Who,
    why: Why = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask every gate, change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a candidate the champion, when every gate says yes. Exit code 1 when one says no."""
    outcome = _run_flow("promote", as_json, version=version, who=who, why=why, dry_run=dry_run)
    if not outcome["accepted"]:
        raise typer.Exit(1)


@app.command()
def compare(
    first: Ref,
    second: Ref,
    out: Annotated[Path, typer.Option(help="The page to write, one HTML file that needs nothing else.")] = Path(
        "review.html"
    ),
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Compare two models on a frozen test split, that of --data or of the data that the first was trained on."""
    layout = _layout()
    from facetmill.dataset.version import Dataset
    from facetmill.dataset.workspace import workspace_dir
    from facetmill.registry.lineage import bring_back, dataset_version_of
    from facetmill.registry.measuring import compare_references
    from facetmill.report.review_page import write_review
    from facetmill.workbench import open_workbench

    bench = open_workbench(data, start=layout.root)
    if data is None:
        dataset = bring_back(bench, dataset_version_of(bench, first))
    else:
        dataset = Dataset.open(workspace_dir(layout.root, bench.params))
    comparison = compare_references(bench, first, second, dataset).to_json()
    write_review(comparison, out)
    _show({"page": str(out.resolve()), "paired": comparison["paired"]} if not as_json else comparison, as_json)


@app.command()
def rollback(
    who: Who,
    to: Annotated[int | None, typer.Option(help="Version of facets; without it, the champion before this one.")] = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Make a past champion the champion again."""
    _run_flow("rollback", as_json, to=to, who=who, why=why)


@app.command()
def evaluate(
    ref: Ref,
    data: Data = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the dataset built from the data.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score a model on labelled products."""
    layout = _layout()
    from facetmill.serving.batch import evaluate_reference
    from facetmill.workbench import open_workbench

    _show(evaluate_reference(open_workbench(data, start=layout.root), ref, split), as_json)


@app.command()
def extract(
    ref: Ref,
    out: Annotated[Path, typer.Option(help="JSON lines to write: product_id and facets.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write the facets that a model finds in products. The file appears whole or not at all."""
    layout = _layout()
    from facetmill.serving.batch import extract_to_file
    from facetmill.workbench import open_workbench

    _show(extract_to_file(open_workbench(data, start=layout.root), ref, out), as_json)


@app.command()
def models(as_json: AsJson = False) -> None:
    """The model keys that `--model` takes."""
    _layout()
    from facetmill.models import MODELS

    _show({key: (sys.modules[kind.__module__].__doc__ or "").split("\n")[0] for key, kind in MODELS.items()}, as_json)


@app.command()
def sources(as_json: AsJson = False) -> None:
    """The formats that `--data format:path` takes."""
    from facetmill.sources import SOURCES

    _show({name: source.summary for name, source in SOURCES.items()}, as_json)


@study_app.command("pictures")
def study_pictures(
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds, from 0.")] = 5, as_json: AsJson = False
) -> None:
    """M-JAVE on simulated products: does it use pictures where only they tell, do its gates help where they mislead?"""
    layout = _layout()
    from facetmill.params import load_params
    from facetmill.studies.pictures import study_pictures

    params = load_params(layout.root / "params.yaml")
    _show(study_pictures(params, range(seeds), _say).to_json(), as_json)


@study_app.command("implicit")
def study_implicit(data: Data = None, as_json: AsJson = False) -> None:
    """Which tells an implicit value: the title, the picture, or both? By folds over products with pictures."""
    layout = _layout()
    from facetmill.evaluation import reading_data
    from facetmill.studies.implicit import study_implicit
    from facetmill.workbench import resolve_params

    params = resolve_params(layout.root, data)
    with reading_data(params) as (products, _):
        found = study_implicit(params, products, layout.features_dir, _say)
    _show(found.to_json(), as_json)


@study_app.command("ocr")
def study_ocr(
    data: Data = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many products, drawn at random.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only products of this category; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """What do the words on packs add to titles, and which engine reads them? Reads every picture with every engine."""
    layout = _layout()
    from facetmill.evaluation import reading_data
    from facetmill.studies.ocr import study_ocr
    from facetmill.workbench import resolve_params

    params = resolve_params(layout.root, data)
    with reading_data(params) as (products, _):
        found = study_ocr(
            params, products, lambda line: print(line, file=sys.stderr), categories=category or (), limit=limit
        )
    _show(found.to_json(), as_json)


@distant_app.command("train")
def distant_train(
    labels: Annotated[list[str], typer.Option(help="A labelled picture set, as format:folder; may be repeated.")],
    mapping: Annotated[Path, typer.Option(help="YAML: what each label means, see dataset/distant/mapping.py.")],
    out: Annotated[Path, typer.Option(help="The folder to write, for `distant.labeller` of params.yaml.")],
    as_json: AsJson = False,
) -> None:
    """Learn to tell attribute values from pictures, and say how well on held-out ones."""
    layout = _layout()
    from facetmill.params import load_params

    params = load_params(layout.root / "params.yaml").distant.training  # a wrong key is told before torch is imported
    from facetmill.dataset.distant.train import train_labeller

    _show(train_labeller(labels, mapping, out, params, lambda line: print(line, file=sys.stderr)), as_json)


@distant_app.command("judge")
def distant_judge(
    labeller: Annotated[Path, typer.Option(help="A folder that `facetmill distant train` wrote.")],
    data: Data = None,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("distant-quality.json"),
    as_json: AsJson = False,
) -> None:
    """How far a labeller agrees with the values that people gave, by attribute, and how often it abstains."""
    layout = _layout()
    from facetmill.workbench import resolve_params

    params = resolve_params(layout.root, data)
    from facetmill.dataset.distant.judge import judge
    from facetmill.dataset.distant.labeller import load_labeller
    from facetmill.evaluation import reading_data
    from facetmill.files import write_json

    with reading_data(params) as (products, _):
        found = judge(load_labeller(labeller), products, params.distant.min_confidence)
    write_json(out, found)
    _show(found, as_json)


def _layout() -> Layout:
    """Find the project, and set the switches that must stand before MLflow, Prefect or DVC is imported."""
    layout = Layout(find_root(Path.cwd()))
    environment.apply(layout)
    return layout


def _run_flow(name: str, as_json: bool, **parameters: Any) -> dict[str, Any]:
    """Run `flows/<name>.py` under Prefect and show what it returns."""
    layout = _layout()
    from facetmill.platform import servers
    from facetmill.workbench import resolve_params

    resolve_params(layout.root, parameters.get("data"), parameters.get("model"))  # wrong input fails before any server
    servers.connect(servers.start(layout, servers.PREFECT))
    with unhindered_imports():  # of Prefect, torch and more, while the server comes up on another core
        from facetmill.platform.flow_runs import run_flow
        from facetmill.platform.steps import connect_prefect, load_flow

        flow = load_flow(layout.root, name)
    servers.connect(servers.up(layout, servers.PREFECT))
    connect_prefect()
    outcome: dict[str, Any] = run_flow(flow, **parameters)
    _show(outcome, as_json)
    return outcome


def _say(line: str) -> None:
    """What goes on meanwhile; stdout may be JSON that another program reads."""
    print(line, file=sys.stderr)


def _show(value: Any, as_json: bool, indent: str = "") -> None:
    """One JSON value on stdout, or the same thing as indented words."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False, indent=1))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list | tuple) and inner:
                print(f"{indent}{key}:")
                _show(inner, as_json, indent + "  ")
            else:
                print(f"{indent}{key}: {_plain(inner)}")
    elif isinstance(value, list | tuple):
        for inner in value:
            if isinstance(inner, Mapping):
                _show(inner, as_json, indent + "  ")
                print()
            else:
                print(f"{indent}- {_plain(inner)}")
    else:
        print(f"{indent}{_plain(value)}")


def _plain(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "none" if value in (None, [], (), {}) else str(value)
