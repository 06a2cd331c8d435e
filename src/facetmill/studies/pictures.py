"""Does M-JAVE use the picture where only the picture tells, and do its gates help where pictures mislead?

Asked of the demo catalogue, whose truth is known. Of two words for one attribute in a title ("Red / Blue") one is true
(`demo.variants`): the text cannot say which. In a second catalogue a third of the pictures show the other one, with a
badge in the corner that says so (`demo.stock_pictures`); there M-JAVE is trained with its gates and without. Who trusts
every picture is misled by those, who trusts none tells nothing.

As in the paper the image encoder is trained beforehand and frozen (`backbone.py`). That matters for the second one:
the badge is far from the product, so the regions that show the product do not tell whether to trust them, and attention
(3), which looks at one region at a time, cannot know either. The pooled picture of gate (6) does. A mark that every
region sees can be weighed by attention alone.

Everything is trained on the same products with the same seeds, so a difference is taken seed by seed; its interval is
Student's over the seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.intake.ingest import ingest
from facetmill.dataset.labels.match import match_shards
from facetmill.dataset.labels.splitting import split_shards
from facetmill.metrics.awareness import Awareness, image_awareness, with_other_pictures
from facetmill.metrics.score import score
from facetmill.metrics.tally import Tally
from facetmill.models import model_class
from facetmill.params import ImageEncoderParams, ModelConfig, Params, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product, Split, read_products
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions
from facetmill.studies.backbone import learn_backbone
from facetmill.training.fit import fit
from facetmill.training.predict import predict

LEVEL = 0.95
BATCH = 64
DROPOUT = 0.1

ONLY_THE_PICTURE_TELLS: dict[str, Any] = {"products": 4000, "image_size": 128, "variants": 0.9, "implicit": 0.1}
PICTURES_MISLEAD: dict[str, Any] = {**ONLY_THE_PICTURE_TELLS, "stock_pictures": 0.35}
BACKBONE_PRODUCTS = 4000

EYES: dict[str, Any] = {"network": "config", "freeze": False, "size": 128, "hidden_size": 64, "num_stages": 3}
BACKBONE_LEARNING: dict[str, Any] = {
    "augment": False,  # simulated pictures vary enough, and a badge that is moved out of the picture cannot be learned
    "epochs": 12,
}
_TEXT: dict[str, Any] = {"network": "bilstm", "hidden_size": 64}
_TRAINING: dict[str, Any] = {"epochs": 20, "learning_rate": 0.002, "patience": 8}


@dataclass(frozen=True)
class Arm:
    """One way to train, and the seeds' scores: value F1, and the share (0..1) of values written beside another for
    which exactly the true one was told."""

    name: str
    value_f1: tuple[float, ...]
    told_apart: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """`first` less `second` by seed: the mean and its 95 % interval."""

    what: str
    metric: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Pictures:
    """The study's table. `awareness` is of M-JAVE, one for each seed."""

    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]
    awareness: tuple[Awareness, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_pictures(params: Params, seeds: Sequence[int], log: Callable[[str], None]) -> Pictures:
    """Train all arms on all seeds; a line for each training goes to `log`. Needs at least two seeds."""
    if len(seeds) < 2:
        raise ValueError("an interval over seeds needs two of them")
    training = replace(params.training, **_TRAINING)
    with tempfile.TemporaryDirectory() as name:
        features = Path(name) / "features"
        eyes = ImageEncoderParams(**EYES)
        learning = replace(params.distant.training, image_encoder=eyes, **BACKBONE_LEARNING)
        backbone, _ = learn_backbone(learning, BACKBONE_PRODUCTS, Path(name) / "labeller", log)
        jave, m_jave = params.models.jave, params.models.m_jave
        blind = replace(jave, dropout=DROPOUT, encoder=replace(jave.encoder, **_TEXT))
        sees = replace(
            m_jave,
            dropout=DROPOUT,
            # As in the authors' code: with softmax the picture's part of a logit hardly depends on the token (3), (5).
            attn_norm="none",
            encoder=replace(m_jave.encoder, **_TEXT),
            image_encoder=replace(eyes, network=str(backbone), freeze=True),
        )
        open_gates = replace(sees, global_gate=False, regional_gate=False)

        def train(name: str, key: str, config: ModelConfig, products: _Products) -> _Trained:
            return _train(name, key, config, products, training, seeds, features, log)

        with _catalogue(params, ONLY_THE_PICTURE_TELLS) as products:
            without, _ = train("jave", "jave", blind, products)
            shown, answers = train("m_jave", "m_jave", sees, products)
            awareness = tuple(image_awareness(products.pictured, own, others) for own, others in answers)
        with _catalogue(params, PICTURES_MISLEAD) as products:
            gated, _ = train("m_jave, misled", "m_jave", sees, products)
            ungated, _ = train("m_jave without gates, misled", "m_jave", open_gates, products)
    differences = tuple(
        _difference(what, metric, getattr(first, metric), getattr(second, metric))
        for what, first, second in (
            ("m_jave - jave where only the picture tells", shown, without),
            ("gates - no gates where pictures mislead", gated, ungated),
        )
        for metric in ("told_apart", "value_f1")
    )
    return Pictures(tuple(seeds), (without, shown, gated, ungated), differences, awareness)


@dataclass(frozen=True)
class _Products:
    train: list[Product]
    validation: list[Product]
    test: list[Product]
    schema: AttributeSchema

    @property
    def pictured(self) -> list[Product]:
        return [product for product in self.test if product.images]


@contextmanager
def _catalogue(params: Params, knobs: Mapping[str, Any]) -> Iterator[_Products]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = SourceOptions(demo=replace(params.demo, **knobs))
        ingest(SOURCES["demo"], folder, options, folder / "ingested", folder / "report.json", max_bad_share=0)
        match_shards(folder / "ingested", folder / "matched", params.match)
        split_shards(folder / "matched", folder / "dataset", params.split)
        schema = AttributeSchema.from_json((folder / "dataset" / "schema.json").read_text(encoding="utf-8"))

        def read(split: Split) -> list[Product]:
            found = read_products(folder / "dataset" / split)
            return [replace(p, images=tuple(str(folder / image) for image in p.images)) for p in found]

        yield _Products(read("train"), read("validation"), read("test"), schema)


Answers = Sequence[Sequence[Facet]]
_Trained = tuple[Arm, list[tuple[Answers, list[Answers]]]]


def _train(
    name: str,
    key: str,
    config: ModelConfig,
    products: _Products,
    training: TrainingParams,
    seeds: Sequence[int],
    features: Path,
    log: Callable[[str], None],
) -> _Trained:
    """One arm; and of each seed what it answers with the products' own pictures and with those of others."""
    f1: list[float] = []
    predicted: list[float] = []
    answers: list[tuple[Answers, list[Answers]]] = []
    for seed in seeds:
        seed_everything(seed)
        model = model_class(key).fit_vocabulary(config, products.schema, products.train)
        seeded = replace(training, seed=seed)
        fit(
            model, products.train, products.validation, seeded, metric="value_f1", features_dir=features, progress=False
        )
        with compute_settings(training.threads):
            model.prepare(products.test, features)
            found = list(predict(model, products.test, BATCH))
            if "images" in model.reads:
                own = list(predict(model, products.pictured, BATCH))
                exchanged = with_other_pictures(products.pictured)
                answers.append((own, [list(predict(model, others, BATCH)) for others in exchanged]))
        f1.append(score(products.test, found).value_f1)
        predicted.append(told_apart(products.test, found))
        log(f"{name}, seed {seed}: value_f1 {f1[-1]:.3f}, told apart {predicted[-1]:.3f}")
    return Arm(name, tuple(f1), tuple(predicted)), answers


def told_apart(products: Sequence[Product], answers: Answers) -> float:
    """Of the values written beside another of the same attribute ("Red / Blue"), the share for which the answer holds
    the true one and no other; 0 where none is."""
    return sum((tally_variants(*about) for about in zip(products, answers, strict=True)), start=Tally()).f1


def tally_variants(product: Product, answer: Sequence[Facet]) -> Tally:
    """The same of one product. There are as many answers as questions, so precision, recall and F1 are that share."""
    asked = [facet for facet in product.facets if _is_beside_another(product, facet)]
    right = sum(
        [other.value.lower() for other in answer if other.attribute == facet.attribute] == [facet.value.lower()]
        for facet in asked
    )
    return Tally(right, len(asked), len(asked))


def _is_beside_another(product: Product, facet: Facet) -> bool:
    return any(
        product.field(span.field)[: span.start].endswith(" / ")
        or product.field(span.field)[span.end :].startswith(" / ")
        for span in facet.spans
    )


def _difference(what: str, metric: str, first: Sequence[float], second: Sequence[float]) -> Difference:
    by_seed = np.subtract(first, second)
    mean = float(by_seed.mean())
    margin = float(stats.sem(by_seed) * stats.t.ppf((1 + LEVEL) / 2, len(by_seed) - 1))
    return Difference(what, metric, mean, mean - margin, mean + margin)
