"""A labelled picture set drawn by code: signs whose bar lies or stands, on dark or light ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 24

MAPPING = """
categories:
  Bar: [Signs]
  Ground: null
labels:
  folder:
    bar:
      Bar: {wide: Lying, tall: Standing}
    ground:
      Ground: {dark: Dark, light: Light}
"""


def sign(bar: str, ground: str, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Pixels [24,24,3] of one sign, its bar anywhere and of any colour unlike the ground."""
    low, high = (0, 90) if ground == "dark" else (165, 255)
    pixels = generator.integers(low, high, (SIZE, SIZE, 3)).astype(np.uint8)
    height, width = (4, 14) if bar == "wide" else (14, 4)
    top, left = generator.integers(0, SIZE - height), generator.integers(0, SIZE - width)
    pixels[top : top + height, left : left + width] = generator.permutation([128, 255, 0])
    return pixels


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def draw_set(folder: Path, num: int, *, visible: bool = True) -> Path:
    """Half of the pictures are labelled by their bar, half by their ground; where that is not visible, at random."""
    generator = np.random.default_rng(0)
    for number in range(num):
        bar, ground = ("wide", "tall")[number // 2 % 2], ("dark", "light")[number // 4 % 2]
        pixels = sign(bar, ground, generator)
        if not visible:
            bar, ground = generator.choice(["wide", "tall"]), generator.choice(["dark", "light"])
        where = ("bar", bar) if number % 2 else ("ground", ground)
        save(folder.joinpath(*where, f"{number:04d}.png"), pixels)
    return folder


def write_mapping(folder: Path) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(MAPPING)
    return path
