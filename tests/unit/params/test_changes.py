"""`--set section.key=value`, a model's own training section, and the presets of the papers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from facetmill.errors import ParamsError
from facetmill.params import Params, load_params, model_config, parse_params, to_mapping, training_of


@pytest.fixture
def path(root: Path) -> Path:
    return root / "params.yaml"


@pytest.fixture
def params(path: Path) -> Params:
    return load_params(path)


def message(path: Path, *changes: str) -> str:
    with pytest.raises(ParamsError) as error:
        load_params(path, changes)
    return str(error.value)


def test_a_value_is_read_as_the_file_would_have_it(path: Path, params: Params) -> None:
    changes = ["training.learning_rate=5e-4", "saliency.seeds=[0, 1]", "ocr.engine=rapidocr", "promotion.significance="]
    changed = load_params(path, [*changes, "match.ignore_case=false"])
    assert changed == replace(
        params,
        training=replace(params.training, learning_rate=0.0005),
        saliency=replace(params.saliency, seeds=[0, 1]),
        ocr=replace(params.ocr, engine="rapidocr"),
        promotion=replace(params.promotion, significance=None),
        match=replace(params.match, ignore_case=False),
    )


def test_the_later_of_two_changes_holds(path: Path) -> None:
    assert load_params(path, ["training.seed=3", "training.seed=4"]).training.seed == 4


def test_an_encoder_that_is_changed_changes_whatever_names_it(path: Path) -> None:
    changed = load_params(path, ["encoders.text.minilm.window=64", "saliency.encoder=minilm"])
    assert {changed.models.jave.encoder.window, changed.models.m_jave.encoder.window} == {64}
    assert changed.saliency.encoder == changed.models.jave.encoder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.epochs=zero", "training.epochs = 'zero': Input should be a valid integer"),
        ("training.epoch=3", "unknown key 'training.epoch'"),
        ("trainings.epochs=3", "unknown key 'trainings'"),
        ("models.jave.dropout=1.5", "models.jave.dropout = 1.5: Input should be less than or equal to 1"),
        ("models.jave.encoder=minlm", "models.jave.encoder = 'minlm': no such text encoder"),
        (
            "models.jave.encoder.window=64",
            "models.jave.encoder is 'minilm' and has no keys; they are those of encoders.text",
        ),
        ("training.seed.first=1", "training.seed is 1 and has no keys"),
        (
            "models.jave=papper",
            "models.jave = 'papper': no such preset; 'paper' is one for aveqa, deflate, dictionary, jave",
        ),
        (
            "models.jave.training.epochs=0",
            "models.jave.training.epochs = 0: Input should be greater than or equal to 1",
        ),
        ("models.jave.training.epoch=1", "unknown key 'models.jave.training.epoch'"),
        ("models.jave.training=3", "models.jave.training = 3: Input should be some keys of training"),
        ("dataset.columns={title: a, title: b}", "line 1: key 'title' is there already"),
        ("training.epochs", "write section.key=value"),
        ("=3", "write section.key=value"),
    ],
)
def test_a_wrong_change_is_told_with_its_key_and_value(path: Path, change: str, said: str) -> None:
    told = message(path, "training.seed=1", change)
    assert told.startswith(f"--set {change}: {said}")
    assert len(told.splitlines()) == 1


def test_what_is_wrong_in_the_file_is_not_laid_on_a_change(path: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "params.yaml"
    wrong.write_text(path.read_text().replace("  patience: 3 ", "  patience: 0 "))
    assert message(wrong, "training.epochs=0").splitlines() == [
        "--set training.epochs=0: training.epochs = 0: Input should be greater than or equal to 1",
        f"{wrong}: training.patience = 0: Input should be greater than or equal to 1",
    ]


def test_a_model_is_trained_by_the_shared_section_but_for_its_own(path: Path, params: Params) -> None:
    changed = load_params(path, ["models.m_jave.training={epochs: 50, learning_rate: 1e-4}", "training.batch_size=4"])
    shared = replace(params.training, batch_size=4)
    assert training_of(changed, "jave") == training_of(changed, "dictionary") == shared
    assert training_of(changed, "m_jave") == replace(shared, epochs=50, learning_rate=0.0001)
    assert changed.models == params.models  # of which a model is saved with its own section


def test_what_was_read_can_be_written_and_read_again(path: Path) -> None:
    changed = load_params(path, ["models.m_jave=paper", "models.jave.training.epochs=3"])
    written: Any = yaml.safe_load(yaml.safe_dump(to_mapping(changed)))
    assert parse_params(written, "again") == changed


@pytest.mark.parametrize("key", ["dictionary", "jave", "m_jave", "mujo_sf", "deflate", "pam", "su_opentag", "aveqa"])
def test_a_paper_fills_the_whole_section_and_may_be_changed(path: Path, tmp_path: Path, key: str) -> None:
    raw = yaml.safe_load(path.read_text())
    raw["models"][key] = "paper"
    written = tmp_path / "params.yaml"
    written.write_text(yaml.safe_dump(raw))
    there = load_params(written)
    assert there == load_params(path, [f"models.{key}=paper"])
    name = {"dictionary": "min_reliability", "jave": "threshold", "m_jave": "threshold"}.get(key, "dropout")
    config: Any = model_config(load_params(path, [f"models.{key}=paper", f"models.{key}.{name}=0.25"]), key)
    assert config == replace(model_config(there, key), **{name: 0.25})


def test_the_papers_own_numbers(path: Path) -> None:
    """Zhu et al. 2020, table 2 and equation 14."""
    params = load_params(path, ["models.m_jave=paper", "models.jave=paper", "models.dictionary=paper"])
    for key in ("jave", "m_jave"):
        config: Any = model_config(params, key)
        training = training_of(params, key)
        assert (config.attention_size, config.kl_weight, config.encoder.window) == (200, 0.5, 46)
        assert (training.epochs, training.batch_size, training.learning_rate) == (50, 128, 0.0001)
    assert params.models.m_jave.image_encoder.size == 7 * 2**5  # so that ResNet-101 gives 7 x 7 regions
    assert (params.models.dictionary.min_reliability, params.models.dictionary.match) == (0.0, "longest")
