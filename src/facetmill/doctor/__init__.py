"""`facetmill doctor`: what is wrong with an environment, and for each thing the one command or edit that mends it.

A check is a function from a layout to findings, in the file of its kind. None changes anything or starts a server, and
none needs the others: it imports what it looks at by itself, so a broken tool costs one check and not the whole visit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from facetmill.doctor.finding import Finding
from facetmill.doctor.locks import check_locks
from facetmill.doctor.records import check_champion, check_records
from facetmill.doctor.schemas import (
    check_ledger,
    check_mlflow_schema,
    check_prefect_schema,
    check_study_schema,
)
from facetmill.doctor.servers import (
    check_addresses,
    check_foreign_pages,
    check_ports,
    check_prefect_profile,
    check_processes,
)
from facetmill.doctor.settings import check_calls, check_params, check_pickle, check_run_id
from facetmill.doctor.stores import check_disk, check_file_store, check_storage, check_writable
from facetmill.doctor.versions import check_constraints, check_requirements
from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout, find_root

Check = Callable[[Layout], list[Finding]]

CHECKS: Mapping[str, Check] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_requirements,
        check_constraints,
        check_params,
        check_calls,
        check_pickle,
        check_run_id,
        check_addresses,
        check_foreign_pages,
        check_prefect_profile,
        check_processes,
        check_ports,
        check_storage,
        check_writable,
        check_file_store,
        check_disk,
        check_mlflow_schema,
        check_prefect_schema,
        check_study_schema,
        check_ledger,
        check_records,
        check_champion,
        check_locks,
    )
}


def diagnose(start: Path, checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """Every finding about the project at or above `start`, problems first. A check that crashes is a finding, too.

    Reads the environment of this process, so it comes before anything that sets the quiet switches.
    """
    found = []
    try:
        layout = Layout(find_root(start))
    except PlatformError as error:
        found.append(Finding("project", "problem", str(error), "cd into the project"))
        layout = Layout(start)
    for name, check in checks.items():
        try:
            found += check(layout)
        except Exception as error:  # whatever is broken, the other checks still say what they know
            said = f"this check crashed, so nothing is known: {type(error).__name__}: {error}"
            found.append(Finding(name, "problem", said, "install again what it names, with make setup, or report it"))
    return sorted(found, key=lambda finding: finding.severity != "problem")
