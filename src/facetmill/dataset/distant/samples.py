"""Labelled pictures made ready to learn from: pixels on disk, values as numbers, a split of every picture.

Letters of shapes: P pictures, A attributes, S pixels a side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetmill.dataset.distant.base import LabelledPicture, Labels
from facetmill.dataset.distant.mapping import LabelMapping
from facetmill.dataset.labels.splitting import hash_group, split_limits
from facetmill.encoders.pictures import Fault, decode_picture, picture_bytes
from facetmill.errors import DataError
from facetmill.records import SPLITS, Split
from facetmill.sources.base import BadRow, Reason

MAX_EXAMPLES = 5
UNKNOWN = -1  # no label of the picture says this attribute's value

_FAULTS = {Fault.MISSING: Reason.MISSING_IMAGE, Fault.BROKEN: Reason.CORRUPT_IMAGE}

LabelledSet = tuple[str, Iterable[LabelledPicture | BadRow]]  # the name of a source, and what it reads


@dataclass(frozen=True)
class Samples:
    """`pixels_P3SS` (uint8) is mapped from disk; `value_PA` (int64) has the place of the value in `values[a]`, or
    `UNKNOWN`; `group_P` numbers the groups, `split_P` is the place in `SPLITS`."""

    attributes: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    pixels_P3SS: NDArray[np.uint8]
    value_PA: NDArray[np.int64]
    group_P: NDArray[np.int64]
    split_P: NDArray[np.int64]

    def of(self, split: Split) -> NDArray[np.int64]:
        """The pictures of a split."""
        return np.flatnonzero(self.split_P == SPLITS.index(split))

    def count_values(self) -> dict[str, dict[str, dict[str, int]]]:
        """Pictures by attribute, value and split."""
        return {
            attribute: {
                value: {split: int((self.value_PA[self.of(split), a] == v).sum()) for split in SPLITS}
                for v, value in enumerate(self.values[a])
            }
            for a, attribute in enumerate(self.attributes)
        }


@dataclass
class Intake:
    """What became of the `rows` of each source: pictures `taken`, and rows `dropped` by reason with a few `examples`.
    `unmapped` and `contradictory` count labels that mean nothing, and pictures that mean several values."""

    rows: Counter[str]
    taken: Counter[str]
    dropped: defaultdict[str, Counter[str]]
    examples: defaultdict[str, list[str]]
    unmapped: defaultdict[str, Counter[str]]
    contradictory: Counter[str]
    warnings: list[str]

    @classmethod
    def empty(cls) -> Intake:
        return cls(Counter(), Counter(), defaultdict(Counter), defaultdict(list), defaultdict(Counter), Counter(), [])

    def drop(self, source: str, bad: BadRow) -> None:
        self.dropped[source][bad.reason.value] += 1
        if len(self.examples[bad.reason.value]) < MAX_EXAMPLES:
            self.examples[bad.reason.value].append(str(bad))

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": dict(self.rows),
            "taken": dict(self.taken),
            "dropped": {source: dict(sorted(counts.items())) for source, counts in self.dropped.items()},
            "examples": dict(sorted(self.examples.items())),
            "unmapped": {task: dict(counts.most_common()) for task, counts in sorted(self.unmapped.items())},
            "contradictory": dict(self.contradictory),
            "warnings": self.warnings,
        }


def gather(
    sets: Sequence[LabelledSet], mapping: LabelMapping, size: int, seed: int, pixels_path: Path
) -> tuple[Samples, Intake]:
    """Decode every picture that has a mapped label, stretched to `size` pixels a side, into the file `pixels_path`.

    Groups are split 8:1:1 by a hash of their id and the seed, as products are (MuJo-SF splits pictures at random).
    Memory is that of a few numbers a picture. A value that no picture has is left out, and a label that never came up
    is a warning. Raises `DataError` where fewer than two values of an attribute are left, or nothing to hold out.
    """
    intake = Intake.empty()
    seen: set[tuple[str, str, str]] = set()
    meant: list[dict[str, str]] = []
    groups: list[str] = []
    with pixels_path.open("wb") as stream:
        for source, picture in _pictures(sets, intake):
            _note_labels(source, picture.labels, mapping, seen, intake)
            predicted = _unambiguous(mapping.meant(source, picture.labels), intake)
            if not predicted:
                continue
            data = picture_bytes(picture.path)
            pixels = data if isinstance(data, Fault) else decode_picture(data, size)
            if isinstance(pixels, Fault):
                intake.drop(source, BadRow(source, intake.rows[source], "image", picture.path, _FAULTS[pixels]))
                continue
            stream.write(pixels.tobytes())
            intake.taken[source] += 1
            meant.append(predicted)
            groups.append(f"{source}/{picture.group}")
    intake.warnings += [
        f"{source}: no picture has the {task} {label!r}, which the mapping gives a meaning"
        for source, task, label in mapping.labels()
        if (source, task, label) not in seen
    ]
    values = tuple(_values_found(mapping, attribute, meant, intake) for attribute in mapping.attributes)
    pixels_P3SS = np.memmap(pixels_path, np.uint8, "r", shape=(len(meant), 3, size, size))
    return _samples(mapping.attributes, values, pixels_P3SS, meant, groups, seed), intake


def _pictures(sets: Sequence[LabelledSet], intake: Intake) -> Iterator[tuple[str, LabelledPicture]]:
    for source, rows in sets:
        for row in rows:
            intake.rows[source] += 1
            if isinstance(row, BadRow):
                intake.drop(source, row)
            else:
                yield source, row


def _note_labels(
    source: str, labels: Labels, mapping: LabelMapping, seen: set[tuple[str, str, str]], intake: Intake
) -> None:
    for task, given in labels.items():
        for label in given:
            if mapping.means(source, task, label):
                seen.add((source, task, label))
            else:
                intake.unmapped[f"{source}.{task}"][label] += 1


def _unambiguous(meant: Mapping[str, set[str]], intake: Intake) -> dict[str, str]:
    """The attributes of a picture that have one value."""
    intake.contradictory.update(attribute for attribute, values in meant.items() if len(values) > 1)
    return {attribute: value for attribute, (value, *more) in ((a, sorted(v)) for a, v in meant.items()) if not more}


def _values_found(
    mapping: LabelMapping, attribute: str, meant: Sequence[Mapping[str, str]], intake: Intake
) -> tuple[str, ...]:
    counts = Counter(predicted[attribute] for predicted in meant if attribute in predicted)
    found = tuple(value for value in mapping.values_of(attribute) if counts[value])
    intake.warnings += [
        f"{attribute}: no picture shows {value!r}" for value in mapping.values_of(attribute) if not counts[value]
    ]
    if len(found) < 2:
        shown = f"only of {found[0]!r}" if found else "of no value"
        raise DataError(f"{attribute}: there are pictures {shown}, so nothing can be told apart")
    return found


def _samples(
    attributes: tuple[str, ...],
    values: tuple[tuple[str, ...], ...],
    pixels_P3SS: NDArray[np.uint8],
    meant: Sequence[Mapping[str, str]],
    groups: Sequence[str],
    seed: int,
) -> Samples:
    value_PA = np.full((len(meant), len(attributes)), UNKNOWN, np.int64)
    for a, attribute in enumerate(attributes):
        place = {value: v for v, value in enumerate(values[a])}
        for p, predicted in enumerate(meant):
            if attribute in predicted:
                value_PA[p, a] = place[predicted[attribute]]
    names = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    hashes = np.array([hash_group(name, seed) for name in names], np.uint64)
    limits = split_limits(np.sort(hashes), validation=0.1, test=0.1)
    group_P = np.array([names[group] for group in groups], np.int64)
    samples = Samples(attributes, values, pixels_P3SS, value_PA, group_P, limits.of(hashes)[group_P])
    for a, attribute in enumerate(attributes):
        for split in SPLITS:
            if not (value_PA[samples.of(split), a] != UNKNOWN).any():
                raise DataError(f"{attribute}: no picture of it is in {split}; {len(names)} groups are too few")
    return samples
