"""Asking a packaged model about products, in a process of its own, and believing nothing that it answers unchecked.

What is believed of an answer:

    product      the one that was asked about
    facets       at most `MAX_ENTRIES` entries; each has an attribute, a value, and a confidence (0..1) or none
    places       inside their field, where the text spells the value: the same letters as `encoders.folding` compares
                 them, spaces aside
    attributes   each once, with a probability (0..1)
    vocabulary   where it is known: attributes are the schema's; so are values, but for those that stand in the text
                 under a model that tags, and all of one that writes
    times        one for each timed product, in seconds
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facetmill.errors import NoAnswer, PlatformError
from facetmill.platform.isolated import run_isolated
from facetmill.records import Facet, Product
from facetmill.serving.answer import from_entries
from facetmill.serving.child import REPEATS, write_answers, write_looks
from facetmill.serving.request import MAX_ENTRIES, to_row
from facetmill.serving.vocabulary import Vocabulary, letters
from facetmill.terminal import brief
from facetmill.training.covered import PARTS

NUM_TIMED = 32
LOAD_SECONDS = 600.0  # loading alone may be slow on a busy machine
SECONDS_PER_PRODUCT = 2.0  # on top of it
MAX_BYTES_PER_PRODUCT = 1_000_000  # of an answer


@dataclass(frozen=True)
class Answers:
    """What a model found in each product, and the attributes that it predicts of it (None of a model that predicts
    values alone), in the order of the products; how long it took to load, and how long single requests of the first
    `NUM_TIMED` products took (the fastest of three each), in seconds."""

    facets: list[tuple[Facet, ...]]
    attributes: list[dict[str, float] | None]
    load_seconds: float
    latencies: list[float]


def query(
    model_uri: str,
    products: Sequence[Product],
    *,
    tracking_uri: str,
    load_seconds: float = LOAD_SECONDS,
    looked: bool = False,
    timed: Sequence[Product] | None = None,
    vocabulary: Vocabulary | None = None,
) -> Answers:
    """The answers of a package, by folder or MLflow URI.

    `looked` says that the words and boxes of the products are all there are; without it the package looks for itself
    where a product has none. Requests for the `timed` products are always sent so (by default the first `NUM_TIMED`).

    Raises `NoAnswer` when it does not load, dies, takes longer than `load_seconds` and two more per request, or answers
    what is not believed; the message names product, attribute and value.
    """
    timed = products[:NUM_TIMED] if timed is None else timed
    with tempfile.TemporaryDirectory() as folder:
        requests, answers, alone = (Path(folder) / f"{name}.jsonl" for name in ("requests", "answers", "timed"))
        _write_rows(requests, products, looked=looked)
        _write_rows(alone, timed, looked=False)
        try:
            run_isolated(
                write_answers,
                model_uri,
                tracking_uri,
                str(requests),
                str(answers),
                str(alone),
                what=model_uri,
                timeout=load_seconds + SECONDS_PER_PRODUCT * (len(products) + REPEATS * len(timed)),
            )
        except PlatformError as error:
            raise NoAnswer(str(error)) from error
        rows, load, latencies = _read(model_uri, answers, MAX_BYTES_PER_PRODUCT * (len(products) + 1), len(timed))
    if len(rows) != len(products):
        raise NoAnswer(f"{model_uri}: asked for {len(products)} products, answered {len(rows)}")
    found = [_checked(model_uri, product, row, vocabulary) for product, row in zip(products, rows, strict=True)]
    return Answers([facets for facets, _ in found], [attributes for _, attributes in found], load, latencies)


def query_looks(model_dir: Path, products: Sequence[Product]) -> list[dict[str, Any]]:
    """What a saved model made of each product, as `serving.child.write_looks` has it. The words and boxes of the
    products are all there are. Raises `NoAnswer` when it does not say."""
    with tempfile.TemporaryDirectory() as folder:
        requests, answers = Path(folder) / "requests.jsonl", Path(folder) / "answers.json"
        _write_rows(requests, products, looked=True)
        try:
            timeout = LOAD_SECONDS + SECONDS_PER_PRODUCT * (PARTS**2 + 2) * len(products)
            paths = (str(model_dir), str(requests), str(answers))
            run_isolated(write_looks, *paths, what=f"how {model_dir} looks", timeout=timeout)
            found: list[dict[str, Any]] = json.loads(answers.read_text(encoding="utf-8"))
        except (PlatformError, OSError, ValueError) as error:
            raise NoAnswer(str(error)) from error
    return found


def _write_rows(path: Path, products: Sequence[Product], *, looked: bool) -> None:
    """What is asked, as JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(json.dumps(to_row(p, looked=looked), ensure_ascii=False) + "\n" for p in products)


def _read(model_uri: str, path: Path, max_bytes: int, num_timed: int) -> tuple[list[Any], float, list[float]]:
    """The rows that the isolated process wrote, and its last line: seconds to load and of each request."""
    if path.stat().st_size > max_bytes:
        raise NoAnswer(f"{model_uri}: answered with {path.stat().st_size:,} bytes, more than {max_bytes:,}")
    try:
        *rows, timing = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        load, latencies = float(timing["load_seconds"]), [float(seconds) for seconds in timing["latencies"]]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise NoAnswer(f"{model_uri}: not answers but {type(error).__name__}: {error}") from error
    if len(latencies) != num_timed or not all(0 <= seconds < math.inf for seconds in (load, *latencies)):
        raise NoAnswer(f"{model_uri}: not the times of loading and of {num_timed} requests: {brief(timing)}")
    return rows, load, latencies


def _checked(
    model_uri: str, product: Product, row: Any, vocabulary: Vocabulary | None
) -> tuple[tuple[Facet, ...], dict[str, float] | None]:
    try:
        if row["product_id"] != product.product_id:
            raise NoAnswer(f"{model_uri}: asked for product {product.product_id!r}, got {brief(row['product_id'])}")
        if len(row["facets"]) > MAX_ENTRIES:
            raise ValueError(f"{len(row['facets']):,} facets, more than {MAX_ENTRIES:,}")
        facets = from_entries(row["facets"])
        for facet in facets:
            _require_valid(product, facet)
            if vocabulary is not None:
                vocabulary.require(facet)
        attributes = _attributes(row.get("attributes"), vocabulary)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoAnswer(f"{model_uri}: {product.product_id}: not an answer ({error}): {brief(row)}") from error
    return facets, attributes


def _attributes(entries: Any, vocabulary: Vocabulary | None) -> dict[str, float] | None:
    """Served attributes by name; packages made before there were any have none."""
    if entries is None:
        return None
    attributes: dict[str, float] = {}
    for entry in entries:
        name, probability = entry["attribute"], entry["probability"]
        if not isinstance(name, str) or not name:
            raise ValueError("an attribute without a name")
        if name in attributes:
            raise ValueError(f"attribute {name!r} comes twice")
        _require_share(probability, f"probability {brief(probability)} of {name!r}")
        if vocabulary is not None:
            vocabulary.require_attribute(name)
        attributes[name] = probability
    return attributes


def _require_valid(product: Product, facet: Facet) -> None:
    if not all(isinstance(text, str) and text for text in (facet.attribute, facet.value)):
        raise ValueError("a facet without attribute or value")
    said = f"{facet.attribute!r}: {brief(facet.value)}"
    if facet.confidence is not None:
        _require_share(facet.confidence, f"confidence {brief(facet.confidence)} of {said}")
    for span in facet.spans:
        if type(span.start) is not int or type(span.end) is not int:
            raise ValueError(f"{said} from {brief(span.start)} to {brief(span.end)}, which are not places")
        if span.field not in ("title", "text") or not 0 <= span.start < span.end <= len(product.field(span.field)):
            raise ValueError(f"{said} at {brief(span)}, which is not in the product")
        surface = product.surface(span)
        if surface != facet.value and letters(surface) != letters(facet.value):
            place = f"{span.field}[{span.start}:{span.end}]"
            raise ValueError(f"{said} at {place}, where the product says {brief(surface)}")


def _require_share(value: Any, what: str) -> None:
    if type(value) not in (int, float) or not 0 <= value <= 1:  # NaN is not, and True is no number
        raise ValueError(f"{what} is not in 0..1")
