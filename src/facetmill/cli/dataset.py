"""`facetmill dataset <verb>`: build, look at, compare, keep and forget datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facetmill.cli.built import ending_of_build
from facetmill.cli.common import (
    AsJson,
    Catalogue,
    Changes,
    Data,
    DatasetVersion,
    command_group,
    layout,
    run_flow,
    say,
    show,
)

app = command_group("Build and look at datasets.")


@app.command("build")
def dataset_build(
    data: Data = None, catalogue: Catalogue = None, changes: Changes = None, as_json: AsJson = False
) -> None:
    """Run the stale stages of a dataset (DVC) and the data gate."""
    run_flow("build_dataset", as_json, words=ending_of_build, changes=changes, data=data, catalogue=catalogue)


@app.command("describe")
def dataset_describe(
    data: Data = None, catalogue: Catalogue = None, changes: Changes = None, as_json: AsJson = False
) -> None:
    """What a built dataset holds, what was dropped on the way, and the gate's verdict."""
    paths = layout()
    from facetmill.dataset.store.describe import describe
    from facetmill.project import resolve_params

    show(describe(paths.root, resolve_params(paths.root, data, changes=changes, catalogue=catalogue)), as_json)


@app.command("card")
def dataset_card(
    data: Data = None,
    catalogue: Catalogue = None,
    out: Annotated[Path, typer.Option(help="The Markdown file to write.")] = Path("card.md"),
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Write a dataset's card: what is in it, where it is from, what is known to be wrong, examples."""
    paths = layout()
    from facetmill.dataset.store.card import card
    from facetmill.dataset.store.version import Dataset
    from facetmill.dataset.store.workspace import workspace_dir
    from facetmill.files import write_text
    from facetmill.project import resolve_params
    from facetmill.sources import SOURCES

    params = resolve_params(paths.root, data, changes=changes, catalogue=catalogue)
    dataset = Dataset.open(workspace_dir(paths.root, params))
    write_text(out, card(dataset, SOURCES[params.dataset.format]))
    show({"version": dataset.version, "card": str(out)}, as_json)


@app.command("diff")
def dataset_diff(
    first: DatasetVersion, second: DatasetVersion, changes: Changes = None, as_json: AsJson = False
) -> None:
    """What changed between two versions of a dataset: products, splits, facets by attribute."""
    paths = layout()
    from facetmill.dataset.store.diff import diff
    from facetmill.project import open_project
    from facetmill.registry.lineage import bring_back

    tracker = open_project(changes=changes, start=paths.root).tracker
    show(diff(*(bring_back(tracker, paths.root, version) for version in (first, second))), as_json)


@app.command("checkout")
def dataset_checkout(version: DatasetVersion, changes: Changes = None, as_json: AsJson = False) -> None:
    """Bring back a dataset that something was trained on, byte for byte, from DVC's cache."""
    paths = layout()
    from facetmill.project import open_project
    from facetmill.registry.lineage import bring_back

    found = bring_back(open_project(changes=changes, start=paths.root).tracker, paths.root, version)
    show({"version": found.version, "folder": str(found.dir)}, as_json)


@app.command("drift")
def dataset_drift(
    data: Annotated[str, typer.Option(help="The new batch, as format:path.")],
    ref: Annotated[str, typer.Option(help="The model whose training data it is held against.")] = "facets@champion",
    catalogue: Catalogue = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Whether a new batch of products is still what the champion was trained on. Exit code 1 when it has drifted."""
    paths = layout()
    from facetmill.judging.drift import batch_drift
    from facetmill.project import open_project

    found = batch_drift(open_project(data, changes=changes, start=paths.root, catalogue=catalogue, ref=ref), ref)
    if as_json:
        show(found, as_json)
    else:
        for verdict in found["verdicts"]:
            print(f"{'as trained' if verdict['passed'] else 'DRIFTED'}: {verdict['reason']}")
            for example in verdict["examples"]:
                print(f"  {example}")
    if found["drifted"]:
        raise typer.Exit(1)


@app.command("unpack")
def dataset_unpack(
    archive: Annotated[Path, typer.Argument(help="A zip or tar file, however compressed.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    as_json: AsJson = False,
) -> None:
    """Unpack an archive of somebody's data: all of it or nothing, and nothing outside the folder."""
    from facetmill.archives import unpack

    found = unpack(archive, out)
    show({"folder": str(out), "files": found.num_files, "bytes": found.num_bytes}, as_json)


@app.command("push")
def dataset_push(
    data: Data = None, catalogue: Catalogue = None, changes: Changes = None, as_json: AsJson = False
) -> None:
    """Copy a built dataset to the project's DVC remote, as every training does before it begins."""
    paths = layout()
    from facetmill.dataset.store.dvc import remote_name
    from facetmill.dataset.store.storage import push
    from facetmill.dataset.store.version import Dataset
    from facetmill.dataset.store.workspace import workspace_dir
    from facetmill.project import resolve_params

    dataset = Dataset.open(
        workspace_dir(paths.root, resolve_params(paths.root, data, changes=changes, catalogue=catalogue))
    )
    push(paths.root, dataset, log=say)
    show({"version": dataset.version, "remote": remote_name(paths.root)}, as_json)


@app.command("gc")
def dataset_gc(
    remote: Annotated[bool, typer.Option("--remote", help="Also remove from the DVC remote.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Forget dataset versions that neither lie in data/ nor belong to a registered model."""
    paths = layout()
    from facetmill.project import open_project
    from facetmill.registry.lineage import collect_datasets

    tracker = open_project(changes=changes, start=paths.root).tracker
    show(collect_datasets(tracker, paths.root, remote=remote, dry_run=dry_run).to_json(), as_json)
