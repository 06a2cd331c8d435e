"""The page of the data gate: what a reader sees first, and that hostile values stay text."""

from __future__ import annotations

from html.parser import HTMLParser

from facetmill.gates.verdict import NOT_MEASURED, DataVerdict, Verdict
from facetmill.report.gate_page import render

LEAK = Verdict(
    "no_group_in_two_splits",
    False,
    "critical",
    1234.0,
    "at most 0",
    "groups that leak: 1,234, must be at most 0",
    ("group_id 'g7'",),
)
RARE = Verdict(
    "every_attribute_is_frequent", False, "warning", 1.0, "at least 2", "rarest attribute: 1, must be at least 2"
)
FINE = Verdict("enough_products", True, "critical", 30.0, "at least 12", "products: 30, must be at least 12")
BLIND = Verdict(
    "few_rows_are_dropped", False, "critical", NOT_MEASURED, "at most 0.02", "rows: not measured, must be at most 0.02"
)

VOID = {"meta", "br", "link", "img"}


class Outline(HTMLParser):
    """Tags with their attributes, the text of headings, and whether every tag is closed in turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"h1", "h2", "h3"}:
            self.headings.append(data)
        if "style" not in self.open:
            self.text += data


def test_what_blocks_stands_before_warnings_and_counts() -> None:
    page = Outline(render(DataVerdict((FINE, RARE, BLIND, LEAK), {"products": 30_000}), "Data gate of demo"))
    assert page.headings == [
        "Data gate of demo",
        "What blocks training",
        "No group in two splits",
        "What could not be checked",
        "Warnings",
        "Every attribute is frequent",
        "What the dataset holds",
        "What holds",
    ]
    assert page.open == []
    assert "Blocked" in page.text
    assert "2 of 4 claims" in page.text
    assert "1,234" in page.text
    assert "group_id 'g7'" in page.text
    assert "30,000" in page.text


def test_a_dataset_with_warnings_only_may_be_trained_on() -> None:
    text = Outline(render(DataVerdict((FINE, RARE), {}))).text
    assert "Passed" in text
    assert "Blocked" not in text
    assert "1 of 2 claims do not hold" in text


def test_a_verdict_on_nothing_is_not_a_pass() -> None:
    assert "Blocked" in Outline(render(DataVerdict((), {}))).text


def test_hostile_values_stay_text() -> None:
    attack = "</code></ul><script>alert(1)</script><img src='http://evil.example/x' onerror=\"alert(2)\">"
    verdict = Verdict(attack, False, "critical", attack, attack, attack, (attack,))
    harmless = Outline(render(DataVerdict((FINE, LEAK), {"x": 1}), "t", {"name": "value"}))
    page = Outline(render(DataVerdict((FINE, verdict), {attack: 1}), attack, {attack: attack}))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in harmless.tags}
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text


def test_text_that_would_reorder_or_break_the_page_is_replaced() -> None:
    page = render(DataVerdict((LEAK,), {}), "\u202egpj.exe \x00 \ud800")
    assert "\u202e" not in page
    assert "\x00" not in page
    page.encode("utf-8")


def test_the_page_asks_for_nothing_and_reads_well_aloud() -> None:
    page = Outline(render(DataVerdict((FINE, RARE, BLIND, LEAK), {"products": 30})))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object"}
    assert not any(key in attrs for _, attrs in page.tags for key in ("src", "href"))
    (policy,) = (attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert all(attrs.get("scope") in {"row", "col"} for tag, attrs in page.tags if tag == "th")
    assert next(attrs for tag, attrs in page.tags if tag == "html")["lang"] == "en"
