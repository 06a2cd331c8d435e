"""Registered candidates of the cheapest real model, and shorthands to promote them."""

from __future__ import annotations

from pathlib import Path

from facetmill.errors import PlatformError
from facetmill.gates.verdict import Decision, Verdict
from facetmill.models import model_class
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.registry import promotion, versions
from facetmill.registry.ledger import Entry
from facetmill.serving.package import package
from facetmill.training.checkpoint import save_model
from tests import small

from .conftest import Platform

CONFIG = small.DICTIONARY
SCHEMA = AttributeSchema((Attribute("colour", {"dark blue": 1, "red": 1}),))
TRAIN = [
    Product("1", "t", "jacket, dark blue", facets=(Facet("colour", "dark blue", (Span("title", 8, 17),)),)),
    Product("2", "t", "red cap", facets=(Facet("colour", "red", (Span("title", 0, 3),)),)),
]


def save_small(folder: Path) -> Path:
    """A real model, the cheapest one, as `save_model` leaves it."""
    save_model(model_class("dictionary").fit_vocabulary(CONFIG, SCHEMA, TRAIN), folder)
    return folder


def new_candidate(platform: Platform, model_dir: Path) -> int:
    """A fresh run with a packaged model, registered as a candidate."""
    tags = {"facetmill.model": "dictionary", "facetmill.dataset_version": "d" * 64}
    with platform.tracker.run("candidate", tags=tags) as run:
        package(model_dir, run, platform.tracker, tags=tags)
    tags["facetmill.dictionary_run"] = run.run_id
    return versions.register(platform.tracker, run.run_id, tags)


def accept(platform: Platform, version: int) -> Decision:
    live = live_version(platform)
    return Decision(True, (Verdict("beats_champion", True, "critical", 0.9, "> 0.8", "better"),), version, live)


def live_version(platform: Platform) -> int | None:
    live = versions.champion(platform.tracker)
    return None if live is None else int(live.version)


def promote(platform: Platform, version: int, decision: Decision | None = None, **options: object):  # type: ignore[no-untyped-def]
    options = {"smoke": lambda uri, tracking_uri: None, **options}
    decision = decision or accept(platform, version)
    return promotion.promote(platform.tracker, platform.ledger, version, decision, who="ada", why="spring", **options)


def fail(uri: str, tracking_uri: str) -> None:
    raise PlatformError(f"{uri} answers nonsense")


def last(platform: Platform) -> Entry:
    return platform.ledger.history()[-1]
