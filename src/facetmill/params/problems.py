"""What is wrong with params, one line a key: where it was set, its name and its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from facetmill.params.encoders import KINDS, Place, known_encoders


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
            said = _said(".".join(place), detail)
        yield f"{origin(place)}: {said}"


def _said(key: str, detail: Any) -> str:
    if detail["type"] == "missing":
        return f"missing key {key!r}"
    if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"unknown key {key!r}"
    return f"{key} = {detail['input']!r}: {detail['msg']}"
