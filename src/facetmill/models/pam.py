"""PAM: values are written word by word, each copied from text or pack, or taken from the category's vocabulary.

Source: Lin, He, Feng, Zalmout, Liang, Xiong, Dong. "PAM: Understanding Product Images in Cross Product Category
Attribute Extraction." KDD 2021.

One transformer reads the words of a product, those on its pack and the objects on its picture, and writes. The words
that it may choose among at each step are all that it read, and those that such values have in train. It writes the
category's name first, which is given when it answers, so that the value follows from it. The rows of its tables, and
what it is compared with, are settings:

    PAM                        category: prefix
    auxiliary category task    category: auxiliary
    w/o target sequence        category: none
    w/o dynamic vocabulary     vocabulary: shared
    w/o text                   text: false
    w/o image                  objects: none
    w/o OCR                    ocr: none
    text-only                  ocr: none, objects: none
    w/o edit distance          edit_weight: 0.0                (in no table)
    learned vocabulary         vocabulary_vectors: learned     (in no table)
    M4C full                   category: none, vocabulary: shared, vocabulary_vectors: learned, edit_weight: 0.0
    M4C                        the same, copies: [ocr]

Differs from the paper:
 1. It may be asked for several attributes (`targets`): each has its own first step, and all are asked of a product that
    is read once. The paper has a model for each.
 2. What is copied are words, not their pieces: a word's state is that of its first piece. Title and text are read.
 3. Several values are written one after the other. That there is none is a symbol, as are the end and what stands
    between values, with vectors that are learned; the paper has the word "unknown".
 4. Objects are boxes of stage `regions` or all regions of the picture (`objects`), seen by any image encoder. The boxes
    of words and objects are taken to be on the main picture.
 5. A step's loss is a mean over the steps of a product, then over products. An answer that its words cannot write
    teaches nothing, and is counted.
 6. A category that train does not have is not written first; its vocabulary is that of all categories.
 7. The steps of a value are counted without those of the category's name.

The equations stand in `parts/pointer.py`, the transformer in `parts/fused.py`.

Shapes: P products, N words of a text, O words on a pack, R objects, J places that are read, S words that may be copied,
and as in `parts/word_questions.py`. Masks: 1 = real.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facetmill.compute.batch import TensorBatch
from facetmill.compute.phase import Losses, Phase
from facetmill.encoders.main_picture import RegionSource
from facetmill.encoders.text import TextEncoder
from facetmill.encoders.vision import ImageEncoder
from facetmill.encoders.word_vectors import LearnedVectors, WordVectors, word_file
from facetmill.errors import ParamsError
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.parts.fused import Fused, Seen
from facetmill.models.parts.labels import attributes_by_category
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.pam_inputs import Steps
from facetmill.models.parts.pam_needs import looks, needs_vectors, reads_of, reads_packs, reads_words_of
from facetmill.models.parts.pam_reading import ProductReader, ReadBatch
from facetmill.models.parts.pointer import Pointer
from facetmill.models.parts.prompts import as_written, values_of
from facetmill.models.parts.sight import build_regions, load_regions
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.vocabularies import END, NEXT, SYMBOLS, UNKNOWN, Vocabularies, one_spelling
from facetmill.models.parts.word_questions import Questions, QuestionWriter
from facetmill.models.parts.words import joined, split, surface
from facetmill.params import PamConfig, TrainingParams
from facetmill.records import AttributeSchema, Facet, Product


@dataclass(frozen=True)
class PamBatch(TensorBatch):
    """`copied` are the words that may be copied, each in its column. `category_P` is -1 of one that train has not."""

    products: tuple[Product, ...]
    read: ReadBatch
    copied: tuple[tuple[str | None, ...], ...]
    questions: Questions
    category_P: Tensor

    @property
    def num_products(self) -> int:
        return len(self.products)


@dataclass(frozen=True)
class Memory:
    """What has been read: what steps see of it, the states of words that may be copied and their keys, which of these
    are on the pack (2) or in the text (1), the words of vocabularies, and the first place, where that is of the whole
    product."""

    places: list[Seen]
    mask_PJ: Tensor
    copied_PSD: Tensor
    key_PSD: Tensor
    source_S: Tensor
    word_UD: Tensor
    first_P1D: Tensor


class Pam(Model):
    key: ClassVar[str] = "pam"
    answers: ClassVar[Answers] = "text"
    reads: frozenset[Reads] = frozenset({"category"})
    config: PamConfig

    def __init__(
        self,
        config: PamConfig,
        schema: AttributeSchema,
        text: TextInput | None,
        image_encoder: RegionSource | None,
        vectors: WordVectors | None,
        vocabularies: Vocabularies,
        categories: Sequence[str],
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        if not config.text and not reads_packs(config) and config.objects == "none":
            raise ParamsError("models.pam: text, ocr and objects leave nothing to read")
        self.reads = self.reads | reads_of(config)
        names, width = targets(config, schema), config.fusion.hidden_size
        self._names = names
        self._vectors = vectors
        self._category_numbers = {category: number for number, category in enumerate(categories)}
        self._categories = attributes_by_category(schema) if config.category_attributes else {}
        self._counts = Counter(counts)
        self._writer = QuestionWriter(
            vocabularies,
            names,
            prefix=config.category == "prefix",
            near=config.edit_weight > 0,
            longest_answer=config.longest_answer,
        )
        self.product_reader = ProductReader(config, text, image_encoder, vectors if reads_packs(config) else None)
        self.fused = Fused(config.fusion, config.dropout)
        sources = [name for name in ("text", "ocr") if name in config.copies and name in reads_words_of(config)]
        self._sources = sources
        self.steps = Steps(len(names), vocabularies.longest_prefix + config.longest_answer, width, len(sources))
        vector_WF = None
        if config.vocabulary_vectors == "words" and vectors is not None:
            vector_WF = torch.zeros(len(vocabularies.words), vectors.width)
        self.pointer = Pointer(vector_WF, len(vocabularies.words), len(SYMBOLS), width, sources)
        self.category = nn.Linear(width, max(1, len(categories))) if config.category == "auxiliary" else None

    @classmethod
    def fit_vocabulary(cls, config: PamConfig, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        text = TextInput.fitted(config.encoder, products, category=False) if config.text else None
        vocabularies = Vocabularies.of(
            products,
            targets(config, schema),
            shared=config.vocabulary == "shared",
            prefix=config.category == "prefix",
            min_count=config.min_count,
            at_most=config.most_words,
        )
        categories = sorted({product.category for product in products if product.category})
        image_encoder = build_regions(config.image_encoder) if looks(config) else None
        vectors = _fitted_vectors(config, products)
        model = cls(config, schema, text, image_encoder, vectors, vocabularies, categories, {})
        if vectors is not None and model.pointer.word is not None:
            model.pointer.vector_WF[len(SYMBOLS) :] = vectors.of(vocabularies.words[len(SYMBOLS) :])
        model._counts.update(model.product_reader.count(products))
        model._counts.update(model._unwritable(products))
        return model

    def _unwritable(self, train: Sequence[Product]) -> Counter[str]:
        """Answers that are too long, or that no words of text, pack and vocabulary make."""
        counts: Counter[str] = Counter(train_answers_cut=0, train_answers_unwritable=0)
        for product in train:
            batch = self._batch([product], [self._possible(product)], _first)
            asked = batch.questions
            for column in asked.asked_PQ[0].nonzero()[:, 0].tolist():
                counts["train_answers_unwritable"] += not bool(asked.of_answer_PQT[0, column].any())
                answer = self._writer.answer(product, self._names[int(asked.attribute_PQ[0, column])])
                counts["train_answers_cut"] += len(answer) > self.config.longest_answer
        return counts

    @classmethod
    def load_assets(cls, config: PamConfig, schema: AttributeSchema, folder: Path) -> Self:
        text = TextInput.loaded(config.encoder, folder, category=False) if config.text else None
        image_encoder = load_regions(config.image_encoder, folder) if looks(config) else None
        vectors: WordVectors | None = None
        if needs_vectors(config):
            own = config.word_vectors
            vectors = LearnedVectors.load(folder) if own is None else word_file(Path(own))
        vocabularies = Vocabularies.from_json(read_json(folder / "vocabularies.json"))
        categories, counts = read_json(folder / "categories.json"), read_json(folder / "report.json")
        return cls(config, schema, text, image_encoder, vectors, vocabularies, categories, counts)

    def save_assets(self, folder: Path) -> None:
        self.product_reader.save(folder)
        if isinstance(self._vectors, LearnedVectors):
            self._vectors.save(folder)
        write_json(folder / "vocabularies.json", self._writer.vocabularies.to_json())
        write_json(folder / "categories.json", [*self._category_numbers])
        write_json(folder / "report.json", self._counts)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        self.product_reader.prepare(products, features_dir, dtype)

    def _possible(self, product: Product) -> list[int]:
        """The numbers of the targets that a product may have, by its category."""
        of_category = self._categories.get(product.category or "")
        places = [self.schema.names.index(name) for name in self._names]
        return [number for number, place in enumerate(places) if of_category is None or of_category[place]]

    def collate(self, products: Sequence[Product]) -> PamBatch:
        """Everything is asked."""
        return self._batch(products, [self._possible(product) for product in products], _first)

    def collate_to_learn(self, products: Sequence[Product]) -> PamBatch:
        """What products have is asked, and some of what they lack; of a word that stands in several places one is read.
        Both are drawn by torch's generator."""
        asked = []
        for product in products:
            possible = self._possible(product)
            has = [number for number in possible if values_of(product, self._names[number])]
            lacks = [number for number in possible if number not in has]
            drawn = [lacks[place] for place in torch.randperm(len(lacks)).tolist()]
            asked.append(sorted([*has, *drawn[: self.config.negatives]]))
        return self._batch(products, asked, lambda n: int(torch.randint(n, ())))

    def _batch(
        self, products: Sequence[Product], asked: Sequence[Sequence[int]], pick: Callable[[int], int]
    ) -> PamBatch:
        read = self.product_reader.collate(products)
        columns = [words for _, words in self.product_reader.sources(read)]
        copied = [[word for own in columns for word in own[row]] for row in range(len(products))]
        categories = [self._category_numbers.get(product.category or "", -1) for product in products]
        return PamBatch(
            tuple(products),
            read,
            tuple(map(tuple, copied)),
            self._writer.written(products, asked, copied, pick),
            torch.tensor(categories, dtype=torch.int64),
        )

    def _memory(self, batch: PamBatch) -> Memory:
        parts = self.product_reader(batch.read)
        state_PJD, mask_PJ = torch.cat([p.state_PXD for p in parts], 1), torch.cat([p.mask_PX for p in parts], 1)
        state_PJD, places = self.fused.read(state_PJD, mask_PJ)
        split_PXD = state_PJD.split([part.mask_PX.shape[1] for part in parts], dim=1)
        states = {part.name: state_PXD for part, state_PXD in zip(parts, split_PXD, strict=True)}
        sources = [(name, states[name]) for name in self._sources]
        copied_PSD = torch.cat([state_PJD[:, :0], *(state_PSD for _, state_PSD in sources)], dim=1)
        source = [number for number, (_, state) in enumerate(sources, start=1) for _ in range(state.shape[1])]
        return Memory(
            places,
            mask_PJ,
            copied_PSD,
            self.pointer.keys(sources, state_PJD),
            torch.tensor([*source, 0], dtype=torch.int64, device=mask_PJ.device),
            self.pointer.words(batch.questions.number_U),
            state_PJD[:, :1],
        )

    def _scores(self, step_PQTD: Tensor, memory: Memory, asked: Questions) -> Tensor:
        """(5) to (7), minus infinity of what is no candidate. [P,Q,T,C]"""
        score_PQTC = self.pointer.scores(
            step_PQTD,
            memory.key_PSD,
            self.config.edit_weight * asked.near_PQS,
            memory.word_UD,
            asked.number_U,
            asked.vocabulary_PQV,
        )
        return score_PQTC.masked_fill(~asked.candidate_PQC[:, :, None], -torch.inf)

    def _after(self, chosen_PQT: Tensor, memory: Memory, asked: Questions, number: int) -> Tensor:
        """Steps from `number` on, which follow the candidates that were chosen before them. [P,Q,T,D]"""
        num_copied = memory.copied_PSD.shape[1]
        copied_PXD = F.pad(memory.copied_PSD, (0, 0, 0, 1))  # where nothing is
        place_PQT = chosen_PQT.clamp(0, num_copied)
        is_copied_PQT = chosen_PQT < num_copied
        index_PYD = place_PQT.flatten(1)[..., None].expand(-1, -1, copied_PXD.shape[2])
        copied_PQTD = copied_PXD.gather(1, index_PYD).view(*chosen_PQT.shape, -1)
        row_PQT = asked.vocabulary_PQV.gather(2, (chosen_PQT - num_copied).clamp(min=0))
        word_PQTD = torch.where(is_copied_PQT[..., None], copied_PQTD, memory.word_UD[row_PQT])
        return self.steps.later(word_PQTD, memory.source_S[place_PQT] * is_copied_PQT, number)

    def forward(self, batch: PamBatch) -> tuple[Tensor, Memory]:
        """Scores of each step after what should stand before it, float32. [P,Q,T,C]"""
        asked, memory = batch.questions, self._memory(batch)
        steps_PQTD = torch.cat(
            [self.steps.first(asked.attribute_PQ), self._after(asked.given_PQT[..., 1:], memory, asked, 1)], dim=2
        )
        step_PQTD, _ = self.fused.write(steps_PQTD, memory.places, memory.mask_PJ)
        return self._scores(step_PQTD, memory, asked), memory

    def loss(self, batch: PamBatch) -> Losses:
        """(8), or (10): of each step, whether each candidate is its word."""
        score_PQTC, memory = self(batch)
        asked = batch.questions
        candidate_PQ1C = asked.candidate_PQC[:, :, None]
        target_PQTC = asked.target_PQTC.to(score_PQTC.dtype)
        each_PQTC = F.binary_cross_entropy_with_logits(
            score_PQTC.masked_fill(~candidate_PQ1C, 0), target_PQTC, reduction="none"
        )
        step_PQT = (each_PQTC * candidate_PQ1C).sum(3)
        parts = {"value": _mean_of_steps(step_PQT, asked.of_answer_PQT)}
        if self.config.category == "prefix":
            parts["category"] = _mean_of_steps(step_PQT, asked.of_prefix_PQT)
        if self.category is not None:
            logit_PC, known_P = self.category(memory.first_P1D[:, 0]).float(), batch.category_P >= 0
            wrong_P = F.cross_entropy(logit_PC, batch.category_P.clamp(min=0), reduction="none")
            parts["category"] = (wrong_P * known_P).sum() / batch.num_products
        total = parts["value"] + self.config.category_weight * parts.get("category", torch.zeros(()))
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    @torch.no_grad()
    def predict(self, batch: PamBatch) -> list[list[Facet]]:
        if not batch.num_products:
            return []
        asked = batch.questions
        chosen_PQT, sure_PQT = self.write(batch)
        answers: list[list[Facet]] = [[] for _ in batch.products]
        chosen, sure, attribute = chosen_PQT.tolist(), sure_PQT.tolist(), asked.attribute_PQ.tolist()
        num_prefix = (asked.prefix_PQX >= 0).sum(2).tolist()
        vocabulary_PQV = asked.number_U[asked.vocabulary_PQV].tolist()
        words = self._writer.vocabularies.words
        for row, column in asked.asked_PQ.nonzero().tolist():
            copied, start = batch.copied[row], num_prefix[row][column]
            said = [
                str(copied[place]) if place < len(copied) else words[vocabulary_PQV[row][column][place - len(copied)]]
                for place in chosen[row][column][start:]
                if place >= 0
            ]
            name = self._names[attribute[row][column]]
            values = self._values(batch, row, name, said, sure[row][column][start:])
            answers[row] += as_written(name, values)
        return answers

    @torch.no_grad()
    def write(self, batch: PamBatch) -> tuple[Tensor, Tensor]:
        """The candidate with the highest score, step by step, until the end or for `longest_answer` steps after the
        category's name, which is given; and how sure each is (0..1). -1 after the end. [P,Q,T] both"""
        asked, memory = batch.questions, self._memory(batch)
        num_prefix_PQ = (asked.prefix_PQX >= 0).sum(2)
        end_PQ = num_prefix_PQ + self.config.longest_answer
        ending_PQC = self._is_end(memory, asked)
        going_PQ, before = asked.asked_PQ, None
        state_PQ1D = self.steps.first(asked.attribute_PQ)
        chosen, sure = [], []
        for number in range(int(end_PQ.max())):
            step_PQ1D, before = self.fused.write(state_PQ1D, memory.places, memory.mask_PJ, before)
            score_PQC = self._scores(step_PQ1D, memory, asked)[:, :, 0]
            best_PQ = score_PQC.argmax(2)
            if number < asked.prefix_PQX.shape[2]:
                best_PQ = torch.where(number < num_prefix_PQ, asked.prefix_PQX[..., number], best_PQ)
            score_PQ = score_PQC.gather(2, best_PQ[..., None])[..., 0]
            chosen.append(best_PQ.masked_fill(~going_PQ, -1))
            sure.append(score_PQ.sigmoid())
            ended_PQ = (number >= num_prefix_PQ) & ending_PQC.gather(2, best_PQ[..., None])[..., 0]
            going_PQ = going_PQ & ~ended_PQ & (number + 1 < end_PQ)
            if not going_PQ.any():
                break
            state_PQ1D = self._after(best_PQ[..., None], memory, asked, number + 1)
        return torch.stack(chosen, dim=2), torch.stack(sure, dim=2)

    def _is_end(self, memory: Memory, asked: Questions) -> Tensor:
        """Which candidates end an answer. [P,Q,C]"""
        end = self._writer.vocabularies.numbers[END]
        is_end_PQV = asked.number_U[asked.vocabulary_PQV] == end
        return F.pad(is_end_PQV, (memory.copied_PSD.shape[1], 0))

    def _values(
        self, batch: PamBatch, row: int, name: str, said: Sequence[str], sure: Sequence[float]
    ) -> list[tuple[str, float]]:
        """The values of an answer, each once, as probable as its words and what ended it were."""
        found: list[tuple[str, float]] = []
        start = 0
        for end in [n for n, word in enumerate([*said, END]) if word in (NEXT, END)]:
            words, p = said[start:end], prod(sure[start : end + 1])
            if words and UNKNOWN not in words:
                found.append((self._spelled(batch, row, name, words), p))
            start = end + 1
        return one_spelling(found)

    def _spelled(self, batch: PamBatch, row: int, name: str, words: Sequence[str]) -> str:
        """A value as train writes it, or else as the product's text does."""
        known = self._writer.vocabularies.spelling(name, words)
        return known or surface(batch.products[row], batch.read.words[row], words) or joined(words)

    def phases(self, training: TrainingParams) -> Sequence[Phase]:
        return [replace(phase, collate=self.collate_to_learn) for phase in super().phases(training)]

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        return by_origin(self, text=TextEncoder, image=ImageEncoder)

    def report(self) -> Mapping[str, int]:
        return self._counts


def targets(config: PamConfig, schema: AttributeSchema) -> list[str]:
    """The attributes that are asked for. Raises `ParamsError` for one that train does not have."""
    if config.targets == "all":
        return [*schema.names]
    unknown = sorted({*config.targets} - {*schema.names})
    if unknown:
        raise ParamsError(f"models.pam.targets: {unknown[0]!r} is not an attribute of train")
    return [name for name in schema.names if name in config.targets]


def _fitted_vectors(config: PamConfig, train: Sequence[Product]) -> WordVectors | None:
    if not needs_vectors(config):
        return None
    if config.word_vectors is not None:
        return word_file(Path(config.word_vectors))
    texts = [[p.title, p.text, " ".join(token.text for token in p.ocr), *(f.value for f in p.facets)] for p in train]
    return LearnedVectors.learn(split(text) for own in texts for text in own)


def _first(number: int) -> int:
    return 0


def _mean_of_steps(step_PQT: Tensor, real_PQT: Tensor) -> Tensor:
    """The mean over the real steps of a product, and then over products."""
    num_P = real_PQT.sum((1, 2)).clamp(min=1)
    return ((step_PQT * real_PQT).sum((1, 2)) / num_P).mean()
