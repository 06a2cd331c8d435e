"""YAML as people write it: `1e-3` is a number, and a key that is written twice is an error, not a lost value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from facetmill.errors import ParamsError

#: A float in decimal or scientific form, as YAML 1.2 has it; YAML 1.1, which PyYAML reads, wants a dot before any `e`.
_FLOAT = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the floats of YAML 1.2."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_yaml(text: str, origin: str) -> Any:
    """The value of a YAML document; `origin` stands before each message.

    Raises `ParamsError` naming the line where it is no YAML, every key that a section has twice, and every key that is
    not text.
    """
    try:
        loader = _Loader(text)
        loader.name = origin
        document = loader.get_single_node()
        if document is None:
            return None
        problems = list(_problems(document, (), (), set()))
        if problems:
            raise ParamsError("\n".join(f"{origin}: {problem}" for problem in problems))
        return loader.construct_document(document)
    except yaml.YAMLError as error:
        raise ParamsError(f"{origin}: {error}") from error
    except RecursionError:
        raise ParamsError(f"{origin}: lists or sections in one another without end") from None


def _problems(node: yaml.Node, path: tuple[str, ...], above: tuple[int, ...], seen: set[int]) -> Iterator[str]:
    """What is wrong with the keys of all mappings below a node that stands at `path`, below the nodes `above`."""
    if id(node) in above:
        yield f"line {node.start_mark.line + 1}: {'.'.join(path)!r} holds itself"
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _problems(inner, path, above, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, inner in node.value:
            name, line = ".".join((*path, str(key.value))), key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                yield f"line {line}: key {name!r} is read as {key.tag.rpartition(':')[2]}; put it in quotes"
            elif key.value in lines:
                yield f"line {line}: key {name!r} is there already, in line {lines[key.value]}"
            lines.setdefault(str(key.value), line)
            yield from _problems(inner, (*path, str(key.value)), above, seen)
