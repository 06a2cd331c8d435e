"""The hand-made mapping from the labels of picture sets to attributes and values of the product set to annotate.

A YAML file, which is configuration and not data:

    categories:                       # where each attribute may be annotated; null = in any category
      Sleeve Style: [Shirts & Tops]
      Neckline: []                    # nowhere: it is only learned, beside the others, and judged
    labels:
      clothing:                       # a format of `label_sources.py`
        label:                        # one of its tasks
          Sleeve Style:               # attribute: label -> value
            T-Shirt: Short Sleeve
            Polo: Short Sleeve

Several labels may mean one value, from several sets too. That one label means two values of an attribute is refused, as
is everything else that is not of this shape.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from facetmill.dataset.distant.base import Labels
from facetmill.errors import DataError

_Task = tuple[str, str]  # source and task


@dataclass(frozen=True)
class LabelMapping:
    """`categories` by attribute (None: any); `values[source, task][attribute][label]` is the value."""

    categories: Mapping[str, tuple[str, ...] | None]
    values: Mapping[_Task, Mapping[str, Mapping[str, str]]]

    @property
    def attributes(self) -> tuple[str, ...]:
        """In the order of the file's categories."""
        return tuple(self.categories)

    def values_of(self, attribute: str) -> tuple[str, ...]:
        """Every value of an attribute that some label means, in the order of the file."""
        found = (value for task in self.values.values() for value in task.get(attribute, {}).values())
        return tuple(dict.fromkeys(found))

    def labels(self) -> Iterable[tuple[str, str, str]]:
        """Source, task and label of every label that means something."""
        return dict.fromkeys(
            (source, task, label)
            for (source, task), attributes in self.values.items()
            for meanings in attributes.values()
            for label in meanings
        )

    def means(self, source: str, task: str, label: str) -> bool:
        return any(label in meanings for meanings in self.values.get((source, task), {}).values())

    def meant(self, source: str, labels: Labels) -> dict[str, set[str]]:
        """The values of each attribute that a picture's labels mean; several are a contradiction, or true of several
        parts of the picture."""
        found: dict[str, set[str]] = {}
        for task, given in labels.items():
            for attribute, meanings in self.values.get((source, task), {}).items():
                if values := {meanings[label] for label in given if label in meanings}:
                    found.setdefault(attribute, set()).update(values)
        return found


def load_mapping(path: Path, sources: Iterable[str]) -> LabelMapping:
    """Read a mapping whose sources are among `sources`. Raises `DataError` naming file, key and value."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _NoRepeats)  # noqa: S506 - a SafeLoader
    except (OSError, RecursionError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: {error}") from None
    whole = _mapping(path, "the file", raw)
    if set(whole) != {"categories", "labels"}:
        raise DataError(f"{path}: expected the keys categories and labels, found {', '.join(whole) or 'none'}")
    known = list(sources)
    values: dict[_Task, dict[str, dict[str, str]]] = {}
    for source, tasks in _mapping(path, "labels", whole["labels"]).items():
        if source not in known:
            raise DataError(f"{path}: labels.{source}: no such format; known are {', '.join(known)}")
        for task, attributes in _mapping(path, f"labels.{source}", tasks).items():
            key = f"labels.{source}.{task}"
            values[source, task] = {
                attribute: _meanings(path, f"{key}.{attribute}", meanings)
                for attribute, meanings in _mapping(path, key, attributes).items()
            }
    categories = {
        attribute: _categories(path, f"categories.{attribute}", given)
        for attribute, given in _mapping(path, "categories", whole["categories"]).items()
    }
    mapped = {attribute for task in values.values() for attribute in task}
    if unplaced := sorted(mapped - set(categories)):
        raise DataError(f"{path}: categories: say where {unplaced[0]!r} may be annotated (null = in any category)")
    if unmapped := sorted(set(categories) - mapped):
        raise DataError(f"{path}: categories.{unmapped[0]}: no label means a value of it")
    return LabelMapping(categories, values)


def _meanings(path: Path, key: str, raw: Any) -> dict[str, str]:
    found = _mapping(path, key, raw)
    for label, value in found.items():
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{path}: {key}.{label} = {value!r}: expected a value, as text")
    return found


def _categories(path: Path, key: str, raw: Any) -> tuple[str, ...] | None:
    if raw is not None and not (isinstance(raw, list) and all(isinstance(category, str) for category in raw)):
        raise DataError(f"{path}: {key} = {raw!r}: expected a list of categories, or null for any")
    return None if raw is None else tuple(raw)


def _mapping(path: Path, key: str, raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise DataError(f"{path}: {key} = {raw!r}: expected keys with values")
    for name in raw:
        if not isinstance(name, str):  # YAML reads No, 1 and 2020-01-01 as other things
            raise DataError(f"{path}: {key}: key {name!r} is not text; write it in quotes")
    return raw


class _NoRepeats(yaml.SafeLoader):
    """YAML in which a key stands once; PyYAML takes the last of several without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                both = " and ".join(repr(_shown(each)) for each in (seen[name], value))
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {name!r} stands twice, with {both}")
            seen[name] = value
        return super().construct_mapping(node, deep)


def _shown(node: yaml.Node) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else "several keys"
