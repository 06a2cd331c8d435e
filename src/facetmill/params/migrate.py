"""What settings saved by an earlier Facetmill mean today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: By model, what a config field means to a model saved before there was one: an old champion must still load. A field
#: added to a config gets its entry here.
FIELDS_ADDED_LATER: Mapping[str, Mapping[str, Any]] = {
    "dictionary": {"negatives": "all", "places": "shared", "values": "one", "ocr": False, "distractors": []},
    "jave": {"category_attributes": False, "kl_tags": "both", "kl_form": "printed", "tasks": "joint"},
}
