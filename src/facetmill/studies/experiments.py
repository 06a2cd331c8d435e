"""The experiments that JAVE's, ULS-DRAM's and PAM's papers are asked by: what is trained on which simulated products.

Each has the catalogue in which its claim can show: titles that leave open what a picture tells, pictures that mislead,
pictures with another product in them, packs that say more than titles. Products have their titles alone, or these and
their packs, and encoders are small or frozen where the claim is not about them, so that all take minutes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from facetmill.encoders.folding import fold_value
from facetmill.metrics.counted import counted
from facetmill.metrics.resampling import f1_of
from facetmill.metrics.tally import Tally
from facetmill.params import Params
from facetmill.records import Facet, Product
from facetmill.runs.train import Recipe, recipe_of
from facetmill.studies.arms import Part, parts_of
from facetmill.studies.effect import ScoreOf, precision_of
from facetmill.studies.folds import folds
from facetmill.studies.lines import changed
from facetmill.studies.pictures import EYES, ONLY_THE_PICTURE_TELLS, PICTURES_MISLEAD, tally_variants

FEW_ATTRIBUTES = 4

#: What is shown of a product.
Shown = Callable[[Product], Product]


def titled(product: Product) -> Product:
    """The product with its title alone, and the values that stand in it."""
    facets = (replace(f, spans=tuple(span for span in f.spans if span.field == "title")) for f in product.facets)
    return replace(product, text="", facets=tuple(facet for facet in facets if facet.spans), ocr=(), regions=())


def packed(product: Product) -> Product:
    """The product with its title, the words on its pack, and all its values."""
    facets = (replace(f, spans=tuple(span for span in f.spans if span.field == "title")) for f in product.facets)
    return replace(product, text="", facets=tuple(facets))


class Draw(Protocol):
    """Draws products with these knobs of the demo catalogue. Their pictures are there as long as the experiment is."""

    def __call__(self, knobs: Mapping[str, Any], shown: Shown = titled) -> list[Product]: ...


@dataclass(frozen=True)
class Workshop:
    """What experiments are made of. `backbone` learns the image encoder that can see (`backbone.py`), or finds it."""

    params: Params
    draw: Draw
    backbone: Callable[[], Path]

    def eyes(self, *, freeze: bool) -> dict[str, Any]:
        """That encoder, as a section of params.yaml has it."""
        return {**EYES, "network": str(self.backbone()), "freeze": freeze}


@dataclass(frozen=True)
class Metric:
    """A score in words, what is counted of one answer, and the score of such counts."""

    name: str
    tally: Callable[[Product, Sequence[Facet]], Tally]
    of: ScoreOf


def _pairs(product: Product, answer: Sequence[Facet]) -> Tally:
    return counted(product, answer, "pair_f1").tally


def tally_beyond_title(product: Product, answer: Sequence[Facet]) -> Tally:
    """Of the values that do not stand in the title."""
    gold, told = (
        {(facet.attribute, fold_value(facet.value)) for facet in facets if not facet.spans}
        for facets in (product.facets, answer)
    )
    return Tally.of(gold, told)


def _values(product: Product, answer: Sequence[Facet]) -> Tally:
    return counted(product, answer, "value_f1").tally


VALUE_F1 = Metric("value F1", _values, f1_of)
VALUE_PRECISION = Metric("value precision", _values, precision_of)
PAIR_F1 = Metric("pair F1", _pairs, f1_of)
BEYOND_TITLE = Metric("F1 of values that no title has", tally_beyond_title, f1_of)
TOLD_APART = Metric("values told apart", tally_variants, f1_of)


@dataclass(frozen=True)
class Side:
    """What is trained, on which products, and whether it is asked about those `elsewhere` instead of the test split."""

    name: str
    recipe: Recipe
    part: Part
    elsewhere: bool = False


@dataclass(frozen=True)
class Experiment:
    """The effect is the scores of the sides in `more` together, less those in `less`; of four sides it is what one of
    two models gains more than the other. All are asked about the same products."""

    metric: Metric
    more: tuple[Side, ...]
    less: tuple[Side, ...]


@dataclass(frozen=True)
class Claim:
    """`says` is what the paper claims and where, `here` what is measured here."""

    name: str
    says: str
    here: str
    experiment: Callable[[Workshop], Experiment]


def _part(products: Sequence[Product], test_folds: int) -> Part:
    """So many of five folds are tested on."""
    fold_of = folds(products)
    split = [replace(p, split="test" if fold_of[p.group_id] < test_folds else None) for p in products]
    _, [part] = parts_of(split)
    return part


def _recipe(params: Params, key: str, settings: Mapping[str, Any], **training: Any) -> Recipe:
    recipe = recipe_of(params, key)
    # In no paper's data does a category say which attributes there are, and no paper's model keeps to one value
    # or looks anything up.
    config = changed(recipe.config, {"category_attributes": False, **settings})
    learning = replace(params.training, one_value=False, dictionary_fills=None, **training)
    return replace(recipe, config=config, training=learning, metric="value_f1")


_LSTM = {"network": "bilstm", "hidden_size": 64}
_MINILM = {"network": "packaged", "keep_layers": 3, "window": 64}
_TRANSFORMER = {"network": "config", "hidden_size": 64, "num_layers": 2, "window": 64}


def _joint_learning(made: Workshop) -> Experiment:
    part = _part(made.draw({"products": 2000, "missing_images": 1.0}), test_folds=3)

    def side(name: str, tasks: str) -> Side:
        recipe = _recipe(made.params, "jave", {"encoder": _LSTM, "tasks": tasks}, epochs=15, learning_rate=0.002)
        return Side(name, recipe, part)

    return Experiment(VALUE_F1, more=(side("JAVE", "joint"),), less=(side("two networks", "separate"),))


def _gates(made: Workshop) -> Experiment:
    part = _part(made.draw({**PICTURES_MISLEAD, "products": 4000}), test_folds=2)

    def side(name: str, *, gates: bool) -> Side:
        settings = {
            "encoder": _LSTM,
            "image_encoder": made.eyes(freeze=True),
            "attn_norm": "none",  # as in the authors' code, see `pictures.py`
            "global_gate": gates,
            "regional_gate": gates,
        }
        return Side(name, _recipe(made.params, "m_jave", settings, epochs=15, learning_rate=0.002, patience=6), part)

    return Experiment(TOLD_APART, more=(side("gates", gates=True),), less=(side("no gates", gates=False),))


def _fine_tuning(made: Workshop) -> Experiment:
    part = _part(made.draw({"products": 1200}), test_folds=3)

    def side(name: str, *, freeze: bool) -> Side:
        settings = {"encoder": {**_MINILM, "freeze": freeze}, "image_encoder": made.eyes(freeze=freeze)}
        return Side(name, _recipe(made.params, "m_jave", settings, epochs=8), part)

    learns, frozen = side("M-JAVE, fine-tuned", freeze=False), side("M-JAVE, frozen", freeze=True)
    return Experiment(VALUE_F1, more=(learns,), less=(frozen,))


def _distractors(made: Workshop) -> Experiment:
    """Every second picture to learn from has another product beside its own; a test product is asked about with its
    own picture alone, and with another product beside it."""
    part = _part(made.draw({**ONLY_THE_PICTURE_TELLS, "products": 3000, "missing_images": 0.0}), test_folds=2)
    rest = [*part.train, *part.validation]
    part = Part(
        "distracted",
        tuple(with_other_product(p, rest, both=number % 2 == 0) for number, p in enumerate(part.train)),
        tuple(with_other_product(p, rest, both=number % 2 == 0) for number, p in enumerate(part.validation)),
        tuple(with_other_product(p, part.test, both=True) for p in part.test),
        elsewhere=tuple(with_other_product(p, part.test, both=False) for p in part.test),
    )

    def sides(name: str, **settings: Any) -> tuple[Side, Side]:
        """Asked about pictures with another product in them, and about those without."""
        read = {"encoder": _TRANSFORMER, "image_encoder": made.eyes(freeze=True), "range": "none", **settings}
        recipe = _recipe(made.params, "uls_dram", read, epochs=12, learning_rate=0.002)
        return Side(f"{name}, another in the picture", recipe, part), Side(f"{name}, alone", recipe, part, True)

    tir, tir_alone = sides("TIR", vision="tir", tir_softmax=False)
    joined, joined_alone = sides("ULS-VL", vision="joined")
    return Experiment(TOLD_APART, more=(tir, joined_alone), less=(tir_alone, joined))


def with_other_product(product: Product, others: Sequence[Product], *, both: bool) -> Product:
    """The product's picture on one side of a wider one, on the other side that of a product of another category, or
    nothing; written beside the first picture."""
    chance = random.Random(product.product_id)
    path = Path(product.images[0])
    own = Image.open(path)
    wide = Image.new("RGB", (2 * own.width, own.height), "white")
    places = [(0, 0), (own.width, 0)]
    chance.shuffle(places)
    wide.paste(own, places[0])
    if both:
        other = chance.choice([each for each in others if each.category != product.category])
        wide.paste(Image.open(other.images[0]), places[1])
    made = path.with_name(f"{path.stem}-{'both' if both else 'alone'}.png")
    wide.save(made)
    return replace(product, images=(str(made),))


def _growing_range(made: Workshop) -> Experiment:
    products = made.draw({"products": 2000, "missing_images": 1.0})
    every = Counter(facet.attribute for product in products for facet in product.facets)

    def sides(num_attributes: int) -> tuple[Side, Side]:
        """With PAR and without, where there are so many attributes, the commonest ones."""
        names = {name for name, _ in every.most_common(num_attributes)}
        known = [replace(p, facets=tuple(f for f in p.facets if f.attribute in names), absent=()) for p in products]
        part = _part(known, test_folds=3)

        def side(name: str, policy: str) -> Side:
            settings = {"encoder": _LSTM, "vision": "none", "range": policy}
            recipe = _recipe(made.params, "uls_dram", settings, epochs=12, learning_rate=0.002)
            return Side(f"{name}, {num_attributes} attributes", recipe, part)

        return side("PAR", "proto"), side("no PAR", "none")

    (par, without), (par_few, without_few) = sides(len(every)), sides(FEW_ATTRIBUTES)
    return Experiment(VALUE_PRECISION, more=(par, without_few), less=(without, par_few))


PACKED = ("Tea", "Candles")  # categories whose packs say something
_PAM = {
    "encoder": _LSTM,
    "ocr": "words",
    "objects": "none",
    "fusion": {"hidden_size": 64},
    "category_attributes": True,  # whoever asks PAM knows that the attribute applies
}


def _pam(made: Workshop, name: str, part: Part, **settings: Any) -> Side:
    recipe = _recipe(made.params, "pam", {**_PAM, **settings}, epochs=15, learning_rate=0.002, patience=6)
    return Side(name, recipe, part)


def _packs(made: Workshop) -> Experiment:
    drawn = made.draw({"products": 2400, "missing_images": 0.0}, packed)
    part = _part([product for product in drawn if product.category in PACKED], test_folds=2)
    more, less = _pam(made, "packs read", part), _pam(made, "packs not read", part, ocr="none")
    return Experiment(BEYOND_TITLE, more=(more,), less=(less,))


def _category_vocabulary(made: Workshop) -> Experiment:
    part = _part(made.draw({"products": 1200, "missing_images": 0.0}, packed), test_folds=2)
    more = _pam(made, "a vocabulary for each category", part)
    return Experiment(PAIR_F1, more=(more,), less=(_pam(made, "one for all", part, vocabulary="shared"),))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "joint-learning",
        "Attributes and values learned together beat two networks of their own (JAVE, table 5).",
        "JAVE less two networks",
        _joint_learning,
    ),
    Claim(
        "gates",
        "The picture's gates suppress pictures that mislead (M-JAVE, table 6 and figure 5).",
        "gates less no gates, a third of the pictures misleading",
        _gates,
    ),
    Claim(
        "fine-tuning",
        "Encoders that learn on beat frozen ones (ULS-DRAM, section 4.3).",
        "M-JAVE with both encoders fine-tuned, less both frozen",
        _fine_tuning,
    ),
    Claim(
        "distractors",
        "What the text asks of a picture leaves out distractors, which harm a joined sequence (ULS-DRAM, table 2).",
        "what TIR loses by another product in the picture, less than ULS-VL",
        _distractors,
    ),
    Claim(
        "growing-range",
        "A range of attributes for each product saves precision, the more attributes there are (ULS-DRAM, table 5).",
        "what PAR adds with all attributes, less with few",
        _growing_range,
    ),
    Claim(
        "packs",
        "Words on packs recover values that titles lack (PAM, table 5).",
        "PAM less PAM w/o OCR",
        _packs,
    ),
    Claim(
        "category-vocabulary",
        "Words of a category's own values beat words that all categories share (PAM, table 6).",
        "PAM less PAM w/o dynamic vocabulary",
        _category_vocabulary,
    ),
)
