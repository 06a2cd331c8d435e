"""What the rows of each study are made of, from params.yaml and a row's own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from facetmill.params import Params, TaggerConfig, TextEncoderParams
from facetmill.runs.train import DICTIONARY, Recipe, recipe_of
from facetmill.studies.papers import PaperTable
from facetmill.studies.table import Line

HOUR = "the hour's baseline"
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


def paper_lines(params: Params, table: PaperTable) -> list[Line]:
    """The rows of a paper's table; no paper's model keeps to one value of an attribute, or looks anything up."""
    lines = []
    for variant in table.variants:
        recipe = recipe_of(params, variant.key)
        config = changed(recipe.config, variant.settings)
        training = replace(recipe.training, one_value=False, dictionary_fills=None)
        lines.append(Line(variant.name, replace(recipe, config=config, training=training), table.bar))
    return lines


def system_lines(params: Params, keys: Sequence[str]) -> list[Line]:
    """The dictionary, the hour's baseline, and the models of `keys` as params.yaml has them. A model that is not above
    the first two is not worth its time.

    Raises `ParamsError` for an unknown key, as all that follows.
    """
    recipes = {DICTIONARY: recipe_of(params, DICTIONARY), HOUR: hours_baseline(params)}
    recipes |= {key: recipe_of(params, key) for key in keys if key != DICTIONARY}
    return [Line(name, recipe, bar=HOUR) for name, recipe in recipes.items()]


def share_lines(params: Params, keys: Sequence[str], shares: Sequence[float] = SHARES) -> list[Line]:
    """The models of `keys`, each learning from each of the `shares` (0..1) of what there is; the bar of a model is its
    own largest share."""

    def name(key: str, share: float) -> str:
        return f"{key}, {100 * share:g} %"

    return [
        Line(name(key, share), recipe_of(params, key), bar=name(key, max(shares)), share=share)
        for key in keys
        for share in sorted(shares)
    ]


def transfer_lines(params: Params, keys: Sequence[str]) -> list[Line]:
    """The models of `keys`, each asked about its own test products and about those elsewhere; what it gains there over
    its own products is the gap, below 0 as a rule."""
    return [
        Line(f"{key}, elsewhere" if elsewhere else key, recipe_of(params, key), bar=key, elsewhere=elsewhere)
        for key in keys
        for elsewhere in (False, True)
    ]


def hours_baseline(params: Params) -> Recipe:
    """A plain tagger as one writes it in an hour: all six layers of MiniLM fine-tuned, BIO tags of all attributes, the
    category before the title, tags of other categories masked, 30 epochs of which validation chooses one."""
    encoder = TextEncoderParams(
        network="packaged",
        tokenizer="auto",
        freeze=False,
        hidden_size=384,
        num_layers=6,
        keep_layers=None,
        frozen_layers=0,
        window=128,
    )
    config = TaggerConfig(
        encoder=encoder, decoder="softmax", category_input=True, category_attributes=True, dropout=0.1
    )
    training = replace(
        params.training,
        epochs=30,
        batch_size=16,
        learning_rate=1e-3,
        encoder_learning_rate=3e-4,
        patience=30,
        dictionary_fills=None,
    )
    return Recipe("tagger", config, training)


def changed(config: Any, settings: Mapping[str, Any]) -> Any:
    """A config, or a section inside it, with other values; a mapping changes the section of its name."""
    values = {
        name: changed(getattr(config, name), value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }
    return replace(config, **values)
