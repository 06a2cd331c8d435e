"""Where image encoders come from, and that a region stays where it is in the picture."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, CLIPConfig, PreTrainedModel, ResNetConfig, SwinConfig, ViTConfig

from facetmill.encoders.vision import build_image_encoder, load_image_encoder, save_image_encoder
from facetmill.errors import ParamsError
from facetmill.params import ImageEncoderParams
from tests import small


def config(**changes: Any) -> ImageEncoderParams:
    return dataclasses.replace(small.IMAGE, **changes)


def published(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    shapes = {
        "resnet": ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"),
        "vit": ViTConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=32, patch_size=8
        ),
        "clip": CLIPConfig(
            text_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9},
            vision_config={
                "hidden_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 8,
                "image_size": 32,
                "patch_size": 8,
            },
        ),
        "swin": SwinConfig(embed_dim=4, depths=[1, 1], num_heads=[1, 2], window_size=2, image_size=32, patch_size=4),
    }
    network: PreTrainedModel = AutoModel.from_config(shapes[kind])
    return network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    published("resnet").save_pretrained(tmp_path / "resnet")
    return tmp_path / "resnet"


def test_the_small_resnet_has_seven_by_seven_regions_of_112_pixels() -> None:
    encoder = build_image_encoder(config(size=112, hidden_size=32, num_stages=3)).eval()
    assert (encoder.grid, encoder.width, encoder.pretrained) == (7, 32, False)
    regions = encoder(torch.zeros(2, 3, 112, 112, dtype=torch.uint8))
    assert regions.shape == (2, 49, 32)


def test_a_region_is_where_it_is_in_the_picture() -> None:
    """A spot in the second row and last column changes that region the most."""
    torch.manual_seed(0)
    encoder = build_image_encoder(config()).eval()
    assert encoder.grid == 4
    blank = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    spot = blank.clone()
    spot[:, :, 11:13, 27:29] = 255
    change = (encoder(spot) - encoder(blank)).norm(dim=-1)[0]
    assert change.argmax() == 1 * 4 + 3


def test_regions_are_the_last_feature_map_and_their_mean_the_networks_own_pooling(folder: Path) -> None:
    encoder = build_image_encoder(config(network=str(folder))).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    theirs = published("resnet").eval()(inputs)
    regions = encoder(pixels)
    torch.testing.assert_close(regions.transpose(1, 2).reshape(2, 8, 4, 4), theirs.last_hidden_state)
    torch.testing.assert_close(regions.mean(1), theirs.pooler_output[..., 0, 0])


@pytest.mark.parametrize(("kind", "grid", "width"), [("vit", 4, 8), ("swin", 4, 8), ("clip", 4, 8)])
def test_patches_are_regions_and_class_tokens_are_none(tmp_path: Path, kind: str, grid: int, width: int) -> None:
    network = published(kind)
    network.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}))
    encoder = build_image_encoder(config(network=str(tmp_path))).eval()
    assert (encoder.grid, encoder.width) == (grid, width)
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    sees: Any = network.eval().vision_model if kind == "clip" else network.eval()
    theirs = sees(pixel_values=pixels / 255).last_hidden_state
    torch.testing.assert_close(encoder(pixels), theirs[:, -grid * grid :])
    (tmp_path / "saved").mkdir()
    save_image_encoder(encoder, tmp_path / "saved")
    loaded = load_image_encoder(tmp_path / "saved", freeze=False).eval()
    loaded.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(loaded(pixels), encoder(pixels))


def test_what_is_no_image_encoder_is_told(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ParamsError, match=r"image_encoder\.network = 'no-such/encoder'"):
        build_image_encoder(config(network="no-such/encoder"))
    published("vit").save_pretrained(tmp_path / "vit")
    with pytest.raises(ParamsError, match=r"of size = 48"):
        build_image_encoder(config(network=str(tmp_path / "vit"), size=48))
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5], "image_std": [0.5]}))
    with pytest.raises(ParamsError, match=r"image_mean \[0.5\]"):
        build_image_encoder(config(network=str(folder)))
    (folder / "model.safetensors").unlink()
    torch.save(published("resnet").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ParamsError, match="safetensors"):
        build_image_encoder(config(network=str(folder)))


def test_a_frozen_encoder_learns_nothing_and_a_published_one_keeps_its_statistics(folder: Path) -> None:
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    frozen = build_image_encoder(config(network=str(folder), freeze=True)).train()
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    assert not frozen(pixels).requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.state_dict().items())
    trained = build_image_encoder(config(network=str(folder))).train()
    assert trained(pixels).requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())


@pytest.mark.parametrize("source", ["config", "folder"])
def test_a_saved_encoder_needs_nothing_but_its_folder(source: str, folder: Path, tmp_path: Path) -> None:
    encoder = build_image_encoder(config(network="config" if source == "config" else str(folder)))
    (tmp_path / "saved").mkdir()
    save_image_encoder(encoder, tmp_path / "saved")
    for path in folder.iterdir():
        path.unlink()
    loaded = load_image_encoder(tmp_path / "saved", freeze=False)
    loaded.load_state_dict(encoder.state_dict())
    assert loaded.describe() == json.loads(json.dumps(encoder.describe()))
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(loaded.eval()(pixels), encoder.eval()(pixels))
