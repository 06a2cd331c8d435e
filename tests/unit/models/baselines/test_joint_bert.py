"""Joint-BERT and Sep-BERT: which encoder learns from what."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import nn

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.joint_bert import JointBert
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from tests import small

SCHEMA = AttributeSchema((Attribute("Colour", {}),))
PRODUCTS = [Product("p", "s", "red shoe", facets=(Facet("Colour", "red", (Span("title", 0, 3),)),))]


def built(**changes: Any) -> JointBert:
    seed_everything(0)
    config = dataclasses.replace(small.JOINT_BERT, encoder=dataclasses.replace(small.TEXT, network="config"))
    return JointBert.fit_vocabulary(dataclasses.replace(config, **changes), SCHEMA, PRODUCTS).eval()


def learns(part: nn.Module | None) -> bool:
    return part is not None and any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())


def test_an_encoder_learns_from_both_tasks_or_each_from_its_own() -> None:
    for tasks, by_attributes, by_tags in (
        ("joint", (True, False), (True, False)),
        ("separate", (False, True), (True, False)),
    ):
        for number, expected in enumerate((by_attributes, by_tags)):
            model = built(tasks=tasks)
            logits = model.logits(model.collate(PRODUCTS))[number]
            logits[logits.isfinite()].sum().backward()
            assert (learns(model.encoder), learns(model.attribute_encoder)) == expected


def test_separate_encoders_begin_alike_and_a_frozen_one_is_shared() -> None:
    model = built(tasks="separate")
    assert model.attribute_encoder is not None
    pairs = zip(model.encoder.parameters(), model.attribute_encoder.parameters(), strict=True)
    assert all(one is not other and one.equal(other) for one, other in pairs)
    packaged = dataclasses.replace(small.TEXT, network="packaged", keep_layers=1, window=24)
    assert built(tasks="separate", encoder=dataclasses.replace(packaged, freeze=True)).attribute_encoder is None
    groups = built(tasks="separate", encoder=packaged).parameter_groups()
    assert len(groups["text"]) == 2 * len(built(encoder=packaged).parameter_groups()["text"])
    assert len(groups["fresh"]) == 4


def test_a_crf_is_all_that_its_decoder_adds() -> None:
    added = built(decoder="crf").state_dict().keys() - built().state_dict().keys()
    assert {name.partition(".")[0] for name in added} == {"crf"}
