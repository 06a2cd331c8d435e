"""The dataset card: one Markdown page on what is in a dataset, where it is from, and what is known to be wrong with it.

What stands in products is hostile: every cell is escaped, so that no title becomes a heading, a link or HTML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from facetmill.dataset.store.variants import variants
from facetmill.dataset.store.version import Dataset
from facetmill.files import read_json
from facetmill.gates.scripts import SCRIPTS
from facetmill.records import SPLITS, Product
from facetmill.sources.base import Source

MAX_ATTRIBUTES = 50
MAX_VARIANTS = 20
NUM_EXAMPLES = 5
NUM_VALUES = 3
_LONGEST_CELL = 160

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~>])")


def card(dataset: Dataset, source: Source) -> str:
    """The page. Everything in it follows from the dataset's files: equal data gives an equal page."""
    reports = {path.stem: read_json(path) for path in sorted((dataset.dir / "reports").glob("*.json"))}
    provenances: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    for split in SPLITS:
        for product in dataset.read(split):
            provenances.update(facet.provenance for facet in product.facets)
            if split == "train" and product.category:
                categories[product.category] += 1
    parts = [
        f"# Dataset {cell(dataset.name)}",
        f"Version `{dataset.version}`. Source: {source.summary}. Licence: {source.licence}.",
        "## What is in it",
        _table(("split", "products", "groups", "facets", "in the text", "not in the text"), _splits(dataset)),
        "Where facets come from: "
        + (", ".join(f"{n:,} {name}" for name, n in sorted(provenances.items())) or "none")
        + ".",
        *_scripts(dataset.verdict),
        "## Attributes, as train has them",
        _table(("attribute", "facets", "values", "the commonest", "categories"), _attributes(dataset)),
        "## Values written in several ways, as train has them",
        _table(("attribute", "spellings", "to metrics and models"), _variants(dataset, categories)),
        "## What is known to be wrong",
        _table(("what", "how often", "the first"), _wrong(reports["ingest"])),
        *_warnings(dataset.verdict),
        "## Examples",
        _table(("product", "title", "facets"), _examples(dataset.read("train"))),
    ]
    return "\n\n".join(parts) + "\n"


def cell(value: object) -> str:
    """A value as one line of a Markdown table, whatever it holds."""
    text = " ".join(str(value).split())
    text = text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines) if len(lines) > 2 else "Nothing."


def _splits(dataset: Dataset) -> Iterator[tuple[object, ...]]:
    names = ("num_products", "num_groups", "num_facets", "num_explicit", "num_implicit")
    for split in SPLITS:
        counts = dataset.manifest["splits"][split]
        yield split, *(f"{counts[name]:,}" for name in names)


def _attributes(dataset: Dataset) -> Iterator[tuple[object, ...]]:
    known = sorted(dataset.schema.attributes, key=lambda attribute: (-sum(attribute.values.values()), attribute.name))
    for attribute in known[:MAX_ATTRIBUTES]:
        common = ", ".join(f"{value} ({attribute.values[value]})" for value in attribute.candidates(None, NUM_VALUES))
        numbers = f"{sum(attribute.values.values()):,}", f"{len(attribute.values):,}"
        yield attribute.name, *numbers, common, len(attribute.categories) or "not given"
    if len(known) > MAX_ATTRIBUTES:
        yield f"and {len(known) - MAX_ATTRIBUTES:,} more", "", "", "", ""


def _variants(dataset: Dataset, categories: Counter[str]) -> Iterator[tuple[object, ...]]:
    found = variants(dataset.schema, categories)
    for each in found[:MAX_VARIANTS]:
        spellings = ", ".join(f"{spelling} ({num:,})" for spelling, num in each.spellings.items())
        yield each.attribute, spellings, "one value" if each.one else "several"
    if len(found) > MAX_VARIANTS:
        yield f"and {len(found) - MAX_VARIANTS:,} more", "", ""


def _wrong(report: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """What ingest dropped and noted, the most frequent first."""
    dropped = {f"row dropped: {reason}": (num, reason) for reason, num in report["dropped"].items()}
    dropped |= {f"picture dropped: {reason}": (num, reason) for reason, num in report["images_dropped"].items()}
    dropped |= {f"told: {reason}": (num, reason) for reason, num in report.get("noted", {}).items()}
    if report["num_corrections_unused"]:
        dropped["correction without a product"] = report["num_corrections_unused"], "unused_correction"
    for what, (num, reason) in sorted(dropped.items(), key=lambda item: (-item[1][0], item[0])):
        first = report["examples"].get(reason, [""])[0]
        yield what, f"{num:,}", re.sub(r"^\S*/", "", first)  # a file's name, not where it lies on this machine


def _scripts(verdict: dict[str, Any] | None) -> list[str]:
    """What the data gate counted of letters by script."""
    counts = verdict["counts"] if verdict else {}
    letters = {script: counts[f"{script} letters"] for script in SCRIPTS if f"{script} letters" in counts}
    if not letters:
        return []
    total = sum(letters.values())
    return ["Letters: " + ", ".join(f"{num / total:.1%} {script}" for script, num in letters.items()) + "."]


def _warnings(verdict: dict[str, Any] | None) -> list[str]:
    if verdict is None:
        return ["The data gate has not judged it."]
    false = [each for each in verdict["verdicts"] if not each["passed"]]
    said = [f"- {each['severity']}: {cell(each['reason'])}" for each in false]
    state = "passed" if verdict["passed"] else "blocked"
    return [f"The data gate: {state}, {len(false)} of {len(verdict['verdicts'])} claims are not true.", *said]


def _examples(products: Iterator[Product]) -> Iterator[tuple[object, ...]]:
    for product in islice(products, NUM_EXAMPLES):
        facets = ", ".join(f"{facet.attribute}: {facet.value}" for facet in product.facets)
        yield product.product_id, product.title, facets
