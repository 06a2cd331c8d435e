"""BiLSTM-CRF and OpenTag: which layers there are, and what tags are told from."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from facetmill.compute.seeding import seed_everything
from facetmill.models.baselines.bilstm_crf import BiLstmCrf
from facetmill.records import Attribute, AttributeSchema, Product
from tests import small

SCHEMA = AttributeSchema((Attribute("Colour", {}),))
PRODUCTS = [Product("p", "s", "red shoe of some leather"), Product("q", "s", "hat")]


def built(**changes: Any) -> BiLstmCrf:
    seed_everything(0)
    config = dataclasses.replace(small.BILSTM_CRF, **changes)
    return BiLstmCrf.fit_vocabulary(config, SCHEMA, PRODUCTS).eval()


def test_an_encoder_without_a_bilstm_is_given_one_that_padding_does_not_reach() -> None:
    assert built().bilstm is None
    model = built(encoder=dataclasses.replace(small.TEXT, network="config"), hidden_size=12)
    assert model.emission.in_features == 12
    together = model.states(model.collate(PRODUCTS).text)
    alone = model.states(model.collate(PRODUCTS[1:]).text)
    torch.testing.assert_close(together[1, : alone.shape[1]], alone[0])


def test_attention_is_all_that_opentag_adds() -> None:
    added = built(attention_size=4).state_dict().keys() - built().state_dict().keys()
    assert {name.partition(".")[0] for name in added} == {"attention"}


def test_a_token_stands_beside_what_it_attends_to_and_as_printed_it_does_not() -> None:
    plain, beside, printed = built(), built(attention_size=4), built(attention_size=4, attention_form="printed")
    beside.encoder.load_state_dict(plain.encoder.state_dict())
    batch = plain.collate(PRODUCTS)
    real = batch.text.mask_BT
    states = beside.states(batch.text)[real]
    torch.testing.assert_close(states[:, : plain.emission.in_features], plain.states(batch.text)[real])
    assert states.shape[1] == beside.emission.in_features == 2 * plain.emission.in_features
    assert printed.states(batch.text).shape[2] == printed.emission.in_features == plain.emission.in_features
