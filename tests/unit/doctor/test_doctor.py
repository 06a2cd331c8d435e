"""Each check of `facetmill doctor` against the thing that is really wrong, and silence where nothing is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import psutil
import pytest

from facetmill import doctor
from facetmill.doctor import schemas
from facetmill.doctor.finding import Finding
from facetmill.platform import environment, servers
from facetmill.platform.layout import Layout
from facetmill.platform.locks import exclusive
from facetmill.registry.ledger import LEDGER, Ledger
from facetmill.training.search.storage import open_storage

ADDRESSES = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "FACETMILL_STORAGE")
OTHERS = ("MLFLOW_RUN_ID", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", servers.CONNECTED)


@pytest.fixture
def layout(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A project as it is cloned, seen by a user who has set nothing."""
    quiet = environment.project_environment(Layout(tmp_path))
    for name in (*ADDRESSES, *OTHERS, *quiet):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("params.yaml", "dvc.yaml", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path / name)
    return Layout(tmp_path)


def only(found: list[Finding], *words: str) -> Finding:
    """The one finding, which holds these words."""
    assert len(found) == 1, found
    for word in words:
        assert word in f"{found[0].wrong}\n{found[0].mend}"
    return found[0]


def run_doctor(layout: Layout, before: str = "pass") -> tuple[int, list[dict[str, str]]]:
    code = f"import sys; sys.argv = ['facetmill', 'doctor', '--json']; {before}; from facetmill.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=layout.root, capture_output=True, text=True, check=False)
    assert not done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return done.returncode, found


class Open(BaseHTTPRequestHandler):
    """A server that answers whoever asks, as `prefect server start` does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("access-control-allow-origin", "*")
        self.end_headers()

    do_OPTIONS = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_any_web_page_can_drive(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer((servers.HOST, 0), Open) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://{servers.HOST}:{serving.server_port}/api")
        found = doctor.CHECKS["foreign_pages"](layout)
        serving.shutdown()
    only(found, "prefect", "pages of other sites and requests under any name", "infra/README.md")
    assert doctor.CHECKS["foreign_pages"](layout) == [], "what does not answer is another check's finding"


def test_warnings_alone_are_no_failure_and_a_problem_is(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "left-behind")
    (layout.root / "constraints.txt").write_text("")  # whatever is installed where this test runs
    before = sorted(layout.root.rglob("*"))
    code, found = run_doctor(layout)
    assert code == 0
    assert {"check": "run_id", "severity": "warning"}.items() <= found[0].items()
    assert "left-behind" in found[0]["wrong"]
    assert found[0]["mend"] == "unset MLFLOW_RUN_ID"
    assert sorted(layout.root.rglob("*")) == before

    params = layout.root / "params.yaml"
    params.write_text(params.read_text().replace("trials: 3", "trials: none"))
    code, found = run_doctor(layout)
    assert code == 1
    assert found[0]["check"] == "params"
    assert "sweep.trials = 'none'" in found[0]["wrong"]
    assert [one["severity"] for one in found] == sorted(one["severity"] for one in found)


def test_broken_packages_cost_their_checks_and_no_other(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "yes")
    names = ("psutil", "sqlalchemy", "packaging", "yaml", "mlflow", "prefect")
    broken = f"sys.modules.update(dict.fromkeys({names}))"
    code, found = run_doctor(layout, before=broken)
    assert code == 1
    crashed = {one["check"] for one in found if "this check crashed" in one["wrong"]}
    assert {"requirements", "constraints", "params", "addresses", "processes", "ports", "locks"} <= crashed
    assert "pickle" in {one["check"] for one in found} - crashed


def test_outside_a_project_that_is_told(tmp_path: Path) -> None:
    found = doctor.diagnose(tmp_path)
    assert found[0].check == "project"
    assert not any("crashed" in finding.wrong for finding in found)


def test_versions_that_the_code_cannot_do_with(layout: Layout) -> None:
    needs = ["typer>=999", "no-such-package-of-ours>=1", f"psutil=={version('psutil')}"]
    (layout.root / "pyproject.toml").write_text(f"[project]\ndependencies = {needs}\n")
    wrong_version, missing = doctor.check_requirements(layout)
    only([wrong_version], f"typer {version('typer')} is installed; >=999 is needed", "pip install -c", "'typer>=999'")
    only([missing], "no-such-package-of-ours is not installed")
    assert wrong_version.severity == missing.severity == "problem"


def test_versions_other_than_the_tested_ones(layout: Layout) -> None:
    same_but_for_the_build = version("torch").partition("+")[0]
    lines = [
        "# tested",
        f"torch=={same_but_for_the_build}",
        f"psutil=={version('psutil')}",
        "not-here==1",
        "typer==0.1",
    ]
    (layout.root / "constraints.txt").write_text("\n".join(lines))
    found = only(doctor.check_constraints(layout), f"typer {version('typer')} (tested: 0.1)")
    assert found.severity == "warning"
    assert "torch" not in found.wrong


def test_switches_that_the_user_turned(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_calls(layout) + doctor.check_pickle(layout) == []
    for name, value in environment.project_environment(layout).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DO_NOT_TRACK", "1")  # means the same as ours
    assert doctor.check_calls(layout) + doctor.check_pickle(layout) == []
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "1")
    only(doctor.check_calls(layout), "MLFLOW_DISABLE_TELEMETRY='false'", "unset MLFLOW_DISABLE_TELEMETRY")
    assert only(doctor.check_pickle(layout), "unset MLFLOW_ALLOW_PICKLE_DESERIALIZATION").severity == "problem"


def test_addresses_that_cannot_be_used(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    wrong_kind, silent = doctor.check_addresses(layout)
    only([wrong_kind], "sqlite:///mlflow.db", "only the http(s) URL", "unset MLFLOW_TRACKING_URI")
    only([silent], "http://127.0.0.1:9/api", "does not answer", "unset PREFECT_API_URL")


def test_a_server_that_only_a_prefect_profile_names(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layout.root / "home" / ".prefect" / "profiles.toml"
    path.parent.mkdir(parents=True)
    path.write_text('active = "team"\n[profiles.team]\nPREFECT_API_URL = "https://me:secret@prefect.example/api"\n')
    found = only(doctor.check_prefect_profile(layout), "'team'", "export PREFECT_API_URL=https://prefect.example/api")
    assert "secret" not in found.wrong
    monkeypatch.setenv("PREFECT_PROFILE", "other")
    assert doctor.check_prefect_profile(layout) == []


def test_servers_of_the_state_file_that_are_gone_or_silent(layout: Layout) -> None:
    assert doctor.check_processes(layout) == []
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    server = servers.Server(process.pid, psutil.Process(process.pid).create_time(), 1, "http://127.0.0.1:1")
    servers.write_state(layout, {"mlflow": server})
    only(doctor.check_processes(layout), "does not answer at http://127.0.0.1:1", "facetmill down && facetmill up")
    process.communicate(b"\n")
    gone = only(doctor.check_processes(layout), f"the mlflow server, process {process.pid}, is gone", "facetmill up")
    assert gone.severity == "warning"
    (layout.state_dir / "servers.json").write_text("{")
    assert only(doctor.check_processes(layout), "not readable", "rm ").severity == "problem"


def test_a_taken_port_is_told_with_the_one_that_up_will_take(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port that the lost server had, where there was one: `up` asks for that first."""
    with listening() as holder, listening() as other:
        port, last = holder.getsockname()[1], other.getsockname()[1]
        monkeypatch.setattr(servers, "KINDS", (replace(servers.MLFLOW, port=port),))
        told = only(doctor.check_ports(layout), f"port {port} is held by process {os.getpid()}", "nothing; or free")
        assert told.severity == "warning"
        assert f"the mlflow server will take {servers.free_port(port)}" in told.wrong
        layout.state_dir.mkdir(exist_ok=True)
        gone = servers.Server(2**22 + 1, 0.0, last, f"http://{servers.HOST}:{last}")
        (layout.state_dir / "servers.json").write_text(json.dumps({"mlflow": vars(gone)}))
        only(doctor.check_ports(layout), f"port {last} is held by", "nothing; or free")
        (layout.state_dir / "servers.json").write_text("{")
        assert doctor.check_ports(layout) == []
        (layout.state_dir / "servers.json").unlink()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
        assert doctor.check_ports(layout) == []


def test_no_free_port_is_a_problem(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "port_is_free", lambda port: False)
    told = doctor.check_ports(layout)[0]
    assert told.severity == "problem"
    assert "no port from 5000 to 5099 is free" in told.wrong


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as holder:
        holder.bind((servers.HOST, 0))
        holder.listen()
        yield holder


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///facets.db", "sqlite: is not supported"),
        ("postgresql://me:secret@127.0.0.1:9/facets", "cannot be reached"),
    ],
)
def test_a_storage_that_cannot_be_used(layout: Layout, url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACETMILL_STORAGE", url)
    found = only(doctor.check_storage(layout), words, "unset FACETMILL_STORAGE")
    assert "secret" not in found.wrong
    assert doctor.check_study_schema(layout) == []  # said once is enough
    assert not any("crashed" in finding.wrong for finding in doctor.diagnose(layout.root))


def test_a_shared_database_of_ours_and_one_of_another_tool(
    layout: Layout, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setenv("FACETMILL_STORAGE", postgres)
    checks = (doctor.check_storage, doctor.check_study_schema, doctor.check_ledger)
    assert [check(layout) for check in checks] == [[], [], []]
    open_storage(postgres)
    Ledger(postgres)
    assert [check(layout) for check in checks] == [[], [], []]
    with psycopg.connect(postgres, autocommit=True) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
        only(doctor.check_study_schema(layout), "revision v3.0.0.d, older than", "optuna storage upgrade")
        database.execute("UPDATE alembic_version SET version_num = 'from the future'")
        only(doctor.check_study_schema(layout), "a newer optuna has written it")
        database.execute("ALTER TABLE studies RENAME TO experiments")
        only(doctor.check_study_schema(layout), "another tool")
        database.execute(f"ALTER TABLE {LEDGER.name} DROP COLUMN why")
        only(doctor.check_ledger(layout), "older facetmill (missing columns: why)")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="doctor"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_stores_that_this_user_may_not_write(reachable: Path) -> None:
    layout = Layout(reachable)
    assert doctor.check_writable(layout) == []
    database = layout.mlruns_dir / "mlflow.db"
    database.parent.mkdir()
    database.touch()
    if os.geteuid() == 0:  # root may write everything, so look with the eyes of another
        os.seteuid(65534)
        try:
            found = doctor.check_writable(layout)
        finally:
            os.seteuid(0)
        assert {finding.wrong.partition(":")[0] for finding in found} == {
            str(path) for path in (layout.root, layout.mlruns_dir, database)
        }
        assert all("belongs to root" in finding.wrong and "sudo chown -R" in finding.mend for finding in found)
    else:
        database.chmod(0o400)
        only(doctor.check_writable(layout), "read-only for its owner", f"chmod -R u+w {database}")


def test_an_old_file_store(layout: Layout) -> None:
    (layout.mlruns_dir / "0").mkdir(parents=True)
    (layout.mlruns_dir / "artifacts").mkdir()
    (layout.mlruns_dir / "artifacts" / "meta.yaml").touch()
    assert doctor.check_file_store(layout) == []
    (layout.mlruns_dir / "0" / "meta.yaml").touch()
    only(doctor.check_file_store(layout), "experiments 0", f"mlflow migrate-filestore --source {layout.mlruns_dir}")


@pytest.mark.parametrize(("gib", "severity"), [(0.99, "problem"), (1, "warning"), (4.99, "warning"), (5, None)])
def test_room_on_a_disk(gib: float, severity: str | None) -> None:
    found = doctor.stores.room(Path("/here"), int(gib * doctor.stores.GIB))
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def make_database(path: Path, revision: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32))")
        database.execute("DELETE FROM alembic_version")
        database.execute("INSERT INTO alembic_version VALUES (?)", [revision])


@pytest.mark.parametrize("tool", ["mlflow", "prefect"])
def test_databases_of_another_version_of_their_tool(layout: Layout, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the head that the running server writes, see tests/pipeline/test_doctor.py."""
    folder = schemas._folder(tool)
    if tool == "mlflow":
        path, check = layout.mlruns_dir / "mlflow.db", doctor.check_mlflow_schema
        chain = schemas._chain(folder / "store" / "db_migrations" / "versions")
    else:
        path, check = layout.prefect_home / "prefect.db", doctor.check_prefect_schema
        chain = schemas._chain(folder / "server" / "database" / "_migrations" / "versions" / "sqlite")
    assert check(layout) == []
    make_database(path, next(revision for revision, before in chain.items() if not before))
    older = only(check(layout), "older than", "copy the database")
    assert older.severity == ("problem" if tool == "mlflow" else "warning")
    make_database(path, "0123456789ab")
    assert only(check(layout), f"a newer {tool} has written it").severity == "problem"
    monkeypatch.setenv("MLFLOW_TRACKING_URI" if tool == "mlflow" else "PREFECT_API_URL", "http://elsewhere")
    assert check(layout) == []  # nothing opens it then
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_ledger_of_another_version(layout: Layout) -> None:
    assert doctor.check_ledger(layout) == []
    Ledger(layout.ledger_url)
    assert doctor.check_ledger(layout) == []
    with sqlite3.connect(layout.state_dir / "ledger.db") as database:
        database.execute(f"ALTER TABLE {LEDGER.name} ADD COLUMN mood TEXT")
    only(doctor.check_ledger(layout), "newer facetmill (unknown columns: mood)")


HOLDER = """
import fcntl, subprocess, sys
from pathlib import Path
from facetmill.platform.locks import exclusive
path = Path(sys.argv[1])
with exclusive(path, "testing"):
    child = None
    if sys.argv[2:]:
        with path.open("a") as mine:
            pass
        import os
        handles = [int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
        handle = next(h for h in handles if os.path.samefile(f"/proc/self/fd/{h}", path))
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[handle])
    print(child.pid if child else 0, flush=True)
    input()
"""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux says who holds a lock")
def test_locks_that_keep_others_waiting(layout: Layout) -> None:
    path = layout.data_dir / "demo-1234" / ".lock"
    with exclusive(path, "testing"):
        assert doctor.check_locks(layout) == []
        os.utime(path, (0, time.time() + 3600))  # the clock was set back
        assert doctor.check_locks(layout) == []
        os.utime(path, (0, time.time() - 3600))
        only(doctor.check_locks(layout), "held for 60 minutes", f"process {os.getpid()} (", f"kill {os.getpid()}")
    assert doctor.check_locks(layout) == []
    words = [sys.executable, "-c", HOLDER, str(path), "with a child"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert doctor.check_locks(layout) == []  # just taken, and the file says so
            os.kill(holder.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
            only(doctor.check_locks(layout), f"process {holder.pid}", "stopped", "kill -CONT")
            os.kill(holder.pid, signal.SIGKILL)
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
            only(doctor.check_locks(layout), f"left behind by process {holder.pid}", f"kill {child}")
        finally:
            os.kill(child, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)
    assert doctor.check_locks(layout) == []


def test_records_that_are_damaged_are_told_without_a_server(layout: Layout) -> None:
    assert doctor.check_records(layout) == []
    (layout.artifacts_dir / "1").mkdir(parents=True)
    only(doctor.check_records(layout), f"{layout.mlflow_db}: missing, but", "facetmill down && facetmill restore DIR")
    layout.mlflow_db.write_text("no database")
    Ledger(layout.ledger_url)
    os.truncate(layout.ledger_db, 4096)
    Path(layout.study_storage).write_text('{"half\n')
    runs, ledger, studies = doctor.check_records(layout)
    only([runs], f"{layout.mlflow_db}: no SQLite database")
    only([ledger], f"{layout.ledger_db}: damaged", "facetmill restore DIR")
    only([studies], f"{layout.study_storage}, line 1", "move it away: sweeps then begin anew")
    assert not any("crashed" in finding.wrong for finding in doctor.diagnose(layout.root))
