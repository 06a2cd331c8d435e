"""RNN-LSTM, Attn-BiRNN and Slot-Gated: the gate and the contexts by hand, and which layers there are."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.slot_gated import SlotGate, SlotGated
from facetmill.records import Attribute, AttributeSchema, Product
from tests import small

SCHEMA = AttributeSchema((Attribute("Colour", {}),))
PRODUCTS = [Product("p", "s", "red shoe of some leather"), Product("q", "s", "hat")]


def built(**changes: Any) -> SlotGated:
    seed_everything(0)
    config = dataclasses.replace(small.SLOT_GATED, **changes)
    return SlotGated.fit_vocabulary(config, SCHEMA, PRODUCTS).eval()


def test_the_gate_by_hand() -> None:
    """W swaps the two numbers of c; v = (2, -3)."""
    gate = SlotGate(2)
    gate.load_state_dict(
        {"attributes.weight": torch.tensor([[0.0, 1.0], [1.0, 0.0]]), "weight.weight": torch.tensor([[2.0, -3.0]])}
    )
    token, attributes = torch.tensor([[[0.1, 0.2], [0.0, -1.0]]]), torch.tensor([[[0.3, 0.4]]])
    expected = [2 * math.tanh(first + 0.4) - 3 * math.tanh(second + 0.3) for first, second in ((0.1, 0.2), (0, -1))]
    torch.testing.assert_close(gate(token, attributes)[0, :, 0], torch.tensor(expected))


@pytest.mark.parametrize("context", ["none", "attention", "gated", "gated_states"])
def test_contexts_by_hand(context: str) -> None:
    """With weights of 0 attention is the mean of all real states, and with W = 0 the gate is v . tanh of what it opens
    for; v is all 0.5. The second text is padded."""
    model = built(context=context)
    with torch.no_grad():
        for attention in (model.token_attention, model.attribute_attention):
            if attention is not None:
                attention.weight.weight.zero_()
        if model.gate is not None:
            model.gate.attributes.weight.zero_()
            model.gate.weight.weight.fill_(0.5)
    text = model.collate(PRODUCTS).text
    with torch.no_grad():
        tagged_BTH, told_BH = model.both_states(text)
        h_BTH, last_BH = model.encoder(text.ids_BT, text.mask_BT, text.segment_BT)
    for row, mask_T in enumerate(text.mask_BT):
        h_TH = h_BTH[row, mask_T]
        mean_H = h_TH.mean(0)
        gathered = {
            "none": torch.zeros_like(h_TH),
            "attention": mean_H.expand_as(h_TH),
            "gated": mean_H * 0.5 * mean_H.tanh().sum(),
            "gated_states": h_TH * 0.5 * h_TH.tanh().sum(1, keepdim=True),
        }
        torch.testing.assert_close(tagged_BTH[row, mask_T], h_TH + gathered[context])
        torch.testing.assert_close(told_BH[row], last_BH[row] + (0 if context == "none" else mean_H))


def test_each_row_of_the_papers_has_its_own_layers() -> None:
    plain = built(context="none").state_dict().keys()
    for context, layers in {
        "attention": {"attribute_attention", "token_attention"},
        "gated": {"attribute_attention", "token_attention", "gate"},
        "gated_states": {"attribute_attention", "gate"},
    }.items():
        added = built(context=context).state_dict().keys() - plain
        assert {name.partition(".")[0] for name in added} == layers
