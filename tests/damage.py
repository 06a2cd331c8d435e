"""What a disk, a remote or an attacker does to files."""

from __future__ import annotations

from pathlib import Path


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
