"""DEFLATE: it writes what no text says, a discriminator drops what a product lacks, and every row is a setting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from facetmill.compute.seeding import seed_everything
from facetmill.encoders.seq2seq import WritingTokenizer
from facetmill.errors import ParamsError
from facetmill.models.base import Answer
from facetmill.models.deflate import Deflate
from facetmill.params import DeflateConfig
from facetmill.records import Attribute, AttributeSchema, Facet, Product
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import answer_all, predict
from tests import published, small

SCHEMA = AttributeSchema((Attribute("Season", {"winter": 4, "summer": 4}), Attribute("Fit", {"wide": 2, "slim": 2})))
TRAINING = replace(small.TRAINING, epochs=6, min_epoch_steps=20, batch_size=8, learning_rate=0.004)
TEXT_ONLY = replace(small.DEFLATE, image="none")


def product(number: int, title: str, **values: str) -> Product:
    return Product(f"p{number}", "s", title, facets=tuple(Facet(name, value) for name, value in values.items()))


#: The season is in no title; scarves have no fit.
TRAIN = [
    product(number, f"{brand} {noun}", Season=season, **({"Fit": fit_of} if fit_of else {}))
    for number, (brand, (noun, season, fit_of)) in enumerate(
        (brand, said)
        for brand in ("Acme", "Zed", "Bolt")
        for said in (
            ("wool coat", "winter", "wide"),
            ("wool scarf", "winter", None),
            ("linen shirt", "summer", "slim"),
            ("linen scarf", "summer", None),
        )
    )
]


def built(config: DeflateConfig) -> Deflate:
    seed_everything(0)
    return Deflate.fit_vocabulary(config, SCHEMA, TRAIN)


@pytest.fixture(scope="module")
def trained() -> Deflate:
    model = built(TEXT_ONLY)
    fit(model, TRAIN, TRAIN[:4], TRAINING)
    return model


def answers(model: Deflate, *titles: str) -> list[Answer]:
    return list(answer_all(model, [product(100 + n, title) for n, title in enumerate(titles)], 8))


def pairs(answer: Answer) -> set[tuple[str, str]]:
    return {(facet.attribute, facet.value) for facet in answer.facets}


def test_it_writes_what_no_text_says_and_drops_what_a_product_lacks(trained: Deflate) -> None:
    coat, scarf = answers(trained, "Bolt wool coat", "Bolt linen scarf")
    assert pairs(coat) == {("Season", "winter"), ("Fit", "wide")}
    assert pairs(scarf) == {("Season", "summer")}
    assert all(facet.spans == () for facet in coat.facets)
    assert scarf.attributes is not None
    assert scarf.attributes.keys() == {"Season"}


def test_without_its_discriminator_everything_that_is_written_is_told(trained: Deflate) -> None:
    trained.judges.fill_(False)
    try:
        (scarf,) = answers(trained, "Bolt linen scarf")
    finally:
        trained.judges.fill_(True)
    assert {name for name, _ in pairs(scarf)} == {"Season", "Fit"}


def test_what_it_learns_to_drop_is_what_its_generator_wrote_for_attributes_that_products_lack(
    trained: Deflate,
) -> None:
    before = [item.facets for item in TRAIN]
    written = trained._with_negatives(TRAIN)
    assert [tuple(f for f in item.facets if f.provenance != "predicted") for item in written] == before
    wrong = [{f.attribute for f in item.facets if f.provenance == "predicted"} for item in written]
    assert all(
        not attributes & {f.attribute for f in item.facets} for attributes, item in zip(wrong, TRAIN, strict=True)
    )
    assert sum(map(bool, wrong)) == 6  # one for each scarf
    claims = trained.collate_to_judge(written).claims
    assert claims.true_M.sum() == sum(len(item.facets) for item in TRAIN)
    assert len(claims.true_M) == claims.true_M.sum() + 6
    assert not trained.collate_to_judge(written).questions.known_M.any()
    assert trained.collate_to_write(written).questions.known_M.sum() == claims.true_M.sum()


@pytest.mark.parametrize(
    "change",
    [
        {"question": "decoder"},
        {"discriminator": "none"},
        {"discriminator": "frozen", "discriminator_epochs": 12},
        {"discriminator_pooling": "cls", "discriminator_epochs": 9, "separator": "comma"},
    ],
)
def test_rows_of_its_tables_learn(change: dict[str, Any]) -> None:
    model = built(replace(TEXT_ONLY, **change))
    assert fit(model, TRAIN, TRAIN[:4], TRAINING).score > 0.9
    assert (model.attributes(model.collate(TRAIN[:1])) is None) == (change == {"discriminator": "none"})


def test_a_product_that_is_asked_by_the_decoder_is_read_once() -> None:
    asked = built(TEXT_ONLY).collate(TRAIN[:3]).questions
    assert (len(asked.prompt_RT), len(asked.row_M)) == (6, 6)
    asked = built(replace(TEXT_ONLY, question="decoder")).collate(TRAIN[:3]).questions
    assert (len(asked.prompt_RT), len(asked.row_M)) == (3, 6)
    assert asked.begin_MF.shape[1] > 2


@pytest.mark.parametrize("question", ["encoder", "decoder"])
def test_what_is_written_is_what_a_slow_reference_writes(question: str) -> None:
    """Token after token, each from the whole sequence, one question at a time."""
    model = built(replace(TEXT_ONLY, question=question)).eval()
    titles = ["Acme wool coat of a very long name", "Zed"]
    batch = model.collate([product(n, title) for n, title in enumerate(titles)])
    written = model._written(batch.questions, None)
    asked, never = batch.questions, {model._prompts.tokenizer.pad_id, *model._prompts.tokenizer.marks}
    never -= {model._prompts.separator}
    for number, found in enumerate(written):
        row = int(asked.row_M[number])
        prompt = asked.prompt_RT[row][asked.prompt_mask_RT[row]][None]
        said = asked.begin_MF[number][asked.begin_mask_MF[number]][None]
        ids: list[int] = []
        for _ in range(model.config.longest_answer):
            with torch.no_grad():
                logits = model.generator.network(input_ids=prompt, decoder_input_ids=said).logits[0, -1]
            logits[list(never)] = -torch.inf
            token = int(logits.argmax())
            if token == model._prompts.tokenizer.end_id:
                break
            ids.append(token)
            said = torch.cat([said, torch.tensor([[token]])], dim=1)
        assert found.ids == ids


def test_a_batch_is_worth_its_rows_one_by_one_and_pictures_do_not_move_with_padding() -> None:
    model = built(small.DEFLATE).eval()
    items = [replace(item, images=("data:,",)) if n % 2 else item for n, item in enumerate(TRAIN[:4])]
    losses = [model.loss(model.collate([item])).total for item in items]
    torch.testing.assert_close(model.loss(model.collate(items)).total, torch.stack(losses).mean())


def test_an_attribute_with_a_closed_list_has_no_other_values() -> None:
    model = built(replace(TEXT_ONLY, closed=["Season"], discriminator="none")).eval()  # untrained: it writes anything
    found = answers(model, *(f"title {number}" for number in range(20)))
    seasons = {value for answer in found for name, value in pairs(answer) if name == "Season"}
    fits = {value for answer in found for name, value in pairs(answer) if name == "Fit"}
    assert seasons <= {"winter", "summer"}
    assert not fits <= {"wide", "slim"}


def test_a_closed_list_of_an_attribute_that_there_is_not_is_told() -> None:
    with pytest.raises(ParamsError, match=r"models\.deflate\.closed: 'Saison' is not an attribute of train"):
        built(replace(TEXT_ONLY, closed=["Saison"]))


def test_a_saved_one_answers_alike_with_its_judge(trained: Deflate, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert list(predict(loaded, TRAIN, 4)) == list(predict(trained, TRAIN, 4))


def test_published_weights_are_read_from_a_folder_and_learn_gently(tmp_path: Path) -> None:
    folder = published_t5(tmp_path / "t5")
    model = built(replace(TEXT_ONLY, generator=replace(small.GENERATOR, network=folder)))
    groups = model.parameter_groups()
    assert {id(p) for p in groups["text"]} == {id(p) for p in model.generator.network.parameters()}
    assert len(groups["fresh"]) == 4
    assert model._prompts.tokenizer.decode(model._prompts.of_values(["navy blue"])) == "navy blue"
    assert torch.equal(
        model.generator.network.shared.weight, T5ForConditionalGeneration.from_pretrained(folder).shared.weight
    )


def test_a_network_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = published.text_encoder(tmp_path / "bert", "abc")
    with pytest.raises(ParamsError, match=r"generator\.network = '.*bert'"):
        built(replace(TEXT_ONLY, generator=replace(small.GENERATOR, network=folder)))
    with pytest.raises(ParamsError, match="no such folder"):
        built(replace(TEXT_ONLY, generator=replace(small.GENERATOR, network="./nowhere")))


def published_t5(folder: Path) -> str:
    """A folder as `save_pretrained` writes it, with random weights. Returns its `network`."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = WritingTokenizer.fit(["navy blue wool coat"] * 2, 300)
    marks = [f"<extra_id_{number}>" for number in range(6)]
    backend = tokenizer._backend
    backend.add_special_tokens(marks)
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    shape = T5Config(
        vocab_size=backend.get_vocab_size(),
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
    )
    T5ForConditionalGeneration(shape).save_pretrained(folder)
    return str(folder)
