"""DEFLATE: values are written, attribute by attribute, and a discriminator says which of them the product has.

Source: Zhang, Wang, Li, Dong, Wang, Xian, Li, Zhang. "Pay Attention to Implicit Attribute Values: A Multi-modal
Generative Framework for AVE Task." Findings of ACL 2023.

A generator is asked for the values of an attribute and reads the product's text and picture. Since it has learned from
attributes that products have, it always finds something to write. So, in a second phase, a small network above the same
encoder learns from what the trained generator writes for attributes that products do not have. The rows of its tables
are settings:

    DEFLATE                question: encoder, image: codes (patches as in the ViT row)
    DEFLATE d-             discriminator: none (what a product lacks is learned as an empty answer)
    DEFLATE v-             image: none
    DEFLATE d- v-          both

Differs from the paper:
 1. Values are separated by a token of their own (`separator: comma` as printed), and those of an attribute that lacks
    any are empty rather than "None", which may be a value.
 2. The picture stands before the text (`parts/writer.py` says why), and is read as codes (stage `visual_tokens`,
    whose vectors may be pooled, `code_pooling`) or by any image encoder (`patches`, as its ViT row).
 3. (3) has one sigmoid and a hidden layer of 100, as in the authors' code. It reads the state of <CLS>, as printed, or
    the mean (`discriminator_pooling`), as the code does. The trained generator's encoder rests under it (`frozen`, as
    in the code), or both networks learn on (`trained`), lest the encoder forget what the generator needs of it.
 4. (4) is over positives and negatives, where the text prints an intersection of the two. Negatives are written once,
    when the second phase begins, and what is written for them as an empty answer is none.
 5. Asked by its decoder (`question: decoder`) a product is read once for all its attributes, as in no paper.
 6. Only attributes that its category has in train are asked of a product (`category_attributes`). Of an attribute with
    a closed list (`closed`) nothing else is ever written.

Shapes: P products, M questions or claims, R prompts (one for each question, or for each product where the decoder is
asked), and as in `parts/writer.py`. Masks: 1 = real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses, Phase
from facetmill.encoders.main_picture import PictureBatch, RegionSource
from facetmill.encoders.vision import ImageStates
from facetmill.errors import ParamsError
from facetmill.models.base import Answer, optimizer_of
from facetmill.models.parts.closed_list import ClosedList
from facetmill.models.parts.picture_codes import CodeBatch
from facetmill.models.parts.prompts import Ids, Prompts, Written, as_written, padded, values_of
from facetmill.models.parts.writer import NO_TOKEN, Memory, Writer
from facetmill.models.parts.written_model import WrittenModel
from facetmill.params import DeflateConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product

HIDDEN = 100  # of the discriminator
WRITTEN_AT_ONCE = 16  # products that negatives are written for


@dataclass(frozen=True)
class Questions(TensorBatch):
    """Question m is about product `product_M` and attribute `attribute_M`, and read in row `row_M` of the prompts, of
    which `product_R` says whose they are. The decoder is given `begin_MF`, and is to write `answer_ML` (NO_TOKEN
    where it ends), or anything where `known_M` is 0."""

    prompt_RT: Tensor
    prompt_mask_RT: Tensor
    product_R: Tensor
    row_M: Tensor
    product_M: Tensor
    attribute_M: Tensor
    begin_MF: Tensor
    begin_mask_MF: Tensor
    answer_ML: Tensor
    known_M: Tensor


@dataclass(frozen=True)
class Claims(TensorBatch):
    """Claim m is about product `product_M`; `true_M` (0/1) where it has the attribute."""

    ids_MT: Tensor
    mask_MT: Tensor
    product_M: Tensor
    true_M: Tensor


@dataclass(frozen=True)
class DeflateBatch(TensorBatch):
    """`pictures` is None where no product has one, and always for a model that sees none."""

    products: tuple[Product, ...]
    pictures: PictureBatch | CodeBatch | None
    questions: Questions
    claims: Claims

    @property
    def num_products(self) -> int:
        return len(self.products)


class Deflate(WrittenModel):
    """`judges` is 0 until the discriminator has begun to learn: up to then all that is written is told."""

    key: ClassVar[str] = "deflate"
    config: DeflateConfig
    judges: Tensor

    def __init__(
        self,
        config: DeflateConfig,
        schema: AttributeSchema,
        generator: Writer,
        prompts: Prompts,
        image_encoder: RegionSource | None,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__(config, schema, generator, prompts, image_encoder, counts)
        self.discriminator: nn.Module | None = None
        if config.discriminator != "none":
            self.discriminator = nn.Sequential(
                nn.Dropout(config.dropout), nn.Linear(generator.width, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)
            )
        self.register_buffer("judges", torch.zeros((), dtype=torch.bool))
        unknown = sorted({*config.closed} - {*schema.names}) if isinstance(config.closed, list) else []
        if unknown:
            raise ParamsError(f"models.deflate.closed: {unknown[0]!r} is not an attribute of train")
        self._closed = [self._closed_list(number) for number in range(len(schema.names))]

    def _closed_list(self, number: int) -> ClosedList | None:
        attribute, closed = self.schema.attributes[number], self.config.closed
        if closed == "none" or (closed != "all" and attribute.name not in closed) or not attribute.values:
            return None
        tokenizer = self._prompts.tokenizer
        return ClosedList(tokenizer.encode(list(attribute.values)), self._prompts.separator, tokenizer.end_id)

    def collate(self, products: Sequence[Product]) -> DeflateBatch:
        """Everything is asked, and what is known of the products is claimed."""
        asked = [(row, number) for row, product in enumerate(products) for number in self.possible(product)]
        return self._batch(products, asked, self._known_claims(products))

    def collate_to_write(self, products: Sequence[Product]) -> DeflateBatch:
        """Asked is what products have and, without a discriminator, some of what they lack, drawn by torch's
        generator."""
        asked = []
        for row, product in enumerate(products):
            has = [number for number in self.possible(product) if self._values(product, number)]
            lacks = [] if self.discriminator is not None else self._drawn(product)
            asked += [(row, number) for number in (*has, *lacks)]
        return self._batch(products, asked, [])

    def collate_to_judge(self, products: Sequence[Product]) -> DeflateBatch:
        """Claimed is what products have, and what the generator wrote of what they lack."""
        return self._batch(products, [], self._known_claims(products))

    def collate_to_write_and_judge(self, products: Sequence[Product]) -> DeflateBatch:
        write, judge = self.collate_to_write(products), self.collate_to_judge(products)
        return replace(write, claims=judge.claims)

    def _values(self, product: Product, number: int, *, written: bool = False) -> list[str]:
        return values_of(product, self.schema.names[number], written=written)

    def _drawn(self, product: Product) -> list[int]:
        """Some possible attributes of which nothing is said, in a random order."""
        lacks = [number for number in self.possible(product) if not self._values(product, number)]
        return [lacks[place] for place in torch.randperm(len(lacks)).tolist()[: self.config.negatives]]

    def _known_claims(self, products: Sequence[Product]) -> list[tuple[int, int, Ids, bool]]:
        """Product, attribute, what is claimed of both, and whether that is so."""
        found = []
        for row, product in enumerate(products):
            for number in self.possible(product):
                true = self._values(product, number)
                values = true or self._values(product, number, written=True)
                if values and self.discriminator is not None:
                    found.append((row, number, self._prompts.of_values(values), bool(true)))
        return found

    def _batch(
        self,
        products: Sequence[Product],
        asked: Sequence[tuple[int, int]],
        claims: Sequence[tuple[int, int, Ids, bool]],
    ) -> DeflateBatch:
        told = self._prompts.products(products)
        return DeflateBatch(
            tuple(products), self.pictures(products), self._questions(products, told, asked), self._claims(told, claims)
        )

    def _questions(
        self, products: Sequence[Product], told: Sequence[tuple[Ids, Ids]], asked: Sequence[tuple[int, int]]
    ) -> Questions:
        tokenizer, prompts = self._prompts.tokenizer, self._prompts
        if self.config.question == "encoder":
            rows = [prompts.question(self._names[number], told[row]) for row, number in asked]
            product_R, row_M = [row for row, _ in asked], list(range(len(asked)))
            begin = [[tokenizer.start_id] for _ in asked]
        else:
            rows = [prompts.described(product) for product in told]
            product_R, row_M = list(range(len(products))), [row for row, _ in asked]
            begin = [[tokenizer.start_id, *self._names[number], prompts.asks] for _, number in asked]
        values = [self._values(products[row], number) for row, number in asked]
        answers = [[*prompts.of_values(said), tokenizer.end_id] for said in values]
        answer_ML, real_ML = padded(answers, 0)
        prompt_RT, prompt_mask_RT = padded(rows, tokenizer.pad_id)
        return Questions(
            prompt_RT,
            prompt_mask_RT,
            torch.tensor(product_R, dtype=torch.int64),
            torch.tensor(row_M, dtype=torch.int64),
            torch.tensor([row for row, _ in asked], dtype=torch.int64),
            torch.tensor([number for _, number in asked], dtype=torch.int64),
            *padded(begin, tokenizer.pad_id, left=True),
            answer_ML.masked_fill(~real_ML, NO_TOKEN),
            torch.tensor([bool(said) or self.discriminator is None for said in values], dtype=torch.bool),
        )

    def _claims(self, told: Sequence[tuple[Ids, Ids]], claims: Sequence[tuple[int, int, Ids, bool]]) -> Claims:
        ids = [self._prompts.claim(self._names[number], told[row], answer) for row, number, answer, _ in claims]
        return Claims(
            *padded(ids, self._prompts.tokenizer.pad_id),
            torch.tensor([row for row, *_ in claims], dtype=torch.int64),
            torch.tensor([float(true) for *_, true in claims]),
        )

    def loss(self, batch: DeflateBatch) -> Losses:
        """Of both networks; a phase learns from one."""
        found = [self.writing_loss(batch)]
        if self.discriminator is not None:
            found.append(self.judging_loss(batch))
        total = torch.stack([losses.total for losses in found]).sum()
        return Losses(total, {name: part for losses in found for name, part in losses.parts.items()})

    def writing_loss(self, batch: DeflateBatch) -> Losses:
        """-log p of each answer that is known, summed over those of a product."""
        asked = batch.questions
        if not asked.known_M.any():
            return Losses(self.nothing(), {"write": torch.zeros(())})
        seen, known_M = self.seen(batch.pictures), asked.known_M
        memory = self._memory(asked, seen, slice(None)).of(asked.row_M[known_M])
        log_p_ML = self.generator.log_p(
            memory, asked.begin_MF[known_M], asked.begin_mask_MF[known_M], asked.answer_ML[known_M]
        )
        total = -log_p_ML.sum() / batch.num_products
        return Losses(total, {"write": total.detach()})

    def judging_loss(self, batch: DeflateBatch) -> Losses:
        """(4), summed over the claims about a product."""
        claims = batch.claims
        if not len(claims.true_M):
            return Losses(self.nothing(), {"judge": torch.zeros(())})
        logit_M = self._claim_logits(claims, self.seen(batch.pictures))
        total = F.binary_cross_entropy_with_logits(logit_M, claims.true_M, reduction="sum") / batch.num_products
        return Losses(total, {"judge": total.detach()})

    def _memory(self, asked: Questions, seen: ImageStates | None, rows: slice) -> Memory:
        prompts = asked.prompt_RT[rows], asked.prompt_mask_RT[rows]
        return self.generator.read(*prompts, seen, asked.product_R[rows], self._prompts.picture)

    def _claim_logits(self, claims: Claims, seen: ImageStates | None) -> Tensor:
        """(3) without its sigmoid. [M]"""
        assert self.discriminator is not None
        trains = torch.is_grad_enabled() and self.config.discriminator == "trained"
        with torch.set_grad_enabled(trains):
            memory = self.generator.read(claims.ids_MT, claims.mask_MT, seen, claims.product_M, self._prompts.picture)
        states_MJD, mask_MJ1 = memory.states_MJD, memory.mask_MJ[..., None]
        if self.config.discriminator_pooling == "cls":
            pooled_MD = states_MJD[:, states_MJD.shape[1] - claims.ids_MT.shape[1]]
        else:
            pooled_MD = (states_MJD * mask_MJ1).sum(1) / mask_MJ1.sum(1)
        logit_M: Tensor = self.discriminator(pooled_MD)[:, 0].float()
        return logit_M

    @torch.no_grad()
    def answer(self, batch: DeflateBatch) -> list[Answer]:
        with self.precision():
            seen = self.seen(batch.pictures)
            written = self._written(batch.questions, seen)
            asked = zip(batch.questions.product_M.tolist(), batch.questions.attribute_M.tolist(), written, strict=True)
            found = [(row, number, values) for row, number, said in asked if (values := self._prompts.read(said))]
            sure = self._sure(batch, found, seen)
        answers = [Answer([], None if self.discriminator is None else {}) for _ in batch.products]
        for (row, number, values), p in zip(found, sure, strict=True):
            if p > self.config.threshold or not self.judges:
                name, before = self.schema.names[number], answers[row]
                attributes = None if before.attributes is None else {**before.attributes, name: p}
                answers[row] = Answer([*before.facets, *as_written(name, values, p)], attributes)
        return answers

    def _written(self, asked: Questions, seen: ImageStates | None) -> list[Written]:
        """What the generator writes for each question, `max_pairs` of them at once."""
        memory = self._memory(asked, seen, slice(None)) if self.config.question == "decoder" else None
        prompts, written = self._prompts, []
        never = {prompts.tokenizer.pad_id, *prompts.tokenizer.marks} - {prompts.separator}
        for start in range(0, len(asked.row_M), self.config.max_pairs):
            part = slice(start, start + self.config.max_pairs)
            closed = [self._closed[number] for number in asked.attribute_M[part].tolist()]
            written += self.generator.write(
                self._memory(asked, seen, part) if memory is None else memory,
                asked.begin_MF[part],
                asked.begin_mask_MF[part],
                longest=self.config.longest_answer,
                row_M=None if memory is None else asked.row_M[part],
                closed=closed if any(closed) else None,
                never=sorted(never),
            )
        return written

    def _sure(
        self, batch: DeflateBatch, found: Sequence[tuple[int, int, list[tuple[str, float]]]], seen: ImageStates | None
    ) -> list[float]:
        """How probable it is that a product has what was written for it; 1 while nobody judges."""
        if self.discriminator is None or not self.judges:
            return [1.0] * len(found)
        told = self._prompts.products(batch.products)
        sure: list[float] = []
        for start in range(0, len(found), self.config.max_pairs):
            part = [
                (row, number, self._prompts.of_values([value for value, _ in values]), True)
                for row, number, values in found[start : start + self.config.max_pairs]
            ]
            claims = self._claims(told, part).to(batch.questions.row_M.device)
            sure += self._claim_logits(claims, seen).sigmoid().tolist()
        return sure

    def predict(self, batch: DeflateBatch) -> list[list[Facet]]:
        return [list(answer.facets) for answer in self.answer(batch)]

    def attributes(self, batch: DeflateBatch) -> list[dict[str, float]] | None:
        if self.discriminator is None:
            return None
        return [dict(answer.attributes or {}) for answer in self.answer(batch)]

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        groups = self.parameter_groups()
        judging = set() if self.discriminator is None else {id(p) for p in self.discriminator.parameters()}
        writing = {name: [p for p in group if id(p) not in judging] for name, group in groups.items()}
        write = Phase(
            name="generator",
            epochs=training.epochs,
            optimizers=[optimizer_of(writing, training)],
            collate=self.collate_to_write,
            loss=self.writing_loss,
            patience=training.patience,
        )
        if self.discriminator is None:
            return [write]
        both = self.config.discriminator == "trained"
        judged = {name: [p for p in group if both or id(p) in judging] for name, group in groups.items()}
        judge = Phase(
            name="discriminator",
            epochs=self.config.discriminator_epochs,
            optimizers=[optimizer_of(judged, training)],
            collate=self.collate_to_write_and_judge if both else self.collate_to_judge,
            loss=self.loss if both else self.judging_loss,
            begin=self._with_negatives,
            patience=training.patience,
        )
        return [write, judge]

    @torch.no_grad()
    def _with_negatives(self, products: Sequence[Product]) -> list[Product]:
        """The products with what the generator writes for some attributes that they lack, as predicted facets."""
        self.judges.fill_(True)
        was_training, device = self.training, self.judges.device
        self.eval()
        found: list[Product] = []
        for start in range(0, len(products), WRITTEN_AT_ONCE):
            chunk = products[start : start + WRITTEN_AT_ONCE]
            asked = [(row, number) for row, product in enumerate(chunk) for number in self._drawn(product)]
            batch = self._batch(chunk, asked, []).to(device)
            written = self._written(batch.questions, self.seen(batch.pictures)) if asked else []
            wrong: list[list[Facet]] = [[] for _ in chunk]
            for (row, number), said in zip(asked, written, strict=True):
                wrong[row] += as_written(self.schema.names[number], self._prompts.read(said))
            found += [replace(p, facets=(*p.facets, *facets)) for p, facets in zip(chunk, wrong, strict=True)]
        self.train(was_training)
        return found
