"""Whether the folders that everything is written to can be written. A tool that finds out by itself, in the middle of
its work or in a server, tells it in a hundred ways and seldom by the folder's name."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from facetmill.errors import PlatformError
from facetmill.platform.layout import Layout

#: What to do about an error of the system, by its number. Other errors are no matter of folders and disks.
MENDS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room within this user's quota",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EROFS: "mount it writable, or move the project",
    errno.EACCES: "give it to this user (facetmill doctor says how)",
    errno.EPERM: "give it to this user (facetmill doctor says how)",
    errno.EIO: "see to its disk",
    errno.EEXIST: "move the file away that stands there in place of a folder",
    errno.ENOTDIR: "move the file away that stands there in place of a folder",
}

PROBE = 8 * 2**20  # bytes: where so few have no room, something larger had none


def unwritable(layout: Layout) -> PlatformError | None:
    """What is wrong with the first of the folders of a project, and of the system's for temporary files, that cannot be
    written; tried by writing `PROBE` bytes. None where all can, or are not made yet."""
    stores = (layout.mlruns_dir, layout.artifacts_dir, layout.state_dir, layout.data_dir)
    for folder in (*stores, Path(tempfile.gettempdir())):
        if not folder.exists():
            continue
        try:
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(bytes(PROBE))
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            return cannot_write(folder, error)
    return None


def cannot_write(path: Path | str, error: OSError) -> PlatformError:
    mend = MENDS.get(error.errno or 0, "see to its disk")
    return PlatformError(f"{path}: cannot be written ({error.strerror or error}); {mend}")
