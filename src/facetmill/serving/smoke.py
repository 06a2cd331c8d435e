"""The smoke test of a promotion: does what is live now serve?"""

from __future__ import annotations

from facetmill.serving.package import EXAMPLES
from facetmill.serving.query import query


def smoke_test(model_uri: str, tracking_uri: str) -> None:
    """Load a model as a server would, in a process of its own with nothing cached, and ask it about the examples.

    Raises `PlatformError` when it does not load or answers nonsense.
    """
    query(model_uri, EXAMPLES, tracking_uri=tracking_uri)
