"""What a worker of a cluster is asked to do in tests. A file of its own: the worker imports it, and nothing else of
them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    number: int
    target: Path


def note_process(piece: Piece) -> int:
    """Say in a file which process is at work, take a while, write the target."""
    piece.target.with_name(f"process-{os.getpid()}").touch()
    time.sleep(0.3)
    piece.target.write_text(str(piece.number))
    return piece.number


def kill_own_process(piece: Piece) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return piece.number


def double(number: int) -> int:
    return number * 2
