"""JG-AVE: one answer holds all that a product has; names that are no attributes are dropped from it."""

from __future__ import annotations

from dataclasses import replace

import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.jg_ave import JgAve
from facetmill.models.parts.prompts import Written
from facetmill.params import WrittenConfig
from facetmill.records import Attribute, AttributeSchema, Facet, Product
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small

CONFIG = WrittenConfig(
    **{name: getattr(small.DEFLATE, name) for name in WrittenConfig.__dataclass_fields__} | {"longest_answer": 32}
)
CONFIG = replace(CONFIG, image="none")
SCHEMA = AttributeSchema((Attribute("Season", {}), Attribute("Fit", {})))


def product(title: str, *facets: tuple[str, str]) -> Product:
    return Product(title, "s", title, facets=tuple(Facet(*facet) for facet in facets))


TRAIN = [
    product(f"{brand} {noun}", *facets)
    for brand in ("Acme", "Zed", "Bolt")
    for noun, facets in (
        ("wool coat", (("Season", "winter"), ("Fit", "wide"))),
        ("wool scarf", (("Season", "winter"),)),
        ("linen shirt", (("Season", "summer"), ("Season", "spring"), ("Fit", "slim"))),
        ("bag", ()),
    )
]


def built() -> JgAve:
    seed_everything(0)
    return JgAve.fit_vocabulary(CONFIG, SCHEMA, TRAIN)


def test_it_writes_all_that_a_product_has_in_one_answer_and_nothing_of_one_that_has_nothing() -> None:
    model = built()
    fit(
        model,
        TRAIN,
        TRAIN[:4],
        replace(small.TRAINING, epochs=8, min_epoch_steps=20, batch_size=8, learning_rate=0.004),
    )
    asked = [product("Bolt linen shirt"), product("Acme bag")]
    shirt, bag = ({(f.attribute, f.value) for f in facets} for facets in predict(model, asked, 4))
    assert shirt == {("Season", "summer"), ("Season", "spring"), ("Fit", "slim")}
    assert bag == set()


def test_an_answer_is_read_by_its_names_in_any_order_and_case() -> None:
    model = built()
    prompts = model._prompts

    def answer(*parts: tuple[str, list[str]]) -> list[Facet]:
        ids: list[int] = []
        for name, values in parts:
            said = [*prompts.tokenizer.encode([name])[0], prompts.asks, *prompts.of_values(values)]
            ids += [prompts.next, *said] if ids else said
        return model._facets(TRAIN[0], Written(ids, [-0.01] * (len(ids) + 1)))

    found = answer(("fit", ["wide"]), ("Price", ["9"]), ("Season", ["winter", "autumn"]), ("Season", ["Winter"]))
    assert [(f.attribute, f.value) for f in found] == [("Season", "Winter"), ("Season", "autumn"), ("Fit", "wide")]
    assert all(f.confidence is not None and 0 < f.confidence < 1 for f in found)
    assert answer(("Season", [])) == []


def test_the_order_of_an_answer_is_drawn_when_it_is_learned_from_and_none_otherwise() -> None:
    model = built()
    torch.manual_seed(0)
    answers = {tuple(model.collate_to_learn(TRAIN[:1]).answer_PL[0].tolist()) for _ in range(20)}
    assert len(answers) == 2
    assert tuple(model.collate(TRAIN[:1]).answer_PL[0].tolist()) in answers
