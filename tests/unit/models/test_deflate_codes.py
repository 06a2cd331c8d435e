"""DEFLATE's pictures as codes of a learned vocabulary: equation 1, what it learns from them, and how they are saved."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.pictures import data_uri
from facetmill.errors import ParamsError
from facetmill.models.deflate import Deflate
from facetmill.models.parts.picture_codes import CodeBatch, PictureCodes
from facetmill.params.data import VisualTokensParams
from facetmill.params.perception import ReaderSettings
from facetmill.perception.codebooks import VqCodebook
from facetmill.perception.reader import Reader
from facetmill.perception.vq_network import VqNetwork
from facetmill.records import Attribute, AttributeSchema, Facet, Product
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small

COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220), "green": (20, 200, 20)}
SCHEMA = AttributeSchema((Attribute("Colour", dict.fromkeys(COLOURS, 4)),))
CONFIG = replace(small.DEFLATE, image="codes", question="decoder", discriminator="none")
TRAINING = replace(small.TRAINING, epochs=8, min_epoch_steps=20, batch_size=8, learning_rate=0.004)
TOKENS = VisualTokensParams(
    codebook="train", image_size=16, num_codes=32, grid=4, train_pictures=8, epochs=1, batch_size=4,
    learning_rate=0.01, seed=0, threads=1,
)  # fmt: skip


def pictured(number: int, colour: str) -> Product:
    """A cup, whose picture alone tells the colour, with a shade of its own."""
    shade = np.random.default_rng(number).integers(-20, 20, 3)
    pixels = np.full((20, 20, 3), COLOURS[colour]) + shade
    written = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(written, "PNG")
    shown = data_uri(written.getvalue())
    return Product(f"p{number}", "s", "cup", images=(shown,), facets=(Facet("Colour", colour),))


PRODUCTS = [pictured(number, colour) for number, colour in enumerate([*COLOURS] * 6)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """With a codebook whose vectors are what its encoder gives for these pictures."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("codes") / "codebook"
    folder.mkdir()
    network = VqNetwork(16, 4, 32)
    with torch.no_grad():
        shades = torch.rand(8, 3, 16, 16).mul(255).to(torch.uint8)
        colours = torch.tensor([*COLOURS.values()], dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 16, 16)
        parts = network._parts(torch.cat([colours, shades]))
        network.vector_KD.copy_(parts[torch.linspace(0, len(parts) - 1, 32).long()])
    VqCodebook(network).save(folder)
    return Reader(ReaderSettings(visual_tokens=TOKENS), codebook=folder)


def built(reader: Reader) -> Deflate:
    seed_everything(0)
    model = Deflate.fit_vocabulary(CONFIG, SCHEMA, PRODUCTS)
    model.read_with(reader)
    return model


def test_a_code_has_its_vector_and_a_square_of_codes_their_mean_1() -> None:
    codes = PictureCodes(num_codes=3, grid=2, pooling=1, width=2)
    nn.init.zeros_(codes.vectors.weight)
    codes.vectors.weight.data[1] = torch.tensor([1.0, 0.0])
    codes.vectors.weight.data[2] = torch.tensor([0.0, 4.0])
    batch = CodeBatch(torch.tensor([[[0, 1], [2, 1]]]), torch.tensor([True]))
    assert codes(batch).region_BKE.tolist() == [[[0.0, 0.0], [1.0, 0.0], [0.0, 4.0], [1.0, 0.0]]]
    pooled = PictureCodes(num_codes=3, grid=2, pooling=2, width=2)
    pooled.vectors.weight.data.copy_(codes.vectors.weight.data)
    assert pooled(batch).region_BKE.tolist() == [[[0.5, 1.0]]]
    with pytest.raises(ParamsError, match="code_pooling: 3 does not divide the 2 codes"):
        PictureCodes(num_codes=3, grid=2, pooling=3, width=2)


def test_it_writes_what_only_the_codes_tell_and_does_so_when_it_was_saved(reader: Reader, tmp_path: Path) -> None:
    model = built(reader)
    fit(model, PRODUCTS, PRODUCTS[:6], TRAINING, features_dir=tmp_path / "features")
    new = [pictured(100 + number, colour) for number, colour in enumerate(COLOURS)]
    told = list(predict(model, new, 8))
    assert [[facet.value for facet in facets] for facets in told] == [[colour] for colour in COLOURS]
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert list(predict(loaded, new, 8)) == told
    assert "images" in loaded.reads  # so the judge exchanges them


def test_a_product_without_a_picture_has_none_of_its_places(reader: Reader) -> None:
    model = built(reader).eval()
    bare = [replace(product, images=()) for product in PRODUCTS[:2]]
    assert model.pictures(bare) is None
    mixed = model.pictures([PRODUCTS[0], bare[0]])
    assert isinstance(mixed, CodeBatch)
    assert mixed.shown_P.tolist() == [True, False]
    alone, beside = list(predict(model, bare[:1], 8)), list(predict(model, [bare[0], PRODUCTS[1]], 8))
    assert [facet.value for facet in alone[0]] == [facet.value for facet in beside[0]]


def test_without_a_codebook_it_says_what_to_set() -> None:
    model = Deflate.fit_vocabulary(CONFIG, SCHEMA, PRODUCTS)
    for nothing in (None, Reader(ReaderSettings())):
        with pytest.raises(ParamsError, match=r"models\.deflate\.image: codes: .* set visual_tokens\.codebook"):
            model.read_with(nothing)
