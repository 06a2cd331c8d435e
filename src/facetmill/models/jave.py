"""JAVE: joint attribute and value extraction from text. `m_jave.py` is the same model with pictures.

Source: Zhu, Wang, Li, Wu, He, Zhou. "Multimodal Joint Attribute Prediction and Value Extraction for E-commerce
Product." EMNLP 2020. The equations stand in `parts/joint.py` under the paper's numbers.

The rows of the paper's Tables 3, 5 and 6 are settings:

    JAVE-LSTM, JAVE-BERT     encoder: bilstm; any other
    w/o MTL                  tasks: separate
    w/o AttrPred             use_attributes: false
    w/o KL                   kl_weight: 0
    UB attribute, UB value   tasks: values_given; attributes_given
    M-JAVE and its rows      the model m_jave

Differs from the paper:
 1. Output projections stand before the sigmoid of (7) and the softmax of (9), as in the authors' code: without them the
    printed shapes do not fit.
 2. The text encoder may be trained further; the authors' features are frozen. Dropout is applied to its states.
 3. (2) may go without softmax (`attn_norm: none`), (13) may be a mean (`kl_reduction: mean`): so in the authors' code.
 4. A long text is several windows. Each is tagged on its own, weighs as its share of the product in the loss, and its
    attributes are those whose values it holds. The paper cuts texts off at 46 characters.
 5. An attribute whose value the text does not hold (an implicit facet) is a positive of the attribute task, in every
    window, but is left out of (13): its tags should not agree that it is there. The paper has none.
 6. A value of one token has no I, so its q of (12) stays below 0.5 unless a wrong token is tagged I, which (13) then
    rewards. `kl_tags: begin` asks B alone; see README.md for what it is worth.
 7. A decoded value that begins or ends inside a word is widened to the whole word; the paper tags Chinese characters.
 8. Tags are decoded by argmax, and attribute predictions do not filter them, as in the paper. What is predicted are
    facets, so an attribute without a value in the text is none; `attributes` tells those.
 9. The paper does not say how "w/o MTL" was trained. Here two networks, each with encoders of its own unless they are
    frozen, learn side by side; the value network reads the other's predictions, sends nothing back, and (13) is out.
10. With `values_given` the tags in (12) are the true ones, and what is predicted are the attributes found and the true
    values of those. With `attributes_given` ya is the truth.
11. A product of a known category can only have attributes that this category has in train (`category_attributes`). It
    costs the facets that each run counts as `test/facets_outside_category`; the paper's products are all clothing.

Shapes: B windows, T tokens with specials and padding, E width of the encoder, D attention size, A attributes,
G = 2A + 1 tags, N tokens of all products. Masks: 1 = real.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.phase import Losses
from facetmill.encoders.main_picture import PictureBatch, RegionSource, image_states
from facetmill.encoders.text import TextEncoder, is_pretrained
from facetmill.encoders.vision import ImageEncoder
from facetmill.encoders.windows import TextBatch, text_states
from facetmill.files import read_json, write_json
from facetmill.models.base import Answer, Answers, Model, Reads
from facetmill.models.parts.joint import (
    AttributeHead,
    Gathered,
    Gathering,
    ImageTerms,
    ValueHead,
    agreement_loss,
    attribute_loss,
    tagged_attributes,
    value_loss,
)
from facetmill.models.parts.labels import (
    TaggedBatch,
    attributes_by_category,
    attributes_told,
    facets_told,
    labelled,
)
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.sight import Sight
from facetmill.models.parts.tagging import num_tags
from facetmill.models.parts.text_input import TextInput
from facetmill.models.space import Space, around, suggest_rate, suggest_training
from facetmill.params import JaveConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_C = TypeVar("_C", bound=JaveConfig)

IMPOSSIBLE = -1e4  # a logit whose probability is 0; an infinite one would make its loss 0 * inf
SURE = 30.0  # a logit whose probability is 1, and minus it 0, but for the thirteenth digit

#: How names of weights began before pictures joined, and before one product read the regions: champions of then must
#: still load.
_FORMER_NAMES = {
    "value_head.gate.region.": "trunk.gathering.region.",
    "encoder.": "trunk.encoder.",
    "head.attention.": "trunk.gathering.text.",
    "head.pool_": "attribute_head.pool_",
    "head.attributes.": "attribute_head.attributes.",
    "head.tag_": "value_head.",
    "head.tags.": "value_head.tags.",
}


class Trunk(nn.Module):
    """The encoders, and what each token gathers from their states."""

    def __init__(
        self, encoder: TextEncoder, image_encoder: RegionSource | None, terms: ImageTerms | None, config: JaveConfig
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.image_encoder = image_encoder
        self.dropout = nn.Dropout(config.dropout)
        self.gathering = Gathering(encoder.width, config.attention_size, config.attn_norm, terms)

    def forward(self, text: TextBatch, pictures: PictureBatch | None) -> Gathered:
        states_BTE, text_BE = text_states(text, self.encoder)
        image = None
        if self.image_encoder is not None and pictures is not None:
            image = image_states(pictures, self.image_encoder)
            image = replace(image, region_BKE=self.dropout(image.region_BKE))
        read: Gathered = self.gathering(self.dropout(states_BTE), self.dropout(text_BE), text.token_mask_BT, image)
        return read

    def apart(self, terms: ImageTerms | None, config: JaveConfig) -> Trunk:
        """A trunk that learns apart from this one; only frozen encoders are shared."""
        encoder, image_encoder = self.encoder, self.image_encoder
        if not encoder.frozen:
            encoder = copy.deepcopy(encoder)
        if image_encoder is not None and not image_encoder.frozen:
            image_encoder = copy.deepcopy(image_encoder)
        return Trunk(encoder, image_encoder, terms, config)


def suggest(
    trial: BaseTrial, config: _C, training: TrainingParams, *, encoder_learns: bool | None = None
) -> tuple[_C, TrainingParams]:
    """Learning rates and batch size, then what regularises: dropout, the KL term, the width of attention.

    `encoder_learning_rate` is varied only where a pretrained encoder is trained further: the text encoder, by the
    config, unless the caller knows better.
    """
    config = replace(
        config,
        attention_size=trial.suggest_categorical("attention_size", around(config.attention_size, 100, 200, 300)),
        dropout=trial.suggest_float("dropout", 0.0, max(0.5, config.dropout)),
        kl_weight=trial.suggest_float("kl_weight", 0.0, max(1.0, config.kl_weight)),
    )
    _, training = suggest_training(trial, config, training)
    if text_encoder_learns(config) if encoder_learns is None else encoder_learns:
        rate = suggest_rate(trial, "encoder_learning_rate", training.encoder_learning_rate)
        training = replace(training, encoder_learning_rate=rate)
    return config, training


def text_encoder_learns(config: JaveConfig) -> bool:
    """Whether a pretrained text encoder is trained further."""
    return is_pretrained(config.encoder) and not config.encoder.freeze


class JointTagger(Model):
    """The model, with or without `sight` of pictures.

    `attribute_trunk` is there with `tasks: separate` alone; a head is missing where its answers are given.
    """

    answers: ClassVar[Answers] = "tags"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    space: ClassVar[Space] = Space(
        suggest, ("attention_size", "dropout", "kl_weight"), ("batch_size", "learning_rate", "encoder_learning_rate")
    )
    config: JaveConfig

    def __init__(
        self,
        config: JaveConfig,
        schema: AttributeSchema,
        text: TextInput,
        counts: Mapping[str, int],
        sight: Sight | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        width, size, num_attributes = text.encoder.width, config.attention_size, len(schema.names)
        tagged = config.tasks != "values_given"
        terms = None if sight is None else sight.terms
        untagged_terms = None if terms is None else replace(terms, in_tags=False)  # w10 would learn nothing
        image_encoder = None if sight is None else sight.encoder
        self.trunk = Trunk(text.encoder, image_encoder, terms if tagged else untagged_terms, config)
        self.attribute_trunk = self.trunk.apart(untagged_terms, config) if config.tasks == "separate" else None
        self.attribute_head: AttributeHead | None = None
        self.value_head: ValueHead | None = None
        if config.tasks != "attributes_given":
            self.attribute_head = AttributeHead(width, num_attributes, size)
        if tagged:
            self.value_head = ValueHead(width, num_attributes, size, use_attributes=config.use_attributes, terms=terms)
        self._numbers = {name: number for number, name in enumerate(schema.names)}
        self._categories = attributes_by_category(schema) if config.category_attributes else {}
        self._counts = dict(counts)
        self._text = text
        self._sight = sight

    @classmethod
    def fitted(cls, config: JaveConfig, schema: AttributeSchema, train: Iterable[Product], sight: Sight | None) -> Self:
        """`fit_vocabulary`, for a model with or without pictures."""
        products = list(train)
        text = TextInput.fitted(config.encoder, products, category=False)
        counts = text.count(products, {name: number for number, name in enumerate(schema.names)})
        if sight is not None:
            counts.update(sight.count(products))
        return cls(config, schema, text, counts, sight)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        self._text.prepare(products, features_dir, dtype)
        if self._sight is not None:
            self._sight.prepare(products, features_dir, dtype)

    def collate(self, products: Sequence[Product]) -> TaggedBatch:
        return labelled(products, self._text, self._sight, self._numbers, self._categories)

    def forward(self, batch: TaggedBatch) -> tuple[Tensor, Tensor]:
        """Attribute logits [B,A] and tag logits [B,T,G]; those that are given are as sure as can be."""
        read = self.trunk(batch.text, batch.pictures)
        if self.attribute_head is None:
            attribute_BA = SURE * (2 * batch.attributes_BA - 1)
        elif self.attribute_trunk is None:
            attribute_BA = self.attribute_head(read)
        else:
            attribute_BA = self.attribute_head(self.attribute_trunk(batch.text, batch.pictures))
        attribute_BA = attribute_BA.masked_fill(~batch.possible_BA, -SURE)
        if self.value_head is None:
            tag_BTG = SURE * F.one_hot(batch.tags_BT, num_tags(len(self.schema.names))).to(attribute_BA.dtype)
        else:
            predicted_BA = attribute_BA.sigmoid()
            tag_BTG = self.value_head(read, predicted_BA if self.attribute_trunk is None else predicted_BA.detach())
            tag_BTG = tag_BTG.masked_fill(~batch.possible_BG[:, None], IMPOSSIBLE)
        return attribute_BA, tag_BTG

    def loss(self, batch: TaggedBatch) -> Losses:
        attribute_BA, tag_BTG = (logits.float() for logits in self(batch))  # whatever precision they come in
        mask_BT = batch.text.token_mask_BT
        losses_B = {}
        if self.attribute_head is not None:
            losses_B["attribute"] = attribute_loss(attribute_BA, batch.attributes_BA)
        if self.value_head is not None:
            losses_B["value"] = value_loss(tag_BTG, batch.tags_BT, mask_BT)
        if self.config.kl_weight > 0 and self.attribute_trunk is None:
            tagged_BA = tagged_attributes(tag_BTG, mask_BT, self.config.kl_tags)
            reduction, form = self.config.kl_reduction, self.config.kl_form
            losses_B["kl"] = agreement_loss(attribute_BA, tagged_BA, batch.agree_BA, mask_BT, reduction, form)
        parts = {name: (loss_B * batch.weight_B).sum() / batch.num_products for name, loss_B in losses_B.items()}
        weights = {"attribute": 1.0, "value": 1.0, "kl": self.config.kl_weight}
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()  # (14)
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def predict(self, batch: TaggedBatch) -> list[list[Facet]]:
        return [list(answer.facets) for answer in self.answer(batch)]

    def attributes(self, batch: TaggedBatch) -> list[dict[str, float]]:
        """Those above `threshold`; the probability of a long text is the highest of its windows."""
        return [dict(answer.attributes or {}) for answer in self.answer(batch)]

    @torch.no_grad()
    def answer(self, batch: TaggedBatch) -> list[Answer]:
        attribute_BA, tag_BTG = self(batch)
        confidence_BT, tag_BT = tag_BTG.softmax(-1).max(-1)
        names = self.schema.names
        told = attributes_told(batch, attribute_BA.sigmoid(), self.config.threshold, names)
        found = facets_told(batch, tag_BT, confidence_BT, names)
        if self.value_head is None:
            found = [[f for f in facets if f.attribute in own] for facets, own in zip(found, told, strict=True)]
        return [Answer(facets, attributes) for facets, attributes in zip(found, told, strict=True)]

    def save_assets(self, folder: Path) -> None:
        self._text.save(folder)
        write_json(folder / "report.json", self._counts)
        if self._sight is not None:
            self._sight.save(folder)

    @classmethod
    def loaded(cls, config: JaveConfig, schema: AttributeSchema, folder: Path, sight: Sight | None) -> Self:
        """`load_assets`, for a model with or without pictures."""
        text = TextInput.loaded(config.encoder, folder, category=False)
        return cls(config, schema, text, read_json(folder / "report.json"), sight)

    @classmethod
    def current_names(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        def current(name: str) -> str:
            former = next((start for start in _FORMER_NAMES if name.startswith(start)), "")
            return _FORMER_NAMES.get(former, "") + name.removeprefix(former)

        return {current(name): weight for name, weight in weights.items()}

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder, image=ImageEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts


class Jave(JointTagger):
    key: ClassVar[str] = "jave"

    @classmethod
    def fit_vocabulary(cls, config: JaveConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        return cls.fitted(config, schema, train, None)

    @classmethod
    def load_assets(cls, config: JaveConfig, schema: AttributeSchema, folder: Path) -> Self:
        return cls.loaded(config, schema, folder, None)
