"""The tables of studies as Markdown, which a terminal and MLflow both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from facetmill.report.metric_names import title
from facetmill.studies.beside import PublishedRow
from facetmill.studies.claims import Answered, Claims
from facetmill.studies.other_scores import OtherScore
from facetmill.studies.table import Measure, Table
from facetmill.terminal import one_line


def to_markdown(table: Table) -> str:
    """What was asked, one table a metric, what each row cost, and what others published, apart from it."""
    parts = [
        f"# {table.study}: {table.asks}",
        f"Data: `{one_line(table.data)}`, scored on {one_line(table.scored_on)}; {_seeds(table.seeds)}. "
        "Percent; intervals are of 95 %, over products.",
        *(_measures(table, metric) for metric in table.rows[0].measures),
    ]
    by_values = "; ".join(row.name for row in table.rows if not row.predicts_attributes)
    if by_values:
        parts.append(f"Of these, which predict no attributes as such, the attributes of the values count: {by_values}.")
    return "\n\n".join([*parts, *_others(table), _costs(table), *_published(table.published)]) + "\n"


def claims_to_markdown(claims: Claims) -> str:
    """A row for each claim with its verdict, and below it what each of its sides scored."""
    verdicts = [
        (answered.claim, answered.here, answered.metric, _effect(answered), answered.verdict)
        for answered in claims.claims
    ]
    sides = [
        (answered.claim, side.name, f"{100 * side.score:.1f}", ", ".join(f"{100 * each:.1f}" for each in side.by_seed))
        for answered in claims.claims
        for side in answered.sides
    ]
    parts = [
        "# Do the papers' claims hold on simulated products?",
        f"Data: `demo:`, {_seeds(claims.seeds)}. Points of percent; intervals are of 95 %, over products and seeds. "
        "A claim holds where its whole interval lies above 0, and does not hold where it lies below.",
        _grid(("claim", "measured", "of", "effect", "verdict"), verdicts),
        "\n".join(f"- {answered.claim}: {answered.says}" for answered in claims.claims),
        _grid(("claim", "side", "score", "by seed"), sides),
    ]
    return "\n\n".join(parts) + "\n"


def _effect(answered: Answered) -> str:
    effect = answered.effect
    return f"{100 * effect.size:+.1f} [{100 * effect.low:+.1f}, {100 * effect.high:+.1f}]"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"


def _measures(table: Table, metric: str) -> str:
    rows = []
    for row in table.rows:
        measure = row.measures[metric]
        score = f"{measure.f1:.2f} [{measure.low:.1f}, {measure.high:.1f}]"
        spread = f" ± {measure.spread:.2f}" if len(table.seeds) > 1 else ""
        gain = ("", "") if row.bar == row.name else (_gain(measure), row.bar)
        rows.append((row.name, score + spread, f"{measure.precision:.2f}", f"{measure.recall:.2f}", *gain))
    return _grid(("", title(metric), "precision", "recall", "gain", "over"), rows)


def _gain(measure: Measure) -> str:
    return f"{measure.gain:+.2f} [{measure.gain_low:+.1f}, {measure.gain_high:+.1f}]"


def _others(table: Table) -> Iterable[str]:
    """What else papers score by, a column each."""
    names = list(dict.fromkeys(name for row in table.rows for name in row.others))
    if names:
        cells = [(row.name, *(_other(row.others.get(name)) for name in names)) for row in table.rows]
        yield _grid(("", *map(title, names)), cells)


def _other(found: OtherScore | None) -> str:
    return "" if found is None else f"{found.score:.1f} [{found.low:.1f}, {found.high:.1f}]"


def _costs(table: Table) -> str:
    rows = [
        (
            row.name,
            f"{row.num_scored}",
            f"{row.share_seen:.1f}",
            f"{row.recall_seen:.1f}",
            f"{row.recall_unseen:.1f}",
            "" if row.calibration_error is None else f"{row.calibration_error:.1f}",
            f"{row.train_seconds:.0f}",
            f"{row.products_per_second:.0f}",
            f"{row.peak_mib:.0f}",
        )
        for row in table.rows
    ]
    seen = ("values seen in training", "recall of these", "of others")
    return _grid(("", "products", *seen, "calibration error", "train, s", "products/s", "MiB"), rows)


def _published(rows: Sequence[PublishedRow]) -> Iterable[str]:
    """A table for each of a paper's, under a heading that says what it is of."""
    if rows:
        yield "## Published by others, not measured here"
    for (paper, table, scored_on), found in groupby(rows, lambda row: (row.paper, row.table, row.scored_on)):
        group = list(found)
        names = list(dict.fromkeys(name for row in group for name in row.scores))
        yield f"{paper}, {table}. Percent, scored on {scored_on}."
        yield _grid(("", *names), [(row.name, *(_score(row.scores.get(name)) for name in names)) for row in group])


def _score(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.2f}"


def _grid(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns stand below one another."""
    widths = [max(len(line[column]) for line in (heading, *rows)) for column in range(len(heading))]
    lines = [heading, ["-" * max(3, width) for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(max(3, width)) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
