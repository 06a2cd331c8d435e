"""Unpacking what others have packed: a whole folder or nothing, and no byte outside it.

An archive is hostile until it is read. Names that leave the folder, links, devices, two members for one file, and more
bytes than the archive can honestly hold are refused, by name, before or while they are written; what was written until
then is removed with the temporary folder it stands in.

Names are what whoever packed them saw: of a zip that does not say how they are encoded, UTF-8 where they are that, then
GBK where they are its commonest letters, else the code page of DOS; and composed, as most systems write them.
What Macs and Windows put beside files (`__MACOSX`, `._name`, `.DS_Store`, `Thumbs.db`, `desktop.ini`) is left out.
"""

from __future__ import annotations

import gzip
import lzma
import shlex
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Self
from unicodedata import normalize

from facetmill.errors import DataError
from facetmill.files import replace_folder

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

MAX_RATIO = 100  # of what is unpacked to the archive; text shrinks to a tenth, a bomb to a thousandth
ALWAYS_FINE = 2**26  # bytes that may be unpacked whatever the ratio: a file of blanks is no attack
MAX_HEADER = 2**20  # bytes of what a tar says about a member, which is read at once; a path has some thousands
BYTES_OF_A_MEMBER = 512  # that each costs a file system at least, so that millions of empty files are a bomb, too
_CHUNK = 2**20
_ENCRYPTED = 1  # bit of a zip member's flags
_NAME_IS_UTF_8 = 0x800  # another
_ASIDE = (".DS_Store", "Thumbs.db", "desktop.ini")
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# The last is zipfile's, for a compression or a version that it does not know.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)


@dataclass(frozen=True)
class Unpacked:
    """What an archive held: files and their bytes."""

    num_files: int
    num_bytes: int


@dataclass(frozen=True)
class _Member:
    """`kind` is what it is, in words, where that is neither a file nor a folder."""

    name: str
    is_folder: bool
    kind: str | None
    source: zipfile.ZipInfo | tarfile.TarInfo


def require_unpacked(path: Path) -> None:
    """Raises `DataError`, with the command that helps, for data that by its name is an archive still."""
    if path.is_file() and path.name.lower().endswith(SUFFIXES):
        raise DataError(
            f"{path}: is an archive; unpack it first: facetmill dataset unpack {shlex.quote(str(path))} --out FOLDER"
        )


def unpack(archive: Path, out_dir: Path) -> Unpacked:
    """Unpack a zip or tar file into `out_dir`, which must not exist or be empty.

    Raises `DataError`, and leaves `out_dir` as it was, for an archive that cannot be read to its end, has a password,
    holds anything but files and folders, names a file outside the folder or twice, or unpacks to more than `MAX_RATIO`
    times its size.
    """
    if out_dir.exists() and not (out_dir.is_dir() and not any(out_dir.iterdir())):
        raise DataError(f"{out_dir}: is there already and not an empty folder")
    num_files = num_bytes = 0
    budget, taken = _Budget(archive), set[str]()
    with replace_folder(out_dir) as folder, _opened(archive) as opened:
        for member in _members(opened):
            target = folder / _place(archive, member, taken)
            budget.spend(BYTES_OF_A_MEMBER, member.name)
            if _is_aside(member.name):
                continue
            (target if member.is_folder else target.parent).mkdir(parents=True, exist_ok=True)
            if member.is_folder:
                continue
            with _read(archive, opened, member) as content, target.open("xb") as written:
                while chunk := content.read(_CHUNK):
                    budget.spend(len(chunk), member.name)
                    num_bytes += written.write(chunk)
            num_files += 1
        if isinstance(opened, tarfile.TarFile) and opened.fileobj is not None:
            while rest := opened.fileobj.read(_CHUNK):  # the checksum of a compressed tar stands at its very end
                budget.spend(len(rest), "behind the last one")
    return Unpacked(num_files, num_bytes)


class _Budget:
    """How many bytes an archive may still unpack to."""

    def __init__(self, archive: Path) -> None:
        if not archive.is_file():
            raise DataError(f"{archive}: no such file")
        self._archive = archive
        self._most = max(ALWAYS_FINE, MAX_RATIO * archive.stat().st_size)
        self.spent = 0

    def spend(self, num_bytes: int, name: str) -> None:
        self.spent += num_bytes
        if self.spent > self._most:
            raise DataError(
                f"{self._archive}, member {name!r}: unpacks to more than {MAX_RATIO} times the archive's size, "
                "as a decompression bomb does"
            )


class _Refused(tarfile.TarError):
    """What is wrong with a member, before it is one."""


class _ShortHeader(tarfile.TarInfo):
    """A tar's member whose headers fit into memory: Python reads those at once, before anybody can count them."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _HEADERS and found.size > MAX_HEADER:
            raise _Refused(f"member {found.name!r}: has a header of {found.size} bytes, as a decompression bomb does")
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise _Refused(f"member {found.name!r}: is a sparse file; only plain ones are unpacked")
        return found


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """The archive, whatever kind its bytes say it is; a broken one, noticed at any time, is a `DataError`."""
    broken = f"{archive}: not a whole zip or tar file"
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield zipped
        else:
            with tarfile.open(archive, tarinfo=_ShortHeader) as tar:
                yield tar
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise DataError(f"{broken}: it has a file and a folder of one name: {Path(error.filename).name!r}") from error
    except OSError as error:
        if error.errno and not isinstance(error, gzip.BadGzipFile):
            raise  # a full disk, not the archive
        raise DataError(f"{broken}: {error}") from error
    except _Refused as error:
        raise DataError(f"{archive}, {error}") from None
    except RecursionError:
        raise DataError(f"{broken}: hundreds of headers for one member") from None
    except _BROKEN as error:
        raise DataError(f"{broken}: {error}") from error


def _members(opened: zipfile.ZipFile | tarfile.TarFile) -> Iterator[_Member]:
    if isinstance(opened, zipfile.ZipFile):
        for info in opened.infolist():
            mode = info.external_attr >> 16
            special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
            kind = "a link" if stat.S_ISLNK(mode) else "no plain file" if special else None
            yield _Member(normalize("NFC", _zip_name(info)), info.is_dir(), kind, info)
    else:
        for entry in opened:
            special = not (entry.isreg() or entry.isdir())
            kind = "a link" if entry.issym() or entry.islnk() else "no plain file" if special else None
            yield _Member(normalize("NFC", entry.name), entry.isdir(), kind, entry)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Python takes names without the flag for UTF-8 for cp437, which has a letter for each byte."""
    if info.flag_bits & _NAME_IS_UTF_8 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437")
    for encoding in ("utf-8", "gb2312"):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    return info.filename


def _is_aside(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "__MACOSX" in parts or any(part in _ASIDE or part.startswith("._") for part in parts[-1:])


def _place(archive: Path, member: _Member, taken: set[str]) -> PurePosixPath:
    """Where a member belongs inside the folder; `taken` holds the files placed before, without regard to case."""
    where = f"{archive}, member {member.name!r}"
    if member.kind:
        raise DataError(f"{where}: is {member.kind}; only files and folders are unpacked")
    place = PurePosixPath(member.name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in "".join(place.parts[:1]):
        raise DataError(f"{where}: leaves the folder it is unpacked into")
    if not member.is_folder:
        key = str(place).casefold()
        if key in taken or key == ".":
            raise DataError(f"{where}: stands there twice, or differs from another name in case alone")
        taken.add(key)
    return place


def _read(archive: Path, opened: zipfile.ZipFile | tarfile.TarFile, member: _Member) -> IO[bytes]:
    if isinstance(opened, zipfile.ZipFile):
        assert isinstance(member.source, zipfile.ZipInfo)
        if member.source.flag_bits & _ENCRYPTED:
            raise DataError(f"{archive}, member {member.name!r}: has a password")
        return opened.open(member.source)
    assert isinstance(member.source, tarfile.TarInfo)
    content = opened.extractfile(member.source)
    if content is None:
        raise DataError(f"{archive}, member {member.name!r}: has no content")
    return content
