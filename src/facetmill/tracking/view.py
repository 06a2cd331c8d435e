"""What a new experiment says of itself in the MLflow UI, and its saved view "Review" of the runs table.

MLflow keeps both as tags of the experiment. The view's format is that of MLflow 3.17, to which pyproject.toml pins it;
one that a later MLflow cannot read is an entry less in the menu "Views", nothing else.
"""

from __future__ import annotations

import base64
import json
import zlib

from facetmill.tracking.tags import KIND, MODEL

REVIEW = "review"  # its key: /#/experiments/ID/runs?viewStateShareKey=review

NOTE = """\
Models that find facets (attribute-value pairs) in product listings.

- A run of kind `training` is one model with one seed, scored on the frozen test split (`test/...`).
- A run of kind `sweep` is a search; its trials lie below it, and its artifact `sweep.html` shows them all.
- A run of kind `study` is a table of systems or of settings; its rows lie below it, its artifact `table.html` shows it.
- `test/pair_f1` is the figure to compare by, unless the tag `facetmill.metric` names another; `test/interval/...` \
holds its 95 % interval. A difference counts only when a paired comparison shows it: see `review.html` in the \
artifacts of a registered run.
- In the menu **Views**, **Review** has the columns for that.
"""

COLUMNS = (
    "metrics.`test/pair_f1`",
    "metrics.`test/interval/pair_f1_low`",
    "metrics.`test/interval/pair_f1_high`",
    "metrics.`test/value_f1`",
    "metrics.`test/attribute_f1`",
    "metrics.`validation/best_pair_f1`",
    f"tags.`{MODEL}`",
    f"tags.`{KIND}`",
    "attributes.`Models`",
)


def experiment_tags() -> dict[str, str]:
    """The tags to create an experiment with."""
    return {
        "mlflow.note.content": NOTE,
        "mlflow.experimentKind": "custom_model_development",  # so that the UI need not guess
        f"mlflow.sharedViewState.{REVIEW}": _view("Review"),
    }


def _view(name: str) -> str:
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": COLUMNS,
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})
