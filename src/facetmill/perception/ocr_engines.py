"""Engines that read the words on a picture: RapidOCR (a wheel that holds its models) and Tesseract (a Debian package).

Both answer with words in reading order. RapidOCR finds lines: they are split at spaces, a line's box is shared out to
its words by characters, and each word has the line's confidence. What it runs together ("GREENTEA") and what is written
without spaces, as in Chinese, stays one word. Tesseract finds words, each with a box and a confidence of its own.

Neither calls anything outside this machine, and each works on one core: many pictures are read by many processes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facetmill.encoders.pictures import Fault, decode_unstretched
from facetmill.errors import PlatformError
from facetmill.files import hash_file
from facetmill.records import Box, OcrToken

#: Small print is read better in a picture of twice the size; more adds nothing that was not there.
MAX_ENLARGEMENT = 2.0

#: By engine, the Python packages whose versions decide what it reads.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "rapidocr": ("rapidocr", "onnxruntime", "opencv-python-headless"),
    "tesseract": (),
}

_DIGITS = 5  # of a share of the picture and of a confidence: finer than a pixel, and the same when read back from text


@dataclass(frozen=True, slots=True)
class ReadWord:
    """A word that an engine saw, and how sure it is of it (0..1)."""

    token: OcrToken
    confidence: float


class Engine(Protocol):
    """Reads pictures. Making one is cheap, and a `PlatformError` says what is not installed; models load with the
    first picture."""

    name: str

    @property
    def identity(self) -> str:
        """The versions of all that decides what is read: another identity may read other words."""
        ...

    def read(self, pixels: NDArray[np.uint8]) -> list[ReadWord]:
        """The words of a picture, RGB pixels [height,width,3] (0..255), row by row, each from left to right."""
        ...


class RapidOcr:
    """PP-OCR models on ONNX Runtime, by the package `rapidocr`."""

    name = "rapidocr"
    _MODELS: Mapping[str, str] = {  # as the wheel names them; with a path of their own nothing is ever fetched
        "Det": "PP-OCRv6_det_small.onnx",
        "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        "Rec": "PP-OCRv6_rec_small.onnx",
    }

    def __init__(self) -> None:
        package = find_spec("rapidocr")
        if package is None or package.origin is None or find_spec("onnxruntime") is None:
            raise PlatformError("OCR engine rapidocr is not installed: pip install 'facetmill[ocr]'")
        folder = Path(package.origin).parent / "models"
        self._models = {part: folder / name for part, name in self._MODELS.items()}
        if lacking := [path.name for path in self._models.values() if not path.is_file()]:
            raise PlatformError(f"this rapidocr has no {', '.join(lacking)}; install the version that is pinned")

    @property
    def identity(self) -> str:
        libraries = [f"{name} {version(name)}" for name in LIBRARIES[self.name]]
        return " ".join([*libraries, *(hash_file(path)[:16] for path in self._models.values())])

    def read(self, pixels: NDArray[np.uint8]) -> list[ReadWord]:
        height, width, _ = pixels.shape
        found = self._reader(np.ascontiguousarray(pixels[:, :, ::-1]))  # the models were trained on BGR
        if found.txts is None:
            return []
        lines = zip(found.txts, found.boxes, found.scores, strict=True)
        return _in_reading_order(_split_line(text, corners, score, (width, height)) for text, corners, score in lines)

    @cached_property
    def _reader(self) -> Callable[..., Any]:
        import cv2
        from rapidocr import RapidOCR

        cv2.setNumThreads(1)
        settings = {
            "Global.log_level": "critical",
            "Global.text_score": 0.0,  # whoever asks decides what is sure enough
            "Global.use_preprocess_img": False,  # pictures come in the size to read: a thin one is not blown up
            "Det.limit_type": "max",
            "Det.limit_side_len": 1_000_000,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **{f"{part}.model_path": str(path) for part, path in self._models.items()},
        }
        reader: Callable[..., Any] = RapidOCR(params=settings)
        return reader


class Tesseract:
    """The program `tesseract` with its English model, asked for sparse text: a pack is no page of a book."""

    name = "tesseract"

    def __init__(self) -> None:
        program = shutil.which("tesseract")
        if program is None:
            raise PlatformError("OCR engine tesseract is not installed: apt-get install tesseract-ocr")
        self._program = program

    @property
    def identity(self) -> str:
        release = self._run("--version").partition("\n")[0]
        listed = self._run("--list-langs")  # List of available languages in "/usr/share/.../tessdata/" (2):
        folder = re.search('"(.*)"', listed)
        model = Path(folder[1] if folder else "") / "eng.traineddata"
        if not model.is_file():
            raise PlatformError("tesseract has no English model: apt-get install tesseract-ocr-eng")
        return f"{release} {hash_file(model)[:16]}"

    def read(self, pixels: NDArray[np.uint8]) -> list[ReadWord]:
        height, width, _ = pixels.shape
        picture = b"P6 %d %d 255\n" % (width, height) + pixels.tobytes()  # PPM: nothing to encode, nothing to fail
        lines: dict[tuple[str, ...], list[ReadWord]] = defaultdict(list)
        header, *rows = self._run("stdin", "stdout", "-l", "eng", "--psm", "11", "tsv", given=picture).split("\n")
        names = header.split("\t")
        for row in rows:
            found = dict(zip(names, row.split("\t"), strict=False))
            text = found.get("text", "").strip()
            if not text or float(found["conf"]) < 0:  # a block, a paragraph or a line
                continue
            left, top, wide, high = (float(found[name]) for name in ("left", "top", "width", "height"))
            corners = np.array([[left, top], [left + wide, top + high]]) / (width, height)
            line = tuple(found[name] for name in ("block_num", "par_num", "line_num"))
            lines[line].append(_word(text, corners, float(found["conf"]) / 100))
        return _in_reading_order(list(lines.values()))

    def _run(self, *arguments: str, given: bytes = b"") -> str:
        environment = os.environ | {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [self._program, *arguments], input=given, capture_output=True, env=environment, check=False
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise PlatformError(f"tesseract {' '.join(arguments)} failed ({done.returncode}): {said}")
        return done.stdout.decode(errors="replace")


ENGINES: Mapping[str, Callable[[], Engine]] = {"rapidocr": RapidOcr, "tesseract": Tesseract}


def read_picture(engine: Engine, data: bytes, longest_side: int) -> list[ReadWord] | Fault:
    """The words of the picture whose bytes these are, read with its longer side `longest_side` pixels, but enlarged at
    most twice; `Fault.BROKEN` where it has no pixels."""
    pixels = decode_unstretched(data, longest_side, max_enlargement=MAX_ENLARGEMENT)
    return pixels if isinstance(pixels, Fault) else engine.read(pixels)


def sure_words(words: Iterable[ReadWord], min_confidence: float) -> list[OcrToken]:
    """The words that the engine is sure enough of (0..1)."""
    return [word.token for word in words if word.confidence >= min_confidence]


def _split_line(text: str, corners: NDArray[Any], confidence: float, size: tuple[int, int]) -> list[ReadWord]:
    """The words of a line. Its corners [4,2] are pixels, clockwise from the upper left one; `size` is that of the
    picture."""
    if np.linalg.norm(corners[3] - corners[0]) >= 1.5 * np.linalg.norm(corners[1] - corners[0]):
        corners = np.roll(corners, -1, axis=0)  # so much higher than wide: taken to be turned, and to run downwards
    first, second, third, fourth = corners / size
    words = []
    for match in re.finditer(r"\S+", text):
        shares = [place / len(text) for place in match.span()]
        above = [first + share * (second - first) for share in shares]
        below = [fourth + share * (third - fourth) for share in shares]
        words.append(_word(match.group(), np.stack([*above, *below]), confidence))
    return words


def _word(text: str, points: NDArray[Any], confidence: float) -> ReadWord:
    """A word in the upright box around some points [n,2], shares (0..1) of the picture."""
    left, top, right, bottom = (
        round(float(edge), _DIGITS) for edge in np.clip([*points.min(axis=0), *points.max(axis=0)], 0, 1)
    )
    return ReadWord(OcrToken(text, Box(left, top, right, bottom)), round(float(confidence), _DIGITS))


def _in_reading_order(lines: Iterable[Sequence[ReadWord]]) -> list[ReadWord]:
    """The words of lines row by row. A line whose middle is not below the uppermost line of a row is in it."""
    placed = [(_around(line), line) for line in lines if line]
    rows: list[list[tuple[Box, Sequence[ReadWord]]]] = []
    for box, line in sorted(placed, key=lambda pair: _middle(pair[0])):
        if rows and _middle(box) < rows[-1][0][0].bottom:
            rows[-1].append((box, line))
        else:
            rows.append([(box, line)])
    return [word for row in rows for _, line in sorted(row, key=lambda pair: pair[0].left) for word in line]


def _around(words: Sequence[ReadWord]) -> Box:
    boxes = [word.token.box for word in words if word.token.box is not None]
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def _middle(box: Box) -> float:
    return (box.top + box.bottom) / 2
