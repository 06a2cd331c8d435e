"""MuJo-SF: all slots of a product filled at once, each with one of its candidate values or with none.

Source: Jia, Shen, Luu, Chen, Xu, Liao, Yuan, He. "MuJo-SF: Multimodal Joint Slot Filling for Attribute Value Prediction
of E-commerce Commodities." IEEE Transactions on Multimedia, 2024; section III-C.

A slot reads the text by its own name, alone (local) and among all names (global). The candidate is chosen that lies
nearest to what it found, in the space of an encoder that does not learn, so a value that is added to the schema needs
no training (`ask`).

Differs from the paper:
 1. Texts are read whole, in windows where they are long. A slot that finds no word at all has found the bias.
 2. Attention has one projection, of what asks, as (4) prints it; that of slots is not printed. What is gathered is
    projected by weights that begin as the identity, where widths allow it.
 3. Points may be centred and scaled (`value_scale: standard`), without which the softmax of (7) can be no surer than
    the encoder's points are far apart, and be the mean state of a name's tokens (`value_pooling: mean`).
 4. A slot may be unknown, and then teaches nothing (`unsaid: unknown`); the paper's are all "none" where nothing was
    said. (8) is the mean over a product's known slots. One with several values is right by any of them.
 5. Rare values may count for more: `balance` weighs them by the inverse of their frequency, or adds the logarithm of
    it to the logits that are learned from (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021).

Shapes: P products, B windows, N tokens of a product, E width of the text encoder, S slots, C candidates of all slots,
V those of a slot, F width of the space of values. Masks: 1 = real.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses
from facetmill.encoders.text import GivenTextEncoder, TextEncoder, is_pretrained
from facetmill.encoders.windows import TextBatch, text_states
from facetmill.errors import ParamsError
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.parts.candidates import Candidates, Labels, labels, with_train_values
from facetmill.models.parts.labels import attributes_by_category
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.slot_names import SlotNames
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.value_space import ValueSpace
from facetmill.models.space import Space, suggest_rate, suggest_training
from facetmill.params import MujoSfConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

COUNTED_AT_ONCE = 4096  # products: what is known of more at once is large


@dataclass(frozen=True)
class SlotBatch(TensorBatch):
    """What is read of some products, and what is known of them (`parts/candidates.py`)."""

    products: tuple[Product, ...]
    text: TextBatch
    true_PC: Tensor
    known_PS: Tensor
    possible_PS: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)


class Gathered(nn.Module):
    """(4): what X gathers from the places of Y that it looks at, projected; with a bias for what is no word's."""

    def __init__(self, width: int, place_width: int, out_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, place_width, bias=False)  # W1
        self.out = nn.Linear(place_width, out_width)  # W_D
        if place_width == out_width:
            nn.init.eye_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x_PXE: Tensor, y_PYJ: Tensor, mask_PY: Tensor) -> Tensor:
        """[P,X,out]; where no place is real nothing is gathered."""
        score_PXY = self.query(x_PXE) @ y_PYJ.transpose(1, 2) / sqrt(y_PYJ.shape[-1])
        mask_P1Y = mask_PY[:, None]
        weight_PXY = score_PXY.masked_fill(~mask_P1Y, torch.finfo(score_PXY.dtype).min).softmax(-1) * mask_P1Y
        gathered: Tensor = self.out(weight_PXY @ y_PYJ)
        return gathered


class TextSlots(nn.Module):
    """(6) and (7): what each slot finds in the text, and how near each of its candidates lies to that."""

    name_SE: Tensor
    point_CF: Tensor

    def __init__(self, names: SlotNames, space: ValueSpace, width: int, num_candidates: int) -> None:
        super().__init__()
        self.names, self.space = names, space
        self.local = Gathered(space.width, width, space.width)
        self.whole = Gathered(width, width, space.width)
        self.norm = nn.LayerNorm(space.width)
        self.register_buffer("name_SE", torch.zeros(len(names.mark_SI), space.width))
        self.register_buffer("point_CF", torch.zeros(num_candidates, space.width))

    def settle(self, names: Sequence[str], texts: Sequence[str]) -> None:
        """Give the slots their names and the candidates their points. What is gathered begins where values lie."""
        self.space.settle(texts)
        self.name_SE.copy_(self.space.states(names))
        self.point_CF.copy_(self.space.points(texts))
        for gathered in (self.local, self.whole):
            gathered.out.bias.data.copy_(-self.space.centre_E)

    def forward(self, token_PNE: Tensor, mask_PN: Tensor, encoder: TextEncoder, sizes: Sequence[int]) -> Tensor:
        """Minus the distance of each candidate, float32. [P,C]"""
        token_PNE = token_PNE.contiguous()
        every = (len(token_PNE), -1, -1)
        local_PSF = self.local(self.name_SE.to(token_PNE.dtype).expand(every), token_PNE, mask_PN)
        whole_PSF = self.whole(self.names(encoder).to(token_PNE.dtype).expand(every), token_PNE, mask_PN)
        found_PSF = self.norm(local_PSF + whole_PSF).float()  # (6)
        points = self.point_CF.split([*sizes])
        return -torch.cat([distances(found_PSF[:, slot], point) for slot, point in enumerate(points)], dim=1)  # (7)


def distances(found_PF: Tensor, point_VF: Tensor) -> Tensor:
    """Euclidean, and each to the bit what it is without the other points. [P,V]"""
    return torch.cdist(found_PF, point_VF, compute_mode="donot_use_mm_for_euclid_dist")


def tokens_of(text: TextBatch, states_BTE: Tensor) -> tuple[Tensor, Tensor]:
    """The states of each product's tokens in their order, each from the window in which it lies most central, and their
    mask. [P,N,E], [P,N]"""
    lengths = [len(reading.tokens) for reading in text.readings]
    tokens = states_BTE[text.row_N, text.column_N].split(lengths)
    mask_PN = torch.arange(max(lengths, default=0))[None] < torch.tensor(lengths)[:, None]
    return pad_sequence(tokens, batch_first=True), mask_PN.to(states_BTE.device)


def suggest(trial: BaseTrial, config: MujoSfConfig, training: TrainingParams) -> tuple[MujoSfConfig, TrainingParams]:
    """Dropout, batch size and the learning rate of new weights; the encoder's as well, where a published one learns."""
    config = replace(config, dropout=trial.suggest_float("dropout", 0.0, max(0.5, config.dropout)))
    _, training = suggest_training(trial, config, training)
    if is_pretrained(config.encoder) and not config.encoder.freeze:
        rate = suggest_rate(trial, "encoder_learning_rate", training.encoder_learning_rate)
        training = replace(training, encoder_learning_rate=rate)
    return config, training


class MujoSf(Model):
    key: ClassVar[str] = "mujo_sf"
    answers: ClassVar[Answers] = "choices"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    space: ClassVar[Space] = Space(suggest, ("dropout",), ("batch_size", "learning_rate", "encoder_learning_rate"))
    config: MujoSfConfig
    count_C: Tensor
    padded_SV: Tensor

    def __init__(
        self,
        config: MujoSfConfig,
        schema: AttributeSchema,
        text: TextInput,
        values: TextInput,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        _require_names(text)
        self.config = config
        self.encoder = text.encoder
        self.dropout = nn.Dropout(config.dropout)
        self._text, self._values = text, values
        self._counts = Counter(counts)
        self._adopt(schema)
        width, num_candidates = text.encoder.width, sum(self.candidates.sizes)
        names = SlotNames(schema.names, text.tokenizer, config.encoder.window, text.encoder.embedding_width)
        self._counts["names_cut"] = names.num_cut
        self.token_norm = nn.LayerNorm(width)
        self.text_slots = TextSlots(
            names, ValueSpace(values, pooling=config.value_pooling, scale=config.value_scale), width, num_candidates
        )
        self.register_buffer("count_C", torch.zeros(num_candidates))

    def _adopt(self, schema: AttributeSchema) -> None:
        """Fill the slots of a schema from now on."""
        self.schema = schema
        self.candidates = Candidates.of(schema, self.config.synonyms)
        self.register_buffer("padded_SV", self.candidates.padded(), persistent=False)
        self._told = [value for values in self.candidates.values for value in (None, *values)]
        self._categories = attributes_by_category(schema) if self.config.category_attributes else {}

    @classmethod
    def fit_vocabulary(cls, config: MujoSfConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        schema = with_train_values(schema, products, config.synonyms)
        candidates = Candidates.of(schema, config.synonyms)
        names = [*schema.names, *candidates.texts]
        text = TextInput.fitted(config.encoder, products, category=config.category_input, names=names)
        values = _shared(config, text)
        if config.value_encoder is not None:
            values = TextInput.fitted(config.value_encoder, [], category=False, names=names)
        model = cls(config, schema, text, values, text.count(products, {}))
        model.text_slots.settle(schema.names, candidates.texts)
        for start in range(0, len(products), COUNTED_AT_ONCE):
            known = model._labels(products[start : start + COUNTED_AT_ONCE])
            model.count_C += (known.true_PC & model._of_slots(known.known_PS)).sum(0)
            model._counts["train_slots"] += int(known.possible_PS.sum())
            model._counts["train_slots_known"] += int(known.known_PS.sum())
        return model

    @classmethod
    def load_assets(cls, config: MujoSfConfig, schema: AttributeSchema, folder: Path) -> Self:
        text = TextInput.loaded(config.encoder, folder, category=config.category_input)
        values = _shared(config, text)
        if config.value_encoder is not None:
            values = TextInput.loaded(config.value_encoder, folder / "values", category=False)
        return cls(config, schema, text, values, read_json(folder / "report.json"))

    def save_assets(self, folder: Path) -> None:
        self._text.save(folder)
        if self.config.value_encoder is not None:
            (folder / "values").mkdir()
            self._values.save(folder / "values")
        write_json(folder / "report.json", self._counts)

    def ask(self, schema: AttributeSchema) -> None:
        """Choose among the values of this schema from now on, whether train had them or not; what is as near as it was
        stays so to the bit.

        Raises `ParamsError` for a schema that has other attributes.
        """
        if schema.names != self.schema.names:
            other = sorted({*schema.names} ^ {*self.schema.names}) or [*schema.names]
            raise ParamsError(f"models.mujo_sf: its slots are those that it was trained with; {other[0]!r} differs")
        known = {at: row for row, at in enumerate(self._places())}
        point_CF, count_C = self.text_slots.point_CF, self.count_C
        self._adopt(schema)
        row_C = torch.tensor([known.get(at, -1) for at in self._places()], device=count_C.device)
        new = [text for text, row in zip(self.candidates.texts, row_C.tolist(), strict=True) if row < 0]
        self.text_slots.point_CF = point_CF[row_C]
        self.text_slots.point_CF[row_C < 0] = self.text_slots.space.points(new)
        self.count_C = count_C[row_C].masked_fill(row_C < 0, 0)

    def _places(self) -> list[tuple[int, str]]:
        """Each candidate by its slot and how it reads."""
        slots = [slot for slot, size in enumerate(self.candidates.sizes) for _ in range(size)]
        return [*zip(slots, self.candidates.texts, strict=True)]

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        self._text.prepare(products, features_dir, dtype)

    def collate(self, products: Sequence[Product]) -> SlotBatch:
        known = self._labels(products)
        return SlotBatch(tuple(products), self._text.batch(products), known.true_PC, known.known_PS, known.possible_PS)

    def _labels(self, products: Sequence[Product]) -> Labels:
        return labels(products, self.candidates, self._categories, unsaid_is_none=self.config.unsaid == "none")

    def _of_slots(self, slot_PS: Tensor) -> Tensor:
        """What is said of slots, of each of their candidates. [P,C]"""
        sizes = torch.tensor(self.candidates.sizes, device=slot_PS.device)
        return slot_PS.repeat_interleave(sizes, dim=1)

    def forward(self, batch: SlotBatch) -> Tensor:
        """Logits of each slot's candidates, minus infinity behind them, float32. [P,S,V]"""
        states_BTE, _ = text_states(batch.text, self.encoder)
        token_PNE, mask_PN = tokens_of(batch.text, states_BTE)
        token_PNE = self.dropout(self.token_norm(token_PNE))
        return self._by_slot(self.text_slots(token_PNE, mask_PN, self.encoder, self.candidates.sizes), -torch.inf)

    def _by_slot(self, of_PC: Tensor, padding: float) -> Tensor:
        """[P,S,V]"""
        padded = torch.cat([of_PC, of_PC.new_full((len(of_PC), 1), padding)], dim=1)
        return padded[:, self.padded_SV]

    def loss(self, batch: SlotBatch) -> Losses:
        logit_PSV = self(batch)
        count_SV = self._by_slot(self.count_C[None], 0)[0]
        if self.config.balance == "logit_adjusted":
            logit_PSV = logit_PSV + (count_SV + 1).log()  # of a share, but for what all of a slot have
        true_PSV = self._by_slot(batch.true_PC, False)
        loss_M = -chosen(logit_PSV[batch.known_PS], true_PSV[batch.known_PS])
        if self.config.balance == "balanced":
            loss_M = loss_M * self._weights(count_SV, true_PSV)[batch.known_PS]
        product_M = batch.known_PS.nonzero()[:, 0]
        total = (loss_M / batch.known_PS.sum(1)[product_M]).sum() / batch.num_products  # (8)
        return Losses(total, {"text": total.detach()})

    def _weights(self, count_SV: Tensor, true_PSV: Tensor) -> Tensor:
        """Of each slot of a product, the inverse of its true value's frequency, 1 on the average of train. [P,S]"""
        seen_SV = count_SV > 0
        even_S = count_SV.sum(1) / seen_SV.sum(1).clamp(min=1)
        weight_SV = even_S[:, None] / count_SV.clamp(min=1)
        return (weight_SV * true_PSV).sum(2) / true_PSV.sum(2).clamp(min=1)

    @torch.no_grad()
    def predict(self, batch: SlotBatch) -> list[list[Facet]]:
        """At most one facet a slot, as sure as its candidate is probable."""
        sure_PS, number_PS = self(batch).softmax(-1).max(-1)
        told_PS = (number_PS > 0) & batch.possible_PS
        place_PS = number_PS + torch.tensor(self.candidates.starts, device=number_PS.device)
        answers: list[list[Facet]] = [[] for _ in batch.products]
        found = zip(told_PS.nonzero().tolist(), place_PS[told_PS].tolist(), sure_PS[told_PS].tolist(), strict=True)
        for (row, slot), place, sure in found:
            value = self._told[place]
            assert value is not None
            answers[row].append(Facet(self.candidates.slots[slot], value, provenance="predicted", confidence=sure))
        return answers

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts


def chosen(logit_MV: Tensor, true_MV: Tensor) -> Tensor:
    """log p of some true candidate, of which each row has one at least. [M]"""
    return logit_MV.log_softmax(1).masked_fill(~true_MV, -torch.inf).logsumexp(1)


def _shared(config: MujoSfConfig, text: TextInput) -> TextInput:
    """The text encoder once more, to stay as it is."""
    encoder = text.encoder if text.encoder.frozen else copy.deepcopy(text.encoder)
    return TextInput(encoder, text.tokenizer, config.encoder, category=False)


def _require_names(text: TextInput) -> None:
    if isinstance(text.encoder, GivenTextEncoder) and text.encoder.tokens is None:
        raise ParamsError("models.mujo_sf: encoder: names of attributes are read, of which it has no vectors")
