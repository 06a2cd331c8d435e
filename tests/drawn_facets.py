"""Products and answers as hypothesis draws them: few attributes and values, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from facetmill.records import Facet, Product, Span

ATTRIBUTES = ("Color", "Size", "Type")
VALUES = ("red", "Red", "dark red", "dark  RED", "redd", "blue", "unknown")
TITLE = "dark red shoe of a blue size"

spans = st.builds(
    lambda start, length: Span("title", start, min(len(TITLE), start + length)),
    st.integers(0, len(TITLE) - 4),
    st.integers(1, 9),
)
facets = st.builds(
    Facet,
    st.sampled_from(ATTRIBUTES),
    st.sampled_from(VALUES),
    st.lists(spans, max_size=2).map(tuple),
    confidence=st.none() | st.sampled_from([0.2, 0.5, 0.9]),
)
answers = st.lists(facets, max_size=5)
products = st.builds(
    lambda true, absent, category: Product(
        "p", "test", TITLE, category=category, facets=tuple(true), absent=tuple(absent)
    ),
    answers,
    st.lists(st.sampled_from(ATTRIBUTES), unique=True, max_size=2),
    st.sampled_from([None, "shoes", "hats"]),
)
#: A few products, each with what was predicted for it.
corpora = st.lists(st.tuples(products, answers), max_size=6)
