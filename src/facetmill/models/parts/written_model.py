"""A model that writes what it answers: what reads and writes, what is known of products, and how it is saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from facetmill.encoders.main_picture import PictureBatch, RegionSource, image_states
from facetmill.encoders.seq2seq import build_seq2seq, load_seq2seq, save_seq2seq
from facetmill.encoders.vision import ImageEncoder, ImageStates
from facetmill.errors import ParamsError
from facetmill.files import read_json, write_json
from facetmill.models.base import Answers, Model, Reads
from facetmill.models.parts.labels import attributes_by_category
from facetmill.models.parts.origin import by_origin
from facetmill.models.parts.picture_codes import CodeBatch, CodeReader, PictureCodes
from facetmill.models.parts.prompts import Prompts
from facetmill.models.parts.sight import Sight, build_regions, load_regions
from facetmill.models.parts.writer import Writer
from facetmill.params import WrittenConfig
from facetmill.records import AttributeSchema, Product

if TYPE_CHECKING:
    from facetmill.perception.reader import Reader

CODES = "codes.json"  # among a saved model's assets: how many codes there are, and how many a side of a picture has


class WrittenModel(Model):
    """A subclass asks the questions, and reads what is written."""

    answers: ClassVar[Answers] = "text"
    reads: frozenset[Reads] = frozenset({"title", "text", "category"})
    config: WrittenConfig

    def __init__(
        self,
        config: Any,
        schema: AttributeSchema,
        generator: Writer,
        prompts: Prompts,
        image_encoder: RegionSource | None,
        counts: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config, self.schema = config, schema
        self.generator = generator
        self.image_encoder = image_encoder
        if image_encoder is not None:
            self.reads = self.reads | {"images"}
        if config.image == "codes":
            self.reads = self.reads | {"images", "codes"}
        self.codes: PictureCodes | None = None
        self._code_reader: CodeReader | None = None
        self._prompts = prompts
        self._sight = None if image_encoder is None else Sight(image_encoder, config.image_encoder.size)
        self._counts = Counter(counts)
        self._names = prompts.names(schema.names)
        self._categories = attributes_by_category(schema) if config.category_attributes else {}

    @classmethod
    def fit_vocabulary(cls, config: Any, schema: AttributeSchema, train: Iterable[Product]) -> Self:
        products = list(train)
        texts = [text for product in products for text in (product.title, product.text)]
        texts += [facet.value for product in products for facet in product.facets] + [*schema.names]
        network, tokenizer, published = build_seq2seq(config.generator, texts, config.dropout)
        prompts = Prompts(tokenizer, config.separator, config.window)
        image_encoder = build_regions(config.image_encoder) if config.image == "patches" else None
        generator = Writer(network, tokenizer, _width(image_encoder), published=published)
        model = cls(config, schema, generator, prompts, image_encoder, {})
        model._counts["train_products_cut"] = sum(map(prompts.is_cut, prompts.products(products)))
        if model._sight is not None:
            model._counts.update(model._sight.count(products))
        return model

    @classmethod
    def load_assets(cls, config: Any, schema: AttributeSchema, folder: Path) -> Self:
        network, tokenizer, published = load_seq2seq(folder)
        image_encoder = load_regions(config.image_encoder, folder) if config.image == "patches" else None
        generator = Writer(network, tokenizer, _width(image_encoder), published=published)
        prompts = Prompts(tokenizer, config.separator, config.window)
        model = cls(config, schema, generator, prompts, image_encoder, read_json(folder / "report.json"))
        if config.image == "codes":
            model.codes = model._picture_codes(**read_json(folder / CODES))
        return model

    def save_assets(self, folder: Path) -> None:
        save_seq2seq(self.generator.network, self._prompts.tokenizer, self.generator.published, folder)
        if self._sight is not None:
            self._sight.save(folder)
        if self.codes is not None:
            write_json(folder / CODES, {"num_codes": self.codes.num_codes, "grid": self.codes.grid})
        write_json(folder / "report.json", self._counts)

    def read_with(self, reader: Reader | None) -> None:
        """Raises `ParamsError` for pictures that are to be read as codes, where nothing gives any."""
        super().read_with(reader)
        if self.config.image != "codes":
            return
        if reader is None or reader.settings.visual_tokens is None:
            raise ParamsError(f"models.{self.key}.image: codes: pictures have none; set visual_tokens.codebook")
        if self.codes is None:
            self.codes = self._picture_codes(reader.codebook.num_codes, reader.codebook.grid)
        self._code_reader = CodeReader(reader, self.codes.grid)

    def _picture_codes(self, num_codes: int, grid: int) -> PictureCodes:
        return PictureCodes(num_codes, grid, self.config.code_pooling, self.generator.width)

    def prepare(self, products: Sequence[Product], features_dir: Path, dtype: torch.dtype = torch.float32) -> None:
        if self._sight is not None:
            self._sight.prepare(products, features_dir, dtype)
        if self._code_reader is not None:
            self._code_reader.prepare(products)

    def pictures(self, products: Sequence[Product]) -> PictureBatch | CodeBatch | None:
        """None where no product has one, and always for a model that sees none."""
        if self._code_reader is not None:
            return self._code_reader.batch(products)
        return None if self._sight is None else self._sight.pictures(products, range(len(products)))

    def seen(self, pictures: PictureBatch | CodeBatch | None) -> ImageStates | None:
        if self.codes is not None and isinstance(pictures, CodeBatch):
            coded: ImageStates = self.codes(pictures)
            return coded
        if self.image_encoder is not None and isinstance(pictures, PictureBatch):
            return image_states(pictures, self.image_encoder)
        return None

    def precision(self) -> AbstractContextManager[Any]:
        """In which what is written is computed."""
        device = next(self.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def possible(self, product: Product) -> list[int]:
        """The numbers of the attributes that a product may have, by its category."""
        of_category = self._categories.get(product.category or "")
        numbers = range(len(self.schema.names))
        return list(numbers) if of_category is None else [number for number in numbers if of_category[number]]

    def nothing(self) -> Tensor:
        """A loss of 0 for products of which nothing is known."""
        return torch.stack([parameter.sum() for parameter in self.parameters() if parameter.requires_grad]).sum() * 0.0

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        groups = by_origin(self, image=ImageEncoder)
        published = {id(p) for p in self.generator.network.parameters()} if self.generator.published else set()
        text = [p for p in groups["fresh"] if id(p) in published]
        return {**groups, "text": text, "fresh": [p for p in groups["fresh"] if id(p) not in published]}

    def report(self) -> Mapping[str, int]:
        return self._counts


def _width(image_encoder: RegionSource | None) -> int | None:
    return None if image_encoder is None else image_encoder.width
