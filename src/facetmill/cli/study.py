"""`facetmill study <name>`: experiments that answer with a table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from facetmill.cli.common import AsJson, Catalogue, Changes, Data, command_group, layout, reading, say, show
from facetmill.platform.layout import Layout
from facetmill.studies.papers import PAPER_TABLES, SUBSETS, SYSTEMS, TRANSFER

Models = Annotated[list[str] | None, typer.Option("--model", help="A model key; may be repeated.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")]
Folds = Annotated[int, typer.Option(min=1, max=5, help="How many of five folds, where no test split is given.")]
Scored = Literal["pair_f1", "value_f1", "na_f1", "attribute_f1"]
ScoredBy = Annotated[Scored, typer.Option(help="What is scored by.")]
Beside = Annotated[
    str | None, typer.Option(metavar="NAME", help="Also show what others got on this data, such as ae-110k or mepave.")
]
Elsewhere = Annotated[str | None, typer.Option(help="The other data, as format:path; must be given.")]
Workers = Annotated[int, typer.Option(min=1, help="Trainings at once, each in a process of its own.")]
Pool = Annotated[str | None, typer.Option(metavar="NAME", help="A Prefect work pool to train in, see infra/README.md.")]

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


@app.command("claims")
def study_claims(
    claim: Annotated[list[str] | None, typer.Option(help="Only the claim of this name; may be repeated.")] = None,
    seeds: Seeds = 3,
    workers: Workers = 1,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Do the claims of JAVE's, ULS-DRAM's and PAM's papers hold on simulated products? Effects with their intervals."""
    paths = layout()
    from facetmill.project import Project, resolve_params
    from facetmill.studies.claims import study_claims
    from facetmill.studies.tracked import log_claims
    from facetmill.studies.words import claims_to_markdown

    project = Project(paths, resolve_params(paths.root, "demo:", changes=changes))
    found = study_claims(paths, project.params, claim or (), seeds=seeds, workers=workers, log=say)
    run = log_claims(project.tracker, found)
    if as_json:
        show({**found.to_json(), "run": run}, as_json)
    else:
        print(f"{claims_to_markdown(found)}\nMLflow has it as run {run}.")


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


@app.command("pretrain")
def study_pretrain(
    out: Annotated[Path, typer.Option(help="The folder to write, for `generator.network` in models.deflate.")],
    data: Data = None,
    catalogue: Catalogue = None,
    titles: Annotated[
        list[str] | None, typer.Option(help="More products to read, labelled or not, as format:path; may be repeated.")
    ] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """A network that writes, trained to restore the titles and texts of products: for where no published one is."""
    paths = layout()
    from facetmill.studies.pretrain import pretrain

    with ExitStack() as opened:
        params, products = opened.enter_context(reading(paths, data, catalogue, changes))
        more = [opened.enter_context(reading(paths, each, None, changes))[1] for each in titles or ()]
        found = pretrain(
            params.models.deflate, params.training, [*products, *(p for each in more for p in each)], out, say
        )
    show({"network": str(found.network), "texts": found.num_texts, "losses": found.losses}, as_json)


@app.command("implicit")
def study_implicit(
    data: Data = None,
    catalogue: Catalogue = None,
    titles: Annotated[
        str | None, typer.Option(help="More products to learn from, whose pictures are not needed, as format:path.")
    ] = None,
    beside: Beside = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Which tells an implicit value: the title, the picture, or both? By folds over products with pictures."""
    paths = layout()
    from facetmill.studies.implicit import study_implicit

    with ExitStack() as opened:
        params, products = opened.enter_context(reading(paths, data, catalogue, changes, words=True))
        more = opened.enter_context(reading(paths, titles, None, changes))[1] if titles is not None else ()
        found = study_implicit(params, products, paths.features_dir, say, titles=more, beside=beside)
    show(found.to_json(), as_json)


@app.command("saliency")
def study_saliency(
    data: Data = None,
    catalogue: Catalogue = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 3,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Which attributes does the picture tell? Their values are masked and guessed, without the picture and with it."""
    paths = layout()
    from facetmill.studies.saliency import study_saliency

    with reading(paths, data, catalogue, changes) as (params, products):
        found = study_saliency(params.saliency, products, range(seeds), say)
    show(found.to_json(), as_json)


@app.command("dictionary")
def study_dictionary(
    data: Data = None,
    catalogue: Catalogue = None,
    beside: Beside = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """How far does a dictionary get, set as in the papers and otherwise? On a published test split, or by folds."""
    paths = layout()
    from facetmill.studies.dictionary import study_dictionary

    with reading(paths, data, catalogue, changes) as (params, products):
        found = study_dictionary(params.models.dictionary, products, beside, say)
    show(found.to_json(), as_json)


@app.command("hits")
def study_hits(
    data: Data = None,
    catalogue: Catalogue = None,
    model: Models = None,
    folds: Annotated[int, typer.Option(min=1, max=5, help="How many of five folds, where no test split is given.")] = 1,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Of models that rank an attribute's values: how often is the true one among the first (hit@k)?"""
    paths = layout()
    from facetmill.studies.hits import RANKING, study_hits

    with reading(paths, data, catalogue, changes, words=True) as (params, products):
        found = study_hits(params, products, paths.features_dir, say, models=model or RANKING, num_folds=folds)
    show(found.to_json(), as_json)


@app.command("ocr")
def study_ocr(
    data: Data = None,
    catalogue: Catalogue = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many products, drawn at random.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only products of this category; may be repeated.")] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """What do the words on packs add to titles, and which engine reads them? Reads every picture with every engine."""
    paths = layout()
    from facetmill.studies.ocr import study_ocr

    with reading(paths, data, catalogue, changes) as (params, products):
        found = study_ocr(params, products, say, categories=category or (), limit=limit)
    show(found.to_json(), as_json)


def _table(name: str, asks: str, *without: str, num_seeds: int = 1, scored_by: Scored = "value_f1") -> None:
    """Make the command of a study that answers with a table, `without` some of the options."""

    def command(
        data: Data = None,
        catalogue: Catalogue = None,
        elsewhere: Elsewhere = None,
        model: Models = None,
        seeds: Seeds = num_seeds,
        folds: Folds = 5,
        metric: ScoredBy = scored_by,
        beside: Beside = None,
        workers: Workers = 1,
        pool: Pool = None,
        changes: Changes = None,
        as_json: AsJson = False,
    ) -> None:
        trained: dict[str, Any] = {"models": model or (), "seeds": seeds, "folds": folds, "workers": workers}
        _run(name, data, catalogue, elsewhere, pool, changes, as_json, metric=metric, beside=beside, **trained)

    signature = inspect.signature(command, eval_str=True)
    options = [option for option in signature.parameters.values() if option.name not in without]
    command.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]  # what Typer goes by
    app.command(name, help=asks)(command)


_table("systems", SYSTEMS, "elsewhere", scored_by="pair_f1")
_table("subsets", SUBSETS, "elsewhere", num_seeds=3)
_table("transfer", TRANSFER)
for _paper in PAPER_TABLES:
    _table(_paper.name, _paper.asks, "elsewhere", "model", scored_by=_paper.metric)


def _run(
    name: str,
    data: str | None,
    catalogue: str | None,
    elsewhere: str | None,
    pool: str | None,
    changes: list[str] | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Run one of the studies that make a table, keep it in MLflow, and show it."""
    paths = layout()
    from facetmill.dataset.store.workspace import resolve
    from facetmill.project import Project, resolve_params
    from facetmill.studies.run import address, run_study
    from facetmill.studies.tracked import PAGE, log_table
    from facetmill.studies.words import to_markdown

    project = Project(paths, resolve_params(paths.root, data, changes=changes, catalogue=catalogue))
    if elsewhere is not None:
        asked["elsewhere"] = address(resolve(paths.root, project.params, elsewhere))
    if pool is not None:
        parameters: dict[str, Any] = {"name": name, "data": address(project.params), "catalogue": catalogue}
        parameters |= {"changes": changes, "asked": asked}
        _train_in_pool(paths, pool, parameters)  # what it has trained is found here then
    table = run_study(paths, project.params, name, log=say, **asked)
    run = log_table(project.tracker, table)
    if as_json:
        show({**table.to_json(), "run": run}, as_json)
    else:
        print(f"{to_markdown(table)}\nMLflow has it as run {run}, drawn in its artifact {PAGE}.")


def _train_in_pool(paths: Layout, pool: str, parameters: Mapping[str, Any]) -> None:
    """Have a Prefect worker run `flows/study.py`, and wait for it."""
    from facetmill.platform import servers

    servers.connect(servers.up(paths))
    from facetmill.platform.keeping import kept_up
    from facetmill.platform.pools import run_in_pool
    from facetmill.platform.steps import connect_prefect

    connect_prefect()
    with kept_up(paths):
        run_in_pool(paths, "study", pool, 1, parameters, on_death=lambda: None)
