"""What is wrong with params, one line a key: where it was set, its name and its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from facetmill.params.encoders import KINDS, Place, known_encoders

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")  # as pydantic calls it


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Words in brackets that begin with a space, or none where nothing is near."""
    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def explain(
    errors: Sequence[Any], whole: Mapping[str, Any], names: Mapping[Place, str], origin: Callable[[Place], str]
) -> Iterator[str]:
    """A line for each of pydantic's errors about `whole`, parsed params in which encoders stood by these names.

    What is wrong with an encoder is told where it is described, not where it is named.
    """
    for detail in errors:
        place = tuple(map(str, detail["loc"]))
        kind = KINDS[place[-1]] if place in names else ""
        if kind and names[place] not in known_encoders(whole, kind):
            known = ", ".join(known_encoders(whole, kind)) or "none"
            said = f"{'.'.join(place)} = {names[place]!r}: no such {kind} encoder; encoders.{kind} has {known}"
        elif any(place[: len(named)] == named for named in names):
            continue
        else:
            said = _said(".".join(place), detail, _keys_beside(place, errors, whole))
        yield f"{origin(place)}: {said}"


def _said(key: str, detail: Any, keys_beside: Sequence[str]) -> str:
    if detail["type"] == "missing":
        return f"missing key {key!r}"
    if detail["type"] in _UNKNOWN:
        return f"unknown key {key!r}{did_you_mean(key.rpartition('.')[2], keys_beside)}"
    return f"{key} = {detail['input']!r}: {detail['msg']}"


def _keys_beside(place: Place, errors: Sequence[Any], whole: Mapping[str, Any]) -> list[str]:
    """The keys that could be meant at a place: those of its section that are known, whether they are there or not."""
    section: Any = whole
    for key in place[:-1]:
        section = section.get(key, {}) if isinstance(section, Mapping) else {}
    told = [(detail["type"], tuple(map(str, detail["loc"]))) for detail in errors]
    here = {found[-1]: kind for kind, found in told if found[:-1] == place[:-1]}
    present = list(map(str, section)) if isinstance(section, Mapping) else []
    return [key for key in dict.fromkeys((*present, *here)) if here.get(key) not in _UNKNOWN]
