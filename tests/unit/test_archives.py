"""Archives: all of a good one or nothing of a hostile one, and no byte outside the folder."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from facetmill.archives import require_unpacked, unpack
from facetmill.errors import DataError

FILES = {"data/a.json": b"[]", "data/images/x.png": b"\x89PNG", "read me.txt": "ä".encode()}


def zipped(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def tarred(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w:" + path.suffix[1:].removeprefix("tar")) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return path


Pack = Callable[[Path, dict[str, bytes]], Path]
EVERY_KIND = [("a.zip", zipped), ("a.tar", tarred), ("a.tar.gz", tarred), ("a.tar.bz2", tarred), ("a.tar.xz", tarred)]
every_kind = pytest.mark.parametrize(("name", "pack"), EVERY_KIND, ids=[name for name, _ in EVERY_KIND])


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@every_kind
def test_a_good_archive_comes_out_whole(name: str, pack: Pack, tmp_path: Path) -> None:
    found = unpack(pack(tmp_path / name, FILES), tmp_path / "out")
    assert content(tmp_path / "out") == FILES
    assert (found.num_files, found.num_bytes) == (3, sum(map(len, FILES.values())))


def test_folders_of_an_archive_and_an_empty_target_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "file").write_bytes(b"x")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "in", ".")
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.tgz", tmp_path / "out")
    assert content(tmp_path / "out") == {"deep/file": b"x"}
    assert (tmp_path / "out" / "deep" / "er").is_dir()
    with pytest.raises(DataError, match="out: is there already"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")


@every_kind
@pytest.mark.parametrize(
    "evil", ["../out.json", "data/../../out.json", "/etc/out.json", "..\\out.json", "C:\\out.json"]
)
def test_a_name_that_leaves_the_folder_is_refused(evil: str, name: str, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / name, {**FILES, evil: b""})
    with pytest.raises(DataError, match=r"member '.*out\.json': leaves the folder"):
        unpack(archive, tmp_path / "in" / "out")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "in", archive]


@pytest.mark.parametrize(
    ("place", "bits", "message"),
    [(6, 1, "member 'in': has a password"), (8, 96, "not a whole zip or tar file: That compression method")],
    ids=["password", "unknown compression"],
)
def test_a_member_that_cannot_be_read_is_told(place: int, bits: int, message: str, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"in": b"x"})
    content = bytearray(archive.read_bytes())
    content[place] |= bits  # of what stands before the member's content
    content[content.index(b"PK\x01\x02") + place + 2] |= bits  # and in the table at the end
    archive.write_bytes(content)
    with pytest.raises(DataError, match=message):
        unpack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    kinds = {tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.FIFOTYPE: "no plain file"}
    for number, (kind, said) in enumerate([*kinds.items(), (tarfile.CHRTYPE, "no plain file")]):
        archive = tarred(tmp_path / f"{number}.tar", {"in": b""}, kind, str(secret))
        with pytest.raises(DataError, match=f"member 'in': is {said}"):
            unpack(archive, tmp_path / "out")
    archive = zipped(tmp_path / "a.zip", {"in": str(secret).encode()}, stat.S_IFLNK | 0o777)
    with pytest.raises(DataError, match="member 'in': is a link"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert secret.read_text() == "s"


@every_kind
def test_a_bomb_is_noticed_while_it_goes_off(
    name: str, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facetmill.archives.ALWAYS_FINE", 2**16)
    size = 2**24 if name != "a.tar" else 0  # a tar is as long as what it holds, but for its empty files
    files = {"small": b"x", "zeros": bytes(size)} if size else {f"empty{n}": b"" for n in range(3)}
    archive = pack(tmp_path / name, files)
    if not size:
        monkeypatch.setattr("facetmill.archives.MAX_RATIO", 0)
        monkeypatch.setattr("facetmill.archives.ALWAYS_FINE", 1024)
    with pytest.raises(DataError, match="decompression bomb"):
        unpack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_not_read(kind: bytes, tmp_path: Path) -> None:
    """A gigabyte of header, of which only the first block is there: whoever reads it would miss the rest first."""
    info = tarfile.TarInfo("huge")
    info.type, info.size = kind, 2**30
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match=r"a\.tar, member 'huge': has a header of 1073741824 bytes"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_chain_of_headers_and_a_sparse_file_are_refused(tmp_path: Path) -> None:
    long_name = tarfile.TarInfo("x")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 512
    (tmp_path / "a.tar").write_bytes((long_name.tobuf() + b"y".ljust(512, b"\0")) * 5000)
    with pytest.raises(DataError, match="hundreds of headers for one member"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    sparse = tarfile.TarInfo("holes")
    sparse.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "b.tar").write_bytes(sparse.tobuf() + bytes(1024))
    with pytest.raises(DataError, match=r"b\.tar, member 'holes': is a sparse file"):
        unpack(tmp_path / "b.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@every_kind
def test_a_cut_off_or_damaged_archive_leaves_nothing(name: str, pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / name, {"noise": os.urandom(200_000), **FILES})
    whole = archive.read_bytes()
    damaged = bytearray(whole)
    damaged[50_000:50_400] = bytes(400)
    for broken in (whole[: len(whole) // 2], b"not an archive", b"", bytes(damaged)):
        archive.write_bytes(broken)
        if broken == bytes(damaged) and name == "a.tar":
            continue  # the content of a tar has no checksum
        with pytest.raises(DataError, match=rf"{name}: not a whole zip or tar file"):
            unpack(archive, tmp_path / "out")
        assert list(tmp_path.iterdir()) == [archive]


@every_kind
def test_two_members_for_one_file_are_refused(name: str, pack: Pack, tmp_path: Path) -> None:
    for files, said in (
        ({"a/x": b"1", "A/X": b"2"}, "stands there twice"),
        ({"a/x": b"1", "a/./x": b"2"}, "stands there twice"),
        ({"a": b"1", "a/x": b"2"}, "a file and a folder of one name: 'a'"),
    ):
        with pytest.raises(DataError, match=said):
            unpack(pack(tmp_path / name, files), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_where_data_is_wanted_is_told_with_the_command_that_helps(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "my shop.ZIP", FILES)
    with pytest.raises(DataError, match=r"is an archive.*facetmill dataset unpack '.*my shop\.ZIP' --out FOLDER"):
        require_unpacked(archive)
    require_unpacked(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def test_what_macs_and_windows_put_beside_files_is_left_out(tmp_path: Path) -> None:
    beside = ["__MACOSX/shop/._shop.csv", "shop/._shop.csv", "shop/.DS_Store", "shop/Thumbs.db", "shop/desktop.ini"]
    archive = zipped(tmp_path / "a.zip", {"shop/shop.csv": b"id", **dict.fromkeys(beside, b"\0\5\x16\7")})
    found = unpack(archive, tmp_path / "out")
    assert content(tmp_path / "out") == {"shop/shop.csv": b"id"}
    assert found.num_files == 1


@every_kind
def test_decomposed_names_are_composed(name: str, pack: Pack, tmp_path: Path) -> None:
    unpack(pack(tmp_path / name, {"shop/Mu\u0308tze.png": b"x"}), tmp_path / "out")
    assert content(tmp_path / "out") == {"shop/M\u00fctze.png": b"x"}


def test_two_names_that_are_one_when_composed_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"Mu\u0308tze.png": b"x", "M\u00fctze.png": b"y"})
    with pytest.raises(DataError, match="stands there twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Mütze.png".encode(), "Mütze.png"),  # macOS and old tools, without the flag
        ("Mütze.png".encode("cp437"), "Mütze.png"),  # DOS and Windows
        ("Größe äöü.png".encode("cp850"), "Größe äöü.png"),
        ("红色围巾.png".encode("gbk"), "红色围巾.png"),
        ("niño.png".encode("cp437"), "niño.png"),
        (b"plain.png", "plain.png"),
    ],
)
def test_names_of_a_zip_are_what_whoever_packed_it_saw(raw: bytes, name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x" * len(raw): b"x"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    unpack(path, tmp_path / "out")
    assert content(tmp_path / "out") == {name: b"x"}
