"""How fast the heads of JAVE and M-JAVE train and infer, and what the loop costs beside the bare step.

python tests/bench/bench_jave.py
"""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facetmill.encoders.vision import ImageStates
from facetmill.models.jave import Jave
from facetmill.models.parts.joint import (
    AttributeHead,
    Gathering,
    ImageTerms,
    ValueHead,
    agreement_loss,
    attribute_loss,
    tagged_attributes,
    value_loss,
)
from facetmill.params import JaveConfig, MJaveConfig, TrainingParams, load_params
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.device import compute_settings, fp32_precision
from facetmill.training.loop import bucketed, fit
from facetmill.training.seeding import seed_everything

ROUNDS = 5
THREADS = 1  # with more, another process on the same cores makes every number noise
STEPS = 3
BATCH, TOKENS, WIDTH, ATTRIBUTES = 128, 46, 768, 28  # as M-JAVE's release trains on MEPAVE
REGIONS, IMAGE_WIDTH = 49, 2048
# TensorFlow is not installed here. Measured side by side once, its release trains 502 instances/s and torch's default
# 503, and it infers 1,354 against 1,027: so much faster than torch's default must we be to be level with it.
TENSORFLOW_INFERS = 1354 / 1027
ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[dict[str, Any]]:
    params = load_params(ROOT / "params.yaml")
    jave, m_jave = (  # the same attention as the release has
        dataclasses.replace(config, attn_norm="none") for config in (params.models.jave, params.models.m_jave)
    )
    with compute_settings(THREADS):
        heads = [
            head_row("jave head, training step", jave, Work.step, 1.8),
            head_row("m_jave head, training step", m_jave, Work.step, 1.8),
            head_row("m_jave head, inference", m_jave, Work.infer, 1.6 * TENSORFLOW_INFERS),
            head_row("m_jave head, training step in bf16", m_jave, Work.step, 3.2, bf16=True),
            head_row("m_jave head, inference in bf16", m_jave, Work.infer, 3 * TENSORFLOW_INFERS, bf16=True),
        ]
    return [*heads, loop_row(params.models.jave, params.training)]


class Ours(nn.Module):
    """The network above the encoders: all that is trained when encoders are frozen."""

    def __init__(self, config: JaveConfig) -> None:
        super().__init__()
        size = config.attention_size
        terms = ImageTerms(IMAGE_WIDTH) if isinstance(config, MJaveConfig) else None
        self.gathering = Gathering(WIDTH, size, config.attn_norm, terms)
        self.attributes = AttributeHead(WIDTH, ATTRIBUTES, size)
        self.values = ValueHead(WIDTH, ATTRIBUTES, size, use_attributes=config.use_attributes, terms=terms)

    def forward(self, states: Tensor, text: Tensor, mask: Tensor, image: ImageStates | None) -> tuple[Tensor, Tensor]:
        gathered = self.gathering(states, text, mask, image)
        attribute_BA = self.attributes(gathered)
        return attribute_BA, self.values(gathered, attribute_BA.sigmoid())


class Release(nn.Module):
    """The same network as the authors compute it: a product for each matrix of the paper, attention without softmax."""

    def __init__(self, config: JaveConfig) -> None:
        super().__init__()

        def weight(inputs: int, outputs: int) -> nn.Linear:
            return nn.Linear(inputs, outputs, bias=False)

        self.size = size = config.attention_size
        self.wqt, self.wkt, self.wvt = (weight(WIDTH, size) for _ in range(3))
        self.wqv, self.wkv, self.wvv = weight(WIDTH, size), weight(IMAGE_WIDTH, size), weight(IMAGE_WIDTH, size)
        self.w1, self.w2 = nn.Linear(WIDTH, 1), weight(IMAGE_WIDTH, 1)
        self.w3, self.w4, self.w5 = weight(WIDTH, size), weight(size, size), weight(WIDTH, size)
        self.w6, self.w7, self.w8 = weight(WIDTH, size), weight(size, size), weight(ATTRIBUTES, size)
        self.w9, self.w10 = weight(ATTRIBUTES, 1), weight(IMAGE_WIDTH, 1)
        self.attributes, self.tags = nn.Linear(size, ATTRIBUTES), nn.Linear(size, 2 * ATTRIBUTES + 1)

    def forward(self, states: Tensor, text: Tensor, mask: Tensor, image: ImageStates | None) -> tuple[Tensor, Tensor]:
        scale = self.size**-0.5
        mask = mask[..., None].float()
        gathered = (self.wqt(states) @ self.wkt(states).mT * scale * mask.mT) @ self.wvt(states)
        inner = self.w6(states)
        if image is not None:
            regions = image.region_BKE
            weights, values = self.wqv(states) @ self.wkv(regions).mT * scale, self.wvv(regions)
            gate = (self.w1(states) + self.w2(regions.mean(1))[:, None]).sigmoid()
            gathered = gathered + gate * (weights @ values)
        pooled = self.w3((states * mask).sum(1)) + self.w4((gathered * mask).sum(1)) + self.w5(text)
        attributes = self.attributes(pooled)
        present = attributes.sigmoid()
        inner = inner + self.w7(gathered) + self.w8(present)[:, None]
        if image is not None:
            gate = (self.w9(present)[:, None] + self.w10(regions)).sigmoid()
            inner = inner + (weights * gate.mT) @ values
        return attributes, self.tags(inner)


class Work:
    """A network on given features of the release's shapes, with its optimizer."""

    def __init__(self, network: Ours | Release, config: JaveConfig, features: torch.dtype = torch.float32) -> None:
        self.network = network
        self.config = config
        self.optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        self.states, self.text = torch.randn(BATCH, TOKENS, WIDTH).to(features), torch.randn(BATCH, WIDTH).to(features)
        self.mask = torch.ones(BATCH, TOKENS, dtype=torch.bool)
        self.tags = torch.randint(0, 2 * ATTRIBUTES + 1, (BATCH, TOKENS))
        self.gold = torch.randint(0, 2, (BATCH, ATTRIBUTES)).float()
        regions = torch.randn(BATCH, REGIONS, IMAGE_WIDTH).to(features)
        shown = torch.ones(BATCH, dtype=torch.bool)
        self.image = ImageStates(regions, shown) if isinstance(config, MJaveConfig) else None

    def forward(self) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.network(self.states, self.text, self.mask, self.image)
        return found

    def infer(self) -> None:
        with torch.inference_mode():
            self.forward()

    def step(self) -> None:
        attribute_BA, tag_BTG = (logits.float() for logits in self.forward())
        tagged_BA = tagged_attributes(tag_BTG, self.mask, self.config.kl_tags)
        agree, reduction = torch.ones_like(self.gold), self.config.kl_reduction
        losses_B = (
            attribute_loss(attribute_BA, self.gold)
            + value_loss(tag_BTG, self.tags, self.mask)
            + self.config.kl_weight * agreement_loss(attribute_BA, tagged_BA, agree, reduction)
        )
        self.optimizer.zero_grad(set_to_none=True)
        losses_B.mean().backward()
        self.optimizer.step()


def head_row(
    name: str, config: JaveConfig, do: Callable[[Work], None], target: float, *, bf16: bool = False
) -> dict[str, Any]:
    """Instances/s of our head, in our fp32 setting or bf16, against the release's computations under torch's default,
    which train as fast as the release itself."""
    seed_everything(0)

    def under(work: Work, precision: str, cast: bool = False) -> Callable[[], float]:
        def run() -> float:
            torch.set_float32_matmul_precision(precision)
            with torch.autocast("cpu", torch.bfloat16, enabled=cast):
                return STEPS * BATCH / seconds(lambda: [do(work) for _ in range(STEPS)])

        return run

    features = torch.bfloat16 if bf16 else torch.float32  # as the feature cache keeps them
    ours, peer = interleaved(
        under(Work(Ours(config), config, features), fp32_precision(), bf16),
        under(Work(Release(config), config), "highest"),
    )
    faster = bf16 or fp32_precision() == "medium"  # than torch's default
    ours_is = "bf16, features too," if bf16 else f"fp32 {fp32_precision()!r}"
    return {
        "name": f"{name}, instances/s",
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "ratio": round(ours / peer, 2),
        "target": round(target, 2),
        "met": ours / peer >= target if faster else None,
        "note": f"{ours_is} against what the authors' release computes, in torch's default 'highest'"
        + ("" if faster else "; this CPU has no faster true fp32 to choose"),
    }


def loop_row(config: JaveConfig, training: TrainingParams) -> dict[str, Any]:
    """Products/s of `fit` against collate, forward, backward and update of the same batches."""
    config = dataclasses.replace(config, encoder="bilstm", hidden_size=256)
    training = dataclasses.replace(training, epochs=1, batch_size=32, threads=THREADS, device="cpu")
    schema = AttributeSchema(tuple(Attribute(f"a{number}", {}) for number in range(ATTRIBUTES)))
    products = synthetic(256)

    def looped() -> float:
        result = fit(built(), products, products[:1], training)
        return result.epochs[0].products_per_second

    def built() -> Jave:
        seed_everything(0)
        return Jave.fit_vocabulary(config, schema, products)

    def bare() -> float:
        model = built().train()
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        batches = bucketed(products, training.batch_size, random.Random(1))

        def steps() -> None:
            for places in batches:
                losses = model.loss(model.collate([products[place] for place in places]))
                optimizer.zero_grad(set_to_none=True)
                losses.total.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
                optimizer.step()

        with compute_settings(training.threads):
            return len(products) / seconds(steps)

    ours, peer = interleaved(looped, bare)
    return {
        "name": "training loop over bare step, products/s",
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "ratio": round(ours / peer, 3),
        "target": 0.97,
        "met": ours / peer >= 0.97,
        "note": "bilstm 256 wide, batches of 32; the bare step collates too",
    }


def synthetic(num_products: int) -> list[Product]:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(3, 8))) for _ in range(2000)]
    products = []
    for number in range(num_products):
        title = " ".join(draw.choices(words, k=draw.randint(20, 44)))
        end = title.index(" ")
        facet = Facet(f"a{draw.randrange(ATTRIBUTES)}", title[:end], (Span("title", 0, end),))
        products.append(Product(f"p{number}", "bench", title, facets=(facet,)))
    return products


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(ours: Callable[[], float], peer: Callable[[], float]) -> tuple[float, float]:
    """Medians of rates measured in turns, after one turn that does not count."""
    ours(), peer()
    pairs = [(ours(), peer()) if turn % 2 else (peer(), ours())[::-1] for turn in range(ROUNDS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


if __name__ == "__main__":
    for row in rows():
        print(row)
