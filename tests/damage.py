"""What a disk, a remote or an attacker does to files, and a restart to a database."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg


def flip_byte(path: Path, at: float = 0.5) -> None:
    """Change one byte of a file, `at` a share (0..1) of its length, whatever its mode says; every other name of the
    same file changes with it."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as stream:
        place = int(at * (path.stat().st_size - 1))
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ 1]))
    path.chmod(mode)


def restart_postgres(url: str, seconds: float = 1.0) -> threading.Thread:
    """What a restart of the server is for one of its databases: every connection is cut off, and none is taken for a
    while. Returns what ends that; join it."""
    name = url.rpartition("/")[2]
    with psycopg.connect(url.removesuffix(name) + "test", autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    def take_connections_again() -> None:
        time.sleep(seconds)
        with psycopg.connect(url.removesuffix(name) + "test", autocommit=True) as server:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    ending = threading.Thread(target=take_connections_again)
    ending.start()
    return ending
