"""What all commands share: their usual options, the project they run in, how a flow is run and an answer shown."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from facetmill.imports import unhindered_imports
from facetmill.platform import environment
from facetmill.platform.layout import Layout, find_root
from facetmill.terminal import one_line

if TYPE_CHECKING:
    from facetmill.params import Params
    from facetmill.records import Product

Data = Annotated[
    str | None, typer.Option(help="What to read, as format:path; without it, the catalogue or params.yaml says.")
]
Catalogue = Annotated[
    str | None, typer.Option(help="One of `facetmill catalogue list`: its data, its settings, its champion.")
]
ModelKey = Annotated[str | None, typer.Option(help="Model key; without it, params.yaml says.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Another value than in params.yaml, for this run; may be repeated."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of words.")]
Why = Annotated[str, typer.Option(help="The reason that the ledger keeps.")]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Also for products of another catalogue, or of categories and words it never saw."),
]
DropAttribute = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="An attribute of the champion that its successor need not have; may be repeated."
    ),
]
DropCategory = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A category of the champion that its successor need not have; may be repeated."),
]


def _named(who: str) -> str:
    if not who.strip():
        raise typer.BadParameter("the ledger keeps who asks for it")
    return who


Who = Annotated[
    str, typer.Option(default_factory=getpass.getuser, help="Who asks for it.", show_default="you", callback=_named)
]
REF_HELP = (
    "facets@champion (of the catalogue in hand), NAME@champion, NAME-candidates/VERSION, a run id, a model folder, or "
    "dictionary."
)
Ref = Annotated[str, typer.Argument(help=REF_HELP)]
DatasetVersion = Annotated[str, typer.Argument(help="A dataset version, or its first digits.")]

LONGEST_SENTENCE = 1000  # characters of help; Click cuts the list of commands off at one line each


class _Commands(TyperGroup):
    """Lists its commands with the whole first sentence of each."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # Click's own types
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(LONGEST_SENTENCE)) for name, command in self.commands.items()]
            )


def command_group(help: str) -> typer.Typer:
    """A group of commands whose help is plain text: importing Rich to draw it takes longer than all else."""
    return typer.Typer(
        help=help,
        cls=_Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )


def layout(*, at_work: bool = True) -> Layout:
    """Find the project, and set the switches that must stand before MLflow, Prefect or DVC is imported. While a command
    that is `at_work` has what this returns, nobody stops the servers or cleans up."""
    found = Layout(find_root(Path.cwd()))
    environment.apply(found)
    if at_work:
        from facetmill.platform.locks import register  # doctor comes up also where psutil is broken

        register(found.at_work_dir, found)
    return found


def run_flow(
    name: str, as_json: bool, *, words: Callable[[Mapping[str, Any]], list[str]] | None = None, **parameters: Any
) -> dict[str, Any]:
    """Run `flows/<name>.py` under Prefect and show what it returns: all of it as JSON, or as the `words` for it."""
    paths = layout()
    from facetmill.platform import servers
    from facetmill.project import resolve_params

    shared = ("data", "model", "changes", "catalogue")
    given = {name: parameters[name] for name in shared if name in parameters}
    with_data = name not in ("promote", "approve", "rollback")  # which only need to know whose champion is meant
    resolve_params(paths.root, **given, with_data=with_data)  # wrong input fails before any server
    servers.connect(servers.start(paths, servers.PREFECT))
    with unhindered_imports():  # of Prefect, torch and more, while the server comes up on another core
        from facetmill.platform.flow_runs import run_flow
        from facetmill.platform.keeping import kept_up
        from facetmill.platform.steps import connect_prefect, load_flow

        flow = load_flow(paths.root, name)
    servers.connect(servers.up(paths, servers.PREFECT))
    connect_prefect()
    with kept_up(paths):
        outcome: dict[str, Any] = run_flow(flow, **parameters)
    if words is None or as_json:
        show(outcome, as_json)
    else:
        print("\n".join(words(outcome)))
    return outcome


@contextmanager
def reading(
    paths: Layout, data: str | None, catalogue: str | None, changes: list[str] | None, *, words: bool = False
) -> Iterator[tuple[Params, Iterator[Product]]]:
    """The settings of this run, and the products of its data, with `words` on their packs if `ocr` says who reads."""
    from facetmill.dataset.store.reading import reading_data
    from facetmill.project import resolve_params

    params = resolve_params(paths.root, data, changes=changes, catalogue=catalogue)
    reader = None
    if words and params.ocr.engine is not None:
        from facetmill.params.perception import ReaderSettings
        from facetmill.perception.reader import Reader

        reader = Reader(ReaderSettings(ocr=params.ocr))
    with reading_data(params, reader, paths.state_dir) as (products, _):
        yield params, products


def say(line: str) -> None:
    """What goes on meanwhile; stdout may be JSON that another program reads."""
    print(line, file=sys.stderr)


def show(value: Any, as_json: bool, indent: str = "") -> None:
    """One JSON value on stdout, or the same thing as indented words."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False, indent=1))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            name = one_line(str(key))
            if isinstance(inner, Mapping | list | tuple) and inner:
                print(f"{indent}{name}:")
                show(inner, as_json, indent + "  ")
            else:
                print(f"{indent}{name}: {_plain(inner, indent)}")
    elif isinstance(value, list | tuple):
        for inner in value:
            if isinstance(inner, Mapping):
                show(inner, as_json, indent + "  ")
                print()
            else:
                print(f"{indent}- {_plain(inner, indent)}")
    else:
        print(f"{indent}{_plain(value, indent)}")


def _plain(value: Any, indent: str) -> str:
    """A value in words; the lines of one that has several stand below it, deeper than any key."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "none" if value in (None, [], (), {}) else str(value).replace("\n", f"\n{indent}    ")
