"""Whether a folder of published weights is one whole encoder: what it lacks the library would draw at random, and the
model would be worse without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from facetmill.errors import ParamsError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NOT_ASKED = "pooler."  # tensors that many publish without, and that no model here reads

_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)


def require_vocabulary(source: str) -> None:
    """Raises `ParamsError` for a local folder without one, of which the library would make a tokenizer that knows no
    word."""
    folder = Path(source)
    if folder.is_dir() and not any((folder / name).is_file() for name in _VOCABULARIES):
        raise ParamsError(f"encoder.network = {source!r}: no tokenizer there, neither tokenizer.json nor a vocabulary")


def require_layers(source: str, keep_layers: int | None) -> None:
    """Raises `ParamsError` for more layers than there are. What cannot be read at all is told by who loads it."""
    from transformers import AutoConfig

    if keep_layers is None:
        return
    try:
        has = getattr(AutoConfig.from_pretrained(source, trust_remote_code=False), "num_hidden_layers", None)
    except (OSError, ValueError):
        return
    if has is not None and has < keep_layers:
        raise ParamsError(f"encoder.keep_layers = {keep_layers}: {source!r} has {has} layers; null keeps all")


def require_whole(source: str, network: PreTrainedModel, missing: Iterable[str], num_tokens: int) -> None:
    """Raises `ParamsError` for weights of another architecture than config.json says, of which tensors by the names
    `missing` were not there, and for fewer rows than the tokenizer has tokens."""
    lacking = sorted(name for name in missing if not name.startswith(_NOT_ASKED))
    if lacking:
        raise ParamsError(
            f"encoder.network = {source!r}: its weights are not those of the {network.config.model_type} that its "
            f"config.json describes: {len(lacking):,} tensors are missing, {lacking[0]} among them"
        )
    rows = len(network.get_input_embeddings().weight)  # type: ignore[arg-type]  # a table of rows, as in every network
    if num_tokens > rows:
        raise ParamsError(
            f"encoder.network = {source!r}: its tokenizer knows {num_tokens:,} tokens, but its weights have rows for "
            f"{rows:,}; they are not of one model"
        )
