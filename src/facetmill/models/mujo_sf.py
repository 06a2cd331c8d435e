"""MuJo-SF: all slots of a product filled at once, each with one of its candidate values or with none.

Source: Jia, Shen, Luu, Chen, Xu, Liao, Yuan, He. "MuJo-SF: Multimodal Joint Slot Filling for Attribute Value Prediction
of E-commerce Commodities." IEEE Transactions on Multimedia, 2024; section III-C.

What the text tells of a slot is read by the slot's name, alone (local) and among all names (global). The candidate is
chosen that lies nearest to what was found, in the space of an encoder that does not learn, so a value that is added to
the schema needs no training (`ask`). What the picture tells has one vector, and a head of its own for each slot. Which
slots are told by which is `image_slots`. The rows of its tables are settings:

    MuJo-SF                       ca: patches (or pooled), image_slots: schema, image_slots_read: picture
    w/o cross attention           ca: none
    w/o T-D loss, w/o I-D loss    text_weight: 0, image_weight: 0
    MuJo-SF on MEPAVE             image_slots: []
    Jo-SF (text only)             image_slots: [], ca: none
    OMFA                          heads: one
    LSTM, BERT                    heads: one, ca: none
    Inception-v4, Swin, CLIP      image_slots: all, image_slots_read: picture, ca: none

Differs from the paper:
 1. The picture's keys in (4) are its patches; with its one vector, as printed, the softmax is always 1 (`ca: pooled`).
 2. Texts are read whole, in windows where they are long. A product without a picture has no Z in (5) and teaches its
    image-dependent slots nothing. These stay silent, or are told by the text too (`image_slots_read: both`): then the
    probabilities by text and by picture are multiplied, of which each has its loss.
 3. Attention has one projection, of what asks, as (4) prints it; that of slots is not printed. What slots gather is
    projected by weights that begin as the identity, where widths allow it.
 4. Points may be centred and scaled (`value_scale: standard`), without which the softmax of (7) can be no surer than
    the encoder's points are far apart, and be the mean state of a name's tokens (`value_pooling: mean`).
 5. A slot may be unknown, and then teaches nothing (`unsaid: unknown`); the paper's are all "none" where nothing was
    said. (8) and (11) are means over a product's known slots. One with several values is right by any of them.
 6. Rare values may count for more: `balance` weighs them by the inverse of their frequency, or adds the logarithm of
    it to the logits that are learned from (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021).
 7. OMFA is not printed: here a head for each slot above the mean token and the picture, each having seen the other,
    joined as in (9). A tower of text has the mean token.
 8. What the words of a text tell, in whatever order, may be added to (7) or stand in its place (`text_by`); to (10), a
    weight that is learned for values whose names stand on the pack (`pack_words`). What text and picture say may be
    weighed by held-out products (`weigh`), as `training.calibrate` does.

The equations stand in `parts/slot_filling.py` under the paper's numbers.

Shapes: P products, B windows, N tokens of a product, E width of the text encoder, S slots, of the whole model or of a
side, V candidates of the slot that has the most. Masks: 1 = real.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor, nn

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses
from facetmill.encoders.main_picture import PictureBatch, RegionSource, image_states
from facetmill.encoders.text import GivenTextEncoder, TextEncoder, is_pretrained
from facetmill.encoders.vision import ImageEncoder, is_pretrained_image
from facetmill.encoders.windows import TextBatch, text_states, token_states
from facetmill.errors import ParamsError
from facetmill.files import read_json, write_json
from facetmill.models.base import Answer, Answers, Model, Reads
from facetmill.models.parts.candidates import Candidates, Labels, labels, with_train_values
from facetmill.models.parts.labels import attributes_by_category
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.pack_words import written
from facetmill.models.parts.sight import Sight, build_regions, load_regions
from facetmill.models.parts.slot_filling import OneVector, PictureSide, Places, TextSide, chosen
from facetmill.models.parts.slot_names import SlotNames
from facetmill.models.parts.slot_sides import Sides, bags_words, looks, reads_text
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.value_space import ValueSpace
from facetmill.models.parts.word_bag import WordBag, Words, read_words
from facetmill.models.space import Space, suggest_rate, suggest_training
from facetmill.params import MujoSfConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

COUNTED_AT_ONCE = 256  # products: what is known of more at once is large
MIN_WEIGHED = 20  # slots that both sides tell
TRUSTS = tuple(step / 10 for step in range(1, 16))


@dataclass(frozen=True)
class SlotBatch(TensorBatch):
    """What is read of some products, and what is known of them (`parts/candidates.py`)."""

    products: tuple[Product, ...]
    text: TextBatch | None
    words: Words | None
    pictures: PictureBatch | None
    written_PSV: Tensor | None
    true_PSV: Tensor
    known_PS: Tensor
    possible_PS: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)


@dataclass(frozen=True)
class Told:
    """The logits of the slots that the text tells, and of those that the picture tells, float32 [P,S,V]; None of a side
    that has none, or without a picture in the batch. `shown_P` says which products have one."""

    text_PSV: Tensor | None
    picture_PSV: Tensor | None
    shown_P: Tensor


def suggest(trial: BaseTrial, config: MujoSfConfig, training: TrainingParams) -> tuple[MujoSfConfig, TrainingParams]:
    """Dropout, how much the picture's loss counts, batch size and the learning rate of new weights; that of published
    encoders as well, where one learns."""
    config = replace(config, dropout=trial.suggest_float("dropout", 0.0, max(0.6, config.dropout)))
    if config.heads == "separate" and config.text_weight and config.image_weight:  # of one loss a weight is a rate
        weight = trial.suggest_float("image_weight", config.image_weight / 3, config.image_weight * 3, log=True)
        config = replace(config, image_weight=weight)
    _, training = suggest_training(trial, config, training)
    text_learns = is_pretrained(config.encoder) and not config.encoder.freeze
    if text_learns or (is_pretrained_image(config.image_encoder) and not config.image_encoder.freeze):
        rate = suggest_rate(trial, "encoder_learning_rate", training.encoder_learning_rate)
        training = replace(training, encoder_learning_rate=rate)
    return config, training


class MujoSf(Model):
    """A part is None where there are no slots for it, or nothing of that kind is read. `one` stands in place of both
    sides (`heads: one`)."""

    key: ClassVar[str] = "mujo_sf"
    answers: ClassVar[Answers] = "choices"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    space: ClassVar[Space] = Space(
        suggest, ("dropout", "image_weight"), ("batch_size", "learning_rate", "encoder_learning_rate")
    )
    config: MujoSfConfig
    count_SV: Tensor
    trust_2: Tensor

    def __init__(
        self,
        config: MujoSfConfig,
        schema: AttributeSchema,
        text: TextInput,
        values: TextInput,
        image_encoder: RegionSource | None,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.sides = Sides.of(config, schema)
        self.encoder = text.encoder if reads_text(config, self.sides) else None
        self.image_encoder = image_encoder
        if self.encoder is None and not bags_words(config, self.sides):
            self.reads = self.reads - {"title", "text"}
        if config.pack_words:
            self.reads = self.reads | {"ocr"}
        if image_encoder is not None:
            self.reads = self.reads | {"images"}
        self._text, self._values = text, values
        self._sight = None if image_encoder is None else Sight(image_encoder, config.image_encoder.size)
        self._counts = Counter(counts)
        self._adopt(schema)
        self.dropout = nn.Dropout(config.dropout)
        self.text_side: TextSide | None = None
        self.picture_side: PictureSide | None = None
        self.one: OneVector | None = None
        self.word_bag: WordBag | None = None
        width, image_width = text.encoder.width, 0 if image_encoder is None else image_encoder.width
        if config.heads == "one":
            self.one = OneVector(width, image_width, config.ca, self.candidates.sizes)
        elif self.sides.text and config.text_by != "words":
            _require_names(text)
            self.text_side = TextSide(
                SlotNames(self._names, text.tokenizer, config.encoder.window, text.encoder.embedding_width),
                ValueSpace(
                    values,
                    pooling=config.value_pooling,
                    scale=config.value_scale,
                    owns_encoder=values.encoder is not text.encoder,
                ),
                width,
                image_width,
                config.ca,
                [self.candidates.sizes[slot] for slot in self.sides.text],
            )
            self._counts["names_cut"] = self.text_side.names.num_cut
        if bags_words(config, self.sides):
            self.word_bag = WordBag([self.candidates.sizes[slot] for slot in self.sides.text])
        if self.sides.picture:
            sizes = [self.candidates.sizes[slot] for slot in self.sides.picture]
            self.picture_side = PictureSide(image_width, width, sizes, crossed=config.ca != "none")
        self.written_weight = nn.Parameter(torch.zeros(())) if config.pack_words else None
        self.register_buffer("trust_2", torch.ones(2))  # in text and in picture, see `weigh`
        self.register_buffer("count_SV", torch.zeros(len(schema.names), self.candidates.most))

    def _adopt(self, schema: AttributeSchema) -> None:
        """Fill the slots of a schema, which has the attributes of the one before, from now on."""
        self.schema = schema
        self.candidates = Candidates.of(schema, self.config.synonyms)
        self._categories = attributes_by_category(schema) if self.config.category_attributes else {}

    @property
    def _names(self) -> list[str]:
        """Of the slots that the text tells, as `_texts`."""
        return [self.schema.names[slot] for slot in self.sides.text]

    @property
    def _texts(self) -> list[list[str]]:
        """How their candidates read."""
        return [self.candidates.texts(slot) for slot in self.sides.text]

    @classmethod
    def fit_vocabulary(cls, config: MujoSfConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        schema = with_train_values(schema, products, config.synonyms)
        candidates, sides = Candidates.of(schema, config.synonyms), Sides.of(config, schema)
        names = [*schema.names, *(text for slot in range(len(schema.names)) for text in candidates.texts(slot))]
        text = TextInput.fitted(config.encoder, products, category=config.category_input, names=names)
        values = _copied(config, text)
        if config.value_encoder is not None:
            values = TextInput.fitted(config.value_encoder, [], category=False, names=names)
        image_encoder = build_regions(config.image_encoder) if looks(config, sides) else None
        model = cls(config, schema, text, values, image_encoder, text.count(products, {}))
        if model.text_side is not None:
            model.text_side.settle(model._names, model._texts)
        if model._sight is not None:
            model._counts.update(model._sight.count(products))
        chunks = [products[start : start + COUNTED_AT_ONCE] for start in range(0, len(products), COUNTED_AT_ONCE)]
        if model.word_bag is not None:
            model.word_bag.settle(read_words(chunk, category=config.category_input) for chunk in chunks)
        for chunk in chunks:
            known = model._labels(chunk)
            model.count_SV += (known.true_PSV & known.known_PS[..., None]).sum(0)
            model._counts["train_slots"] += int(known.possible_PS.sum())
            model._counts["train_slots_known"] += int(known.known_PS.sum())
        return model

    @classmethod
    def load_assets(cls, config: MujoSfConfig, schema: AttributeSchema, folder: Path) -> Self:
        text = TextInput.loaded(config.encoder, folder, category=config.category_input)
        values = _copied(config, text)
        if config.value_encoder is not None:
            values = TextInput.loaded(config.value_encoder, folder / "values", category=False)
        sees = looks(config, Sides.of(config, schema))
        image_encoder = load_regions(config.image_encoder, folder) if sees else None
        return cls(config, schema, text, values, image_encoder, read_json(folder / "report.json"))

    def save_assets(self, folder: Path) -> None:
        self._text.save(folder)
        if self.config.value_encoder is not None:
            (folder / "values").mkdir()
            self._values.save(folder / "values")
        if self._sight is not None:
            self._sight.save(folder)
        write_json(folder / "report.json", self._counts)

    def ask(self, schema: AttributeSchema) -> None:
        """Choose among the values of this schema from now on, whether train had them or not. What is as near as it was
        stays so to the bit.

        Raises `ParamsError` for a schema of other attributes, and for other values of one that has a head: its weights
        would have to be learned.
        """
        if schema.names != self.schema.names:
            other = sorted({*schema.names} ^ {*self.schema.names}) or [*schema.names]
            raise ParamsError(f"models.mujo_sf: its slots are those that it was trained with; {other[0]!r} differs")
        pairs = zip(schema.attributes, self.schema.attributes, strict=True)
        schema = replace(schema, attributes=tuple(replace(new, modality=old.modality) for new, old in pairs))
        candidates = Candidates.of(schema, self.config.synonyms)
        has_weights = self.one is not None or self.word_bag is not None
        for slot in {*self.sides.picture, *(self.sides.text if has_weights else ())}:
            if candidates.values[slot] != self.candidates.values[slot]:
                raise ParamsError(f"models.mujo_sf: {schema.names[slot]!r} has a head, which knows no other values")
        known = self._texts
        counted: dict[tuple[int, str], Tensor] = {}
        for slot in range(len(schema.names)):
            counted |= {(slot, text): self.count_SV[slot, n] for n, text in enumerate(self.candidates.texts(slot))}
        self._adopt(schema)
        self.count_SV = self.count_SV.new_zeros(len(schema.names), candidates.most)
        for slot in range(len(schema.names)):
            for number, text in enumerate(candidates.texts(slot)):
                self.count_SV[slot, number] = counted.get((slot, text), torch.zeros(()))
        if self.text_side is not None:
            self.text_side.choose_among(self._texts, known)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        if self.encoder is not None:
            self._text.prepare(products, features_dir, dtype)
        if self._sight is not None:
            self._sight.prepare(products, features_dir, dtype)

    def collate(self, products: Sequence[Product]) -> SlotBatch:
        known = self._labels(products)
        pictures = None if self._sight is None else self._sight.pictures(products, range(len(products)))
        return SlotBatch(
            tuple(products),
            None if self.encoder is None else self._text.batch(products),
            None if self.word_bag is None else read_words(products, category=self.config.category_input),
            pictures,
            written(products, self.candidates) if self.config.pack_words else None,
            known.true_PSV,
            known.known_PS,
            known.possible_PS,
        )

    def _labels(self, products: Sequence[Product]) -> Labels:
        return labels(products, self.candidates, self._categories, unsaid_is_none=self.config.unsaid == "none")

    def forward(self, batch: SlotBatch) -> Told:
        tokens = regions = text_PSV = picture_PSV = None
        shown_P = batch.known_PS.new_zeros(batch.num_products)
        if self.encoder is not None and batch.text is not None:
            token_PNE, mask_PN = token_states(batch.text, text_states(batch.text, self.encoder)[0])
            tokens = Places(self.dropout(token_PNE), mask_PN)
        if self.image_encoder is not None and batch.pictures is not None:
            seen = image_states(batch.pictures, self.image_encoder)
            shown_P = seen.shown_B
            regions = Places(self.dropout(seen.region_BKE), shown_P[:, None].expand(seen.region_BKE.shape[:2]))
        most = self.candidates.most
        if self.one is not None and tokens is not None:
            text_PSV = self.one(tokens, regions, most)
        if self.text_side is not None and self.encoder is not None and tokens is not None:
            text_PSV = self.text_side(tokens, regions, self.encoder, most)
        if self.word_bag is not None and batch.words is not None:
            by_words_PSV = self.word_bag(batch.words, most)
            text_PSV = by_words_PSV if text_PSV is None else text_PSV + by_words_PSV
        if self.picture_side is not None and regions is not None:
            picture_PSV = self.picture_side(regions, tokens, most)
            if self.written_weight is not None and batch.written_PSV is not None:
                picture_PSV = picture_PSV + self.written_weight * batch.written_PSV[:, self.sides.picture]
        return Told(text_PSV, picture_PSV, shown_P)

    def loss(self, batch: SlotBatch) -> Losses:
        told: Told = self(batch)
        parts: dict[str, Tensor] = {}
        if told.text_PSV is not None:
            parts["text"] = self._loss(told.text_PSV, self.sides.text, batch, batch.known_PS)
        if told.picture_PSV is not None:
            known_PS = batch.known_PS & told.shown_P[:, None]
            parts["image"] = self._loss(told.picture_PSV, self.sides.picture, batch, known_PS)
        weights = {"text": self.config.text_weight, "image": self.config.image_weight}
        if not parts:  # of pictures alone, where none can be seen
            parts["image"] = torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum() * 0.0
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()  # (12)
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def _loss(self, logit_PSV: Tensor, slots: Sequence[int], batch: SlotBatch, known_PS: Tensor) -> Tensor:
        """(8) and (11): the mean over the known ones of some slots, and then over products."""
        known_PS, true_PSV, count_SV = known_PS[:, slots], batch.true_PSV[:, slots], self.count_SV[slots]
        if self.config.balance == "logit_adjusted":
            logit_PSV = logit_PSV + count_SV.clamp(min=1).log()  # of a frequency, but for what all of a slot have
        loss_M = -chosen(logit_PSV[known_PS], true_PSV[known_PS])
        if self.config.balance == "balanced":
            loss_M = loss_M * _weights(count_SV, true_PSV)[known_PS]
        product_M = known_PS.nonzero()[:, 0]
        return (loss_M / known_PS.sum(1)[product_M]).sum() / batch.num_products

    @torch.no_grad()
    def predict(self, batch: SlotBatch) -> list[list[Facet]]:
        """At most one facet a slot, as sure as its candidate is probable."""
        p_PSV, told_PS = self._probabilities(self(batch), batch.known_PS.shape)
        sure_PS, number_PS = p_PSV.max(-1)
        return self.candidates.facets(number_PS, sure_PS, told_PS & batch.possible_PS)

    @torch.no_grad()
    def chances(self, product: Product) -> dict[str, dict[str, float]]:
        """Of the slots that anything is said of, and that a product of its category may have."""
        batch = self.collate([product]).to(self.trust_2.device)
        p_PSV, told_PS = self._probabilities(self(batch), batch.known_PS.shape)
        return self.candidates.chances(p_PSV[0], (told_PS & batch.possible_PS)[0])

    def _probabilities(self, told: Told, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of the candidates of each slot [P,S,V], and which slots anything is said of [P,S]."""
        text_PSV, picture_PSV = self._by_side(told, shape)
        said_PS = told.shown_P.new_zeros(*shape)
        if told.text_PSV is not None:
            said_PS[:, self.sides.text] = True
        if told.picture_PSV is not None:
            said_PS[:, self.sides.picture] |= told.shown_P[:, None]
        return (self.trust_2[0] * text_PSV + self.trust_2[1] * picture_PSV).softmax(-1), said_PS

    def _by_side(self, told: Told, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The log-probabilities of each slot's candidates by text and by picture, 0 of a side that says nothing of it.
        What a slot does not have is as good as impossible. [P,S,V] each"""
        sides = []
        for logit_PSV, slots in ((told.text_PSV, self.sides.text), (told.picture_PSV, self.sides.picture)):
            log_PSV = told.shown_P.new_zeros(*shape, self.candidates.most, dtype=torch.float32)
            if logit_PSV is not None:
                log_PSV[:, slots] = logit_PSV.log_softmax(-1).clamp(min=torch.finfo(torch.float32).min / 4)
            sides.append(log_PSV)
        sides[1] = sides[1].masked_fill(~told.shown_P[:, None, None], 0)
        return sides[0], sides[1]

    @torch.no_grad()
    def weigh(self, products: Sequence[Product]) -> None:
        """Learn from held-out products how far to trust text and picture: the powers of their probabilities by which
        what is true of slots that both tell is likeliest. The side that learned from less is the surer of itself.

        With fewer than 20 such slots both count as they are.
        """
        if not products:
            return
        self.eval()
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for start in range(0, len(products), COUNTED_AT_ONCE):
            batch = self.collate(products[start : start + COUNTED_AT_ONCE]).to(self.trust_2.device)
            told = self(batch)
            both_S = torch.zeros(len(self.schema.names), dtype=torch.bool, device=told.shown_P.device)
            both_S[[*{*self.sides.text} & {*self.sides.picture}]] = True
            asked_PS = batch.known_PS & told.shown_P[:, None] & both_S
            text_PSV, picture_PSV = self._by_side(told, batch.known_PS.shape)
            found.append((text_PSV[asked_PS], picture_PSV[asked_PS], batch.true_PSV[asked_PS]))
        text_MV, picture_MV, true_MV = (torch.cat(parts) for parts in zip(*found, strict=True))
        if len(text_MV) < MIN_WEIGHED:
            return
        trusts = [(text, picture) for text in TRUSTS for picture in TRUSTS]
        losses = [-chosen(text * text_MV + picture * picture_MV, true_MV).mean() for text, picture in trusts]
        self.trust_2.copy_(torch.tensor(trusts[int(torch.stack(losses).argmin())]))

    def calibrate(self, validation: Sequence[tuple[Product, Answer]]) -> None:
        """Weigh what text and picture say, and then as every model."""
        products = [product for product, _ in validation]
        before = self.trust_2.clone()
        self.weigh(products)
        if not torch.equal(before, self.trust_2):
            validation = [
                (product, Answer(facets)) for product, facets in zip(products, self._said(products), strict=True)
            ]
        super().calibrate(validation)

    def _said(self, products: Sequence[Product]) -> list[list[Facet]]:
        chunks = (products[start : start + COUNTED_AT_ONCE] for start in range(0, len(products), COUNTED_AT_ONCE))
        return [facets for chunk in chunks for facets in self.predict(self.collate(chunk).to(self.trust_2.device))]

    @classmethod
    def current_names(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"trust_2": torch.ones(2), **weights}

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder, image=ImageEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts


def _weights(count_SV: Tensor, true_PSV: Tensor) -> Tensor:
    """Of each slot of a product, the inverse of its true value's frequency, 1 on the average of train. [P,S]"""
    even_S = count_SV.sum(1) / (count_SV > 0).sum(1).clamp(min=1)
    weight_SV = even_S[:, None] / count_SV.clamp(min=1)
    return (weight_SV * true_PSV).sum(2) / true_PSV.sum(2).clamp(min=1)


def _copied(config: MujoSfConfig, text: TextInput) -> TextInput:
    """The text encoder once more, to stay as it is."""
    encoder = text.encoder if text.encoder.frozen else copy.deepcopy(text.encoder)
    return TextInput(encoder, text.tokenizer, config.encoder, category=False)


def _require_names(text: TextInput) -> None:
    if isinstance(text.encoder, GivenTextEncoder) and text.encoder.tokens is None:
        raise ParamsError("models.mujo_sf: encoder: names of attributes are read, of which it has no vectors")
