"""Names as points of a space that does not learn, and the names of all slots as one text."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.parts.slot_names import SlotNames
from facetmill.models.parts.text_input import TextInput
from facetmill.models.parts.value_space import Pooling, Scale, ValueSpace
from facetmill.records import Product
from tests import small

NAMES = ["red", "navy blue", "green", "of pure new wool"]


def read(network: str = "config") -> TextInput:
    seed_everything(0)
    return TextInput.fitted(replace(small.TEXT, network=network), [], category=False, names=NAMES)


def space(pooling: Pooling = "mean", scale: Scale = "standard", network: str = "config") -> ValueSpace:
    found = ValueSpace(read(network), pooling=pooling, scale=scale)
    found.settle(NAMES)
    return found.train()


def test_printed_points_are_the_encoders_states_of_the_name_or_of_its_tokens() -> None:
    text = read()
    window = text.windows([Product("p", "s", "navy blue")])
    with torch.no_grad():
        states_BTE, text_BE = text.encoder.eval()(window.ids_BT, window.mask_BT, window.segment_BT)
    torch.testing.assert_close(space("cls", "printed").points(["navy blue"]), text_BE)
    torch.testing.assert_close(space("mean", "printed").points(["navy blue"]), states_BTE[:, 1:3].mean(1))


@pytest.mark.parametrize("network", ["config", "bilstm"])
def test_standard_points_are_centred_and_as_far_apart_whatever_the_encoder(network: str) -> None:
    found = space(network=network)
    points = found.points(NAMES)
    torch.testing.assert_close(points.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    assert points.square().mean().item() == pytest.approx(1, abs=1e-4)


def test_a_point_does_not_depend_on_what_else_is_asked_for_and_no_name_at_all_is_one_too() -> None:
    found = space()
    torch.testing.assert_close(found.points([*NAMES, "red", ""])[[0, 4]], found.points(["red", "red"]))
    assert found.points(["", "red " * 40]).isfinite().all()
    assert found.points([]).shape == (0, 16)


def test_it_never_learns() -> None:
    found = space()
    assert not [p for p in found.parameters() if p.requires_grad]
    assert found.encoder is not None
    assert not found.encoder.network.training
    assert "encoder" not in dict(
        ValueSpace(read(), pooling="mean", scale="standard", owns_encoder=False).named_modules()
    )


def test_the_names_of_slots_are_one_text_or_as_many_as_windows_hold() -> None:
    text = read()
    tokenizer = text.tokenizer
    red, navy, blue, green = (tokenizer.encode([word])[0].ids[0] for word in ("red", "navy", "blue", "green"))
    cls, slot, sep, pad = tokenizer.cls_id, tokenizer.mask_id, tokenizer.sep_id, tokenizer.pad_id
    one = SlotNames(NAMES[:3], tokenizer, 16, 16)
    assert one.ids_WJ.tolist() == [[cls, slot, red, slot, navy, blue, slot, green, sep]]
    assert (one.row_S.tolist(), one.column_S.tolist()) == ([0, 0, 0], [1, 3, 6])
    two = SlotNames(NAMES[:3], tokenizer, 5, 16)
    assert two.ids_WJ.tolist() == [[cls, slot, red, slot, navy, blue, sep], [cls, slot, green, sep, pad, pad, pad]]
    assert (two.row_S.tolist(), two.column_S.tolist()) == ([0, 0, 1], [1, 3, 1])
    assert (one.num_cut, SlotNames(NAMES, tokenizer, 3, 16).num_cut) == (0, 1)
    assert SlotNames([], tokenizer, 16, 16)(text.encoder).shape == (0, 16)


def test_a_slot_has_a_token_of_its_own_and_sees_the_other_names() -> None:
    text = read()
    text.encoder.eval()
    seed_everything(0)
    names = SlotNames(["red", "red"], text.tokenizer, 16, 16)
    assert not torch.allclose(*names(text.encoder))
    names(text.encoder)[0, 0].backward()
    assert names.mark_SI.grad is not None
    assert names.mark_SI.grad.abs().sum(1).gt(0).all()  # the first one's state is made of the second one's, too
