"""Pictures that look the same: a product whose picture a model has seen in training is as good as seen.

How a picture looks is told by 28 bytes: 128 bits of its shapes and 12 colours. The bits are the difference hash of
Krawetz ("Kind of Like That", 2013) along rows and along columns: in a grid of grey cells, one bit for each pair of
neighbours, set where the second is lighter. Copies in another size or compression differ in few of them, other
pictures in about half. The colours are the mean red, green and blue of each quarter, for a red and a blue shirt have
the same shapes and are two products.
"""

from __future__ import annotations

import hashlib
import sqlite3
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facetmill.encoders.pictures import Fault, decode_picture, picture_bytes
from facetmill.errors import PlatformError

MAX_BITS = 3  # of 128 that two pictures of one look may differ in
MAX_SHADES = 6  # of 255 that any of their colours may differ by

LOOK = np.dtype([("bands", "<u4", (4,)), ("colours", "u1", (12,))])

_FORMAT = 1  # to be raised when the same file would look otherwise
_SIDE = 72  # pixels: 8 cells of 9, or 9 cells of 8
_MOST_NEW = 4096  # looks that wait to be kept: some seconds of work
_LIGHTER = 2.0  # shades of 255 by which a cell must be lighter: less is noise of compression on plain ground
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

Looks = npt.NDArray[np.void]  # of dtype LOOK


def look_of(data: bytes) -> bytes | None:
    """One `LOOK`, 28 bytes, of the bytes of a picture file; None where it has no pixels."""
    pixels = decode_picture(data, _SIDE)
    if isinstance(pixels, Fault):
        return None
    grey = np.einsum("crs,c->rs", pixels, _GREY)
    wide, high = _cells(grey, 8, 9), _cells(grey, 9, 8)
    bits = np.concatenate([(wide[:, 1:] - wide[:, :-1] > _LIGHTER).ravel(), (high[1:] - high[:-1] > _LIGHTER).ravel()])
    bands = np.packbits(bits.reshape(32, 4).T)  # each band has bits of the whole picture: its top alone is often white
    colours = np.stack([_cells(colour.astype(np.float32), 2, 2) for colour in pixels])
    return bands.tobytes() + np.round(colours).astype(np.uint8).tobytes()


def same_look(known: Looks, asked: Looks) -> npt.NDArray[np.int64]:
    """For each of `asked` the place of one in `known` that looks the same, -1 where none does.

    It differs in at most `MAX_BITS` bits and in each colour by at most `MAX_SHADES`. Nothing is missed: of four bands
    of 32 bits at least one is equal where three bits differ. Memory is that of the looks and one order of them.
    """
    found = np.full(len(asked), -1)
    for band in range(4):
        order = np.argsort(known["bands"][:, band], kind="stable")
        values = known["bands"][order, band]
        begins, ends = (np.searchsorted(values, asked["bands"][:, band], side) for side in ("left", "right"))
        for at in np.flatnonzero((found < 0) & (begins < ends)).tolist():
            places = order[begins[at] : ends[at]]
            bits = np.bitwise_count(known["bands"][places] ^ asked["bands"][at]).sum(axis=1)
            shades = np.abs(known["colours"][places].astype(np.int16) - asked["colours"][at]).max(axis=1)
            same = places[(bits <= MAX_BITS) & (shades <= MAX_SHADES)]
            if len(same):
                found[at] = same[0]
    return found


def _cells(values: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Means [rows,columns] of equal parts of a picture [72,72] in one colour."""
    parts = values.reshape(rows, _SIDE // rows, columns, _SIDE // columns)
    means: npt.NDArray[np.float32] = parts.mean(axis=(1, 3))
    return means


class LookCache:
    """How pictures look, kept in one database by the digest of their bytes, so that none is decoded twice.

    Any number of processes may use one file: what is new waits in memory, so that each holds the file only for moments.
    Without a path nothing outlives it. The file may be removed at any time. Raises `PlatformError` where it cannot be
    used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._new: dict[bytes, bytes] = {}
        self._table = f"looks_{_FORMAT}_pillow_{version('pillow').replace('.', '_')}"
        try:
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path or ":memory:", timeout=60)
            self._database.execute(
                f'CREATE TABLE IF NOT EXISTS "{self._table}" (digest BLOB PRIMARY KEY, look BLOB) WITHOUT ROWID'
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def __enter__(self) -> LookCache:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.keep()
        finally:
            self._database.close()

    def look(self, image: Path) -> bytes | None:
        """One `LOOK` of a picture file; None where it is missing or broken."""
        data = picture_bytes(str(image))
        if isinstance(data, Fault):
            return None
        digest = hashlib.sha256(data).digest()
        if look := self._new.get(digest) or self._known(digest):
            return look
        if look := look_of(data):
            self._new[digest] = look
            if len(self._new) >= _MOST_NEW:
                self.keep()
        return look

    def _known(self, digest: bytes) -> bytes | None:
        try:
            row = self._database.execute(f'SELECT look FROM "{self._table}" WHERE digest = ?', (digest,)).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        whole = row and isinstance(row[0], bytes) and len(row[0]) == LOOK.itemsize
        return row[0] if whole else None

    def keep(self) -> None:
        """Write what is new to disk."""
        try:
            with self._database:
                self._database.executemany(f'INSERT OR REPLACE INTO "{self._table}" VALUES (?, ?)', self._new.items())
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._new.clear()

    def _unusable(self, error: Exception) -> PlatformError:
        return PlatformError(f"{self._path}: the looks of pictures cannot be kept there: {error}; remove the file")
