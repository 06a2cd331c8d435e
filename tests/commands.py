"""`facetmill ...` as tests call it: in a process of its own, as a user does, or in this one, which has long imported
what a new one would spend seconds on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import patch

from facetmill import cli


def run_process(root: Path, *words: str) -> CompletedProcess[str]:
    """What a command says and how it ends, as the system has it: where that is what matters, or who did it."""
    command = [sys.executable, "-m", "facetmill", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def run_here(root: Path, *words: str) -> CompletedProcess[str]:
    """The same from the same `main`, without a process. What that changes of this one is put back: its folder,
    environment, streams and signals. An error that the command does not tell in words is raised."""
    out, err, terminate = StringIO(), StringIO(), signal.getsignal(signal.SIGTERM)
    code: Any = 0
    try:
        with (
            patch.dict(os.environ),
            patch.object(sys, "argv", ["facetmill", *words]),
            chdir(root),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        signal.signal(signal.SIGTERM, terminate)
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


def answered(done: CompletedProcess[str]) -> Any:
    """The JSON that a command which succeeds has printed."""
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)
