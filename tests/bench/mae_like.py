"""Data that imitates MAE: 1.5 KB of text, a title, seven pairs a product of which three stand in the text. There are no
pictures: to check one takes longer than to read a hundred products."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

FILE_ROWS = 600


def listings(num_products: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Listings in MAE's layout from a seeded vocabulary of invented words."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvw", k=draw.randint(2, 9))) for _ in range(8000)]
    for number in range(num_products):
        text = draw.choices(words, k=220)
        specs = {}
        for pair in range(7):
            length = draw.randint(1, 2)
            start = draw.randrange(len(text) - length)
            value = text[start : start + length] if pair < 3 else [*draw.choices(words, k=length), "zz"]
            specs[f"attribute {draw.randrange(200)}"] = " ".join(value)
        yield {
            "diffbotUri": f"item|{number}",
            "clean_title": " ".join(draw.choices(words, k=10)).title(),
            "clean_text": " ".join(text),
            "images": [],
            "specs": specs,
        }


def write_listings(folder: Path, num_products: int) -> None:
    """JSON arrays of `FILE_ROWS` listings."""
    folder.mkdir(parents=True)
    stream = listings(num_products)
    number = 0
    while rows_of_file := list(islice(stream, FILE_ROWS)):
        (folder / f"{number:05d}.json").write_text(json.dumps(rows_of_file), encoding="utf-8")
        number += 1
