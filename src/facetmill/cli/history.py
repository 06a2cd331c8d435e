"""The ledger as a table that fits a terminal: a line for each row, and below it the gates that said no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from facetmill.terminal import one_line

_COLUMNS = ("when (UTC)", "ended", "what", "candidate", "champion", "data", "who", "why")
_WIDEST = 40  # characters of a cell, but for the last


def history_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines for ledger rows of one catalogue as `Entry.to_json` gives them; none without rows."""
    if not rows:
        return []
    cells = [_COLUMNS, *map(_cells, rows)]
    widths = [min(max(len(line[at]) for line in cells), _WIDEST) for at in range(len(_COLUMNS))]
    lines = [_line(_COLUMNS, widths)]
    for row, line in zip(rows, cells[1:], strict=True):
        lines += [_line(line, widths), *_against(row)]
    return lines


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    decision = row["decision"]
    asked = decision.get("requested")
    why = one_line(row["why"]) + (f" (asked for by {one_line(asked['who'])})" if asked else "")
    moved = f"{row['from_version'] or 'none'} -> {row['to_version']}" if row["to_version"] else "unchanged"
    return (
        datetime.fromisoformat(row["when"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
        _state(row),
        str(decision.get("action", "promotion")),
        str(row["candidate_version"] or "none"),
        moved,
        row["dataset_version"][:12],
        one_line(row["who"]),
        why,
    )


def _state(row: Mapping[str, Any]) -> str:
    until = row["decision"].get("until")
    if row["state"] == "waiting" and until and datetime.fromisoformat(until) <= datetime.now(UTC):
        return "expired"
    return str(row["state"])


def _against(row: Mapping[str, Any]) -> Iterator[str]:
    for verdict in row["decision"].get("verdicts", []):
        if not verdict["passed"]:
            yield f"    {verdict['gate']}: {one_line(verdict['reason'])}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [cell if len(cell) <= _WIDEST else cell[: _WIDEST - 3] + "..." for cell in cells[:-1]]
    return "  ".join([*(cell.ljust(width) for cell, width in zip(fitted, widths, strict=False)), cells[-1]])
