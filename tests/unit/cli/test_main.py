"""How a command ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

COMMAND = """
import signal, sys
from pathlib import Path
from facetmill import cli
from facetmill.files import replace_file

@cli.app.command()
def write(path: Path):
    with replace_file(path):
        try:
            print("at work", flush=True)
            signal.pause()
        finally:
            signal.raise_signal(signal.SIGTERM)  # somebody loses patience

sys.argv = ["facetmill", "write", *sys.argv[1:]]
cli.main()
"""


def test_sigterm_ends_a_command_in_order_with_one_line(tmp_path: Path) -> None:
    """A second one does not cut off what the first one has begun to put in order."""
    words = [sys.executable, "-c", COMMAND, str(tmp_path / "written")]
    command = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert command.stdout is not None
    assert command.stdout.readline() == "at work\n"
    command.send_signal(signal.SIGTERM)
    _, said = command.communicate(timeout=60)
    assert (command.returncode, said) == (128 + signal.SIGTERM, "facetmill: ended by SIGTERM\n")
    assert list(tmp_path.iterdir()) == []
