"""Whether the bytes of a dataset are those of its version: shards by the manifest's hashes, pictures by their listing.

The version is a hash over the manifest, so with this nothing that a model learns from or is judged by can have been
changed since, on this disk or on the way through a remote. What a process has found to be right it hashes again only
when the file's size, time of change or place on the disk is another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from facetmill.dataset.pictures.listing import LISTING, digests, read_listing
from facetmill.errors import DataError
from facetmill.files import hash_file
from facetmill.records import Split, shards

#: By workspace: the listing whose pictures were found to be right, and a hash of what the disk said of them then.
_right: dict[Path, tuple[str, str]] = {}


def shards_of(data_dir: Path, manifest: Mapping[str, Any], split: Split) -> list[Path]:
    """The shards of a split in their order, each as the manifest has it. Raises `DataError` that names one that is not,
    is missing, or is not in the manifest."""
    listed = {str(shard["name"]): str(shard["sha256"]) for shard in manifest["splits"][split]["shards"]}
    folder = data_dir / split
    for name, expected in listed.items():
        _require(folder / name, expected, data_dir)
    for path in shards(folder):
        if path.name not in listed:
            raise DataError(f"{path}: is not in {data_dir / 'manifest.json'}; {_mend(data_dir)}")
    return [folder / name for name in listed]


def lists_pictures(manifest: Mapping[str, Any]) -> bool:
    """Whether a dataset can tell a changed picture; those of before there were listings cannot."""
    return "pictures" in manifest


def changed_pictures(data_dir: Path, manifest: Mapping[str, Any]) -> list[str]:
    """The first pictures (10 at most) that are not what they were when the dataset was built, as its shards name them.

    None for a dataset that lists none. Raises `DataError` for a listing that is not that of the manifest.
    """
    if not manifest.get("pictures"):
        return []
    listing, root = data_dir / LISTING, data_dir.absolute().parent
    expected = str(manifest["pictures"]["sha256"])
    _require(listing, expected, data_dir)
    before = (expected, _disk_says(listing, root))  # first: what changes while it is hashed is looked at next time
    if _right.get(root) == before:
        return []
    changed: list[str] = []
    for rows in read_listing(listing):
        found = digests(root / image for image, _ in rows)
        changed += [image for (image, digest), now in zip(rows, found, strict=True) if digest != now]
        if len(changed) >= 10:
            return changed[:10]
    if not changed:
        _right[root] = before
    return changed


def require_pictures(data_dir: Path, manifest: Mapping[str, Any]) -> None:
    """Raises `DataError` that names a picture which is not what it was when the dataset was built."""
    for image in changed_pictures(data_dir, manifest)[:1]:
        path = data_dir.parent / image
        wrong = "changed since the dataset was built" if path.exists() else "missing"
        raise DataError(
            f"{path}: picture of {data_dir.parent.name}, {wrong}; put back what was there, or build the dataset again "
            "from the pictures of today (facetmill dataset build), which makes another version"
        )


def _require(path: Path, expected: str, data_dir: Path) -> None:
    try:
        status = path.stat()
        found = _sha256(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_mend(data_dir)}") from error
    if found != expected:
        raise DataError(
            f"{path}: changed since the dataset was built: its SHA-256 is {found[:12]}..., but "
            f"{data_dir / 'manifest.json'} says {expected[:12]}...; {_mend(data_dir)}"
        )


@lru_cache(maxsize=4096)
def _sha256(path: Path, *on_disk: int) -> str:
    """Of a file that is as the disk says (`on_disk`): asked about the same one again, it is not read again."""
    return hash_file(path)


def _mend(data_dir: Path) -> str:
    return (
        f"remove {data_dir.parent} and bring it back from the DVC remote (facetmill dataset checkout VERSION), or build"
        " it again"
    )


def _disk_says(listing: Path, root: Path) -> str:
    """One hash over size, time of change and place of every listed picture."""
    digest = hashlib.sha256()
    for rows in read_listing(listing):
        for image, _ in rows:
            digest.update(repr(_status(root / image)).encode())
    return digest.hexdigest()


def _status(path: Path) -> Iterable[int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
