"""The stage that finds regions: what stands out, what networks answer, and what hostile pictures cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    ResNetConfig,
    ViTModel,
    YolosConfig,
    YolosForObjectDetection,
)
from transformers.models.vit.configuration_vit import ViTConfig

from facetmill.dataset.pictures import regions as stage_module
from facetmill.dataset.pictures.regions import find_regions
from facetmill.encoders.pictures import Fault, decode_unstretched
from facetmill.errors import ParamsError
from facetmill.params import RegionsParams
from facetmill.perception.boxes import Candidate, best_apart, overlap
from facetmill.perception.region_detector import Detector, _confidence
from facetmill.perception.region_proposals import propose
from facetmill.records import Box, Product, read_products
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions
from tests import drawn, small
from tests.unit.dataset.pictures.test_ocr import picture, write
from tests.unit.encoders.test_pictures import bomb

OFF = RegionsParams(kind=None, at_most=10, min_confidence=0.05, max_overlap=0.7, longest_side=128, workers=1)
PROPOSALS = replace(OFF, kind="proposals")
RED, BLUE = (220, 20, 20), (20, 20, 220)
STAGE = ["facetmill.stages.regions", "--source", "read", "--out", "located", "--report", "reports/regions.json"]


def board(*squares: tuple[tuple[int, int, int, int], tuple[int, int, int]], ground: str = "white") -> Image.Image:
    """A ground of 200 x 100 pixels with squares: (left, top, right, bottom), colour."""
    image = Image.new("RGB", (200, 100), ground)
    for edges, colour in squares:
        image.paste(colour, edges)
    return image


def best(image: Image.Image, at_most: int = 10) -> list[Box]:
    return best_apart(propose(np.asarray(image)), min_score=0.05, max_overlap=0.7, at_most=at_most)


def regions_of(folder: Path) -> dict[str, tuple[Box, ...]]:
    return {product.product_id: product.regions for product in read_products(folder)}


# --- proposals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ground", ["white", "black", "#e8f0d8"])
def test_the_best_proposal_is_the_product(ground: str) -> None:
    [found] = best(board(((40, 20, 90, 70), RED), ground=ground), at_most=1)
    assert overlap(found, Box(0.2, 0.2, 0.45, 0.7)) > 0.95


def test_a_product_in_a_photograph_is_found_before_a_wall_that_darkens() -> None:
    rows, columns = np.mgrid[0:100, 0:200]
    wall = 240 - 0.4 * rows - 0.1 * columns + np.random.default_rng(0).normal(0, 2, (100, 200))
    image = Image.fromarray(np.repeat(wall[..., None], 3, axis=2).astype(np.uint8))
    image.paste((150, 160, 200), (120, 30, 160, 90))
    compressed = decode_unstretched(drawn.encoded(image, "JPEG", quality=75), 200)
    assert not isinstance(compressed, Fault)
    assert overlap(best(Image.fromarray(compressed))[0], Box(0.6, 0.3, 0.8, 0.9)) > 0.8


def test_two_objects_are_both_found() -> None:
    found = best(board(((10, 20, 60, 70), RED), ((140, 30, 190, 80), BLUE)), at_most=3)
    for object_box in (Box(0.05, 0.2, 0.3, 0.7), Box(0.7, 0.3, 0.95, 0.8)):
        assert max(overlap(box, object_box) for box in found) > 0.8


def test_a_label_on_a_pack_is_a_region_of_its_own() -> None:
    found = best(board(((50, 10, 150, 90), BLUE), ((80, 40, 120, 70), (250, 240, 120))))
    assert overlap(found[0], Box(0.25, 0.1, 0.75, 0.9)) > 0.9
    assert max(overlap(box, Box(0.4, 0.4, 0.6, 0.7)) for box in found[1:]) > 0.8


@pytest.mark.parametrize("colour", ["white", "black", "#808080"])
def test_on_a_blank_picture_there_is_no_region(colour: str) -> None:
    assert propose(np.asarray(board(ground=colour))) == []
    assert propose(np.full((1, 1, 3), 77, np.uint8)) == []


def test_the_best_proposal_covers_the_product_of_demo_pictures(tmp_path: Path) -> None:
    """The truth is the box of what has the product's colour."""
    demo = replace(small.DEMO, products=60, image_size=128)
    covered = []
    for product in SOURCES["demo"].read(tmp_path, SourceOptions(demo, scratch=tmp_path)):
        assert isinstance(product, Product)
        pixels = decode_unstretched(Path(product.images[0]).read_bytes(), 256)
        assert not isinstance(pixels, Fault)
        [found], [truth] = best(Image.fromarray(pixels), at_most=1), product.regions
        width = min(found.right, truth.right) - max(found.left, truth.left)
        height = min(found.bottom, truth.bottom) - max(found.top, truth.top)
        covered.append(width * height / ((truth.right - truth.left) * (truth.bottom - truth.top)))
        assert (found.right - found.left) * (found.bottom - found.top) < 0.95, "not simply the whole picture"
    assert np.mean(np.array(covered) > 0.9) > 0.9
    assert np.mean(covered) > 0.95


def test_overlap_and_the_best_apart_by_hand() -> None:
    a, b, far = Box(0, 0, 0.4, 0.5), Box(0.2, 0, 0.6, 0.5), Box(0.8, 0.8, 1, 1)
    assert overlap(a, a) == 1
    assert overlap(a, b) == pytest.approx(1 / 3)  # 0.1 of 0.3
    assert overlap(a, far) == 0
    found = [Candidate(far, 0.2), Candidate(b, 0.8), Candidate(a, 0.9), Candidate(a, 0.1)]
    assert best_apart(found, min_score=0, max_overlap=0.5, at_most=9) == [a, b, far]
    assert best_apart(found, min_score=0, max_overlap=0.3, at_most=9) == [a, far]
    assert best_apart(found, min_score=0.2, max_overlap=1, at_most=9) == [a, b, far]
    assert best_apart(found, min_score=0.3, max_overlap=0.5, at_most=9) == [a, b]
    assert best_apart(found, min_score=0, max_overlap=0.5, at_most=1) == [a]


# --- the stage --------------------------------------------------------------------------------------------------------


def test_regions_are_of_the_first_picture_and_what_has_none_is_counted(tmp_path: Path) -> None:
    square = picture(tmp_path, "square.png", drawn.encoded(board(((40, 20, 90, 70), RED))))
    blank = picture(tmp_path, "blank.png", drawn.encoded(board()))
    given = Box(0.0, 0.0, 0.5, 0.5)
    source = write(
        tmp_path,
        Product("1", "t", "Tea", images=(square, blank)),
        Product("2", "t", "Tea", images=(blank, square)),
        Product("3", "t", "Tea", images=(square,), regions=(given,)),
        Product("4", "t", "Tea"),
        Product("5", "t", "Tea", images=(str(tmp_path / "none.png"),)),
        Product("6", "t", "Tea", images=(picture(tmp_path, "broken.png", b"no picture"),)),
        Product("7", "t", "Tea", images=(picture(tmp_path, "bomb.png", bomb()),)),
    )
    counts = find_regions(source, tmp_path / "located", PROPOSALS, tmp_path / "cache")
    found = regions_of(tmp_path / "located")
    assert overlap(found.pop("1")[0], Box(0.2, 0.2, 0.45, 0.7)) > 0.9
    assert found == {"2": (), "3": (given,), "4": (), "5": (), "6": (), "7": ()}
    assert counts.to_json() == {
        "kind": "proposals",
        "num_products": 7,
        "num_given": 1,
        "num_pictures": 5,
        "num_pictures_with_regions": 1,
        "num_regions": 1,
        "regions_per_picture_mean": 0.5,
        "unreadable": {"missing": 1, "broken": 2},
    }
    kept = {path.name for path in (tmp_path / "cache").rglob("*.json")}
    assert len(kept) == 2, "one for each picture that could be read"


def test_a_grid_is_as_fine_as_at_most_allows(tmp_path: Path) -> None:
    source = write(tmp_path, Product("1", "t", "Tea", images=(picture(tmp_path, "a.png", drawn.encoded(board())),)))
    find_regions(source, tmp_path / "located", replace(OFF, kind="grid", at_most=8), tmp_path / "cache")
    quarters = (Box(0, 0, 0.5, 0.5), Box(0.5, 0, 1, 0.5), Box(0, 0.5, 0.5, 1), Box(0.5, 0.5, 1, 1))
    assert regions_of(tmp_path / "located") == {"1": quarters}


def test_a_picture_is_looked_at_once_whatever_is_kept_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    class Corners:
        name, identity = "corners", "1"

        def find(self, pixels_HWC: np.ndarray) -> list[Candidate]:
            asked.append(pixels_HWC.shape)
            return [Candidate(Box(0, 0, 0.1, 0.1), 0.3), Candidate(Box(0.9, 0.9, 1, 1), 0.8)]

    monkeypatch.setattr(stage_module, "finder_of", lambda kind, at_most: Corners())
    same = drawn.encoded(board())
    source = write(
        tmp_path,
        Product("1", "t", "Tea", images=(picture(tmp_path, "a.png", same),)),
        Product("2", "t", "Tea", images=(picture(tmp_path, "b.png", same),)),
    )
    for params, expected in (
        (replace(PROPOSALS, kind="corners"), 2),
        (replace(PROPOSALS, kind="corners", min_confidence=0.5), 1),
        (replace(PROPOSALS, kind="corners", at_most=1), 1),
    ):
        find_regions(source, tmp_path / "located", params, tmp_path / "kept")
        assert {len(boxes) for boxes in regions_of(tmp_path / "located").values()} == {expected}
    assert asked == [(64, 128, 3)], "in proportion, its longer side as asked"
    find_regions(source, tmp_path / "located", replace(PROPOSALS, kind="corners", longest_side=64), tmp_path / "kept")
    assert asked == [(64, 128, 3), (32, 64, 3)]


def test_switched_off_the_shards_are_the_same_and_nothing_heavy_is_imported(root: Path, tmp_path: Path) -> None:
    write(tmp_path, Product("1", "t", "Tea", images=("none.png",))).rename(tmp_path / "read")
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    program = (
        f"import sys; from facetmill.stages.regions import main\nsys.argv = {STAGE}\n"
        "main(); print([name for name in ('scipy', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "located/part-00000.parquet").samefile(tmp_path / "read/part-00000.parquet")
    assert json.loads((tmp_path / "reports/regions.json").read_text())["num_products"] == 1


def run_stage(root: Path, folder: Path, kind: str, workers: int, cache: str) -> subprocess.CompletedProcess[str]:
    before, section = (root / "params.yaml").read_text().split("\nregions:")
    section = section.replace("kind: null", f"kind: {kind}", 1).replace("workers: 2", f"workers: {workers}", 1)
    (folder / "params.yaml").write_text(f"{before}\nregions:{section}")
    return subprocess.run(
        [sys.executable, "-m", *STAGE], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"FACETMILL_CACHE": str(folder / cache)},
    )  # fmt: skip


def test_the_stage_gives_the_same_bytes_whatever_the_number_of_processes(root: Path, tmp_path: Path) -> None:
    names = []
    for number in range(6):
        image = board(((10 + 5 * number, 20, 90, 70), RED), ((140, 30, 190, 80), BLUE))
        names.append(picture(tmp_path, f"{number}.png", drawn.encoded(image)))
    write(tmp_path, *(Product(name, "t", "Tea", images=(name,)) for name in names)).rename(tmp_path / "read")
    save(yolos(), tmp_path / "yolos")
    for kind in ("proposals", str(tmp_path / "yolos")):
        written = []
        for workers in (1, 2):
            done = run_stage(root, tmp_path, kind, workers, f"cache{workers}")
            assert (done.returncode, done.stderr) == (0, "")
            assert all(regions_of(tmp_path / "located").values())
            files = [*sorted((tmp_path / "located").iterdir()), tmp_path / "reports/regions.json"]
            written.append([path.read_bytes() for path in files])
        assert written[0] == written[1]


def test_what_is_no_detector_is_told_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    write(tmp_path, Product("1", "t", "Tea")).rename(tmp_path / "read")
    done = run_stage(root, tmp_path, str(tmp_path / "none"), 2, "cache")
    assert done.returncode == 1
    assert done.stderr.startswith(f"regions.kind = '{tmp_path}/none': not grid, proposals, or an object detector")
    assert not (tmp_path / "located").exists()


# --- detectors --------------------------------------------------------------------------------------------------------


def yolos() -> YolosForObjectDetection:
    torch.manual_seed(0)
    shape = YolosConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=[64, 64],
        patch_size=16, num_detection_tokens=5, num_labels=3,
    )  # fmt: skip
    return YolosForObjectDetection(shape).eval()


def detr() -> DetrForObjectDetection:
    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    shape = DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, d_model=8, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, num_queries=5,
        num_labels=3,
    )  # fmt: skip
    return DetrForObjectDetection(shape).eval()


def save(network: YolosForObjectDetection | DetrForObjectDetection, folder: Path) -> Path:
    network.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("make", [yolos, detr])
@pytest.mark.parametrize("height", [96, 64])
def test_a_detectors_own_boxes_come_back(make: type[YolosForObjectDetection], tmp_path: Path, height: int) -> None:
    network = make()
    pixels = np.random.default_rng(0).integers(0, 256, (height, 128, 3), dtype=np.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        answer = network(pixel_values=inputs)
    confidence = answer.logits[0].softmax(-1)[:, :3].max(-1).values
    found = Detector(str(save(network, tmp_path / "network"))).find(pixels)
    assert len(found) == 5
    for candidate, (x, y, wide, high), sure in zip(found, answer.pred_boxes[0].tolist(), confidence, strict=True):
        box = candidate.box
        expected = [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
        assert [box.left, box.top, box.right, box.bottom] == pytest.approx(np.clip(expected, 0, 1), abs=2e-5)
        assert candidate.score == pytest.approx(float(sure), abs=2e-5)


def test_a_thin_picture_gets_ground_beside_it_and_boxes_are_shares_of_the_picture(tmp_path: Path) -> None:
    network = yolos()
    with torch.no_grad():  # whatever it sees: x and y in the middle, a quarter wide and high
        last = network.bbox_predictor.layers[-1]
        last.weight.zero_()
        last.bias.copy_(torch.logit(torch.tensor([0.5, 0.5, 0.25, 0.25])))
    detector = Detector(str(save(network, tmp_path / "network")))
    thin = detector.find(np.zeros((64, 48, 3), np.uint8))  # looked at 64 wide: 0.375..0.625 of 64 are 24..40 of 48
    assert {candidate.box for candidate in thin} == {Box(0.5, 0.375, 0.83333, 0.625)}
    assert detector.find(np.zeros((1, 1, 3), np.uint8)) == [], "all boxes are in the ground beside the pixel"


def test_logits_without_nothing_are_of_a_focal_loss() -> None:
    logits = torch.tensor([[0.0, 2.0], [-5.0, -5.0]])
    assert _confidence(logits, 2).tolist() == pytest.approx([0.880797, 0.006693], abs=1e-6)
    assert _confidence(logits, 1).tolist() == pytest.approx([0.119203, 0.5], abs=1e-6)
    with pytest.raises(ValueError, match="2 logits for 5 labels"):
        _confidence(logits, 5)


def test_the_same_network_elsewhere_is_the_same_and_other_weights_are_not(tmp_path: Path) -> None:
    network = yolos()
    first = Detector(str(save(network, tmp_path / "a"))).identity
    assert Detector(str(save(network, tmp_path / "b"))).identity == first
    with torch.no_grad():
        network.class_labels_classifier.layers[-1].bias[0] += 1
    assert Detector(str(save(network, tmp_path / "c"))).identity != first


def test_no_pickle_and_no_half_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ParamsError, match=r"regions\.kind = 'no-such/detector'"):
        Detector("no-such/detector")
    folder = save(yolos(), tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save(yolos().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ParamsError, match="safetensors"):
        Detector(str(folder))
    vit = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=64)
    ViTModel(vit).save_pretrained(tmp_path / "vit")
    with pytest.raises(ParamsError, match=r"regions\.kind = '.*vit'"):
        Detector(str(tmp_path / "vit"))
    headless = save(yolos(), tmp_path / "headless")
    yolos().vit.save_pretrained(tmp_path / "body")
    (headless / "model.safetensors").write_bytes((tmp_path / "body/model.safetensors").read_bytes())
    with pytest.raises(ParamsError, match=r"the weights lack bbox_predictor"):
        Detector(str(headless))


def test_a_drawing_of_hairlines_is_not_lost() -> None:
    """Thin things are small; together they are the product."""
    image = board()
    ImageDraw.Draw(image).ellipse((50, 10, 150, 90), outline=RED, width=3)
    assert overlap(best(image)[0], Box(0.25, 0.1, 0.755, 0.91)) > 0.9
