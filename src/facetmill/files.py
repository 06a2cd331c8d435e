"""Writing so that a reader never sees half a file, and hashing so that a change is never missed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facetmill.errors import DataError


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there, flushed to disk, only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; put it in place of `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            os.replace(path, old / "old")
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, on the same disk and seen by the same hosts; remove it after the block.

    A process that was given up may write there to the end, and then finds it gone.
    """
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name}.scratch.", dir=path.parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name, which takes no room; a copy where the file system knows no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_text(path: Path, text: str) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Raises `ValueError` for what is no JSON, and for lists in lists without end."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("lists or objects stand too deep in each other") from None


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """SHA-256 over the relative paths and bytes of every file below a folder, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """`hash_file` of every file below a folder, by its path relative to it."""
    files = sorted(entry for entry in folder.rglob("*") if entry.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def require_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Raises `DataError` for the first file that is missing, or is not what `hash_files` once said."""
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file() or hash_file(path) != expected:
            raise DataError(f"{path}: {'changed since it was written' if path.is_file() else 'missing'}")


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
