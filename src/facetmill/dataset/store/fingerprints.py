"""What a model was trained on, small enough to travel with it: enough to know a product again, too little to read one.

Of each train and validation product three things are kept: 8 bytes of its group (by source), 8 bytes of its title's
words (in order, without case, punctuation and Unicode form; numbers count, since other sizes are other products), and
how its first picture looks (28 bytes, see `gates/pictures.py`). Validation counts as trained on: it chose the epoch.

A picture of more than `STOCK_GROUPS` groups is a placeholder or a stock photograph: it tells no product and is not
kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from facetmill.dataset.store.version import Dataset
from facetmill.dataset.store.workspace import read_split
from facetmill.errors import DataError
from facetmill.gates.pictures import LOOK, LookCache, Looks, same_look
from facetmill.records import Product, Split

#: By what a product is known again; the first that applies is told.
Sign = Literal["group", "title", "picture"]
SIGNS: tuple[Sign, ...] = get_args(Sign)

TRAINED_ON: tuple[Split, ...] = ("train", "validation")
FINGERPRINTS = "trained_on.safetensors"  # beside the weights of a model
STOCK_GROUPS = 10

_WORD = re.compile(r"\w+")

_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprints:
    """Sorted distinct hashes of groups and titles, and distinct looks of pictures."""

    groups: _Hashes
    titles: _Hashes
    looks: Looks

    @classmethod
    def of(cls, products: Iterable[Product], cache: LookCache) -> Self:
        """Of some products, their pictures at absolute paths; 16 to 52 bytes a product at work."""
        groups, titles, seen = bytearray(), bytearray(), bytearray()
        for product in products:
            group = _group(product)
            groups += group
            titles += _title(product)
            if look := _look(product, cache):
                seen += look + group
        return cls(
            np.unique(np.frombuffer(groups, np.uint64)), np.unique(np.frombuffer(titles, np.uint64)), _telling(seen)
        )

    @classmethod
    def of_dataset(cls, dataset: Dataset, cache: LookCache) -> Self:
        """Of what a model is trained on that is trained on a dataset."""
        return cls.of((product for split in TRAINED_ON for product in read_split(dataset, split)), cache)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `DataError` where the file is not one that `write` wrote."""
        try:
            found = load_file(path)
            return cls(found["groups"], found["titles"], found["looks"].view(LOOK).reshape(-1))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not fingerprints: {error}") from error

    def write(self, path: Path) -> None:
        looks = self.looks.view(np.uint8).reshape(len(self.looks), LOOK.itemsize)
        save_file({"groups": self.groups, "titles": self.titles, "looks": looks}, path)

    def signs(self, products: Sequence[Product], cache: LookCache) -> list[Sign | None]:
        """By what each product is known again; None for one that is new."""
        found: list[Sign | None] = [None] * len(products)
        looks = [(number, look) for number, product in enumerate(products) if (look := _look(product, cache))]
        places = same_look(self.looks, np.frombuffer(b"".join(look for _, look in looks), LOOK))
        for (number, _), place in zip(looks, places.tolist(), strict=True):
            found[number] = "picture" if place >= 0 else None
        by_hash: list[tuple[Sign, _Hashes, Callable[[Product], bytes]]] = [
            ("title", self.titles, _title),
            ("group", self.groups, _group),
        ]
        for sign, hashes, hash_of in by_hash:
            asked = np.frombuffer(b"".join(map(hash_of, products)), np.uint64)
            for number in np.flatnonzero(np.isin(asked, hashes)).tolist():
                found[number] = sign
        return found


def _telling(seen: bytearray) -> Looks:
    """The distinct looks of pictures that not too many groups share."""
    pairs = np.unique(np.frombuffer(seen, np.dtype([("look", LOOK), ("group", np.uint64)])))
    looks, num_groups = np.unique(pairs["look"], return_counts=True)
    return looks[num_groups <= STOCK_GROUPS]


def _group(product: Product) -> bytes:
    return _digest(f"{product.source}\0{product.group_id}")


def _title(product: Product) -> bytes:
    title = unicodedata.normalize("NFKC", product.title).casefold()
    return _digest(" ".join(_WORD.findall(title)) or title)


def _look(product: Product, cache: LookCache) -> bytes | None:
    return cache.look(Path(product.images[0])) if product.images else None


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="replace"), digest_size=8).digest()
