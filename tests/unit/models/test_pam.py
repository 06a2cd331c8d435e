"""PAM: what it may write and what it writes, against a slow reference that asks one thing at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facetmill.compute.seeding import seed_everything
from facetmill.errors import ParamsError
from facetmill.models.pam import Pam, PamBatch
from facetmill.models.parts.fused import Fused, Layer
from facetmill.models.parts.vocabularies import END, NEXT, UNKNOWN
from facetmill.params import FusionParams, PamConfig
from facetmill.records import Attribute, AttributeSchema, Box, Facet, OcrToken, Product
from facetmill.training.checkpoint import load_model, save_model
from facetmill.training.fit import fit
from facetmill.training.predict import predict
from tests import small
from tests.contract.test_models import picture

BOX = Box(0.1, 0.1, 0.5, 0.4)
SCHEMA = AttributeSchema((Attribute("Brand", {}, ("tea", "hand soap")), Attribute("Form", {}, ("tea", "hand soap"))))


def product(
    title: str, category: str | None = "tea", *, pack: str = "", shown: str | None = None, **values: str
) -> Product:
    facets = tuple(Facet(name, value) for name, said in values.items() for value in said.split("|"))
    images = () if shown is None else (picture(shown),)
    ocr = tuple(OcrToken(word, BOX) for word in pack.split())
    return Product(title, "s", title, category=category, images=images, ocr=ocr, facets=facets)


TRAIN = [
    product("green tea of twinings", pack="Twinings LOOSE", shown="green", Brand="Twinings", Form="loose"),
    product("twinings in bags", shown="red", Brand="Twinings", Form="bags"),
    product("ahmad tea", pack="bags", Brand="Ahmad Tea", Form="bags"),
    product("soap by dove", "hand soap", pack="dove", Brand="Dove", Form="bar"),
    product("liquid soap", "hand soap", shown="blue", Form="liquid|gel"),
]


def built(config: PamConfig = small.PAM, train: Sequence[Product] = TRAIN, **changes: Any) -> Pam:
    seed_everything(0)
    return Pam.fit_vocabulary(replace(config, **changes), SCHEMA, train).eval()


def words_of(model: Pam, batch: PamBatch, row: int, column: int) -> list[str | None]:
    """Every candidate of a question as a word; None where there is none."""
    asked = batch.questions
    vocabulary = [
        model._writer.vocabularies.words[number] for number in asked.number_U[asked.vocabulary_PQV[row, column]]
    ]
    there = asked.candidate_PQC[row, column].tolist()
    return [word if here else None for word, here in zip([*batch.copied[row], *vocabulary], there, strict=True)]


def test_a_word_in_title_pack_and_vocabulary_is_right_three_times() -> None:
    model = built(category="none")
    batch = model.collate([TRAIN[0], TRAIN[3]])
    right = batch.questions.target_PQTC[0, 0]  # "twinings", and the end
    words = words_of(model, batch, 0, 0)
    assert [words[place] for place in right[0].nonzero()[:, 0]] == ["twinings"] * 3
    assert [words[place] for place in right[1].nonzero()[:, 0]] == [END]


def test_what_is_to_be_written_of_several_values_of_none_and_after_the_category() -> None:
    model = built()
    batch = model.collate([TRAIN[4]])
    told = []
    for column in range(2):
        words = words_of(model, batch, 0, column)
        steps = [step.nonzero()[:, 0].tolist() for step in batch.questions.target_PQTC[0, column]]
        told.append([words[step[0]] for step in steps if step])
    assert told == [["hand", "soap", UNKNOWN, END], ["hand", "soap", "liquid", NEXT, "gel", END]]
    assert batch.questions.of_prefix_PQT[0].sum(1).tolist() == [2, 2]
    assert batch.questions.of_answer_PQT[0].sum(1).tolist() == [2, 4]


def test_a_vocabulary_is_that_of_the_category_and_so_is_what_a_word_is_like() -> None:
    model = built()
    soap = product("a bags bar", "hand soap")
    batch = model.collate([soap, replace(soap, category="tea"), replace(soap, category="cars"), TRAIN[0]])
    vocabulary = {word for word in words_of(model, batch, 0, 1)[len(batch.copied[0]) :] if word}
    assert vocabulary == {END, NEXT, UNKNOWN, "hand", "soap", "bar", "liquid", "gel"}
    assert batch.questions.near_PQS[:2, 1, 1:3].tolist() == [
        [pytest.approx(200 * 2 / 7), 100],  # "ba" of "bags" and "bar"
        [100, pytest.approx(200 * 2 / 7)],
    ]
    assert batch.questions.near_PQS[2, 1, 1:3].tolist() == [100, 100]  # a category that train has not: all of them
    assert batch.questions.prefix_PQX[2].max() < 0
    shared = built(vocabulary="shared").collate([soap])
    assert shared.questions.near_PQS[0, 1, 1:3].tolist() == [100, 100]


@pytest.mark.parametrize("changes", [{}, {"category": "auxiliary"}, {"vocabulary": "shared", "edit_weight": 0.0}])
def test_no_step_sees_a_later_one(changes: dict[str, Any]) -> None:
    model = built(**changes)
    batch = model.collate(TRAIN)
    scores, _ = model(batch)
    for step in range(1, scores.shape[2]):
        asked = batch.questions
        given = asked.given_PQT.clone()
        given[..., step:] = asked.vocabulary_PQV.shape[2] + len(batch.copied[0]) - 1
        other, _ = model(replace(batch, questions=replace(asked, given_PQT=given)))
        torch.testing.assert_close(other[:, :, :step], scores[:, :, :step])
        assert not torch.equal(other[:, :, step], scores[:, :, step])


VARIANTS: list[dict[str, Any]] = [
    {},
    {"category": "auxiliary", "ocr_norm": "twice"},
    {"category": "none", "vocabulary": "shared", "vocabulary_vectors": "learned", "edit_weight": 0.0},
    {
        "category": "none",
        "vocabulary": "shared",
        "vocabulary_vectors": "learned",
        "edit_weight": 0.0,
        "copies": ["ocr"],
    },
    {"ocr": "none", "objects": "none"},
    {"text": False},
    {"text": False, "ocr": "none"},
    {"ocr": "words", "objects": "boxes"},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_what_it_writes_is_what_a_slow_reference_writes(changes: dict[str, Any]) -> None:
    model = built(**changes)
    asked = [*TRAIN, product("", None), product("an unknown thing", "cars", pack="Thing one two")]
    with torch.no_grad():
        for parameter in model.pointer.parameters():
            parameter.mul_(3)  # far apart
    batch = model.collate(asked)
    with torch.no_grad():
        chosen, sure = model.write(batch)
        for row, one in enumerate(asked):
            single = model.collate([one])
            for column in range(int(single.questions.asked_PQ.sum())):
                words = words_of(model, batch, row, column)
                wrote = [words[place] for place in chosen[row, column].tolist() if place >= 0]
                expected, confidences = slowly(model, single, column)
                assert None not in wrote  # no padding is ever chosen
                assert wrote == expected
                assert sure[row, column][: len(wrote)].tolist() == pytest.approx(confidences, abs=1e-4)


def slowly(model: Pam, batch: PamBatch, column: int) -> tuple[list[str | None], list[float]]:
    """One question of one product, from one sequence of all that is read and all that is written, every time anew."""
    asked, config = batch.questions, model.config
    words = words_of(model, batch, 0, column)
    parts = model.product_reader(batch.read)
    places = torch.cat([part.state_PXD[0, part.mask_PX[0]] for part in parts])
    copied = sum(len(part.state_PXD[0, part.mask_PX[0]]) for part in parts if part.name in model._sources)
    there = [place for place, word in enumerate(words) if word is not None]
    prefix = [place for place in asked.prefix_PQX[0, column].tolist() if place >= 0]
    steps = [model.steps.first(asked.attribute_PQ)[0, column, 0]]
    said: list[int] = []
    sure: list[float] = []
    while True:
        states = in_one_sequence(model.fused, places, torch.stack(steps))
        read, last = states[: len(places)], states[-1]
        kinds = [part.name for part in parts for _ in range(int(part.mask_PX[0].sum()))]
        sources = [(kind, state) for kind, state in zip(kinds, read, strict=True) if kind in model._sources]
        assert len(sources) == copied
        query = model.pointer.query(last)
        scores: list[Tensor] = []
        vectors: list[tuple[Tensor, int]] = []
        for place in there:
            if len(scores) < copied:
                kind, state = sources[len(scores)]
                near = config.edit_weight * asked.near_PQS[0, column, place]
                scores.append(model.pointer.key[kind](state) @ query / sqrt(len(query)) + near)
                vectors.append((state, 1 + model._sources.index(kind)))
            else:
                number = asked.number_U[asked.vocabulary_PQV[0, column, place - len(batch.copied[0])]]
                vector = model.pointer.words(number[None])[0]
                if model.pointer.learned is not None:
                    scores.append(vector @ last + model.pointer.bias(number)[0])
                else:
                    scores.append(vector @ query / sqrt(len(query)))
                vectors.append((vector, 0))
        best = max(range(len(there)), key=lambda n: float(scores[n]))
        if len(said) < len(prefix):
            best = there.index(prefix[len(said)])
        said.append(there[best])
        sure.append(float(scores[best].sigmoid()))
        if (words[said[-1]] == END and len(said) > len(prefix)) or len(said) == len(prefix) + config.longest_answer:
            break
        vector, source = vectors[best]
        norm = model.steps.norm_copied if source else model.steps.norm_word
        place = model.steps.norm_place(model.steps.number.weight[len(said)] + model.steps.source.weight[source])
        steps.append(norm(vector) + place)
    return [words[place] for place in said], sure


def in_one_sequence(fused: Fused, places: Tensor, steps: Tensor) -> Tensor:
    """M4C's form: places see places, steps see all places and the steps up to themselves."""
    state = torch.cat([places, steps])
    allowed = torch.ones(len(state), len(state), dtype=torch.bool).tril()
    allowed[:, : len(places)] = True
    for layer in fused._layers:
        state = one_layer(layer, state, allowed)
    return state


def one_layer(layer: Layer, state: Tensor, allowed: Tensor) -> Tensor:
    found = []
    pairs = zip(*(part(state).chunk(4, dim=-1) for part in (layer.query, layer.key, layer.value)), strict=True)
    for query, key, value in pairs:  # of 4 heads
        score = (query @ key.T / sqrt(query.shape[-1])).masked_fill(~allowed, -torch.inf)
        found.append(score.softmax(-1) @ value)
    state = layer.norm_attention(state + layer.out(torch.cat(found, dim=-1)))
    return layer.norm(state + layer.narrow(F.gelu(layer.wide(state))))


def test_the_name_of_the_category_is_given_and_is_no_part_of_the_value() -> None:
    model = built()
    batch = model.collate(TRAIN)
    chosen, _ = model.write(batch)
    for row, words in enumerate([["tea"]] * 3 + [["hand", "soap"]] * 2):
        for column in range(2):
            candidates = words_of(model, batch, row, column)
            assert [candidates[place] for place in chosen[row, column, : len(words)].tolist()] == words
    without = built(category="none")
    assert without.collate(TRAIN).questions.prefix_PQX.shape[2] == 0


def test_each_switch_changes_what_it_names() -> None:
    def names(**changes: Any) -> set[str]:
        return {name.rsplit(".", 1)[0] for name, _ in built(**changes).named_parameters()}

    def heads(found: set[str]) -> set[str]:
        return {
            name for name in found if not name.startswith(("product_reader.encoder", "product_reader.image_encoder"))
        }

    whole = names()
    assert heads(whole - names(text=False)) == {"product_reader.text", "pointer.key.text"}
    pack = {"product_reader.pack.what", "product_reader.pack.where", "product_reader.pack.norm", "pointer.key.ocr"}
    assert heads(whole - names(ocr="none")) == pack
    objects = {f"product_reader.objects.{name}" for name in ("what", "where", "norm_what", "norm_where")}
    assert heads(whole - names(objects="none")) == objects
    seen = {name for name in whole if name.startswith("product_reader.image_encoder")}
    assert whole - names(ocr="none", objects="none") == objects | pack | seen
    assert names(category="auxiliary") - whole == {"category", "product_reader"}  # the head, and [CLS]
    assert names(category="none") == names(edit_weight=0.0) == names(vocabulary="shared") == whole
    assert names(vocabulary_vectors="learned") ^ whole == {"pointer.learned", "pointer.bias", "pointer.word", "pointer"}
    assert names(ocr_norm="twice") - whole == {"product_reader.pack.norm_where"}
    assert whole - names(copies=["ocr"]) == {"pointer.key.text"}
    assert built(ocr="none", objects="none").reads == {"title", "text", "category"}
    assert built(text=False, objects="boxes").reads == {"category", "images", "ocr", "regions"}
    assert built(ocr="words", objects="none").reads == {"title", "text", "category", "ocr"}


def test_losses_are_means_over_steps_and_the_category_weighs_what_it_should() -> None:
    model = built(category_weight=0.5)
    batch = model.collate(TRAIN)
    losses = model.loss(batch)
    scores, _ = model(batch)
    asked = batch.questions
    expected = {"value": 0.0, "category": 0.0}
    for row in range(len(TRAIN)):
        for name, real in {"value": asked.of_answer_PQT[row], "category": asked.of_prefix_PQT[row]}.items():
            steps = []
            for column, step in real.nonzero().tolist():
                there = asked.candidate_PQC[row, column]
                right = asked.target_PQTC[row, column, step, there].float()
                steps.append(
                    F.binary_cross_entropy_with_logits(scores[row, column, step, there], right, reduction="sum")
                )
            expected[name] += float(torch.stack(steps).detach().mean()) / len(TRAIN)
    assert {name: float(part) for name, part in losses.parts.items()} == pytest.approx(expected, rel=1e-5)
    assert float(losses.total.detach()) == pytest.approx(expected["value"] + 0.5 * expected["category"], rel=1e-5)


def test_an_answer_that_no_words_make_teaches_nothing_and_is_counted() -> None:
    odd = product("some tea", Brand="Zed", Form="cake")
    model = built(train=[*TRAIN, odd], min_count=2)
    batch = model.collate([odd])
    assert batch.questions.of_answer_PQT[0].any(1).tolist() == [False, False]
    assert model.report()["train_answers_unwritable"] == 4


def test_it_learns_what_stands_on_the_pack_alone_and_what_stands_nowhere(tmp_path: Path) -> None:
    brands = ["acme", "zeta", "kilo", "lima", "oscar", "tango", "sierra", "juliet", "delta", "golf", "hotel", "papa"]
    train = [
        product(
            f"tea number {n}",
            pack=f"finest {brands[n % 12]} tea",
            shown=("red", "blue")[n % 2],
            Brand=brands[n % 12],
            Form=("loose", "bags")[n % 2],
        )
        for n in range(24)
    ]
    model = built(train=train, min_count=5)  # so that brands must be copied
    fit(
        model,
        train,
        train[:8],
        replace(small.TRAINING, epochs=8, min_epoch_steps=15, learning_rate=0.004, batch_size=8),
    )
    new = [
        product("tea number 99", pack="finest zeta tea", shown="red"),
        product("tea number 98", pack="finest brandnew tea", shown="blue"),
    ]
    told = [{facet.attribute: facet.value for facet in facets} for facets in predict(model, new, 2)]
    assert told == [{"Brand": "zeta", "Form": "loose"}, {"Brand": "brandnew", "Form": "bags"}]
    save_model(model, tmp_path / "pam")
    again = list(predict(load_model(tmp_path / "pam"), new, 2))
    assert [{facet.attribute: facet.value for facet in facets} for facets in again] == told


def test_a_value_is_written_as_train_or_the_text_has_it() -> None:
    model = built()
    batch = model.collate([product("Dr. Brown's Tea", pack="Earl GREY")])
    said = [
        model._spelled(batch, 0, "Brand", words)
        for words in (["ahmad", "tea"], ["dr", ".", "brown's"], ["earl", "grey"])
    ]
    assert said == ["Ahmad Tea", "Dr. Brown's", "earl grey"]


def test_targets_are_asked_for_and_nothing_else() -> None:
    model = built(targets=["Form"])
    assert model.collate(TRAIN).questions.asked_PQ.shape[1] == 1
    assert {facet.attribute for facets in predict(model, TRAIN, 4) for facet in facets} <= {"Form"}
    with pytest.raises(ParamsError, match=r"models.pam.targets: 'Size' is not an attribute of train"):
        built(targets=["Size"])
    with pytest.raises(ParamsError, match="leave nothing to read"):
        built(text=False, ocr="none", objects="none")


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="hidden_size 30 is no multiple of num_heads 4"):
        FusionParams(hidden_size=30, num_layers=1, num_heads=4)
