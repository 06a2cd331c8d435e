"""What a catalogue's models are called: two registered models each, so that on a shared server only the promotion may
write to the live one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from facetmill.params.catalogue import CANDIDATES, DEMO

ALIAS = "champion"
DICTIONARY = "dictionary"
IN_HAND = "facets"  # `facets@champion` is the champion of the catalogue in hand, whichever that is

_CHAMPION = re.compile(rf"([a-z0-9][a-z0-9_-]*)@{ALIAS}")
_VERSION = re.compile(rf"([a-z0-9][a-z0-9_-]*?)({CANDIDATES})?/(\d{{1,9}})")


@dataclass(frozen=True)
class Names:
    """The registered models of a catalogue are called after it. Those of `demo` keep the names that there were before
    there were catalogues, since servers load `models:/facets@champion` and older stores hold their champions there."""

    catalogue: str

    @property
    def live(self) -> str:
        return IN_HAND if self.catalogue == DEMO else self.catalogue

    @property
    def candidates(self) -> str:
        return f"{self.live}{CANDIDATES}"

    @property
    def champion(self) -> str:
        """As MLflow finds it: models:/NAME@champion."""
        return f"{self.live}@{ALIAS}"


@dataclass(frozen=True)
class Named:
    """What a reference names by its words alone: a version of one of the two registered models, or the champion, for
    which `version` is None. `catalogue` is None for that in hand."""

    catalogue: str | None
    is_candidate: bool
    version: int | None


def named(ref: str) -> Named | None:
    """`facets@champion`, `shop@champion`, `shop/3` or `shop-candidates/7` in its parts; None for all else, such as the
    id of a run."""
    if match := _CHAMPION.fullmatch(ref):
        return Named(None if match[1] == IN_HAND else match[1], False, None)
    if match := _VERSION.fullmatch(ref):
        return Named(DEMO if match[1] == IN_HAND else match[1], match[2] is not None, int(match[3]))
    return None
