"""MEPAVE as its authors give it out, sentences with vectors of their BERT and ResNet, and encoders of their formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.pictures import data_uri
from facetmill.errors import DataError, ParamsError
from facetmill.models import model_class
from facetmill.models.base import Model
from facetmill.models.baselines.aveqa import Aveqa
from facetmill.models.baselines.su_opentag import SuOpenTag
from facetmill.models.m_jave import MJave
from facetmill.models.uls_dram import UlsDram
from facetmill.params import load_params, training_of
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.sources.base import SourceOptions
from facetmill.sources.mepave import read
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import drawn, published, small

SCHEMA = AttributeSchema((Attribute("Colour", {}),))
TITLES = {"s1": "黑色单肩包", "s2": "白衬衫"}
MADE = [
    Product(key, "s", title, group_id=f"c{key[1]}", facets=(Facet("Colour", title[:1], (Span("title", 0, 1),)),))
    for key, title in TITLES.items()
]


@pytest.fixture(scope="module")
def official(shared_data: Path) -> Path:
    return shared_data / "mepave_official" / "data"


@pytest.fixture(scope="module")
def sentences(official: Path) -> list[Product]:
    found = [product for product in read(official, SourceOptions(demo=small.DEMO)) if isinstance(product, Product)]
    assert len(found) == 90
    return found


def of_split(products: list[Product], split: str) -> list[Product]:
    return [product for product in products if product.split == split]


def schema_of(products: list[Product]) -> AttributeSchema:
    names = dict.fromkeys(facet.attribute for product in products for facet in product.facets)
    return AttributeSchema(tuple(Attribute(name, {}) for name in names))


def config_of(key: str, root: Path, folder: Path) -> Any:
    """Small settings of a model, with vectors of a folder for both its encoders."""
    base: Any = small.M_JAVE if key == "m_jave" else load_params(root / "params.yaml").models.uls_dram
    small_sizes = {} if key == "m_jave" else {"tir_size": 8, "decoder_size": 16}
    text = replace(small.TEXT, network=f"given:{folder}", tokenizer="characters", window=64)
    return replace(base, encoder=text, image_encoder=replace(small.IMAGE, network=f"given:{folder}"), **small_sizes)


def trained(key: str, config: Any, products: list[Product]) -> Model:
    seed_everything(0)
    model = model_class(key).fit_vocabulary(config, schema_of(products), products)
    fit(model, products, products[:4], replace(small.TRAINING, epochs=1))
    return model.eval()


@pytest.mark.parametrize("key", ["m_jave", "uls_dram"])
def test_the_vectors_of_mepaves_authors_are_learned_from_by_id(
    key: str, official: Path, sentences: list[Product], root: Path, tmp_path: Path
) -> None:
    assert [len(of_split(sentences, split)) for split in ("train", "validation", "test")] == [50, 20, 20]
    train, test = of_split(sentences, "train")[:16], of_split(sentences, "test")
    model = trained(key, config_of(key, root, official / "embedded"), train)
    assert model.report()["train_pictures_given"] == 16

    batch: Any = model.collate(test)
    regions = batch.pictures.region_PKE[batch.pictures.picture_B][:, 0]
    for vectors, ids, names, found in (
        ("txts.embeddedG.npy", "sids_of_txts", [product.product_id for product in test], batch.text.text_BE),
        ("imgs.embeddedG.npy", "cids_of_imgs", [product.group_id for product in test], regions),
    ):
        theirs = np.load(official / "embedded" / vectors, allow_pickle=False)
        known = (official / "embedded" / ids).read_text().split()
        np.testing.assert_array_equal(found, theirs[[known.index(name) for name in names]])

    expected = list(predict(model, test, 8))
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), test, 8)) == expected

    unknown = replace(test[0], product_id="s_0", group_id="c_0")
    with pytest.raises(DataError, match=r"sids_of_txts: no vectors for product 's_0'"):
        model.collate([test[1], unknown])
    with pytest.raises(DataError, match=r"cids_of_imgs: no vectors for product 's_\d+', looked for c_0, s_\d+"):
        model.collate([replace(test[0], group_id="c_0")])


def test_the_preset_of_uls_dram_reads_mepave_by_character_with_encoders_of_the_papers_formats(
    sentences: list[Product], root: Path, tmp_path: Path
) -> None:
    """A BERT and a ResNet in local folders, as the hub would give RoBERTa-small-chinese and ResNet-152."""
    bert = published.text_encoder(tmp_path / "bert", "".join(product.title.lower() for product in sentences))
    resnet = published.image_encoder(tmp_path / "resnet")
    params = load_params(
        root / "params.yaml",
        [
            "models.uls_dram=paper",
            f"models.uls_dram.encoder.network={bert}",
            f"models.uls_dram.image_encoder.network={resnet}",
            "models.uls_dram.image_encoder.size=32",
            "models.uls_dram.decoder_size=16",
        ],
    )
    picture = data_uri(drawn.encoded(Image.new("RGB", (24, 24), "orange")))
    train = [replace(product, images=(picture,)) for product in of_split(sentences, "train")]
    seed_everything(0)
    model = UlsDram.fit_vocabulary(params.models.uls_dram, schema_of(train), train)
    assert model.report()["encoder_replaced_by_bilstm"] == 0
    batch = model.collate(train)
    assert [len(reading.ids) for reading in batch.text.readings] == [len(product.title) for product in train]
    assert len(batch.text.ids_BT.unique()) > 100  # and not all unknown
    training = replace(training_of(params, "uls_dram"), epochs=1)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    result = fit(model, train, train[:4], training)
    assert result.epochs[-1].learning_rates == {"text": 5e-5, "embeddings": 5e-5, "image": 1e-5, "fresh": 5e-5}
    rested = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert not {name for name in rested if name.startswith(("encoder.", "image_encoder."))}


def released(folder: Path, **changes: Any) -> Path:
    """A folder laid out as the whole release is, with vectors of tokens and of regions too."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "txts.embeddedG": draw.normal(size=(2, 16)).astype("float32"),
        "txts.embedded": draw.normal(size=(2, 6, 16)).astype("float32"),
        "imgs.embedded": draw.normal(size=(2, 49, 8)).astype("float16"),
    } | changes
    folder.mkdir()
    (folder / "sids_of_txts").write_text("s2\ns1\n")
    (folder / "cids_of_imgs").write_text("c1\nc2\n")
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array)
    return folder


def test_vectors_of_tokens_and_regions_leave_no_encoder_to_learn(root: Path, tmp_path: Path) -> None:
    folder = released(tmp_path / "embedded")
    model = trained("m_jave", config_of("m_jave", root, folder), MADE)
    assert isinstance(model, MJave)
    assert not [*model.trunk.encoder.parameters(), *model.trunk.image_encoder.parameters()]  # type: ignore[union-attr]
    batch = model.collate(MADE)
    tokens, regions = (np.load(folder / f"{name}.embedded.npy", allow_pickle=False) for name in ("txts", "imgs"))
    assert batch.text.states_BTE is not None
    assert batch.pictures is not None
    assert batch.pictures.region_PKE is not None
    np.testing.assert_array_equal(batch.text.states_BTE[0, 1:6], tokens[1, :5])  # s1 is the second text
    np.testing.assert_array_equal(batch.pictures.region_PKE[0], regions[0].astype("float32"))  # c1 the first picture
    maps = model.picture_maps(MADE[0])
    assert maps is not None
    assert [len(row) for row in maps.regions] == [7] * 7
    with pytest.raises(ParamsError, match="it changes a text before its layers"):
        UlsDram.fit_vocabulary(config_of("uls_dram", root, folder), SCHEMA, MADE)
    for asked, config in ((SuOpenTag, small.SU_OPENTAG), (Aveqa, small.AVEQA)):
        given = replace(config, encoder=config_of("m_jave", root, folder).encoder)
        with pytest.raises(ParamsError, match="names of attributes are read, of which it has no vectors"):
            asked.fit_vocabulary(given, SCHEMA, MADE)
    for unlike in (replace(MADE[0], title="黑色单肩包和白"), replace(MADE[0], text="新")):
        with pytest.raises(DataError, match="at most 6 tokens, all of the title, but product 's1' is read as 7 tokens"):
            model.collate([unlike])


def test_a_picture_is_found_by_its_file_name_first(root: Path, tmp_path: Path) -> None:
    folder = released(tmp_path / "embedded")
    model = trained("m_jave", config_of("m_jave", root, folder), MADE)
    batch: Any = model.collate([replace(MADE[0], images=("shop/c2.jpg",))])
    regions = np.load(folder / "imgs.embedded.npy", allow_pickle=False)
    np.testing.assert_array_equal(batch.pictures.region_PKE[0], regions[1].astype("float32"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"txts.embeddedG": None}, (ParamsError, r"there is no file .*txts\.embeddedG\.npy")),
        ({"txts.embeddedG": np.array([{}, {}])}, (DataError, r"txts\.embeddedG\.npy: no array.*[Oo]bject")),
        ({"txts.embedded": np.zeros((3, 6, 16))}, (DataError, r"txts\.embedded\.npy: 3 rows, but 2 ids")),
        ({"txts.embedded": np.zeros((2, 6, 8))}, (DataError, r"txts\.embedded\.npy: vectors of another width")),
        ({"imgs.embedded": np.zeros((2, 7, 7, 8))}, (DataError, r"3 axes of floats expected, found .*\(2, 7, 7, 8\)")),
        ({"imgs.embedded": np.zeros((2, 48, 8))}, (DataError, "pictures have 48 regions, which make no square")),
    ],
)
def test_what_is_wrong_with_a_folder_of_vectors_is_told_by_its_file(
    changes: dict[str, Any], told: tuple[type[Exception], str], root: Path, tmp_path: Path
) -> None:
    folder = released(tmp_path / "embedded", **changes)
    with pytest.raises(told[0], match=told[1]):
        MJave.fit_vocabulary(config_of("m_jave", root, folder), SCHEMA, MADE)
