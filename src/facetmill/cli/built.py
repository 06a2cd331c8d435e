"""How `dataset build` ends: what was kept and what was not, in ten lines or so; `--json` has all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facetmill.terminal import one_line

_REASONS, _WARNINGS, _ATTRIBUTES = 3, 3, 6  # that are shown; of more, how many


def ending_of_build(told: Mapping[str, Any]) -> list[str]:
    """`told` is what `flows/build_dataset.py` returns."""
    ingest = told["stages"]["ingest"]
    splits = ", ".join(f"{split} {told['products'][split]:,}" for split in ("train", "validation", "test"))
    lines = [
        f"dataset {told['name']}, version {told['version'][:12]}: the data gate passed",
        f"kept: {ingest['num_products']:,} products ({splits}), {ingest['num_facets']:,} values, "
        f"{ingest['num_images']:,} pictures",
        *_dropped(ingest),
    ]
    if ingest["noted"]:
        lines.append("noted: " + _counts(ingest["noted"]))
    lines += _warnings(told["verdict"])
    attributes = sorted(told["attributes"].items(), key=lambda each: (-each[1]["products"], each[0]))
    shown = ", ".join(f"{name} ({about['products']:,})" for name, about in attributes[:_ATTRIBUTES])
    lines.append(
        f"attributes: {len(attributes)}, with so many values in train: {shown}" + _more(attributes, _ATTRIBUTES)
    )
    ran = ", ".join(told["stages_run"]) or "nothing"
    cached = f"; as before: {', '.join(told['stages_cached'])}" if told["stages_cached"] else ""
    lines += [f"ran: {ran}{cached} ({told['seconds']:.0f} s)", f"page: {told['gate_page']}"]
    return [one_line(line) for line in lines]


def _dropped(ingest: Mapping[str, Any]) -> Iterator[str]:
    """A line for each reason, with its first example; the commonest first."""
    reasons = [("rows", ingest["dropped"]), ("pictures", ingest["images_dropped"])]
    found = [(what, reason, number) for what, counts in reasons for reason, number in counts.items() if number]
    if not found:
        yield "dropped: nothing"
    for what, reason, number in sorted(found, key=lambda each: -each[2])[:_REASONS]:
        examples = ingest["examples"].get(reason)
        such = f", such as {examples[0]}" if examples else ""
        yield f"dropped: {number:,} {what}, {reason.replace('_', ' ')}{such}"
    if more := _more(found, _REASONS):
        yield f"dropped:{more} reasons, see --json"


def _warnings(verdict: Mapping[str, Any]) -> Iterator[str]:
    failed = [each for each in verdict["verdicts"] if not each["passed"]]
    if not failed:
        yield "warnings: none"
    for each in failed[:_WARNINGS]:
        yield f"warning: {each['reason']}"
    if more := _more(failed, _WARNINGS):
        yield f"warnings:{more}, see the page"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in counts.items())


def _more(found: Any, shown: int) -> str:
    return f" and {len(found) - shown:,} more" if len(found) > shown else ""
