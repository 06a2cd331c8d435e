"""What a person has set: params.yaml, and environment variables that win over the quiet defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping

from facetmill.doctor.finding import Finding
from facetmill.errors import ParamsError
from facetmill.platform.environment import NO_CALLS, NO_PICKLE
from facetmill.platform.layout import Layout


def check_params(layout: Layout) -> list[Finding]:
    """params.yaml with an unknown, missing or wrong key."""
    from facetmill.params import load_params, model_config

    path = layout.root / "params.yaml"
    if not path.exists():
        return []  # then this is no project, which is a finding of its own
    try:
        params = load_params(path)
        model_config(params, params.model)
    except ParamsError as error:
        return [Finding("params", "problem", str(error), f"edit {path}")]
    return []


def check_calls(layout: Layout) -> list[Finding]:
    """Switches that let a tool send usage data, or fetch something."""
    return [
        Finding("calls", "warning", f"{name}={mine!r} lets calls leave this machine; quiet is {quiet!r}", _unset(name))
        for name, mine, quiet in _otherwise(NO_CALLS)
    ]


def check_pickle(layout: Layout) -> list[Finding]:
    """Switches that let a model bring its own code in a pickle."""
    return [
        Finding("pickle", "problem", f"{name}={mine!r} allows pickles, which run code when loaded", _unset(name))
        for name, mine, _ in _otherwise(NO_PICKLE)
    ]


def check_run_id(layout: Layout) -> list[Finding]:
    """A run id that some tool has left: MLflow writes every run into that one. Facetmill itself ignores it."""
    run = os.environ.get("MLFLOW_RUN_ID")
    if not run:
        return []
    wrong = f"MLFLOW_RUN_ID={run!r}: other programs that use MLflow in this shell write into that run"
    return [Finding("run_id", "warning", wrong, _unset("MLFLOW_RUN_ID"))]


def _otherwise(switches: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, the user's value and ours, where they mean different things."""
    mine = {name: os.environ[name] for name in switches if name in os.environ}
    return [
        (name, value, switches[name]) for name, value in mine.items() if _meaning(value) != _meaning(switches[name])
    ]


def _meaning(value: str) -> str:
    known = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false", "off": "false"}
    return known.get(value.strip().lower(), value.strip().lower())


def _unset(name: str) -> str:
    return f"unset {name}"
