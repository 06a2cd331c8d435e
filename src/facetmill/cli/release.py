"""What a release manager types: what is live, how it came to be, and what is to go live."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from facetmill.cli.common import (
    REF_HELP,
    AsJson,
    Catalogue,
    Changes,
    Data,
    DropAttribute,
    DropCategory,
    Who,
    Why,
    command_group,
    layout,
    run_flow,
    show,
)
from facetmill.terminal import one_line

app = command_group("What is live, and what is to go live.")

Version = Annotated[int, typer.Argument(help="Version of the catalogue's candidates.")]
Reason = Annotated[str, typer.Option("--why", help="The reason that the ledger keeps.")]


@app.command()
def status(catalogue: Catalogue = None, data: Data = None, changes: Changes = None, as_json: AsJson = False) -> None:
    """What is live, since when, trained on what; and which servers run. Exit code 1 where that is not as it should be:
    other bytes than were judged, or another champion than the ledger says."""
    paths = layout()
    from facetmill.judging.status import status
    from facetmill.project import open_project

    project = open_project(data, changes=changes, start=paths.root, catalogue=catalogue, with_data=False)
    found = status(project)
    show(found, as_json)
    if found["problems"]:
        raise typer.Exit(1)


@app.command()
def history(catalogue: Catalogue = None, data: Data = None, as_json: AsJson = False) -> None:
    """Every promotion that was asked for, as a table: when, how it ended, from what to what, who, why. Below it,
    what is not as the ledger says. With --json the gates, too."""
    paths = layout()
    from facetmill.project import catalogue_in_hand
    from facetmill.registry.ledger import Ledger

    ledger = Ledger(paths.ledger_url, catalogue_in_hand(paths.root, catalogue, data))
    rows = [row.to_json() for row in ledger.history()]
    if as_json:
        show(rows, as_json)
        return
    from facetmill.cli.history import history_words
    from facetmill.doctor.records import check_champion

    others = [name for name in ledger.catalogues() if name != ledger.names.catalogue]
    if not rows:
        more = f"; there is one of {', '.join(others)}" if others else ""
        print(f"no history of the catalogue {ledger.names.catalogue} yet{more}")
    print("\n".join(history_words(rows)), end="\n" if rows else "")
    for finding in check_champion(paths):
        print(one_line(f"{finding.severity}: {finding.wrong}"))
        print(one_line(f"  mend: {finding.mend}"))


@app.command()
def lineage(
    ref: Annotated[str | None, typer.Argument(help=REF_HELP)] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset version, or its first digits.")] = None,
    catalogue: Catalogue = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Where a model comes from; or, with --dataset, all that was trained on a dataset."""
    if (ref is None) == (dataset is None):
        raise typer.BadParameter("give a model, or --dataset VERSION")
    paths = layout()
    from facetmill.project import open_project
    from facetmill.registry.lineage import of_dataset, of_model

    project = open_project(changes=changes, start=paths.root, catalogue=catalogue, ref=ref, with_data=False)
    if ref is not None:
        show(of_model(project.tracker, project.ledger, paths.root, ref), as_json)
    else:
        show(of_dataset(project.tracker, project.ledger, dataset or ""), as_json)


@app.command()
def promote(
    version: Version,
    who: Who,
    why: Why = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask every gate, change nothing live.")] = False,
    drop_attribute: DropAttribute = None,
    drop_category: DropCategory = None,
    catalogue: Catalogue = None,
    data: Data = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Make a candidate the champion, when every gate says yes. Exit code 1 when one says no."""
    from facetmill.cli.ending import ending

    outcome = run_flow(
        "promote",
        as_json,
        words=ending,
        changes=changes,
        catalogue=catalogue,
        data=data,
        version=version,
        who=who,
        why=why,
        dry_run=dry_run,
        drop_attribute=drop_attribute,
        drop_category=drop_category,
    )
    if not outcome["accepted"]:
        raise typer.Exit(1)


@app.command()
def rollback(
    who: Who,
    to: Annotated[int | None, typer.Option(help="Version that was live; without it, the one before this one.")] = None,
    why: Why = "",
    catalogue: Catalogue = None,
    data: Data = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Make a past champion the champion again."""
    run_flow("rollback", as_json, changes=changes, catalogue=catalogue, data=data, to=to, who=who, why=why)


@app.command()
def adopt(
    who: Who,
    why: Annotated[str, typer.Option(help="How the ledger was lost, and why this champion may be trusted.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="REF", help="A version of another catalogue, such as facets/3.")
    ] = None,
    catalogue: Catalogue = None,
    data: Data = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Take a champion as it is: the present one where its ledger is lost and there is no back-up, or with --from one of
    another catalogue for a catalogue that has none."""
    paths = layout()
    from facetmill.project import open_project
    from facetmill.registry import losses

    project = open_project(data, changes=changes, start=paths.root, catalogue=catalogue, with_data=False)
    show({"row": losses.adopt(project.tracker, project.ledger, who=who, why=why, source=source)}, as_json)


@app.command()
def approvals(catalogue: Catalogue = None, as_json: AsJson = False) -> None:
    """The candidates that every gate accepted and that wait for a person, of one catalogue or of all."""
    paths = layout()
    from facetmill.registry.approvals import said_of, waiting, waiting_anywhere
    from facetmill.registry.ledger import Ledger

    ledger = Ledger(paths.ledger_url)
    found = waiting_anywhere(ledger) if catalogue is None else waiting(ledger.of(catalogue))
    if as_json:
        show([request.to_json() for request in found], as_json)
        return
    for request in found:
        print(one_line(said_of(request)))
        print(one_line(f"  asked for by {request.entry.who}: {request.entry.why}"))
    if not found:
        print("nothing waits for approval")


@app.command()
def approve(
    version: Version,
    who: Who,
    why: Reason,
    catalogue: Catalogue = None,
    data: Data = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Make a candidate that waits the champion. Exit code 1 when it was judged again, and a gate said no."""
    from facetmill.cli.ending import ending

    given: dict[str, Any] = {"changes": changes, "catalogue": catalogue, "data": data}
    outcome = run_flow("approve", as_json, words=ending, version=version, who=who, why=why, **given)
    if not outcome["accepted"]:
        raise typer.Exit(1)


@app.command()
def reject(
    version: Version,
    who: Who,
    why: Reason,
    catalogue: Catalogue = None,
    data: Data = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a candidate that waits; `approve` can take that back. Nothing live changes."""
    paths = layout()
    from facetmill.judging.approval import reject
    from facetmill.project import open_project

    project = open_project(data, changes=changes, start=paths.root, catalogue=catalogue, with_data=False)
    show({"catalogue": project.catalogue, "said": reject(project, version, who=who, why=why)}, as_json)
