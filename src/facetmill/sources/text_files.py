"""Text files as people's programs save them, read as UTF-8 lines.

    encoding     UTF-8 with any number of BOMs; UTF-16, as Excel's "Unicode text"; Windows-1252, as Excel's CSV in much
                 of Europe, where that is certain (below)
    line ends    LF, CRLF, or CR alone, as old Macs wrote them
    compression  gzip and Zstandard, by their first bytes

Windows-1252 has no mark, and one damaged letter does not make a file of it. It is certain where the file has no letter
of UTF-8 beyond ASCII, each other byte is a letter or a sign of Western Europe in its place (no "³" inside a word,
as Polish would have), there are at least three, and `chardet` takes it for the same.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from facetmill.errors import DataError
from facetmill.sources.rows import input_file

#: Of text to the compressed file that holds it, as of Parquet's; and bytes that are fine whatever the ratio.
MAX_RATIO = 1000
ALWAYS_FINE = 2**28

UTF_8 = "utf-8"
WINDOWS_1252 = "windows-1252"

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # by how a file begins
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_BOM = "\ufeff".encode()
_CHUNK = 2**20
_START = 2**16
_SAMPLE = 2**16  # bytes of lines beyond ASCII that an encoding is told by
_LEAST_LETTERS = 3

_LETTERS = "A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžŸƒ"
_SIGNS = "€‚„…‘’“”•–—™¡¢£§©ª«®°²³´µ·¹º»¼½¾¿×\xa0\xad"
_BEYOND_ASCII = re.compile("[^\\x00-\\x7f\ufffd]")
#: What Windows-1252 would not be: its rarer signs, and a sign inside a word.
_UNLIKELY = re.compile(rf"[^\x00-\x7f{_LETTERS}{_SIGNS}]|[a-zà-ÿ][€‚„…•¡¢£§©ª«²³´µ¹º»¼½¾¿×][a-zà-ÿ]")
_WESTERN = ("windows-1252", "iso8859-1", "iso-8859-1", "iso8859-15", "iso-8859-15")  # chardet's names; letters agree


@dataclass(frozen=True, slots=True)
class TextFile:
    """How a file holds its text: `encoding` is Python's name, `compression` gzip, zstd or None; `line_end` LF or CR."""

    path: Path
    encoding: str
    compression: str | None
    line_end: bytes

    @property
    def plain(self) -> bool:
        """Whether its bytes are UTF-8 lines as they lie."""
        return self.encoding == UTF_8 and self.compression is None and self.line_end == b"\n"

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The text as UTF-8 without BOM, its lines ending in LF.

        What the encoding cannot be is no UTF-8 there either, so that it is told of the row it stands in. Raises
        `DataError`, at any time, for what cannot be unpacked to its end, or becomes more than an honest text.
        """
        with unpacked(self.path, self.compression) as stream:
            text = stream if self.plain else BufferedReader(_Converted(stream, self._converter()), _CHUNK)
            while text.peek(len(_BOM))[: len(_BOM)] == _BOM:
                text.read(len(_BOM))
            yield text

    def _converter(self) -> Callable[[bytes, bool], bytes]:
        # Lone surrogates, which UTF-8 has no letter for, stand for what the encoding cannot be.
        errors = "surrogateescape" if self.encoding == WINDOWS_1252 else "surrogatepass"
        decoder = codecs.getincrementaldecoder(self.encoding)(errors)

        def convert(chunk: bytes, final: bool) -> bytes:
            try:
                text = chunk if self.encoding == UTF_8 else decoder.decode(chunk, final).encode(errors="surrogatepass")
            except UnicodeDecodeError:  # UTF-16 that ends within a letter
                text = b"\xff"
            return text.replace(b"\r", b"\n") if self.line_end == b"\r" else text

        return convert


def text_file(path: Path) -> TextFile:
    """Look at how a file holds its text. Raises `DataError` where there is no such file or it cannot be unpacked."""
    compression = compression_of(path)
    with unpacked(path, compression) as stream:
        start = stream.read(_START)
    encoding = _UTF_16.get(start[:2]) or _utf_16_without_mark(start)
    if encoding is None:
        with unpacked(path, compression) as stream:
            encoding = _eight_bits(stream)
    newline, carriage_return = "\n".encode(encoding), "\r".encode(encoding)
    has_lf, has_cr = newline in start, carriage_return in start
    return TextFile(path, encoding, compression, b"\r" if has_cr and not has_lf else b"\n")


def compression_of(path: Path) -> str | None:
    """gzip, zstd or None. Raises `DataError` where there is no such file."""
    with input_file(path).open("rb") as raw:
        begins = raw.read(4)
    return next((name for magic, name in _COMPRESSIONS.items() if begins.startswith(magic)), None)


@contextmanager
def unpacked(path: Path, compression: str | None) -> Iterator[BufferedReader[Any]]:
    """The bytes of a file. Raises `DataError`, at any time, as `TextFile.opened` does."""
    if compression is None:
        with path.open("rb", buffering=0) as plain:
            yield BufferedReader(plain, _CHUNK)
        return
    with pa.OSFile(str(path)) as packed, pa.CompressedInputStream(packed, compression) as stream:
        yield BufferedReader(_Bounded(path, stream), _CHUNK)


class _Bounded(RawIOBase):
    """A compressed stream that ends in a `DataError` where it becomes more than an honest text does."""

    def __init__(self, path: Path, stream: pa.NativeFile) -> None:
        self._path, self._stream = path, stream
        self._most = self._left = max(ALWAYS_FINE, MAX_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            chunk = self._stream.read(len(buffer))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._path}: cannot be unpacked to its end: {error}") from None
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError(
                f"{self._path}: becomes more than {self._most / 2**20:,.0f} MiB, as a decompression bomb does"
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _Converted(RawIOBase):
    """A stream whose chunks are converted as they come; `convert` is told which one is the last, which is empty."""

    def __init__(self, stream: IO[bytes], convert: Callable[[bytes, bool], bytes]) -> None:
        self._stream, self._convert = stream, convert
        self._ready, self._ended = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            chunk = self._stream.read(_START)
            self._ended = not chunk
            self._ready = self._convert(chunk, self._ended)
        taken, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _utf_16_without_mark(start: bytes) -> str | None:
    """UTF-16 of mostly Western letters has a NUL at every second byte, which no other text has."""
    if len(start) < 8 or (len(start) % 2 and len(start) < _START):
        return None
    nuls = [start[place::2].count(0) / (len(start) // 2) for place in (0, 1)]
    if max(nuls) < 0.7 or min(nuls) > 0.1:
        return None
    return "utf-16-le" if nuls[1] > nuls[0] else "utf-16-be"


def _eight_bits(stream: IO[bytes]) -> str:
    """UTF-8, unless the whole file says that it is certainly Windows-1252."""
    sample: list[bytes] = []
    size, last = 0, b""
    for line in iter(lambda: stream.readline(_CHUNK), b""):
        line, last = last[-3:] + line, b"" if line.endswith(b"\n") else line  # a letter may stand between two chunks
        if line.isascii():
            continue
        if _BEYOND_ASCII.search(line.decode(errors="replace")):
            return UTF_8  # there are letters in it: what is none elsewhere is damaged
        if size < _SAMPLE:
            sample.append(line)
            size += len(line)
    return WINDOWS_1252 if _is_windows_1252(b"".join(sample)) else UTF_8


def _is_windows_1252(sample: bytes) -> bool:
    if sum(byte > 0x7F for byte in sample) < _LEAST_LETTERS:
        return False
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    if _UNLIKELY.search(text):
        return False
    import chardet

    return str(chardet.detect(sample)["encoding"]).casefold() in _WESTERN
