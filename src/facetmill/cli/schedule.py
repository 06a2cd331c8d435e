"""What runs by the clock: `deploy`, `schedule <verb>` and `worker start`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from facetmill.cli.common import AsJson, command_group, layout, say, show
from facetmill.platform.layout import Layout
from facetmill.terminal import one_line

app = command_group("When catalogues retrain by themselves.")
worker = command_group("The process that executes what the clock asks for.")
top = command_group("What stands beside these two groups.")

Name = Annotated[str, typer.Argument(help="One of `facetmill catalogue list`.")]


@top.command()
def deploy(as_json: AsJson = False) -> None:
    """Tell Prefect which catalogues retrain when, as their files say; safe to repeat. A new schedule is paused."""
    paths = layout()
    from facetmill.params.catalogue import read_schedules

    schedules = read_schedules(paths.root)  # wrong input fails before any server
    _connect(paths)
    from facetmill.platform.schedules import deploy

    said = deploy(paths, schedules)
    if as_json:
        show(said, as_json)
        return
    print("\n".join(map(one_line, said)))
    if not schedules:
        print("no catalogue has a schedule: write `schedule:` into catalogues/NAME.yaml")


@app.command("resume")
def schedule_resume(name: Name, as_json: AsJson = False) -> None:
    """Have a catalogue retrain by its schedule from now on."""
    _set_paused(name, False, as_json)


@app.command("pause")
def schedule_pause(name: Name, as_json: AsJson = False) -> None:
    """Have a catalogue retrain by hand only; what has begun goes on to its end."""
    _set_paused(name, True, as_json)


@app.command("show")
def schedule_show(as_json: AsJson = False) -> None:
    """Every schedule: whether it is on, its next run, how its last one ended, and whether a worker is there."""
    paths = layout()
    from facetmill.params.catalogue import read_schedules

    schedules = read_schedules(paths.root)
    _connect(paths)
    from facetmill.platform.schedules import described, worker_is_there

    rows, worked = described(paths, schedules), worker_is_there(paths)
    if as_json:
        show({"schedules": rows, "worker": worked}, as_json)
        return
    for row in rows:
        print(one_line(_words(row)))
    print("a worker takes the runs" if worked else "no worker takes the runs: facetmill worker start")


@worker.command("start")
def worker_start(
    limit: Annotated[int, typer.Option(min=1, help="Runs at a time, of different catalogues.")] = 1,
) -> None:
    """Execute scheduled retrainings until told to end; what a crash has cut off is begun again."""
    paths = layout()
    from functools import partial

    from facetmill.platform import servers

    running = servers.up(paths)
    _connect(paths)
    from facetmill.platform.schedules import require_pool_of
    from facetmill.project import EXPERIMENT
    from facetmill.registry.ledger import Ledger
    from facetmill.runs.recovery import reconcile
    from facetmill.runs.scheduled import work
    from facetmill.tracking.tracker import Tracker

    pool = require_pool_of(paths)
    servers.connect(running)
    tracker = Tracker(running[servers.MLFLOW.name].url, EXPERIMENT)
    work(paths, pool, limit, partial(reconcile, paths, tracker, Ledger(paths.ledger_url)), say)


def _connect(paths: Layout) -> None:
    """To Prefect."""
    from facetmill.platform import servers

    servers.connect(servers.up(paths, servers.PREFECT))
    from facetmill.platform.steps import connect_prefect

    connect_prefect()


def _set_paused(name: str, paused: bool, as_json: bool) -> None:
    paths = layout()
    _connect(paths)
    from facetmill.platform.schedules import set_paused

    show({"said": set_paused(paths, name, paused)}, as_json)


def _words(row: Mapping[str, Any]) -> str:
    last = row.get("last")
    ended = "" if last is None else f", last run {last['begun'] or ''} {last['state']}"
    why = f" ({last['said']})" if last is not None and last["said"] else ""
    coming = f", next {row['next']}" if row.get("next") and row["is"] == "on" else ""
    return f"{row['catalogue']}: {row['is']}, {row['cron']} ({row['timezone']}){coming}{ended}{why}"
