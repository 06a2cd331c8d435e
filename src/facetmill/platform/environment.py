"""The switches that keep every tool quiet, offline, free of pickles, and fast: one list, set in one place.

Nothing here imports a tool, because most of these are read while the tool is being imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from facetmill.platform.layout import Layout

#: No call leaves the machine.
NO_CALLS: Mapping[str, str] = {
    "DO_NOT_TRACK": "true",  # MLflow takes "true" and not "1"; Prefect takes both
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # its heartbeat also locks the database at the first start
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_OFFLINE": "1",  # a hub name then means the local cache; HF_HUB_OFFLINE=0 allows a download
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

#: No pickle is loaded.
NO_PICKLE: Mapping[str, str] = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "0",  # with 1, torch.load trusts every file
}

#: Large tensors lie in huge pages, which the system hands out far sooner than as many small ones: a BiLSTM trains 8 %
#: faster, M-JAVE's head infers 15 % faster. Torch reads it when it makes its first tensor.
FAST: Mapping[str, str] = {"THP_MEM_ALLOC_ENABLE": "1"}


def project_environment(layout: Layout) -> dict[str, str]:
    """The environment variables of a project, by name. A value that the user has set wins, see `apply`."""
    return {
        **NO_CALLS,
        **NO_PICKLE,
        **FAST,
        # MLflow: no jobs, no bars, no printed links.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # Prefect: its own home, never a server of its own making; what a flow says is kept, the machinery is not heard.
        "PREFECT_HOME": str(layout.prefect_home),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_COLORS": "false",  # `terminal.guard` would show their codes
        "PREFECT_CLI_PROMPT": "false",
    }


def apply(layout: Layout) -> None:
    """Set the switches for this process and its children, keeping what the user has set.

    `MLFLOW_RUN_ID` is removed: where a surrounding tool has left it, every run would write into that one.
    """
    for name, value in project_environment(layout).items():
        os.environ.setdefault(name, value)
    os.environ.pop("MLFLOW_RUN_ID", None)
