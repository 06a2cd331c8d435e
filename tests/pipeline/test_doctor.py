"""`facetmill doctor` beside real servers: silent while they are well, and it names the one that was killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from facetmill import doctor
from facetmill.files import hash_file
from facetmill.platform import servers
from facetmill.platform.servers import PREFECT

from .conftest import Platform

pytestmark = [pytest.mark.pipeline, pytest.mark.usefixtures("prefect")]

ABOUT_SERVERS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        doctor.check_addresses,
        doctor.check_processes,
        doctor.check_ports,
        doctor.check_writable,
        doctor.check_mlflow_schema,
        doctor.check_prefect_schema,
        doctor.check_ledger,
        doctor.check_locks,
    )
}


def test_a_well_platform_a_killed_server_and_an_untouched_store(platform: Platform) -> None:
    layout = platform.layout
    assert doctor.diagnose(layout.root, ABOUT_SERVERS) == []

    pid = servers.running(layout)[PREFECT.name].pid
    os.killpg(pid, signal.SIGKILL)
    while PREFECT.name in servers.running(layout):
        time.sleep(0.05)
    found = doctor.diagnose(layout.root, ABOUT_SERVERS)
    assert [(one.wrong, one.mend) for one in found if one.check == "processes"] == [
        (f"the prefect server, process {pid}, is gone", "facetmill up")
    ]

    servers.down(layout)
    stores = [layout.mlruns_dir / "mlflow.db", layout.prefect_home / "prefect.db", layout.state_dir / "ledger.db"]
    before = [(hash_file(path), sorted(path.parent.glob(f"{path.name}*"))) for path in stores]
    found = doctor.diagnose(layout.root, ABOUT_SERVERS)
    assert {one.check for one in found} <= {"ports"}  # which others may hold on this machine
    assert [(hash_file(path), sorted(path.parent.glob(f"{path.name}*"))) for path in stores] == before
    assert servers.running(layout) == {}
