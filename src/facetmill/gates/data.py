"""The data gate: what must be true of a dataset before a model may learn from it.

`measure.py` turns the dataset into small frames of counts, `claims` states what those numbers must be, and Great
Expectations judges each claim. A claim that could not be judged is false and blocks, whatever its severity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.core.expect_column_min_to_be_between import ExpectColumnMinToBeBetween
from great_expectations.expectations.core.expect_column_sum_to_be_between import ExpectColumnSumToBeBetween
from great_expectations.expectations.expectation import Expectation

from facetmill.gates.measure import REPORTS, Facts, measure
from facetmill.gates.verdict import NOT_MEASURED, DataVerdict, Severity, Verdict, shown
from facetmill.params import CheckParams

Frame = Literal["shards", "splits", "attributes", "dataset"]
Rule = Literal["sum_at_most", "sum_at_least", "each_at_least"]


@dataclass(frozen=True)
class Claim:
    """One sentence that can be false: a column of a frame keeps to its limit, in sum or in each row.

    `subject` says in words what the number is; it begins the reason that a reader gets.
    """

    gate: str
    severity: Severity
    frame: Frame
    column: str
    rule: Rule
    limit: float
    subject: str

    @property
    def required(self) -> str:
        return f"at {'most' if self.rule == 'sum_at_most' else 'least'} {shown(self.limit)}"

    def expectation(self) -> Expectation:
        common: dict[str, Any] = {"column": self.column, "severity": self.severity, "meta": {"gate": self.gate}}
        match self.rule:
            case "sum_at_most":
                return ExpectColumnSumToBeBetween(max_value=self.limit, **common)
            case "sum_at_least":
                return ExpectColumnSumToBeBetween(min_value=self.limit, **common)
            case "each_at_least":
                return ExpectColumnMinToBeBetween(min_value=self.limit, **common)


def claims(params: CheckParams, max_bad_share: float) -> tuple[Claim, ...]:
    """Every claim of the data gate. A claim about a number that `measure` already takes is one new entry here.

    Few explicit facets are a warning, not a stop: a dataset whose values only the picture shows is a fair one, for
    other models than extractive ones.
    """
    return (
        # what is on disk
        _no("shards_are_readable", "shards", "unreadable", "shards that cannot be read as this schema version"),
        _no("columns_are_complete", "shards", "wrong_columns", "columns that are missing or of another type"),
        _no("shards_match_manifest", "shards", "unlike_manifest", "shards whose rows or hash the manifest denies"),
        _no("attribute_schema_is_readable", "dataset", "unreadable_schemas", "attribute schemas that cannot be read"),
        _no("every_stage_reported", "dataset", "missing_reports", "stage reports that are missing or unreadable"),
        # what came through
        _share("few_rows_are_dropped", "critical", "dropped_share", max_bad_share, "share of rows dropped at ingest"),
        _no("no_product_is_lost", "dataset", "lost_products", "products more or fewer than ingest passed on"),
        _least("enough_products", "splits", "products", params.min_products, "products in all splits", "sum_at_least"),
        _least("no_split_is_empty", "splits", "products", 1, "products in the smallest split"),
        _least("every_split_has_facets", "splits", "facets", 1, "facets in the split with the fewest"),
        # whether it can be trusted
        _no("required_fields_are_filled", "splits", "missing_fields", "ids, titles or other fields that are missing"),
        _no("product_ids_are_unique", "dataset", "repeated_ids", "product ids that stand in more than one row"),
        _no("no_group_in_two_splits", "dataset", "groups_in_two_splits", "product groups that leak between splits"),
        _no("values_are_not_empty", "splits", "empty_values", "facets with an empty value"),
        _no("spans_read_as_their_value", "splits", "broken_spans", "spans outside their field or unlike their value"),
        _no("train_attributes_are_known", "dataset", "facets_outside_schema", "train facets of an unknown attribute"),
        _no("modalities_are_known", "splits", "unknown_modalities", "facets of an unknown modality"),
        _no("provenances_are_known", "splits", "unknown_provenances", "facets of an unknown provenance"),
        _no("no_facet_is_a_prediction", "splits", "predicted_facets", "facets that a model predicted"),
        # what a reader should know of
        Claim(
            gate="enough_facets_are_explicit",
            severity="warning",
            frame="dataset",
            column="explicit_share",
            rule="each_at_least",
            limit=params.min_explicit_share,
            subject="share of facets whose value stands in the text",
        ),
        Claim(
            gate="every_attribute_is_frequent",
            severity="warning",
            frame="attributes",
            column="train_products",
            rule="each_at_least",
            limit=params.min_products_per_attribute,
            subject="train products of the rarest attribute",
        ),
        Claim(
            gate="values_come_more_than_once",
            severity="warning",
            frame="dataset",
            column="attributes_of_single_values",
            rule="sum_at_most",
            limit=0,
            subject="attributes of which train has no value twice, as of a number that counts the rows",
        ),
        _share(
            "held_out_attributes_are_trained",
            "warning",
            "unseen_attribute_share",
            0,
            "share of validation and test facets whose attribute train never has",
        ),
        _share(
            "held_out_values_are_trained",
            "warning",
            "unseen_value_share",
            params.max_validation_unknown_share,
            "share of validation and test facets whose value train never has",
        ),
        _share(
            "held_out_titles_are_new",
            "warning",
            "known_title_share",
            params.max_known_title_share,
            "share of validation and test products with the words of a train title",
        ),
        _share(
            "held_out_pictures_are_new",
            "warning",
            "known_picture_share",
            params.max_known_picture_share,
            "share of validation and test products whose first picture looks like that of a train product",
        ),
        _share(
            "splits_are_in_the_same_scripts",
            "warning",
            "script_shift",
            params.max_script_shift,
            "difference of validation or test to train in the share of a script's letters",
        ),
        _share(
            "images_are_readable",
            "warning",
            "bad_image_share",
            params.max_bad_image_share,
            "share of pictures missing or corrupt at ingest",
        ),
    )


def check_dataset(
    dataset_dir: Path,
    reports_dir: Path,
    params: CheckParams,
    max_bad_share: float,
    looks_path: Path | None = None,
    reports: Sequence[str] = REPORTS,
) -> DataVerdict:
    """Judge every claim about the frozen dataset in `dataset_dir` and the `reports` of the stages that built it.

    Never raises for what it finds: a missing or broken file makes the claims that need it false. Shares are 0..1. How
    pictures look is kept in `looks_path`, if given; raises `PlatformError` where that cannot be used.
    """
    return judge(claims(params, max_bad_share), measure(dataset_dir, reports_dir, looks_path, reports, params.workers))


def judge(asked: Sequence[Claim], facts: Facts) -> DataVerdict:
    """Ask Great Expectations each claim about the measured frames, and answer in the order of the claims."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("facts")
    results: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for name, frame in facts.frames.items():
        about = [claim for claim in asked if claim.frame == name]
        suite = gx.ExpectationSuite(name=name, expectations=[claim.expectation() for claim in about])
        whole = frame.dropna(axis="columns")  # pandas would sum around a missing number, which is no answer
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        try:
            validation = batch.get_batch({"dataframe": whole}).validate(suite, result_format="SUMMARY")
        except Exception as error:  # whatever went wrong in the judge, the answer to its claims is no
            broken |= {claim.gate: f"Great Expectations failed: {error!r}" for claim in about}
        else:
            asked_of = ((result.expectation_config, result) for result in validation.results)
            results |= {config.meta["gate"]: result for config, result in asked_of if config and config.meta}
    verdicts = tuple(_verdict(claim, facts, results.get(claim.gate), broken.get(claim.gate)) for claim in asked)
    return DataVerdict(verdicts, facts.counts)


def _verdict(claim: Claim, facts: Facts, result: Any, problem: str | None) -> Verdict:
    examples = facts.examples.get(claim.column, ())
    observed = result.result.get("observed_value") if result is not None else None
    if observed is None or not math.isfinite(observed):
        cause = facts.obstacles.get(claim.column) or facts.obstacles.get(claim.frame) or problem or _raised(result)
        reason = f"{claim.subject}: {NOT_MEASURED}, must be {claim.required}; {cause}"
        return Verdict(claim.gate, False, "critical", NOT_MEASURED, claim.required, reason, examples)
    reason = f"{claim.subject}: {shown(float(observed))}, must be {claim.required}"
    passed = bool(result.success)
    shown_examples = () if passed else examples
    return Verdict(claim.gate, passed, claim.severity, float(observed), claim.required, reason, shown_examples)


def _raised(result: Any) -> str:
    """What Great Expectations says of an expectation that it could not evaluate: one entry, or one a metric."""
    info = (result.exception_info if result is not None else None) or {}
    entries = [info, *(entry for entry in info.values() if isinstance(entry, dict))]
    messages = [str(entry["exception_message"]) for entry in entries if entry.get("exception_message")]
    return messages[0] if messages else "Great Expectations gave no answer"


def _no(gate: str, frame: Frame, column: str, subject: str) -> Claim:
    """A defect of which one is too many."""
    return Claim(gate, "critical", frame, column, "sum_at_most", 0, subject)


def _least(gate: str, frame: Frame, column: str, limit: float, subject: str, rule: Rule = "each_at_least") -> Claim:
    return Claim(gate, "critical", frame, column, rule, limit, subject)


def _share(gate: str, severity: Severity, column: str, limit: float, subject: str) -> Claim:
    """A share (0..1) of the dataset that may not be too great."""
    return Claim(gate, severity, "dataset", column, "sum_at_most", limit, subject)
