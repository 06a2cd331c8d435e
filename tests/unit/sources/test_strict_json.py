"""What is refused of JSON that a parser would take, and that nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facetmill.sources import strict_json
from facetmill.sources.base import Reason, RowError
from facetmill.sources.strict_json import MAX_DEPTH

REFUSED = [
    ('{"a": 1, "a": 1}', "a", Reason.DUPLICATE_KEY),
    ('{"a": {"b": 1, "c": 2, "b": 3}}', "b", Reason.DUPLICATE_KEY),
    ('[{"a":1 , "\\u0061" : 2}]', "a", Reason.DUPLICATE_KEY),
    ('{"a"\n:1, "a"\t:2, "b": ":"}', "a", Reason.DUPLICATE_KEY),
    ('{"a": 1, "a": ":"}', "a", Reason.DUPLICATE_KEY),
    (r'{"a": "\\", "b": "\\\"", "a": "\\\\", "c": "\n\\"}', "a", Reason.DUPLICATE_KEY),
    ('{"a": 18446744073709551616}', "", Reason.NUMBER_OUT_OF_RANGE),
    ('{"a": -9223372036854775809}', "", Reason.NUMBER_OUT_OF_RANGE),
    ('{"a": 1e400}', "", Reason.NUMBER_OUT_OF_RANGE),
    ('{"a": [-1e30]}', "", Reason.NUMBER_OUT_OF_RANGE),
    ('{"a": 1' + "0" * 5000 + "}", "", Reason.NUMBER_OUT_OF_RANGE),
    ('{"a": NaN}', "", Reason.BROKEN_JSON),
    ('{"a": -Infinity}', "", Reason.BROKEN_JSON),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "", Reason.NESTED_TOO_DEEP),
    ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "", Reason.NESTED_TOO_DEEP),
]


@pytest.mark.parametrize(("text", "field", "reason"), REFUSED, ids=[text[:30] for text, *_ in REFUSED])
def test_what_two_readers_would_take_differently_is_refused(text: str, field: str, reason: Reason) -> None:
    with pytest.raises(RowError) as error:
        strict_json.loads(text)
    assert (error.value.field, error.value.reason) == (field, reason)
    assert strict_json.plain_array(f"[{text}]") == []
    found, end = strict_json.raw_value(f"{text}, 1]", 0)
    assert isinstance(found, RowError)
    assert (found.field, found.reason, end) == (field, reason, len(text)), "reading goes on behind it"


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(-1e18, 1e18)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text('\\":n', max_size=5)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@given(value=values, indent=st.sampled_from([None, 1]), ascii=st.booleans(), colon=st.sampled_from([":", " : ", "\n:"]))
def test_all_else_is_what_it_says(value: object, indent: int | None, ascii: bool, colon: str) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii, separators=(",", colon))
    assert strict_json.loads(text) == value
    assert strict_json.raw_value(f"[{text},", 1) == (value, len(text) + 1)
    assert strict_json.plain_array(f"[{text}]") in ([value], [])
