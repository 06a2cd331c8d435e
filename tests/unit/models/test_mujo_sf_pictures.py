"""MuJo-SF with pictures: what each side is told, what it learns, and every row of the paper's tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.pictures import data_uri
from facetmill.errors import ParamsError
from facetmill.models.mujo_sf import MujoSf
from facetmill.models.parts.slot_filling import Crossed, OneVector, PictureSide, Places
from facetmill.models.parts.slot_sides import Sides
from facetmill.params import MujoSfConfig
from facetmill.records import Attribute, AttributeSchema, Product
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import drawn, published, small
from tests.conftest import ROOT
from tests.unit.models.test_mujo_sf import TRAINING, product, schema_of, share_right

COLOURS = ("red", "blue", "green")
MATERIALS = ("cotton", "wool")
SCHEMA = schema_of(Colour=[*COLOURS], Material=[*MATERIALS])
CONFIG = replace(small.MUJO_SF, image_slots=["Colour"])


def dressed(number: int, colour: str, material: str, *, shown: bool = True, said: bool = False) -> Product:
    title = f"{colour if said else 'nice'} shirt of {material}"
    picture = data_uri(drawn.encoded(Image.new("RGB", (32, 32), colour))) if shown else ""
    one = product(title, Colour=colour, Material=material)
    return replace(one, product_id=f"{number} {title}", images=(picture,) if shown else ())


def some(times: int, **how: bool) -> list[Product]:
    pairs = [(colour, material) for colour in COLOURS for material in MATERIALS for _ in range(times)]
    return [dressed(n, colour, material, **how) for n, (colour, material) in enumerate(pairs)]


def built(
    train: list[Product], config: MujoSfConfig = CONFIG, schema: AttributeSchema = SCHEMA, **changes: Any
) -> MujoSf:
    seed_everything(0)
    return MujoSf.fit_vocabulary(replace(config, **changes), schema, train)


def told(model: Any, products: list[Product], name: str) -> list[str | None]:
    """The value of an attribute that each product is said to have."""
    found = predict(model, products, 16)
    return [next((facet.value for facet in facets if facet.attribute == name), None) for facets in found]


def places(*rows: list[list[float]]) -> Places:
    return Places(torch.tensor(rows), torch.ones(len(rows), len(rows[0]), dtype=torch.bool))


@pytest.mark.parametrize(
    ("attended", "expected"),
    [("patches", [[8.0, 0.0], [0.0, 8.0], [4.0, 4.0]]), ("pooled", [[4.0, 4.0], [4.0, 4.0], [4.0, 4.0]])],
)
def test_a_token_gathers_the_regions_that_it_asks_for_4_beside_what_it_is_5(
    attended: Any, expected: list[list[float]]
) -> None:
    """Tokens that ask for the first region, for the second, and for neither more than for the other."""
    crossed = Crossed(2, 2, attended)
    gathered: Any = crossed.gathered
    for layer in gathered.children():
        torch.nn.init.eye_(layer.weight)
    torch.nn.init.zeros_(gathered.out.bias)
    regions = places([[8.0, 0.0], [0.0, 8.0]])
    tokens = torch.tensor([[[100.0, 0.0], [0.0, 100.0], [0.0, 0.0]]])
    found = gathered(tokens, regions).expand(1, 3, 2)
    torch.testing.assert_close(found[0], torch.tensor(expected))
    torch.testing.assert_close(crossed(tokens, regions), F.layer_norm(tokens + found, (2,)))


def test_without_a_picture_a_text_is_read_as_if_none_could_be() -> None:
    seed_everything(0)
    crossed = Crossed(4, 3, "patches")
    tokens = torch.randn(2, 5, 4)
    regions = Places(torch.randn(2, 6, 3), torch.tensor([[True] * 6, [False] * 6]))
    found = crossed(tokens, regions)
    torch.testing.assert_close(found[1], crossed(tokens, None)[1])
    assert not torch.allclose(found[0], crossed(tokens, None)[0])


def test_the_picture_has_one_vector_9_and_a_head_for_each_slot_10() -> None:
    side = PictureSide(2, 4, [2, 3], crossed=False)
    side.joined.weight.data = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])  # of what was crossed, and of the picture
    side.heads.candidates.weight.data = torch.tensor([[1.0, 0], [0, 1.0], [2.0, 0], [0, 2.0], [1.0, 1.0]])
    torch.nn.init.zeros_(side.heads.candidates.bias)
    found = side(places([[3.0, 7.0], [1.0, 3.0]]), None, 4)  # pooled: 2, 5; its norm: -1, 1
    expected = [[[-1.0, 5, -torch.inf, -torch.inf], [-2.0, 10, 4, -torch.inf]]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


def test_omfa_has_one_vector_for_all_slots_which_without_a_picture_is_of_the_text() -> None:
    seed_everything(0)
    one = OneVector(4, 3, "patches", [2, 3])
    tokens = Places(torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool))
    regions = Places(torch.randn(2, 6, 3), torch.tensor([[True] * 6, [False] * 6]))
    torch.testing.assert_close(one(tokens, regions, 3)[1], one(tokens, None, 3)[1])
    assert one.heads.candidates.weight.shape == (5, 4)
    tower = OneVector(4, 0, "none", [2, 3])
    assert {name for name, _ in tower.named_parameters()} == {
        "crossed_text.norm.weight",
        "crossed_text.norm.bias",
        "heads.candidates.weight",
        "heads.candidates.bias",
    }


BY_SCHEMA = AttributeSchema(
    (
        Attribute("Colour", {}, modality="image"),
        Attribute("Neckline", {}, modality="both"),
        Attribute("Season", {}, modality="text"),
        Attribute("Size", {}),
    )
)


@pytest.mark.parametrize(
    ("changes", "text", "picture"),
    [
        ({"image_slots": "schema"}, [1, 2, 3], [0, 1]),
        ({"image_slots": "schema", "image_slots_read": "both"}, [0, 1, 2, 3], [0, 1]),
        ({"image_slots": "all"}, [], [0, 1, 2, 3]),
        ({"image_slots": []}, [0, 1, 2, 3], []),
        ({"image_slots": ["Size"]}, [0, 1, 2], [3]),
        ({"image_slots": ["Size"], "text_weight": 0.0}, [], [3]),
        ({"image_slots": ["Size"], "image_weight": 0.0}, [0, 1, 2], []),
        ({"heads": "one"}, [0, 1, 2, 3], []),
    ],
)
def test_schema_or_settings_say_what_tells_a_slot(changes: dict[str, Any], text: list[int], picture: list[int]) -> None:
    assert Sides.of(replace(CONFIG, **changes), BY_SCHEMA) == Sides(text, picture)


def test_slots_that_there_are_not_and_settings_without_any_are_refused() -> None:
    with pytest.raises(ParamsError, match="'Fit' is no attribute"):
        Sides.of(replace(CONFIG, image_slots=["Fit"]), BY_SCHEMA)
    with pytest.raises(ParamsError, match="leave no slot"):
        Sides.of(replace(CONFIG, image_slots="all", image_weight=0.0), BY_SCHEMA)
    with pytest.raises(ParamsError, match="leave no slot"):
        Sides.of(replace(CONFIG, heads="one", text_weight=0.0), BY_SCHEMA)


@pytest.fixture(scope="module")
def trained() -> MujoSf:
    train = some(6)
    model = built(train)
    fit(model, train, train, replace(TRAINING, epochs=16))
    return model


def test_it_learns_a_value_that_only_the_picture_shows(trained: MujoSf) -> None:
    assert share_right(trained, some(3)) > 0.95
    blind = built(some(6), ca="none", image_slots=[])
    fit(blind, some(6), some(6), replace(TRAINING, epochs=16))
    assert told(blind, some(3), "Material") == [each.facets[1].value for each in some(3)]
    assert share_right(blind, some(3)) < 0.5
    assert "images" not in blind.reads


def test_without_a_picture_the_slots_that_it_tells_are_silent(trained: MujoSf) -> None:
    bare = [replace(each, images=()) for each in some(2)]
    assert told(trained, bare, "Colour") == [None] * len(bare)
    assert told(trained, bare, "Material") == [each.facets[1].value for each in bare]
    assert told(trained, [*bare, *some(2)], "Colour") == [*[None] * len(bare), *(p.facets[0].value for p in some(2))]


def test_told_by_both_a_slot_is_read_off_whichever_shows_it() -> None:
    train = [*some(6), *some(6, shown=False, said=True)]
    model = built(train, image_slots_read="both")
    fit(model, train, train, replace(TRAINING, epochs=16))
    assert share_right(model, some(3)) > 0.95
    assert share_right(model, some(3, shown=False, said=True)) > 0.95


def test_probabilities_by_text_and_by_picture_are_multiplied() -> None:
    model = built(some(1), image_slots_read="both").eval()
    batch = model.collate([dressed(0, "red", "wool"), dressed(1, "red", "wool", shown=False)])
    found = model(batch)
    p_PSV, said_PS = model._probabilities(found, batch.known_PS.shape)
    by_text, by_picture = found.text_PSV.softmax(-1), found.picture_PSV.softmax(-1)
    product_V = by_text[0, 0] * by_picture[0, 0]
    torch.testing.assert_close(p_PSV[0, 0], product_V / product_V.sum())
    torch.testing.assert_close(p_PSV[1], by_text[1])
    torch.testing.assert_close(p_PSV[0, 1], by_text[0, 1])
    assert said_PS.all()


def gradients(model: MujoSf, products: list[Product]) -> dict[str, Tensor]:
    model.zero_grad()
    model.loss(model.collate(products)).total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def test_a_product_without_a_picture_trains_the_text_side_alone() -> None:
    model = built(some(1)).eval()
    bare = [dressed(0, "red", "wool", shown=False)]
    alone = gradients(model, bare)
    assert {name.partition(".")[0] for name in alone} == {"encoder", "text_side"}
    assert "image" not in model.loss(model.collate(bare)).parts
    both = gradients(model, [*bare, dressed(1, "red", "wool")])
    assert {name.partition(".")[0] for name in both} == {"encoder", "text_side", "picture_side", "image_encoder"}
    shown = gradients(model, [dressed(1, "red", "wool")])
    for name, gradient in both.items():
        torch.testing.assert_close(gradient, (shown[name] + alone.get(name, torch.zeros(()))) / 2)


def test_the_two_losses_are_weighed_12() -> None:
    model = built(some(1), text_weight=0.5, image_weight=2.0).eval()
    losses = model.loss(model.collate(some(1)))
    torch.testing.assert_close(losses.total.detach(), 0.5 * losses.parts["text"] + 2 * losses.parts["image"])


def test_pictures_alone_where_there_are_none_cost_nothing() -> None:
    model = built(some(1), image_slots="all", ca="none")
    losses = model.loss(model.collate([dressed(0, "red", "wool", shown=False)]))
    losses.total.backward()
    assert losses.total == 0
    assert list(predict(model, [dressed(0, "red", "wool", shown=False)], 1)) == [[]]


def test_a_slot_with_a_head_takes_no_value_that_it_has_not_learned(trained: MujoSf) -> None:
    with pytest.raises(ParamsError, match="'Colour' has a head"):
        trained.ask(schema_of(Colour=[*COLOURS, "teal"], Material=[*MATERIALS]))


def test_a_value_added_for_the_text_leaves_what_the_picture_tells_as_it_was(trained: MujoSf, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "saved")
    model: Any = load_model(tmp_path / "saved")
    before = [[f for f in facets if f.attribute == "Colour"] for facets in predict(model, some(2), 4)]
    model.ask(schema_of(Colour=[*COLOURS], Material=[*MATERIALS, "a silk of some kind"]))
    after = [[f for f in facets if f.attribute == "Colour"] for facets in predict(model, some(2), 4)]
    assert before == after
    assert all(before)


def rows() -> dict[str, dict[str, Any]]:
    """The settings of each row of the table in models/README.md."""
    text = (ROOT / "src" / "facetmill" / "models" / "README.md").read_text(encoding="utf-8")
    table = text.partition("## The rows of MuJo-SF's tables")[2].partition("|---|---|---|\n")[2].partition("\n\n")[0]
    cells = [[cell.strip("`") for cell in line.strip("| ").split(" | ")] for line in table.split("\n")]
    return {row: yaml.safe_load(f"{{{settings}}}") for row, _, settings in cells}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Published encoders of text and pictures, in local folders."""
    folder = tmp_path_factory.mktemp("published")
    characters = "".join(each.title for each in some(1)) + "".join((*COLOURS, *MATERIALS, *SCHEMA.names))
    return {
        "encoder": published.text_encoder(folder / "bert", characters),
        "image_encoder": published.image_encoder(folder / "resnet"),
    }


@pytest.mark.parametrize("row", rows())
def test_every_row_of_the_tables_is_trained_saved_and_loaded(
    row: str, networks: dict[str, str], tmp_path: Path
) -> None:
    """With published encoders, each of which learns where it is read at all, and otherwise is not read."""
    settings = {"image_slots": ["Colour"], **rows()[row]}
    for name, network in networks.items():
        settings[name] = replace(
            getattr(CONFIG, name), network=network, **({"window": 48} if name == "encoder" else {})
        )
    train = some(2)
    model: Any = built(train, **settings)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    fit(model, train, train[:4], replace(small.TRAINING, epochs=1))
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert ("images" in model.reads) is any(name.startswith("image_encoder.") for name in moved)
    assert ("title" in model.reads) is any(name.startswith("encoder.") for name in moved)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert moved == learns
    expected = list(predict(model, train, 4))
    save_model(model, tmp_path / "saved")
    assert list(predict(load_model(tmp_path / "saved"), train, 4)) == expected


def test_text_pictures_and_what_is_new_learn_at_rates_of_their_own(networks: dict[str, str]) -> None:
    encoders = {name: replace(getattr(CONFIG, name), network=network) for name, network in networks.items()}
    (phase,) = built(some(1), **encoders).phases(
        replace(small.TRAINING, learning_rates={"image": 0.003, "text": 0.001})
    )
    assert {group.name: group.learning_rate for group in phase.groups} == {
        "text": 0.001,
        "image": 0.003,
        "fresh": 0.005,
    }


def test_what_stage_saliency_found_decides_which_slots_are_the_pictures() -> None:
    colour, material = SCHEMA.attributes
    schema = AttributeSchema((replace(colour, modality="image"), material))
    model = built(some(1), image_slots="schema", schema=schema)
    assert model.sides == Sides([1], [0])
