"""`facetmill study <name>`: experiments that answer with a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from facetmill.cli.common import AsJson, Changes, Data, command_group, layout, reading, say, show

app = command_group("Experiments that answer with a table.")


@app.command("pictures")
def study_pictures(
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds, from 0.")] = 5,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """M-JAVE on simulated products: does it use pictures where only they tell, do its gates help where they mislead?"""
    paths = layout()
    from facetmill.params import load_params
    from facetmill.studies.pictures import study_pictures

    params = load_params(paths.root / "params.yaml", changes or ())
    show(study_pictures(params, range(seeds), say).to_json(), as_json)


@app.command("backbone")
def study_backbone(
    out: Annotated[Path, typer.Option(help="The folder to write; network-0/backbone inside it is the encoder.")],
    products: Annotated[int, typer.Option(min=500, help="How many simulated products to learn from.")] = 3000,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """An image encoder that has learned to tell the values of simulated products, for `network` in `encoders.image`."""
    paths = layout()
    from facetmill.params import load_params
    from facetmill.studies.backbone import learn_backbone

    params = load_params(paths.root / "params.yaml", changes or ())
    backbone, quality = learn_backbone(params.distant.training, products, out, say)
    show({"network": str(backbone), "quality": quality}, as_json)


@app.command("implicit")
def study_implicit(data: Data = None, changes: Changes = None, as_json: AsJson = False) -> None:
    """Which tells an implicit value: the title, the picture, or both? By folds over products with pictures."""
    paths = layout()
    from facetmill.studies.implicit import study_implicit

    with reading(paths, data, changes) as (params, products):
        found = study_implicit(params, products, paths.features_dir, say)
    show(found.to_json(), as_json)


@app.command("saliency")
def study_saliency(
    data: Data = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 3,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Which attributes does the picture tell? Their values are masked and guessed, without the picture and with it."""
    paths = layout()
    from facetmill.studies.saliency import study_saliency

    with reading(paths, data, changes) as (params, products):
        found = study_saliency(params.saliency, products, range(seeds), say)
    show(found.to_json(), as_json)


@app.command("dictionary")
def study_dictionary(
    data: Data = None,
    beside: Annotated[
        str | None, typer.Option(help="Also show what others got on: ae-110k, oa-mine or mepave.", metavar="NAME")
    ] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """How far does a dictionary get, set as in the papers and otherwise? On a published test split, or by folds."""
    paths = layout()
    from facetmill.studies.dictionary import study_dictionary

    with reading(paths, data, changes) as (params, products):
        found = study_dictionary(params.models.dictionary, products, beside, say)
    show(found.to_json(), as_json)


@app.command("systems")
def study_systems(
    data: Data = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model key; may be repeated. Without it all that are trained.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 1,
    folds: Annotated[int, typer.Option(min=1, max=5, help="How many of five folds, where no test split is given.")] = 5,
    metric: Annotated[
        Literal["pair_f1", "value_f1", "na_f1", "attribute_f1"], typer.Option(help="What is scored by.")
    ] = "pair_f1",
    workers: Annotated[int, typer.Option(min=1, help="Trainings at once, each in a process of its own.")] = 1,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Every system on one data set: its score, its gain over a plain baseline, its speed and its memory."""
    paths = layout()
    from facetmill.models import MODELS
    from facetmill.studies.systems import study_systems

    with reading(paths, data, changes) as (params, products):
        found = study_systems(
            params,
            products,
            model or list(MODELS),
            range(seeds),
            metric=metric,
            num_folds=folds,
            workers=workers,
            kept=paths.state_dir / "study-systems",
            features_dir=paths.features_dir,
            log=say,
        )
    show(found.to_json(), as_json)


@app.command("ocr")
def study_ocr(
    data: Data = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many products, drawn at random.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only products of this category; may be repeated.")] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """What do the words on packs add to titles, and which engine reads them? Reads every picture with every engine."""
    paths = layout()
    from facetmill.studies.ocr import study_ocr

    with reading(paths, data, changes) as (params, products):
        found = study_ocr(params, products, say, categories=category or (), limit=limit)
    show(found.to_json(), as_json)
