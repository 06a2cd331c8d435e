"""JG-AVE: all attributes of a product and their values, written one after the other in a single answer.

Source: Roy, Goyal, Pandey. "Exploring Generative Models for Joint Attribute Value Extraction from Product Titles."
2022; as DEFLATE is compared with it (its paper, section 5.1): values that stand in no text are in the answer too.
So its order is none, and it is drawn anew whenever a product is learned from.

Differs from the paper: parts of the answer are separated by tokens of their own. What is written for a name that is no
attribute, or none that the product's category has in train (`category_attributes`), is dropped. An attribute that is
written twice has the values of both.

Shapes: P products, and as in `parts/writer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses, Phase
from facetmill.encoders.folding import fold_value
from facetmill.encoders.main_picture import PictureBatch
from facetmill.models.parts.picture_codes import CodeBatch
from facetmill.models.parts.prompts import Ids, Written, as_written, padded, parts, values_of
from facetmill.models.parts.writer import NO_TOKEN, Memory
from facetmill.models.parts.written_model import WrittenModel
from facetmill.params import TrainingParams
from facetmill.records import Facet, Product


@dataclass(frozen=True)
class JgAveBatch(TensorBatch):
    """A prompt and an answer for each product (NO_TOKEN where it ends), and what the decoder is given to begin with."""

    products: tuple[Product, ...]
    pictures: PictureBatch | CodeBatch | None
    prompt_PT: Tensor
    prompt_mask_PT: Tensor
    begin_P1: Tensor
    begin_mask_P1: Tensor
    answer_PL: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)


class JgAve(WrittenModel):
    key: ClassVar[str] = "jg_ave"

    def collate(self, products: Sequence[Product]) -> JgAveBatch:
        return self._batch(products, [self.possible(product) for product in products])

    def collate_to_learn(self, products: Sequence[Product]) -> JgAveBatch:
        """In an order that torch's generator draws."""
        orders = [self.possible(product) for product in products]
        return self._batch(products, [[order[n] for n in torch.randperm(len(order)).tolist()] for order in orders])

    def _batch(self, products: Sequence[Product], orders: Sequence[Sequence[int]]) -> JgAveBatch:
        tokenizer, told = self._prompts.tokenizer, self._prompts.products(products)
        answers = [self._answer(product, order) for product, order in zip(products, orders, strict=True)]
        answer_PL, real_PL = padded(answers, 0)
        return JgAveBatch(
            tuple(products),
            self.pictures(products),
            *padded([self._prompts.of_all(product) for product in told], tokenizer.pad_id),
            *padded([[tokenizer.start_id] for _ in products], tokenizer.pad_id),
            answer_PL.masked_fill(~real_PL, NO_TOKEN),
        )

    def _answer(self, product: Product, order: Sequence[int]) -> Ids:
        ids: Ids = []
        for number in order:
            values = values_of(product, self.schema.names[number])
            if values:
                said = [*self._names[number], self._prompts.asks, *self._prompts.of_values(values)]
                ids += [self._prompts.next, *said] if ids else said
        return [*ids, self._prompts.tokenizer.end_id]

    def _memory(self, batch: JgAveBatch) -> Memory:
        product_P = torch.arange(batch.num_products, device=batch.begin_P1.device)
        seen = self.seen(batch.pictures)
        return self.generator.read(batch.prompt_PT, batch.prompt_mask_PT, seen, product_P, self._prompts.picture)

    def loss(self, batch: JgAveBatch) -> Losses:
        """-log p of the whole answer."""
        log_p_PL = self.generator.log_p(self._memory(batch), batch.begin_P1, batch.begin_mask_P1, batch.answer_PL)
        total = -log_p_PL.sum() / batch.num_products
        return Losses(total, {"write": total.detach()})

    @torch.no_grad()
    def predict(self, batch: JgAveBatch) -> list[list[Facet]]:
        if not batch.num_products:
            return []
        prompts = self._prompts
        with self.precision():
            written = self.generator.write(
                self._memory(batch),
                batch.begin_P1,
                batch.begin_mask_P1,
                longest=self.config.longest_answer,
                never=[prompts.tokenizer.pad_id, prompts.picture, prompts.cls],
            )
        return [self._facets(product, said) for product, said in zip(batch.products, written, strict=True)]

    def _facets(self, product: Product, written: Written) -> list[Facet]:
        numbers = {fold_value(self.schema.names[number]): number for number in self.possible(product)}
        found: dict[int, dict[str, tuple[str, float]]] = {}
        for part in parts(written, self._prompts.next):
            if self._prompts.asks in part.ids:
                place = part.ids.index(self._prompts.asks)
                number = numbers.get(fold_value(self._prompts.tokenizer.decode(part.ids[:place])))
                if number is not None:
                    said = self._prompts.read(Written(part.ids[place + 1 :], part.log_p[place + 1 :]))
                    found.setdefault(number, {}).update({fold_value(value): (value, p) for value, p in said})
        told = (as_written(self.schema.names[number], [*found[number].values()]) for number in sorted(found))
        return [facet for facets in told for facet in facets]

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        return [replace(phase, collate=self.collate_to_learn) for phase in super().phases(training)]
