"""A Prefect worker of one work pool: `python -m facetmill.platform.pool_worker POOL LIMIT`.

It ends with the process that started it, and at once: the runs that it has begun are processes of their own, which that
process sees to.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from facetmill.imports import unhindered_imports
from facetmill.platform.worker_processes import follow_supervisor
from facetmill.terminal import guard

with unhindered_imports():
    from prefect.workers.process import ProcessWorker


def main(pool: str, limit: str) -> None:
    """Take runs, at most `limit` at a time, until told to end."""
    guard()
    follow_supervisor()
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    worker = ProcessWorker(work_pool_name=pool, name=socket.gethostname(), limit=int(limit))
    asyncio.run(worker.start())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
