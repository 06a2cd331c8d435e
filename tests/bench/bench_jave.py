"""How fast JAVE's head trains, and what the loop costs beside the bare step.

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

from facetmill.models.jave import Jave
from facetmill.models.parts.joint import (
    AttributeHead,
    Gathering,
    ValueHead,
    agreement_loss,
    attribute_loss,
    tagged_attributes,
    value_loss,
)
from facetmill.params import JaveConfig, TrainingParams, load_params
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training.device import compute_settings, fp32_precision
from facetmill.training.loop import bucketed, fit
from facetmill.training.seeding import seed_everything

ROUNDS = 5
THREADS = 1  # with more, another process on the same cores makes every number noise
STEPS = 3
BATCH, TOKENS, WIDTH, ATTRIBUTES = 128, 46, 768, 28  # as M-JAVE's release trains on MEPAVE
ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[dict[str, Any]]:
    params = load_params(ROOT / "params.yaml")
    with compute_settings(THREADS):
        head = head_row(params.models.jave)
    return [head, loop_row(params.models.jave, params.training)]


def head_row(config: JaveConfig) -> dict[str, Any]:
    """A training step of the head on given features: our fp32 setting against torch's."""
    seed_everything(0)
    size = config.attention_size
    gathering = Gathering(WIDTH, size, config.attn_norm)
    attribute_head = AttributeHead(WIDTH, ATTRIBUTES, size)
    value_head = ValueHead(WIDTH, ATTRIBUTES, size, use_attributes=config.use_attributes)
    parameters = [p for part in (gathering, attribute_head, value_head) for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, fused=True)
    states, text = torch.randn(BATCH, TOKENS, WIDTH), torch.randn(BATCH, WIDTH)
    mask = torch.ones(BATCH, TOKENS, dtype=torch.bool)
    tags = torch.randint(0, 2 * ATTRIBUTES + 1, (BATCH, TOKENS))
    gold = torch.randint(0, 2, (BATCH, ATTRIBUTES)).float()
    agree = torch.ones_like(gold)

    def step() -> None:
        gathered = gathering(states, text, mask, None)
        attribute_BA = attribute_head(gathered)
        tag_BTG = value_head(gathered, attribute_BA.sigmoid())
        tagged_BA = tagged_attributes(tag_BTG, mask, config.kl_tags)
        losses_B = (
            attribute_loss(attribute_BA, gold)
            + value_loss(tag_BTG, tags, mask)
            + config.kl_weight * agreement_loss(attribute_BA, tagged_BA, agree, config.kl_reduction)
        )
        optimizer.zero_grad(set_to_none=True)
        losses_B.mean().backward()
        optimizer.step()

    def under(precision: str) -> Callable[[], float]:
        def run() -> float:
            torch.set_float32_matmul_precision(precision)
            return STEPS * BATCH / seconds(lambda: [step() for _ in range(STEPS)])

        return run

    ours, peer = interleaved(under(fp32_precision()), under("highest"))
    lever, target = fp32_precision() == "medium", 1.8
    return {
        "name": "jave head, training step, instances/s",
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "ratio": round(ours / peer, 2),
        "target": target,
        "met": ours / peer >= target if lever else None,
        "note": f"fp32 '{fp32_precision()}' against torch's default 'highest'"
        + ("" if lever else "; not chosen on this CPU, so both sides are the same setting"),
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
