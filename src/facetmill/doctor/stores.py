"""Where things are kept: folders that can be written, room on the disk, the shared database, an old MLflow store."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from facetmill.doctor.finding import Finding
from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout

GIB = 2**30
LITTLE_ROOM = 5 * GIB
NO_ROOM = 1 * GIB
CONNECT_TIMEOUT = 5  # seconds


def check_storage(layout: Layout) -> list[Finding]:
    """FACETMILL_STORAGE that is no PostgreSQL, or one that cannot be reached. What is unset needs no check."""
    try:
        url = layout.ledger_url
    except PlatformError as error:
        wrong = f"{error} (only PostgreSQL can be shared by workers of several hosts)"
        return [Finding("storage", "problem", wrong, "unset FACETMILL_STORAGE")]
    if not os.environ.get("FACETMILL_STORAGE"):
        return []
    from sqlalchemy import NullPool, create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT})
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except ModuleNotFoundError as error:
        mend = shlex.join([sys.executable, "-m", "pip", "install", "psycopg[binary]>=3.2"])
        return [Finding("storage", "problem", f"FACETMILL_STORAGE: its driver is not installed ({error})", mend)]
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).partition("\n")[0]
        wrong = f"FACETMILL_STORAGE: the database cannot be reached: {said}"
        return [Finding("storage", "problem", wrong, "start that database, or unset FACETMILL_STORAGE")]
    return []


def check_writable(layout: Layout) -> list[Finding]:
    """A store, or a file that its tools write, which this user may not write."""
    found = []
    for path in _written(layout):
        if _may(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            continue
        owner, me = path.stat().st_uid, os.geteuid()
        where = shlex.quote(str(path))
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            wrong, mend = f"{path}: is on a read-only file system", "mount it writable, or move the project"
        elif owner != me:
            wrong = f"{path}: belongs to {_user(owner)}, and {_user(me)} may not write it"
            mend = f"sudo chown -R {_user(me)} {where}"
        else:
            wrong, mend = f"{path}: is read-only for its owner {_user(me)}", f"chmod -R u+w {where}"
        found.append(Finding("writable", "problem", wrong, mend))
    return found


def check_file_store(layout: Layout) -> list[Finding]:
    """Runs of an MLflow before 3.7 in mlruns/: folders with numbers, which MLflow no longer reads."""
    old = sorted(meta.parent.name for meta in layout.mlruns_dir.glob("[0-9]*/meta.yaml") if meta.parent.name.isdigit())
    if not old:
        return []
    wrong = f"{layout.mlruns_dir}: experiments {', '.join(old)} are an old file store, which MLflow no longer reads"
    target = f"sqlite:///{layout.root / 'old-runs.db'}"
    mend = shlex.join(["mlflow", "migrate-filestore", "--source", str(layout.mlruns_dir), "--target", target])
    return [Finding("file_store", "warning", wrong, f"{mend}, then move these folders away")]


def check_disk(layout: Layout) -> list[Finding]:
    """Little room where the stores, the packages, temporary files or downloaded models lie; each disk once."""
    found = []
    seen = set()
    models = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    stores = (layout.root, layout.state_dir, layout.data_dir, layout.mlruns_dir)
    for path in (*stores, Path(sys.prefix), Path(tempfile.gettempdir()), models):
        if not path.exists() or (disk := path.stat().st_dev) in seen:
            continue
        seen.add(disk)
        found += room(path, shutil.disk_usage(path).free)
    return found


def room(path: Path, free: int) -> list[Finding]:
    """What `free` bytes on the disk of `path` mean."""
    if free >= LITTLE_ROOM:
        return []
    wrong = f"{path}: {free / GIB:.1f} GiB are free on its disk"
    mend = "make clean, which removes what can be made again, or remove something else there"
    return [Finding("disk", "problem" if free < NO_ROOM else "warning", wrong, mend)]


def _written(layout: Layout) -> Iterator[Path]:
    """What must be writable, a folder before what is in it; of a store that is not made yet, the project's root."""
    stores = (layout.mlruns_dir, layout.state_dir, layout.data_dir)
    if not all(store.exists() for store in stores):
        yield layout.root
    for store in stores:
        if not store.is_dir():
            continue
        yield store
        if _may(store, os.R_OK | os.X_OK):
            yield from (path for path in sorted(store.glob("*")) if path.name != "README.md")
    if layout.prefect_home.is_dir() and _may(layout.prefect_home, os.R_OK | os.X_OK):
        yield from sorted(layout.prefect_home.glob("prefect.db*"))


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
