"""Networks that read and write: an encoder and a decoder of the T5 kind, and the tokens they write in.

Where the weights come from is one setting, `network`:

    config          a small T5 with random weights, and subwords learned from the texts of train
    a local folder  config.json, *.safetensors and tokenizer.json, as `save_pretrained` writes them
    a hub name      the same from the Hugging Face hub or its local cache

Published weights are read from safetensors only, and no code of theirs is run. Tokens that are learned here, subwords
of bytes, can be turned back into any text exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from facetmill.encoders.here import require_here
from facetmill.encoders.text import without_bars
from facetmill.errors import DataError, ParamsError
from facetmill.files import read_json, write_json
from facetmill.params import GeneratorParams

if TYPE_CHECKING:  # transformers takes longer to import than torch
    from transformers import PreTrainedModel

KINDS = ("t5", "mt5", "umt5")
NUM_MARKS = 5  # tokens that no text is made of, with which a model sets its parts apart
HEAD_WIDTH = 32

_SURROGATE = re.compile("[\ud800-\udfff]")
_PAD, _END = "<pad>", "</s>"
_MARK = "<extra_id_{}>"  # as T5 calls them


class WritingTokenizer:
    """Text to ids and back. `marks` are ids that stand for no text; `start_id` is what a decoder begins with."""

    def __init__(self, backend: tokenizers.Tokenizer, pad_id: int, end_id: int, marks: Sequence[int]) -> None:
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True  # a title that holds "</s>" is a title
        self._backend = backend
        self.pad_id = self.start_id = pad_id
        self.end_id = end_id
        self.marks = tuple(marks)

    @classmethod
    def fit(cls, texts: Iterable[str], size: int, *, spare: bool = False) -> Self:
        """Byte-level BPE of at most `size` tokens, 256 bytes among them. With `spare` it has one mark more, as
        `published` wants it of a tokenizer that it loads."""
        backend = tokenizers.Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.ByteLevel()
        num_marks = NUM_MARKS + spare
        specials = [_PAD, _END, *(_MARK.format(number) for number in range(num_marks))]
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(map(_encodable, texts), trainer)
        return cls(backend, 0, 1, range(2, 2 + num_marks))

    @classmethod
    def published(cls, source: str) -> Self:
        """Raises `ParamsError` for a tokenizer that cannot be loaded, or has no tokens to spare for marks."""
        from transformers import AutoTokenizer

        problem = f"generator.network = {source!r}"
        try:
            found = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ParamsError(f"{problem}: no tokenizer could be loaded: {error}") from error
        if not found.is_fast:
            raise ParamsError(f"{problem}: its tokenizer is not a fast one, which alone is read without running code")
        backend = tokenizers.Tokenizer.from_str(found.backend_tokenizer.to_str())
        for name in (_MARK, "[unused{}]"):  # T5, and those with the words of a BERT
            found_ids = (backend.token_to_id(name.format(number)) for number in range(1, NUM_MARKS + 1))
            marks = [number for number in found_ids if number is not None]
            if len(marks) == NUM_MARKS:
                break
        else:
            raise ParamsError(f"{problem}: its tokenizer has no tokens to spare, as <extra_id_1> or [unused1]")
        end_id = found.eos_token_id if found.eos_token_id is not None else found.sep_token_id
        if found.pad_token_id is None or end_id is None:
            raise ParamsError(f"{problem}: its tokenizer has no padding, or no end")
        return cls(backend, found.pad_token_id, end_id, marks)

    @property
    def size(self) -> int:
        return int(self._backend.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Without special tokens; what is no text (half of a surrogate pair) becomes U+FFFD."""
        found = self._backend.encode_batch(list(map(_encodable, texts)), add_special_tokens=False)
        return [each.ids for each in found]

    def decode(self, ids: Sequence[int]) -> str:
        """What the ids say, without space at its ends; ids of no text say nothing."""
        silent = {self.pad_id, self.end_id, *self.marks}
        text: str = self._backend.decode([one for one in ids if one not in silent], skip_special_tokens=False)
        return text.strip()

    def save(self, path: Path) -> None:
        own = {"pad_id": self.pad_id, "end_id": self.end_id, "marks": list(self.marks)}
        write_json(path, {"backend": json.loads(self._backend.to_str()), **own})

    def publish(self, folder: Path) -> None:
        """As transformers reads it."""
        from transformers import PreTrainedTokenizerFast

        word = self._backend.id_to_token
        PreTrainedTokenizerFast(
            tokenizer_object=self._backend, pad_token=word(self.pad_id), eos_token=word(self.end_id)
        ).save_pretrained(folder)

    @classmethod
    def load(cls, path: Path) -> Self:
        raw = read_json(path)
        backend = tokenizers.Tokenizer.from_str(json.dumps(raw["backend"]))
        return cls(backend, raw["pad_id"], raw["end_id"], raw["marks"])


def build_seq2seq(
    params: GeneratorParams, texts: Iterable[str], dropout: float
) -> tuple[PreTrainedModel, WritingTokenizer, bool]:
    """A network, its tokenizer, and whether its weights were published. `texts` are those that a vocabulary of its own
    is learned from. Raises `ParamsError` for a network that cannot be had, or is of another kind."""
    from transformers import AutoModelForSeq2SeqLM

    if params.network == "config":
        tokenizer = WritingTokenizer.fit(texts, params.vocabulary)
        return new_t5(params, tokenizer, dropout), tokenizer, False
    problem = f"generator.network = {params.network!r}"
    require_here("generator.network", params.network)
    try:
        with without_bars():
            network = AutoModelForSeq2SeqLM.from_pretrained(
                params.network, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, dropout_rate=dropout
            )
    except (OSError, ValueError) as error:
        raise ParamsError(f"{problem}: no safetensors weights could be loaded: {error}") from error
    if network.config.model_type not in KINDS:
        raise ParamsError(f"{problem}: is a {network.config.model_type}, not one of {', '.join(KINDS)}")
    return network, WritingTokenizer.published(params.network), True


def save_seq2seq(network: PreTrainedModel, tokenizer: WritingTokenizer, published: bool, folder: Path) -> None:
    """All but the weights."""
    config: dict[str, Any] = network.config.to_diff_dict() | {"model_type": network.config.model_type}
    config.pop("_name_or_path", None)
    write_json(folder / "generator.json", {"published": published, "config": config})
    tokenizer.save(folder / "writing.json")


def publish_seq2seq(network: PreTrainedModel, tokenizer: WritingTokenizer, folder: Path) -> None:
    """Weights and all, as `save_pretrained` writes them, so that the folder can be named as a `network`."""
    network.save_pretrained(folder)
    tokenizer.publish(folder)


def load_seq2seq(folder: Path) -> tuple[PreTrainedModel, WritingTokenizer, bool]:
    """The network's shape with random weights, from what `save_seq2seq` wrote."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    path = folder / "generator.json"
    raw = read_json(path)
    if raw["config"].get("model_type") not in KINDS:
        raise DataError(f"{path}: model_type {raw['config'].get('model_type')!r}, not one of {', '.join(KINDS)}")
    network = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(**raw["config"]))
    return network, WritingTokenizer.load(folder / "writing.json"), raw["published"]


def new_t5(params: GeneratorParams, tokenizer: WritingTokenizer, dropout: float) -> PreTrainedModel:
    """A small T5 with random weights, of the shape that `params` give."""
    from transformers import T5Config, T5ForConditionalGeneration

    shape = T5Config(
        vocab_size=tokenizer.size,
        d_model=params.hidden_size,
        d_kv=HEAD_WIDTH,
        d_ff=4 * params.hidden_size,
        num_layers=params.num_layers,
        num_heads=max(1, params.hidden_size // HEAD_WIDTH),
        dropout_rate=dropout,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.pad_id,
        eos_token_id=tokenizer.end_id,
    )
    return T5ForConditionalGeneration(shape)


def _encodable(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
