"""Pictures as codes: that our codebook learns, that a published one says what it says, and what is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from transformers import FlavaImageCodebook, FlavaImageCodebookConfig, ViTConfig, ViTModel

from facetmill.dataset.pictures.picture_cache import digest_of
from facetmill.dataset.pictures.tokenizing import perplexity, tokenize
from facetmill.encoders.pictures import decode_picture
from facetmill.errors import DataError, ParamsError
from facetmill.files import read_json, write_json
from facetmill.params import VisualTokensParams
from facetmill.perception.codebooks import FlavaCodebook, load_codebook
from facetmill.perception.visual_tokens import TOKEN_SCHEMA, read_visual_tokens, write_nothing
from facetmill.perception.vq_network import VqNetwork
from facetmill.records import PRODUCT_SCHEMA, Product, to_batch
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions
from tests import drawn, small
from tests.unit.dataset.pictures.test_ocr import picture
from tests.unit.encoders.test_pictures import bomb

OURS = VisualTokensParams(
    codebook="train", image_size=32, num_codes=64, grid=8, train_pictures=1000, epochs=2, batch_size=16,
    learning_rate=0.003, seed=0, threads=1,
)  # fmt: skip


def write(folder: Path, **splits: list[Product]) -> Path:
    """A dataset's shards, one a split."""
    for split, products in splits.items():
        (folder / "dataset" / split).mkdir(parents=True)
        with pq.ParquetWriter(folder / "dataset" / split / "part-00000.parquet", PRODUCT_SCHEMA) as writer:
            writer.write_batch(to_batch(products))
    return folder / "dataset"


def product(*images: str) -> Product:
    return Product("-".join(map(str, images)) or "none", "t", "Tea", images=images)


def stripes(level: int) -> bytes:
    pixels = np.full((32, 32, 3), level, np.uint8)
    pixels[::8] = 255 - level
    return drawn.encoded(Image.fromarray(pixels))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 120 demo products, 90 of them in train."""
    folder = tmp_path_factory.mktemp("demo")
    options = SourceOptions(replace(small.DEMO, products=120, image_size=48), scratch=folder / "images")
    products = [row for row in SOURCES["demo"].read(folder, options) if isinstance(row, Product)]
    return write(folder, train=products[:90], validation=products[90:100], test=products[100:])


def test_our_codebook_learns_and_is_the_same_to_the_last_byte(demo: Path, tmp_path: Path) -> None:
    """Pictures that train has not are made again from their codes far better than the mean picture would."""
    said: list[str] = []
    report = tokenize(demo, tmp_path / "a", replace(OURS, epochs=12), said.append)
    held_out = report["squared_error"]["held_out"]
    assert held_out["num_pictures"] == 30
    assert held_out["codes"] < held_out["mean_picture"] / 2
    assert report["perplexity"] > 16
    assert report["num_codes_used"] > 32
    assert said[0] == "codebook: 90 pictures of train"
    assert len(said) == 13, "no warning"
    assert tokenize(demo, tmp_path / "b", replace(OURS, epochs=12), said.append) == report
    assert content(tmp_path / "a") == content(tmp_path / "b")

    tokens = read_visual_tokens(tmp_path / "a")
    assert (len(tokens), tokens.num_codes, tokens.grid) == (report["num_pictures"], 64, 8)
    data = next((demo.parent / "images").iterdir()).read_bytes()
    pixels = decode_picture(data, 32)
    assert isinstance(pixels, np.ndarray)
    codebook = load_codebook(tmp_path / "a" / "codebook")
    again = codebook.encode(torch.from_numpy(pixels)[None])
    assert again.shape == (1, 8, 8)
    assert tokens[digest_of(data)].tolist() == again.flatten().tolist()
    assert tokens[digest_of(data)].dtype == np.uint16
    made = codebook.decode(again)
    assert made is not None
    assert float((made[0] - torch.from_numpy(pixels) / 255).square().mean()) < held_out["mean_picture"] / 2


def test_only_train_pictures_are_learned_from(demo: Path, tmp_path: Path) -> None:
    """Other pictures in validation and test change nothing of the codebook."""
    dark = [product(picture(tmp_path, f"{level}.png", stripes(level))) for level in (0, 40)]
    for name, held_out in (("a", dark[:1]), ("b", dark[1:])):
        train = [product(picture(tmp_path, f"t{level}.png", stripes(level))) for level in range(100, 200, 10)]
        dataset = write(tmp_path / name, train=train, validation=held_out, test=held_out)
        tokenize(dataset, tmp_path / name / "tokens", OURS, lambda line: None)
    first, second = (content(tmp_path / name / "tokens") for name in ("a", "b"))
    different = {path for path in first if first[path] != second[path]}
    assert different == {"validation/part-00000.parquet", "test/part-00000.parquet"}


def test_every_first_picture_has_codes_or_a_reason(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    good, other = picture(tmp_path / "inside", "good.png", stripes(10)), picture(tmp_path, "other.png", stripes(90))
    dataset = write(
        tmp_path,
        train=[
            product("inside/good.png", other),
            product(good),  # the same picture
            product(picture(tmp_path, "broken.png", b"no picture")),
            product(picture(tmp_path, "bomb.png", bomb())),
        ],
        validation=[product(str(tmp_path / "none.png")), product()],
        test=[product(good), product(other)],
    )
    before = content(dataset)
    report = tokenize(dataset, tmp_path / "tokens", OURS, lambda line: None)
    assert content(dataset) == before
    assert (report["num_products"], report["num_without_picture"], report["num_pictures"]) == (8, 1, 2)
    assert report["dropped"] == {"missing": 1, "broken": 2}
    assert report["squared_error"]["train"]["num_pictures"] == 1
    assert report["squared_error"]["held_out"]["num_pictures"] == 1, "good.png is in train already"
    tables = {path: pq.read_table(path) for path in sorted((tmp_path / "tokens").rglob("*.parquet"))}
    good_digest, other_digest = digest_of(stripes(10)), digest_of(stripes(90))
    found = {str(path.relative_to(tmp_path / "tokens")): table["digest"].to_pylist() for path, table in tables.items()}
    assert found == {
        "test/part-00000.parquet": [good_digest, other_digest],
        "train/part-00000.parquet": [good_digest],
        "validation/part-00000.parquet": [],
    }
    assert set(read_visual_tokens(tmp_path / "tokens")) == {good_digest, other_digest}


def test_with_too_many_pictures_a_sample_is_learned_from(demo: Path, tmp_path: Path) -> None:
    said: list[str] = []
    report = tokenize(demo, tmp_path / "tokens", replace(OURS, train_pictures=20, epochs=1), said.append)
    assert said[0] == "codebook: 20 pictures of train"
    assert report["num_pictures"] == 120
    assert said[-1].startswith("warning: the codes say no more of held-out pictures than their mean")


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    broken = picture(tmp_path, "broken.png", b"no picture")
    nothing = write(tmp_path / "a", train=[product(broken)], validation=[], test=[])
    with pytest.raises(DataError, match=r"train: visual_tokens\.codebook = 'train', but no picture can be read"):
        tokenize(nothing, tmp_path / "tokens", OURS, print)
    leaving = write(tmp_path / "b", train=[product("../a.png")], validation=[], test=[])
    with pytest.raises(DataError, match=r"product \.\./a\.png: image '\.\./a\.png' leaves"):
        tokenize(leaving, tmp_path / "tokens", OURS, print)
    fine = write(tmp_path / "c", train=[product(picture(tmp_path, "a.png", stripes(1)))], validation=[], test=[])
    for grid in (7, 12, 32):
        with pytest.raises(ParamsError, match=rf"image_size = 32 must be visual_tokens\.grid = {grid} times 2"):
            tokenize(fine, tmp_path / "tokens", replace(OURS, grid=grid), print)
    assert content(tmp_path / "tokens") == {}


def test_perplexity_by_hand() -> None:
    assert perplexity(np.array([5, 5, 5, 5])) == pytest.approx(4)
    assert perplexity(np.array([7, 0, 0])) == pytest.approx(1)
    assert perplexity(np.array([2, 1, 1])) == pytest.approx(2**1.5)  # entropy 1.5 bits
    assert perplexity(np.array([0, 0])) == 0


# --- our network ------------------------------------------------------------------------------------------------------


def test_a_code_is_where_it_is_in_the_picture() -> None:
    """A spot in the third row and sixth column of parts changes that part the most, on the way there and back."""
    torch.manual_seed(0)
    network = VqNetwork(64, 8, 2).eval()
    blank = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)
    spot = blank.clone()
    spot[:, :, 17:23, 41:47] = 255
    blank_ND, spot_ND = network._parts(blank), network._parts(spot)
    place = int((blank_ND - spot_ND).norm(dim=1).argmax())
    assert place == 2 * 8 + 5
    network.vector_KD.copy_(torch.stack([blank_ND[place], spot_ND[place]]).detach())
    codes, other = network.encode(blank), network.encode(spot)
    assert (codes.shape, codes[0, 2, 5].item(), other[0, 2, 5].item()) == ((1, 8, 8), 0, 1)
    other = codes.clone()
    other[0, 2, 5] = 1
    change = (network.decode(other) - network.decode(codes)).abs()[0].sum(0).detach()
    row, column = divmod(int(change.reshape(8, 8, 8, 8).sum((1, 3)).argmax()), 8)
    assert (row, column) == (2, 5)


def test_dead_vectors_begin_anew_as_parts_of_pictures_and_others_as_the_mean_of_their_parts() -> None:
    network = VqNetwork(32, 8, 3)
    part_ND = torch.cat([torch.full((6, 32), 1.0), torch.full((6, 32), 3.0)])
    network.vector_KD.copy_(torch.tensor([1.0, 3.0, 100.0])[:, None].expand(3, 32))
    network.use_K.copy_(torch.tensor([4.0, 4.0, 0.0]))
    network.sum_KD.copy_(network.vector_KD * network.use_K[:, None])
    network._move_vectors(part_ND + 0.5, torch.Generator().manual_seed(0))
    first, second, third = network.vector_KD[:, 0].tolist()
    assert third in (1.5, 3.5)
    near, far = (second, first) if third == 1.5 else (first, second)
    # Whichever of the two the new one stands on loses its parts to it, or to the first of equals; the other moves:
    # (0.95 * 4 * v + 0.05 * 6 * (v + 0.5)) / (0.95 * 4 + 0.05 * 6)
    assert near == pytest.approx((3 if third == 1.5 else 1) + 0.5 * 0.3 / 4.1, abs=1e-5)
    assert far == (1.0 if third == 1.5 else 3.0)
    assert network.use_K[2].item() == pytest.approx(0.95 * 4 + 0.05 * 6)


def test_gradients_pass_straight_through_the_codes() -> None:
    torch.manual_seed(0)
    network = VqNetwork(16, 8, 8)
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    network.loss(pixels, torch.Generator().manual_seed(0)).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


# --- a published codebook ---------------------------------------------------------------------------------------------


def flava(folder: Path) -> FlavaImageCodebook:
    torch.manual_seed(0)
    shape = FlavaImageCodebookConfig(hidden_size=4, vocab_size=40, num_blocks_per_group=1)
    network = FlavaImageCodebook(shape).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    network.save_pretrained(folder)
    return network


def test_a_published_codebook_gives_its_own_codes(tmp_path: Path) -> None:
    network = flava(tmp_path / "flava")
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pixels = colours.repeat(8, axis=0).repeat(8, axis=1)
    data = drawn.encoded(Image.fromarray(pixels))
    dataset = write(tmp_path, train=[product(picture(tmp_path, "a.png", data))], validation=[], test=[])
    params = replace(OURS, codebook=str(tmp_path / "flava"), image_size=64)
    report = tokenize(dataset, tmp_path / "tokens", params, lambda line: None)
    assert (report["num_codes"], report["grid"], report["squared_error"]) == (40, 8, None)
    inputs = torch.from_numpy(pixels / 255 * 0.8 + 0.1).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        theirs = network.blocks(inputs).argmax(1)[0]
    assert len(theirs.unique()) > 3
    tokens = read_visual_tokens(tmp_path / "tokens")
    assert tokens[digest_of(data)].tolist() == theirs.flatten().tolist()
    again = load_codebook(tmp_path / "tokens" / "codebook")
    assert torch.equal(again.encode(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0], theirs)


def test_what_is_no_codebook_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ParamsError, match=r"visual_tokens\.codebook = 'no-such/codebook': not train, or a Flava"):
        FlavaCodebook("no-such/codebook", 32)
    network = flava(tmp_path / "flava")
    with pytest.raises(ParamsError, match="in multiples of 8, not 36"):
        FlavaCodebook(str(tmp_path / "flava"), 36)
    (tmp_path / "flava" / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "flava" / "pytorch_model.bin")
    with pytest.raises(ParamsError, match="safetensors"):
        FlavaCodebook(str(tmp_path / "flava"), 32)
    vit = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=32)
    ViTModel(vit).save_pretrained(tmp_path / "vit")
    with pytest.raises(ParamsError, match=r"visual_tokens\.codebook = '.*vit'"):
        FlavaCodebook(str(tmp_path / "vit"), 32)


def test_a_codebook_that_was_changed_is_refused(tmp_path: Path) -> None:
    flava(tmp_path / "flava")
    (tmp_path / "kept").mkdir()
    FlavaCodebook(str(tmp_path / "flava"), 32).save(tmp_path / "kept")
    path = tmp_path / "kept" / "network" / "config.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(DataError, match=r"config\.json: changed since it was written"):
        load_codebook(tmp_path / "kept")
    path.unlink()
    with pytest.raises(DataError, match=r"config\.json: missing"):
        load_codebook(tmp_path / "kept")
    (tmp_path / "kept" / "codebook.json").write_text("[]")
    with pytest.raises(DataError, match=r"codebook\.json: not a codebook"):
        load_codebook(tmp_path / "kept")


# --- reading ----------------------------------------------------------------------------------------------------------


def tokens_folder(folder: Path, **columns: Any) -> Path:
    """Codes 0..9 of 2 x 2 parts, in the train split."""
    described = {"format_version": 1, "codebook": "train", "num_codes": 10, "grid": 2, "image_size": 16}
    write_json(folder / "visual_tokens.json", described)
    (folder / "train").mkdir()
    table = pa.table({"digest": ["a", "b"], "codes": [[0, 1, 2, 3], [9, 9, 9, 9]]} | columns, schema=TOKEN_SCHEMA)
    pq.write_table(table, folder / "train" / "part-00000.parquet")
    return folder


def test_codes_are_read_by_digest(tmp_path: Path) -> None:
    tokens = read_visual_tokens(tokens_folder(tmp_path))
    assert {digest: codes.tolist() for digest, codes in tokens.items()} == {"a": [0, 1, 2, 3], "b": [9, 9, 9, 9]}
    assert "c" not in tokens


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"codes": [[0, 1, 2, 3], [9, 9, 9]]}, r"part-00000\.parquet, row 1, field codes: 3 codes, must be 2 x 2"),
        ({"codes": [[0, 1, 10, 3], [9, 9, 9, 9]]}, r"row 0, field codes: code 10, must be below 10"),
    ],
)
def test_codes_that_cannot_be_are_named(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_visual_tokens(tokens_folder(tmp_path, **columns))


def test_files_of_something_else_are_named(tmp_path: Path) -> None:
    shard = tokens_folder(tmp_path) / "train" / "part-00000.parquet"
    pq.write_table(pa.table({"digest": ["a"]}), shard)
    with pytest.raises(DataError, match=r"part-00000\.parquet: columns .*digest.*, not those of visual tokens"):
        read_visual_tokens(tmp_path)
    shard.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"part-00000\.parquet: cannot be read"):
        read_visual_tokens(tmp_path)
    for text in ("", "[]", '{"format_version": 1}'):
        (tmp_path / "visual_tokens.json").write_text(text)
        with pytest.raises(DataError, match=r"visual_tokens\.json: not what the stage visual_tokens writes"):
            read_visual_tokens(tmp_path)
    (tmp_path / "visual_tokens.json").write_text('{"format_version": 2}')
    with pytest.raises(DataError, match="format_version 2, but this Facetmill reads 1"):
        read_visual_tokens(tmp_path)


def test_switched_off_it_says_so_and_nothing_heavy_is_imported(root: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    arguments = ["--dataset", "dataset", "--out", "tokens", "--report", "reports/visual_tokens.json"]
    program = (
        f"import sys; from facetmill.stages.visual_tokens import main\nsys.argv = ['visual_tokens', *{arguments}]\n"
        "main(); print([name for name in ('scipy', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert read_json(tmp_path / "reports" / "visual_tokens.json") == {"codebook": None}
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["visual_tokens.json"]
    with pytest.raises(DataError, match=r"visual_tokens\.codebook was null when this was built"):
        read_visual_tokens(tmp_path / "tokens")
    assert write_nothing(tmp_path / "tokens") == json.loads('{"codebook": null}')
