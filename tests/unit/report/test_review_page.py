"""The review page: what it says about two models, and that neither hostile text nor hostile pictures harm it."""

from __future__ import annotations

import copy
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facetmill.report import examples as examples_module
from facetmill.report.marked_text import MAX_CHARACTERS, marked
from facetmill.report.review_page import review_page, write_review
from tests.fake_comparison import fake_comparison

VOID = {"meta", "br", "img", "input", "link", "hr"}
ATTACK = "</script></code><script>alert(1)</script><img src=http://evil.example onerror=\"alert('2')\"> \u202egpj \x00"


class Outline(HTMLParser):
    """Tags with their attributes, visible text, headings in order; fails where a tag is not closed in turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if any(re.fullmatch("h[1-6]", tag) for tag in self.open):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)
        if not {"style", "script"} & set(self.open):
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def all(self, tag: str, class_: str = "") -> list[dict[str, str | None]]:
        return [
            attrs for name, attrs in self.tags if name == tag and (not class_ or class_ in (attrs.get("class") or ""))
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fake_comparison(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def comparison(made: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(made)


def answer(page: str) -> str:
    (said,) = re.findall(r'<section class="answer.*?</section>', page, re.S)
    return Outline(said).text


def test_every_part_is_there_and_headings_step_down_one_at_a_time(comparison: dict[str, Any]) -> None:
    page = Outline(review_page(comparison))
    assert [text for level, text in page.headings if level == 2] == [
        "Promote A jave 4", "Scores", "Gates", "Left out", "Where they differ", "Pictures", "Data", "Training",
        "Latency", "Example products",
    ]  # fmt: skip
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for wanted in (
        "Value F1",
        "Flavor",
        "Shoes",
        "Not seen in training",
        "+0.083",
        "12,450",
        "validation/pair_f1",
        "12.1 ms",
    ):
        assert wanted in page.text


def test_gates_decide_and_the_reason_holds_the_numbers(comparison: dict[str, Any]) -> None:
    paired = comparison["paired"]["pair_f1"]
    said = answer(review_page(comparison))
    assert said.startswith("Promote A jave 4")
    assert f"{paired['first']:.3f} for A and {paired['second']:.3f} for B: A is better" in said
    assert "All 5 gates passed." in said

    comparison["verdicts"][3]["passed"] = False  # a warning alone keeps nobody
    assert "No gate is against it; 1 warning is worth a look." in answer(review_page(comparison))

    comparison["verdicts"][2].update(passed=False, reason="pair_f1 0.8 does not beat 0.9 of champion 3")
    said = answer(review_page(comparison))
    assert said.startswith("Keep B jave 3")
    assert "1 of 5 gates is against A. pair_f1 0.8 does not beat 0.9 of champion 3." in said

    comparison["verdicts"] = []
    assert answer(review_page(comparison)).startswith("No decision: no gate was asked")


def test_failed_gates_stand_before_warnings_before_passed_ones(comparison: dict[str, Any]) -> None:
    comparison["verdicts"][4]["passed"] = False
    comparison["verdicts"][3]["passed"] = False
    page = Outline(review_page(comparison))
    badges = re.findall(r"(Failed|Warning|Passed)(?=[A-Z])", page.text)
    assert badges == ["Failed", "Warning", "Passed", "Passed", "Passed"]
    assert "Found\N{MINUS SIGN}0.061Required≥ \N{MINUS SIGN}0.02" in page.text


def test_whether_a_model_looks_at_pictures_is_said(comparison: dict[str, Any]) -> None:
    page = Outline(review_page(comparison))
    assert "A0.8400.757+0.083p < 0.001" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "looks at no picture" in page.text
    comparison["first"]["awareness"] = None
    assert "Neither model looks at pictures." in Outline(review_page(comparison)).text


def test_attributes_that_a_model_predicts_are_shown(comparison: dict[str, Any]) -> None:
    comparison["examples"] = comparison["examples"][:1]
    [example] = comparison["examples"]
    true = example["truth"][0]["attribute"]
    example["first_attributes"] = {"Nonsense": 0.6, true: 0.9}
    said = Outline(review_page(comparison)).text
    assert f"A {true} 0.90, Nonsense 0.60 \N{BALLOT X} wrong" in said
    example["second_attributes"] = {}
    assert "B none" in Outline(review_page(comparison)).text


def test_a_comparison_made_before_there_was_a_choice_of_metrics_still_reads(comparison: dict[str, Any]) -> None:
    """It has no pair F1, no name of a metric and no attributes: value F1 decided."""
    del comparison["metric"]
    comparison["first"]["awareness"]["metric"] = "value_f1"
    comparison["paired"].pop("pair_f1")
    del comparison["left_out"]
    for side in ("first", "second"):
        for name in [name for name in comparison[side]["scores"] if "pair_f1" in name or "predicted" in name]:
            del comparison[side]["scores"][name]
    for example in comparison["examples"]:
        del example["first_attributes"], example["second_attributes"]
    said = Outline(review_page(comparison)).text
    assert "Value F1 is " in said
    assert "Pair F1" not in said


def test_what_a_model_was_trained_on_is_shown_apart(comparison: dict[str, Any]) -> None:
    text = Outline(review_page(comparison)).text
    assert "14 test products left out of all else on this page" in text
    assert "Same product by its id09Same title24Same picture01" in text
    comparison["left_out"] |= {"num_products": 0, "second": None, "paired": {}}
    text = Outline(review_page(comparison)).text
    assert "What B was trained on is not known." in text
    assert "No test product is known to be one that a model was trained on." in text


def test_a_slice_is_muted_unless_its_interval_leaves_out_zero(comparison: dict[str, Any]) -> None:
    base = comparison["slices"][0] | {"kind": "category"}
    comparison["slices"] = [
        base | {"name": "chance", "p_value": 0.051, "low": 0.0, "high": 0.2, "difference": 0.1},
        base | {"name": "up", "p_value": 0.049, "low": 0.01, "high": 0.2, "difference": 0.1},
        base | {"name": "down", "p_value": 0.001, "low": -0.2, "high": -0.01, "difference": -0.1},
    ]
    page = review_page(comparison)
    rows = dict(re.findall(r'<tr class="(\w+)"><th scope="row" class="name"[^>]*>(\w+)<', page))
    assert {name: kind for kind, name in rows.items()} == {"chance": "muted", "up": "better", "down": "worse"}
    text = Outline(page).text
    assert text.index("down") < text.index("up") < text.index("chance")
    assert "2 of 3 slices are shown to differ" in text
    assert "+0.100 not shown" in text  # in words too


def test_a_long_table_folds_what_is_not_shown_to_differ(comparison: dict[str, Any]) -> None:
    base = comparison["slices"][0] | {"kind": "attribute", "low": -0.1, "high": 0.2}
    comparison["slices"] = [base | {"name": f"a{index}"} for index in range(400)]
    comparison["slices"].append(base | {"name": "sure", "low": 0.1})
    text = Outline(review_page(comparison)).text
    assert "Not shown to differ: 299" in text
    assert "101 more slices" in text
    assert "sure" in text


def test_examples_go_from_the_worst_regression_to_the_best_improvement(comparison: dict[str, Any]) -> None:
    page = review_page(comparison)
    changes = [
        float(x.replace("\N{MINUS SIGN}", "-")) for x in re.findall(r"</span> ([+\N{MINUS SIGN}][.\d]+)</strong>", page)
    ]
    worse, better = [c for c in changes if c < 0], [c for c in changes if c > 0]
    assert changes == sorted(worse) + sorted(better, reverse=True)
    assert worse
    assert better


def example(**changes: Any) -> dict[str, Any]:
    entry = {"attribute": "Color", "value": "Rose", "field": "title", "start": 0, "end": 4, "confidence": None}
    product = {"product_id": "p1", "title": "Rose cup", "text": "", "category": "Mugs", "image": None}
    return {
        "product": product, "truth": [entry], "first": [], "second": [entry | {"confidence": 0.75}],
        "first_f1": 0.0, "second_f1": 1.0, "change": -1.0, "gates": None,
    } | changes  # fmt: skip


def facets_of(comparison: dict[str, Any], metric: str = "value_f1", **changes: Any) -> str:
    comparison |= {"metric": metric, "examples": [example(**changes)]}
    page = review_page(comparison)
    return Outline(
        page[page.index('<table class="facets">') : page.index("</article>")].rsplit("</div></div>", 1)[0]
    ).text


def test_each_answer_is_called_right_wrong_elsewhere_or_missed(comparison: dict[str, Any]) -> None:
    entry = example()["truth"][0]
    missed = facets_of(comparison)
    assert "ColorRose– missedRose 0.75 \N{CHECK MARK} right" in missed
    other_place = facets_of(comparison, first=[entry | {"start": 5, "end": 8}])
    assert "\N{BALLOT X} other place" in other_place
    anywhere = facets_of(comparison, "pair_f1", first=[entry | {"start": 5, "end": 8}], second=[])
    assert "Rose \N{CHECK MARK} right\N{EN DASH} missed" in anywhere  # wherever it stands
    wrong = facets_of(comparison, first=[entry | {"value": "Red", "field": None, "start": None, "end": None}])
    assert "Red \N{BALLOT X} wrong" in wrong
    twice = [entry, entry | {"start": 5, "end": 8}]
    half = facets_of(comparison, truth=twice, first=twice[:1], second=twice)
    assert "\N{CHECK MARK} right– 1 missed" in half
    implicit = {"attribute": "Type", "value": "Mug", "field": None, "start": None, "end": None, "confidence": None}
    folded = facets_of(comparison, truth=[entry, implicit], first=[implicit | {"value": "MUG"}], second=[implicit])
    assert "Both right:Type Mug" in folded  # case does not matter for values that stand in no text


def test_a_mark_says_who_found_it_without_colour() -> None:
    entry = {"attribute": "Color", "field": "title", "start": 0, "end": 4}
    html = marked("title", "Rose <cup>", {"t": [entry], "a": [], "b": [entry]})
    assert html.startswith('<mark class="t b">Rose</mark>')
    assert '<b class="key t">T</b><b class="key b">B</b>' in html
    assert '<span class="unseen"> (Color: true, B) </span>' in html
    assert html.endswith(" &lt;cup&gt;")


def test_overlapping_spans_are_cut_into_pieces() -> None:
    def entry(start: int, end: int) -> dict[str, Any]:
        return {"attribute": "Color", "field": "title", "start": start, "end": end}

    html = marked("title", "abcdef", {"t": [entry(0, 4)], "a": [entry(2, 6)], "b": []})
    assert re.findall(r'<mark class="([^"]+)">(\w+)</mark>', html) == [("t", "ab"), ("t a", "cd"), ("a", "ef")]


def test_text_of_any_length_is_cut_and_says_so() -> None:
    beyond = {"attribute": "Color", "field": "text", "start": 9_000, "end": 9_004}
    html = marked("text", "x" * 10_000, {"t": [beyond], "a": [], "b": []})
    assert html.count("x") == MAX_CHARACTERS["text"]
    assert "8,000 more characters are not shown" in html
    assert "<mark" not in html


def test_hostile_text_stays_text_everywhere(made: dict[str, Any], comparison: dict[str, Any]) -> None:
    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: poison(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [poison(each, key) for each in value]
        keep = key in {"severity", "kind", "field", "image"} or not isinstance(value, str)
        return value if keep else ATTACK + value

    poisoned = poison(comparison)
    poisoned["slices"] = [each | {"name": ATTACK} for each in poisoned["slices"]]
    for side in ("first", "second"):
        poisoned["curves"][side] = {ATTACK + name: points for name, points in comparison["curves"][side].items()}
    page = review_page(poisoned)
    harmless, outline = Outline(review_page(made)), Outline(page)
    assert {tag for tag, _ in outline.tags} <= {tag for tag, _ in harmless.tags}
    assert len(outline.all("script")) == 1
    names = {name for _, attrs in outline.tags for name in attrs}
    assert names <= {name for _, attrs in harmless.tags for name in attrs}
    assert not any(name.startswith("on") for name in names)
    assert "\u202e" not in page
    assert "\x00" not in page
    assert "<script>alert(1)</script>" in outline.text


def test_nothing_is_loaded_from_anywhere(comparison: dict[str, Any]) -> None:
    page = review_page(comparison)
    outline = Outline(page)
    assert not {"link", "iframe", "object", "base", "embed"} & {tag for tag, _ in outline.tags}
    assert all((attrs["src"] or "").startswith("data:image/jpeg;base64,") for attrs in outline.all("img"))
    assert all((attrs["href"] or "").startswith("#") for attrs in outline.all("a"))
    assert "url(" not in page
    assert "http:" not in page
    assert "https:" not in page
    (policy,) = (attrs["content"] or "" for attrs in outline.all("meta") if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not any("style" in attrs for _, attrs in outline.tags)  # the policy would switch them off


def test_every_picture_and_plot_is_told_in_words_or_hidden(comparison: dict[str, Any]) -> None:
    outline = Outline(review_page(comparison))
    assert all(attrs.get("alt") for attrs in outline.all("img"))
    plots = [attrs for attrs in outline.all("svg") if "plot" in (attrs.get("class") or "")]
    assert len(plots) > 20
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") == "true" for attrs in plots)
    assert all(attrs.get("scope") in {"row", "col"} for attrs in outline.all("th"))
    assert len(outline.all("caption")) == len(outline.all("table"))


def test_the_same_comparison_gives_the_same_page(made: dict[str, Any]) -> None:
    assert review_page(made) == review_page(made)


def test_what_is_not_known_is_said_and_breaks_nothing(comparison: dict[str, Any]) -> None:
    comparison.update(slices=[], verdicts=[], examples=[], dataset_diff=None, paired={})
    comparison["curves"] = {"first": {"loss": [[1, math.nan], [2, 0.5]]}, "second": {}}
    for side in ("first", "second"):
        comparison[side].update(version=None, run_id=None, model="same", latency={"p50": None, "p95": 0.0, "load": 0.1})
    text = Outline(review_page(comparison)).text
    for wanted in (
        "No decision", "No gate was asked", "No slices were compared", "what differs is not known",
        "B has no learning curve", "said the same about every product", "models:/facets-candidates/4 against",
    ):  # fmt: skip
        assert wanted in text


def test_a_model_without_a_name_of_its_own_is_called_by_its_reference(comparison: dict[str, Any]) -> None:
    comparison["second"].update(ref="dictionary", model="dictionary", version=None, run_id=None)
    assert "jave 4 against dictionary" in Outline(review_page(comparison)).text


def test_writing_is_all_or_nothing(comparison: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "review.html"
    write_review(comparison, path)
    whole = path.read_text(encoding="utf-8")
    assert whole.endswith("</html>\n")
    del comparison["verdicts"]
    with pytest.raises(KeyError):
        write_review(comparison, path)
    assert path.read_text(encoding="utf-8") == whole
    assert [each.name for each in path.parent.iterdir()] == ["review.html"]


def test_pictures_are_left_out_once_the_page_is_full(
    comparison: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples_module, "MAX_PICTURE_CHARACTERS", 10_000)
    page = review_page(comparison)
    uris = re.findall(r"data:image/jpeg;base64,[^\"]+", page)
    assert uris
    assert sum(map(len, uris)) <= 10_000
    assert "left out to keep this page small" in page


def test_a_relative_picture_is_looked_for_in_the_given_folder(comparison: dict[str, Any], tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "cup.png")
    product = example()["product"] | {"image": "cup.png"}
    comparison["examples"] = [example(product=product)]
    assert 'alt="Picture of Rose cup"' in review_page(comparison, pictures_dir=tmp_path)
    assert "The picture file is missing" in review_page(comparison, pictures_dir=tmp_path / "elsewhere")
