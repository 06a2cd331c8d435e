"""Training a model: what it promises a user who trusts its result, its resuming and its seeds."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facetmill.compute import device
from facetmill.compute.device import choose_precision, compute_settings, fp32_precision, matmul_error, pick_device
from facetmill.compute.phase import Losses
from facetmill.compute.seeding import epoch_seed, seed_everything
from facetmill.errors import ParamsError, PlatformError
from facetmill.files import read_json
from facetmill.metrics.score import Scores
from facetmill.models.dictionary import Dictionary
from facetmill.models.jave import Jave
from facetmill.records import Attribute, AttributeSchema, Facet, Product, Span
from facetmill.training import fit as fitting
from facetmill.training import state
from facetmill.training.evaluate import evaluate
from facetmill.training.finite import Diverged
from facetmill.training.fit import FitResult, bucketed, fair_sample, fit
from facetmill.training.predict import predict
from facetmill.training.state import EpochResult
from tests import small

SCHEMA = AttributeSchema((Attribute("Colour", {}),))
JAVE = small.with_text(dataclasses.replace(small.JAVE, kl_weight=0.1, dropout=0.3), hidden_size=8)
TRAINING = dataclasses.replace(
    small.TRAINING,
    epochs=4,
    batch_size=4,
    learning_rate=0.02,
    encoder_learning_rate=0.001,
    warmup_share=0.25,
    patience=9,
)


def products(count: int, seed: int = 0) -> list[Product]:
    draw = random.Random(seed)
    made = []
    for number in range(count):
        colour = draw.choice(["red", "blue", "green"])
        title = f"{' '.join(['big'] * draw.randrange(4))} {colour} shoe".strip()
        start = title.index(colour)
        facet = Facet("Colour", colour, (Span("title", start, start + len(colour)),))
        made.append(Product(f"p{number}", "s", title, facets=(facet,)))
    return made


TRAIN, VALIDATION = products(18), products(6, seed=1)


def built(seed: int = 0, **changes: object) -> Jave:
    seed_everything(seed)
    return Jave.fit_vocabulary(dataclasses.replace(JAVE, **changes), SCHEMA, TRAIN)


def fitted(
    model: Jave,
    state_dir: Path | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
    **changes: object,
) -> FitResult:
    params = dataclasses.replace(TRAINING, **changes)
    return fit(model, TRAIN, VALIDATION, params, state_dir=state_dir, on_epoch=on_epoch, progress=False)


def without_speed(result: FitResult) -> list[EpochResult]:
    return [dataclasses.replace(epoch, items_per_second=0.0) for epoch in result.epochs]


def same_weights(left: Jave, right: Jave) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True))


def test_it_learns_and_leaves_the_best_weights() -> None:
    model = built()
    result = fitted(model, epochs=8)
    assert result.score > 0.9
    assert result.score == max(epoch.scores["pair_f1"] for epoch in result.epochs)
    found = list(predict(model, VALIDATION, 4))
    right = sum({f.value for f in facets} == {p.facets[0].value} for p, facets in zip(VALIDATION, found, strict=True))
    assert right >= 5
    assert not model.training


def test_an_attribute_that_has_one_value_in_train_is_told_one_where_that_is_wanted() -> None:
    train = [*TRAIN, *products(6, seed=2)]
    for wanted in (True, False):
        model = Dictionary.fit_vocabulary(small.DICTIONARY, AttributeSchema(()), train)
        fit(model, train, [], dataclasses.replace(TRAINING, one_value=wanted))
        assert model.calibration.one_value == (("Colour",) if wanted else ())


def test_bf16_where_the_cpu_has_none_is_told_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: False)
    model = built()
    with pytest.raises(PlatformError, match=r"training\.precision = 'bf16': this CPU has no AVX-512.*use fp32"):
        fitted(model, precision="bf16", device="cpu")
    assert same_weights(model, built())


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bf16_learns_as_well_as_fp32_and_leaves_fp32_weights(seed: int) -> None:
    model = built(seed)
    fast = fitted(model, seed=seed, epochs=8, precision="bf16")
    assert fast.score == fitted(built(seed), seed=seed, epochs=8).score == 1.0
    assert {tensor.dtype for tensor in model.state_dict().values() if tensor.is_floating_point()} == {torch.float32}
    assert not same_weights(model, built(seed))


def test_a_small_catalogue_is_gone_over_until_it_is_learned() -> None:
    """Eighteen products in one batch are one step an epoch, and four steps teach nothing."""
    one_pass, several = built(), built()
    assert fitted(one_pass, batch_size=32, learning_rate=0.002).score < 0.5
    result = fitted(several, batch_size=32, learning_rate=0.002, min_epoch_steps=40)
    assert result.score > 0.9
    losses = [epoch.losses["total"] for epoch in result.epochs]
    assert losses == sorted(losses, reverse=True), "means over all passes of an epoch"


def test_the_same_seed_gives_the_same_weights_and_zero_is_a_seed() -> None:
    first, second, other = built(), built(), built()
    results = [fitted(first), fitted(second), fitted(other, seed=1)]
    assert same_weights(first, second)
    assert without_speed(results[0]) == without_speed(results[1])
    assert not same_weights(first, other)


class Killed(Exception):
    pass


def test_a_killed_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = built()
    expected = fitted(whole)

    def kill(epoch: EpochResult) -> None:
        if epoch.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        fitted(built(), tmp_path / "state", kill)
    resumed, heard = built(), []
    result = fitted(resumed, tmp_path / "state", heard.append)
    assert same_weights(whole, resumed)
    assert without_speed(result) == without_speed(expected)
    assert [epoch.epoch for epoch in heard] == [1, 2, 3, 4]
    again = built()
    assert fitted(again, tmp_path / "state") == result  # nothing left to do
    assert same_weights(whole, again)
    assert {path.suffix for path in (tmp_path / "state").iterdir()} == {".json", ".safetensors"}


def test_a_state_that_is_costly_to_keep_is_kept_seldom_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "STORED_AT_ONCE", 0.0)
    monkeypatch.setattr(state, "STORING_SHARE", 1e-9)
    whole = built()
    expected = fitted(whole)

    def kill(epoch: EpochResult) -> None:
        if epoch.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        fitted(built(), tmp_path / "state", kill)
    assert len(read_json(tmp_path / "state" / "state.json")["epochs"]) == 1
    resumed = built()
    result = fitted(resumed, tmp_path / "state")
    assert same_weights(whole, resumed)
    assert without_speed(result) == without_speed(expected)
    assert fitted(built(), tmp_path / "state") == result  # nothing left to do


def test_the_state_of_another_training_is_not_taken_over(tmp_path: Path) -> None:
    fitted(built(), tmp_path / "state", learning_rate=0.001)
    fresh, resumed = built(), built()
    assert without_speed(fitted(fresh)) == without_speed(fitted(resumed, tmp_path / "state"))
    assert same_weights(fresh, resumed)


def test_it_stops_when_patience_runs_out_but_not_before_anything_is_found() -> None:
    result = fitted(built(), epochs=30, patience=2)
    assert len(result.epochs) == result.best_epoch + 2
    silent = fitted(built(), epochs=5, patience=1, learning_rate=1e-7, encoder_learning_rate=1e-7)
    assert all(epoch.scores["pair_f1"] == 0 for epoch in silent.epochs)
    assert len(silent.epochs) == 5


def test_the_rate_warms_up_and_decays_to_nothing() -> None:
    rates = [epoch.learning_rates["fresh"] for epoch in fitted(built()).epochs]
    # 5 steps an epoch, 20 in all, 5 of warm-up: at the last steps 4, 9, 14, 19 it is 1, 11/15, 6/15, 1/15 of the full
    assert rates == pytest.approx([0.02, 0.02 * 11 / 15, 0.02 * 6 / 15, 0.02 / 15])


def test_groups_have_rates_of_their_own() -> None:
    rates = fitted(built(), learning_rates={"text": 0.1}).epochs[0].learning_rates
    assert rates == {"fresh": pytest.approx(0.02)}, "a bilstm has no published weights"
    slow = fitted(built(), learning_rates={"fresh": 0.002}).epochs[0].learning_rates
    assert slow == {"fresh": pytest.approx(0.002)}
    with pytest.raises(ParamsError, match=r"learning_rates: 'image_encoder' is not a group.*text, image, fresh"):
        fitted(built(), learning_rates={"image_encoder": 0.1})


def test_schedule_and_optimizer_are_those_of_params() -> None:
    constant = fitted(built(), schedule="constant", warmup_share=0.0, optimizer="adamax")
    assert [epoch.learning_rates["fresh"] for epoch in constant.epochs] == [0.02] * 4
    dropping = fitted(built(), schedule="steps", warmup_share=0.0, drop_at=[0.5, 0.9], drop_to=0.5)
    assert [epoch.learning_rates["fresh"] for epoch in dropping.epochs] == [0.02, 0.02, 0.01, 0.005]


def test_validation_is_bounded_always_by_the_same_products(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def asking(model: Jave, validation: Sequence[Product], **how: Any) -> Scores:
        asked.append([product.product_id for product in validation])
        return evaluate(model, validation, **how)

    monkeypatch.setattr(fitting, "evaluate", asking)
    result = fitted(built(), validate_products=4, validate_every=3)
    assert [bool(epoch.scores) for epoch in result.epochs] == [False, False, True, True]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert len(asked[0]) == 4
    assert asked[0] == [p.product_id for p in VALIDATION if p.product_id in asked[0]]
    more = [product.product_id for product in fair_sample([*VALIDATION, Product("new", "s", "red shoe")], 4)]
    assert len(set(more) & set(asked[0])) >= 3


def test_a_loss_that_is_not_finite_is_told_with_its_place() -> None:
    class Broken(Jave):
        def loss(self, batch: object) -> Losses:
            losses = super().loss(batch)  # type: ignore[arg-type]
            return Losses(losses.total * float("nan"), losses.parts)

    seed_everything(0)
    model = Broken.fit_vocabulary(JAVE, SCHEMA, TRAIN)
    with pytest.raises(Diverged, match=r"epoch 1, step 1: loss nan.*learning_rate"):
        fitted(model)


def test_a_model_with_nothing_to_learn_is_only_validated() -> None:
    model = Dictionary.fit_vocabulary(small.DICTIONARY, SCHEMA, TRAIN)
    result = fit(model, TRAIN, VALIDATION, TRAINING)
    assert (result.epochs, result.best_epoch, result.score) == ((), 0, 1.0)


def test_batches_hold_every_product_once_and_like_lengths_together() -> None:
    many = products(200)
    batches = bucketed(many, 8, random.Random(0))
    assert sorted(place for batch in batches for place in batch) == list(range(200))
    assert len(batches) == 25
    spread = [max(lengths) - min(lengths) for b in batches if (lengths := [len(many[at].title) for at in b])]
    assert sum(spread) / len(spread) < 4  # titles differ by up to 14 characters
    assert batches != bucketed(many, 8, random.Random(1))


def test_predictions_come_in_the_order_of_the_products() -> None:
    model = Dictionary.fit_vocabulary(replace(small.DICTIONARY, min_reliability=0.0), SCHEMA, TRAIN)
    asked = products(77, seed=5)
    found = list(predict(model, iter(asked), 2))
    assert [[f.value for f in facets] for facets in found] == [[p.facets[0].value] for p in asked]


def test_prediction_streams() -> None:
    taken = []

    def stream() -> object:
        for product in products(200):
            taken.append(product)
            yield product

    model = Dictionary.fit_vocabulary(replace(small.DICTIONARY, min_reliability=0.0), SCHEMA, TRAIN)
    next(predict(model, stream(), 2))  # type: ignore[arg-type]
    assert len(taken) == 32


def test_settings_of_a_block_are_undone() -> None:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    with compute_settings(threads + 1):
        assert torch.get_num_threads() == threads + 1
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, precision)


def test_the_fast_matmul_is_chosen_only_where_it_is_true_fp32() -> None:
    assert choose_precision("vendor_id: AuthenticAMD flags: avx512_bf16", 1e-6) == "medium"
    assert choose_precision("vendor_id: AuthenticAMD flags: avx512_bf16", 3e-3) == "highest"
    assert choose_precision("vendor_id: AuthenticAMD flags: amx_tile", 1e-6) == "highest"
    assert choose_precision("vendor_id: GenuineIntel", 1e-6) == "highest"
    assert matmul_error(fp32_precision()) < 1e-5


def test_a_missing_gpu_is_told() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    if torch.cuda.is_available():
        assert pick_device("cuda").type == "cuda"
    else:
        with pytest.raises(PlatformError, match=r"training\.device"):
            pick_device("cuda")


def test_epochs_have_seeds_of_their_own() -> None:
    assert len({epoch_seed(seed, epoch) for seed in range(5) for epoch in range(50)}) == 250


def test_progress_changes_nothing_but_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown, silent = built(), built()
    fit(silent, TRAIN, VALIDATION, TRAINING, progress=False)
    assert capsys.readouterr() == ("", "")
    fit(shown, TRAIN, VALIDATION, TRAINING, progress=True)
    assert same_weights(shown, silent)
