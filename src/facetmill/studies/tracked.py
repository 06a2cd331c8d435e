"""A study in MLflow: one run for the table, and below it one for each row, so that rows can be compared there."""

from __future__ import annotations

from facetmill.files import hash_json
from facetmill.metrics.score import metric_part
from facetmill.report.study_page import study_page
from facetmill.studies.claims import Claims
from facetmill.studies.table import Row, Table
from facetmill.studies.words import claims_to_markdown, to_markdown
from facetmill.tracking.tags import KIND, METRIC, MODEL, STUDY, TABLE
from facetmill.tracking.tracker import Tracker

PAGE = "table.html"  # artifact of the table's run


def log_table(tracker: Tracker, table: Table) -> str:
    """The id of the run that has exactly this table, made where there is none: a study that is asked again, and finds
    all its trainings, adds nothing."""
    wanted = {KIND: "study", TABLE: hash_json(table.to_json())}
    found = tracker.find_run(wanted)
    if found is not None:
        return found
    tags = {STUDY: table.study, METRIC: table.metric}
    about = {
        "study": table.study,
        "data": table.data,
        "scored_on": table.scored_on,
        "metric": table.metric,
        "seeds": list(table.seeds),
    }
    with tracker.run(f"study {table.study}", tags=tags | wanted, params=about) as run:
        for row in table.rows:
            of_row = tags | {KIND: "study_row", MODEL: row.key}
            params = about | {"row": row.name, "over": row.bar, "key": row.key, **row.settings}
            with tracker.run(row.name, parent=run.run_id, tags=of_row, params=params) as child:
                child.log_metrics(_metrics(row, table.metric))
        run.log_json("table.json", table.to_json())
        run.log_text("table.md", to_markdown(table))
        run.log_text(PAGE, study_page(table.to_json()))
        run.describe(f"{table.asks}\n\nArtifact `{PAGE}` draws the table; each of its rows is a run below this one.")
    return run.run_id


def log_claims(tracker: Tracker, claims: Claims) -> str:
    """The id of the run that has exactly these answers, made where there is none."""
    wanted = {KIND: "study", TABLE: hash_json(claims.to_json())}
    found = tracker.find_run(wanted)
    if found is not None:
        return found
    about = {"study": "claims", "data": "demo:", "seeds": list(claims.seeds)}
    with tracker.run("study claims", tags=wanted | {STUDY: "claims"}, params=about) as run:
        for answered in claims.claims:
            ends = {"": answered.effect.size, "_low": answered.effect.low, "_high": answered.effect.high}
            run.log_metrics({f"effect/{answered.claim}{end}": value for end, value in ends.items()})
        run.log_json("claims.json", claims.to_json())
        run.log_text("claims.md", claims_to_markdown(claims))
        run.describe(claims_to_markdown(claims))
    return run.run_id


def _metrics(row: Row, metric: str) -> dict[str, float]:
    """A row's numbers under the names that they have in a training's run, scores 0..1."""
    found: dict[str, float] = {}
    for name, measure in row.measures.items():
        # Of attributes that are predicted as such a training's run has a score of its own.
        stem = name.removesuffix("_f1")
        stem = f"predicted_{stem}" if stem == "attribute" and row.predicts_attributes else stem
        for end, percent in vars(measure).items():
            place = {
                "low": f"test/interval/{stem}_f1_low",
                "high": f"test/interval/{stem}_f1_high",
                "spread": f"spread/{stem}_f1",
                "gain": f"gain/{stem}_f1",
                "gain_low": f"gain/{stem}_f1_low",
                "gain_high": f"gain/{stem}_f1_high",
            }.get(end, f"test/{stem}_{end}")
            found[place] = percent / 100
    for kind, slices in (("attribute", row.by_attribute), ("category", row.by_category)):
        found |= {f"test/{kind}/{metric}/{metric_part(name)}": each.f1 / 100 for name, each in slices.items()}
    for name, other in row.others.items():
        ends = {f"test/{name}": other.score, f"test/interval/{name}_low": other.low}
        ends |= {f"test/interval/{name}_high": other.high}
        found |= {place: percent / 100 for place, percent in ends.items()}
    if row.calibration_error is not None:
        found["test/calibration_error"] = row.calibration_error / 100
    return found | {
        "test/share_seen": row.share_seen / 100,
        "test/recall_seen": row.recall_seen / 100,
        "test/recall_unseen": row.recall_unseen / 100,
        "train_seconds": row.train_seconds,
        "products_per_second": row.products_per_second,
        "peak_mib": row.peak_mib,
    }
