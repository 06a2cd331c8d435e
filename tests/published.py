"""Folders as `save_pretrained` writes published encoders, but tiny and of random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModel, BertConfig, BertTokenizerFast, ResNetConfig

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def text_encoder(folder: Path, characters: str, *, width: int = 16) -> str:
    """A BERT of one layer that knows single characters, at the start of a word and inside. Returns its `network`."""
    single = sorted(set(characters) - {" "})
    words = [*SPECIALS, *single, *(f"##{character}" for character in single)]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words),
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=width,
        max_position_embeddings=64,
    )
    AutoModel.from_config(shape).save_pretrained(folder)
    return str(folder)


def image_encoder(folder: Path) -> str:
    """A ResNet of two stages, whose regions are 8 pixels a side and 8 wide. Returns its `network`."""
    torch.manual_seed(0)
    shape = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    AutoModel.from_config(shape).save_pretrained(folder)
    return str(folder)
