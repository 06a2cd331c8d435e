"""`facetmill catalogue <verb>`: a shop's data and policy, each with a champion of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from facetmill.cli.common import AsJson, command_group, layout, show
from facetmill.errors import ParamsError
from facetmill.terminal import one_line

app = command_group("A shop's data, settings and champion under one name.")

Name = Annotated[str, typer.Argument(help="One of `facetmill catalogue list`.")]


@app.command("add")
def catalogue_add(
    data: Annotated[str, typer.Argument(metavar="FILE", help="Your file or folder, or format:path.")],
    name: Annotated[str | None, typer.Option(help="Its name; without it, that of the file.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Which column is the product_id, title, ...; may be repeated."),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A column that is no attribute; may be repeated.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A column that is an attribute; may be repeated.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write it anew where it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a file, say what each column seems to be and why, and write catalogues/NAME.yaml."""
    paths = layout(at_work=False)
    from facetmill.catalogues.files import add

    said = {}
    for each in column or ():
        field, equals, named = each.partition("=")
        if not equals or not field or not named:
            raise ParamsError(f"--column {each}: write FIELD=COLUMN")
        said[field] = named
    added = add(paths.root, data, name=name, columns=said, ignore=ignore or (), keep=keep or (), replace=replace)
    if as_json:
        show(added.to_json(), as_json)
        return
    print("\n".join(added.words()))
    print(f"next: facetmill catalogue check {added.name}, then facetmill retrain --catalogue {added.name}")


@app.command("list")
def catalogue_list(as_json: AsJson = False) -> None:
    """Every catalogue: its data, or what is wrong with its file, and what is live of it by the ledger."""
    paths = layout(at_work=False)
    from facetmill.catalogues.files import listed
    from facetmill.registry.ledger import Ledger
    from facetmill.tracking.names import Names

    lives = Ledger(paths.ledger_url).lives()
    found = {each["name"]: each for each in listed(paths.root)}
    unsaved = {name: {"name": name, "data": None, "wrong": None} for name in lives.keys() - found.keys()}
    rows = [
        {**each, "live": f"{Names(name).live}/{lives[name]}" if name in lives else None}
        for name, each in sorted((found | unsaved).items())
    ]
    if as_json:
        show(rows, as_json)
        return
    for row in rows:
        said = row["wrong"] or row["data"] or "no file: its data was named by --data"
        print(one_line(f"{row['name']:<24} {row['live'] or 'nothing live':<16} {said}"))


@app.command("show")
def catalogue_show(name: Name, as_json: AsJson = False) -> None:
    """What a catalogue says otherwise than params.yaml."""
    paths = layout(at_work=False)
    from facetmill.catalogues.files import shown

    show(shown(paths.root, name), as_json)


@app.command("check")
def catalogue_check(name: Name, as_json: AsJson = False) -> None:
    """Check every key of a catalogue, then read all of its data as a build would, and count it."""
    paths = layout(at_work=False)
    from facetmill.catalogues.files import checked

    show(checked(paths.root, name), as_json)
