"""What Prefect shows of a flow of ours: a run named after the catalogue that it is about and, of a judgement, a page
with verdict, gates and links, the verdict as the final state's message, and an event that automations may wait for.

Events are `model.promoted`, `model.rejected`, `model.waiting` and `data.rejected`, of the resource
`facetmill.catalogue.<name>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from prefect.states import Completed

from facetmill.errors import GateFailed

_EVENTS = {"promoted": "model.promoted", "kept_champion": "model.rejected", "waiting": "model.waiting"}


def run_name() -> str:
    """`retrain shop`, for `flow_run_name`."""
    given = flow_run.parameters
    about = given.get("catalogue") or given.get("data") or "demo"
    version = given.get("version")
    return f"{flow_run.flow_name} {about}" + (f"/{version}" if version is not None else "")


_FACTS = ("candidate_version", "champion_version", "outcome")  # of an outcome, in an event


def with_verdict(result: dict[str, Any], lines: Sequence[str], outcome: Mapping[str, Any]) -> State[Any]:
    """The `result` of a flow as its final state, which says the first of the `lines` that people read at its end.

    `outcome` is of the candidate that was judged last. Where Prefect does not take artifact or event, a line in the log
    says so: what was decided stands.
    """
    catalogue = result["catalogue"]
    try:
        create_markdown_artifact(
            key=f"verdict-{catalogue}",
            markdown=_markdown(lines, outcome["verdicts"]),
            description=f"What the last judgement in the catalogue {catalogue} came to.",
        )
    except (PrefectException, httpx.HTTPError) as error:
        print(f"Prefect has not taken the verdict's page: {error}")
    event = None if result.get("dry_run") else _EVENTS.get(outcome["outcome"])
    if event is not None:
        _emit(event, catalogue, {"said": lines[0], **{name: outcome[name] for name in _FACTS}})
    return Completed(message=lines[0], data=result)


@contextmanager
def telling_rejected_data(catalogue: str) -> Iterator[None]:
    """Emit `data.rejected` where a data gate fails within the block."""
    try:
        yield
    except GateFailed as failed:
        _emit("data.rejected", catalogue, {"said": str(failed)})
        raise


def _emit(event: str, catalogue: str, payload: dict[str, Any]) -> None:
    emit_event(
        event=event,
        resource={
            "prefect.resource.id": f"facetmill.catalogue.{catalogue}",
            "prefect.resource.name": catalogue,
        },
        payload=payload,
    )


def _markdown(lines: Sequence[str], verdicts: Sequence[Mapping[str, Any]]) -> str:
    """The lines as a list, and below them a table of the gates, those that failed first."""
    rows = [
        f"| {'passed' if verdict['passed'] else '**failed**'} | `{verdict['gate']}` | {_cell(verdict['reason'])} |"
        for verdict in sorted(verdicts, key=lambda verdict: bool(verdict["passed"]))
    ]
    gates = ["| | gate | |", "|---|---|---|", *rows] if rows else []
    said = [f"# {_cell(lines[0])}", "", *(f"- {_cell(line)}" for line in lines[1:])]
    return "\n".join([*said, "", *gates]) + "\n"


def _cell(text: str) -> str:
    """Text that ends no cell and begins no mark-up: names of values come from a shop's file."""
    plain = " ".join(text.split())
    for sign in ("\\", "|", "<", "`", "[", "!", "*", "_"):
        plain = plain.replace(sign, f"\\{sign}")
    return plain
