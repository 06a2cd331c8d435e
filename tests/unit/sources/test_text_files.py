"""Text as programs save it, and bytes of which nobody can be sure."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from facetmill.errors import DataError
from facetmill.sources import text_files
from facetmill.sources.rows import whole_lines
from facetmill.sources.text_files import UTF_8, WINDOWS_1252, text_file

GERMAN = "id;title;Farbe\n1;Grüner Schal aus Wolle;grün\n2;Größe M, weiß;weiß\n3;Blaue Mütze für Mädchen;blau\n"
FRENCH = "id;titre;couleur\n1;Écharpe légère d’été;bleu foncé\n2;Bonnet en laine – 10 €;crème\n3;Sac à main;noir\n"
POLISH = "id;title;kolor\n1;Biały szalik wełniany;biały\n2;Żółta czapka;żółty\n3;Różowa sukienka;różowy\n"
CZECH = "id;title;barva\n1;Červený šátek;červená\n2;Bílá čepice;bílá\n3;Černé šaty;černá\n"
RUSSIAN = "id;title;color\n1;Красный шарф;красный\n2;Шапка;синий\n"


def written(folder: Path, content: bytes) -> Path:
    path = folder / "f.csv"
    path.write_bytes(content)
    return path


def text(path: Path) -> str:
    with text_file(path).opened() as stream:
        return stream.read().decode()


@pytest.mark.parametrize("content", [GERMAN, FRENCH])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_an_encoding_that_is_certain_is_read(content: str, encoding: str, tmp_path: Path) -> None:
    assert text(written(tmp_path, content.encode(encoding))).removeprefix("\ufeff") == content


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        *[(POLISH, "cp1250"), (POLISH, "iso8859-2"), (CZECH, "cp1250"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r")],
        *[(GERMAN, "mac-roman"), (GERMAN, "cp850"), (FRENCH.replace("’", "'").replace(" – 10 €", ""), "cp850")],
    ],
)
def test_what_another_code_page_wrote_is_not_taken_for_windows_1252(
    content: str, encoding: str, tmp_path: Path
) -> None:
    assert text_file(written(tmp_path, content.encode(encoding))).encoding == UTF_8  # of which the lines are told


def test_a_damaged_letter_does_not_change_what_the_file_is(tmp_path: Path) -> None:
    alone = "id;title\n1;Café\n".encode("cp1252")
    among = "id;title\n1;Größe\n".encode() + "2;Grün\n3;Weiß\n4;Blau für Mädchen\n".encode("cp1252")
    assert text_file(written(tmp_path, alone)).encoding == UTF_8
    assert text_file(written(tmp_path, among)).encoding == UTF_8
    assert text_file(written(tmp_path, GERMAN.encode("cp1252"))).encoding == WINDOWS_1252


def test_a_byte_that_windows_1252_has_no_letter_for_is_told_of_its_line(tmp_path: Path) -> None:
    content = GERMAN.encode("cp1252") * 2000 + b"x\x81\n"  # behind what the encoding is told by
    file = text_file(path := written(tmp_path, content))
    assert file.encoding == WINDOWS_1252
    faults = [(number, fault) for number, _, fault in whole_lines(path, opened=file.opened) if fault]
    assert faults == [(8001, "wrong_encoding")]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\rb\r\rc", ["a\n", "b\n", "\n", "c"]),
        (b"a\r\nb\r\n", ["a\r\n", "b\r\n"]),
        ("a\rü\r".encode("utf-16"), ["a\n", "ü\n"]),
        (b"", []),
        (b"\xef\xbb\xbf" * 3, []),
        (b"\xff\xfe", []),
    ],
)
def test_lines_end_as_any_system_ends_them(content: bytes, lines: list[str], tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert [line for _, line, _ in whole_lines(path, opened=text_file(path).opened)] == lines


def test_half_a_letter_of_utf_16_spoils_its_line_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n".encode("utf-16") + b"\x00\xd8" + "x\ny\n".encode("utf-16-le") + b"z")
    faults = {number: fault for number, _, fault in whole_lines(path, opened=text_file(path).opened) if fault}
    assert faults == {2: "wrong_encoding", 4: "wrong_encoding"}


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_compressed_text_is_read_whatever_its_name(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    packed = pack(GERMAN.encode("utf-16"))
    assert text(written(tmp_path, packed)).removeprefix("\ufeff") == GERMAN
    assert text(written(tmp_path, pack(b"a\n") + pack(b"b\n"))) == "a\nb\n"  # as logs are appended to
    with pytest.raises(DataError, match=r"f\.csv: cannot be unpacked to its end"):
        text(written(tmp_path, packed[:-6]))


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_bomb_ends_where_it_becomes_more_than_honest(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "ALWAYS_FINE", 2**20)
    monkeypatch.setattr(text_files, "MAX_RATIO", 10)
    path = written(tmp_path, pack(b"a\n" * 2**20))
    with pytest.raises(DataError, match=r"f\.csv: becomes more than 1 MiB, as a decompression bomb does"):
        text(path)
