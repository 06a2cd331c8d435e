"""How fast DEFLATE writes: a network of T5-small's size, ten attributes of four products, five tokens an answer.

Peers are transformers' `generate`, asked for one attribute of one product after the other, and CTranslate2 with int8
weights, which batches all. Products a second; the work is the same for all, for no answer ends before its five tokens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from measuring import ROUNDS, Run, interleaved, row
from transformers import T5Config, T5ForConditionalGeneration

from facetmill.compute.device import compute_settings
from facetmill.compute.seeding import seed_everything
from facetmill.models.deflate import Deflate
from facetmill.params import DeflateConfig, load_params
from facetmill.records import Attribute, AttributeSchema, Facet, Product

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS, ATTRIBUTES, WORDS, ANSWER = 4, 10, 256, 5
THREADS = 1
PER_PAIR_TARGET, SHARED_TARGET, INT8_TARGET = 4.0, 12.0, 1.2


def texts() -> list[Product]:
    facets = tuple(Facet(f"attribute {number}", "red") for number in range(ATTRIBUTES))
    words = [" ".join(f"w{(7 * product + word) % 97}" for word in range(WORDS)) for product in range(PRODUCTS)]
    return [Product(f"p{number}", "s", title, facets=facets) for number, title in enumerate(words)]


def model_of(question: str) -> Deflate:
    """As params.yaml has it, but of T5-small's size and without pictures, which no peer reads."""
    settings = load_params(ROOT / "params.yaml").models.deflate
    generator = replace(settings.generator, hidden_size=512, num_layers=6)
    config: DeflateConfig = replace(
        settings, generator=generator, image="none", question=question, discriminator="none", precision="bf16",
        window=WORDS + 40, longest_answer=ANSWER,
    )  # fmt: skip
    schema = AttributeSchema(tuple(Attribute(f"attribute {number}", {"red": 1}) for number in range(ATTRIBUTES)))
    seed_everything(0)
    model = Deflate.fit_vocabulary(config, schema, texts())
    model.generator.network.get_output_embeddings().weight.data[1] = -1.0  # the end is never likely
    return model.eval()


def ours(model: Deflate) -> Callable[[], None]:
    def write() -> None:
        with torch.inference_mode(), compute_settings(THREADS), model.precision():
            model._written(model.collate(texts()).questions, None)

    return write


def per_pair(model: Deflate) -> Callable[[], None]:
    """`generate` for one question after the other, in fp32."""
    network, asked = model.generator.network, model.collate(texts()).questions

    def write() -> None:
        with torch.inference_mode(), compute_settings(THREADS):
            for number in range(len(asked.row_M)):
                prompt = asked.prompt_RT[number][asked.prompt_mask_RT[number]][None]
                network.generate(
                    input_ids=prompt,
                    attention_mask=torch.ones_like(prompt),
                    decoder_start_token_id=0,
                    max_new_tokens=ANSWER,
                    min_new_tokens=ANSWER,
                    do_sample=False,
                )

    return write


def int8(folder: Path) -> Callable[[], None]:
    """CTranslate2, all questions of all products at once. It knows T5 as published, so its weights are drawn anew."""
    import ctranslate2

    torch.manual_seed(0)
    shape = T5Config(vocab_size=4000, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)
    T5ForConditionalGeneration(shape).save_pretrained(folder / "t5")
    _spell(folder / "t5")
    made = ctranslate2.converters.TransformersConverter(str(folder / "t5")).convert(
        str(folder / "ct2"), quantization="int8"
    )
    translator = ctranslate2.Translator(made, intra_threads=THREADS, compute_type="int8")
    question = [f"w{number % 97}" for number in range(WORDS + 12)]

    def write() -> None:
        translator.translate_batch(
            [question] * (PRODUCTS * ATTRIBUTES), max_decoding_length=ANSWER, min_decoding_length=ANSWER, beam_size=1
        )

    return write


def _spell(folder: Path) -> None:
    """The tokenizer that the converter asks for: a word a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(3997))]
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def rows() -> list[dict[str, Any]]:
    published, shared = model_of("encoder"), model_of("decoder")
    note = f"products/s, {PRODUCTS} of {ATTRIBUTES} attributes; ours bf16, {THREADS} threads, medians of {ROUNDS}"
    with tempfile.TemporaryDirectory() as folder:
        works = {"per pair": per_pair(published), "published": ours(published), "shared": ours(shared)}
        if find_spec("ctranslate2"):
            works["int8"] = int8(Path(folder))
        runs: dict[str, tuple[Run, Path]] = {
            name: (lambda source, target, work=work: work(), Path()) for name, work in works.items()
        }
        seconds = interleaved(runs)
    speed = {name: PRODUCTS / taken for name, taken in seconds.items()}
    return [
        row("deflate, published form, to generate() for each pair", speed["published"], speed["per pair"],
            PER_PAIR_TARGET, note),
        row("deflate, published form, to CTranslate2 int8", speed["published"], speed.get("int8"), INT8_TARGET, note),
        row("deflate, product read once, to generate() for each pair", speed["shared"], speed["per pair"],
            SHARED_TARGET, note),
    ]  # fmt: skip
