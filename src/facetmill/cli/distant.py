"""`facetmill distant train|judge`: learn from labelled picture sets what only pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facetmill.cli.common import AsJson, Catalogue, Changes, Data, command_group, layout, reading, say, show

app = command_group("Learn from other picture sets what only pictures show.")


@app.command("train")
def distant_train(
    labels: Annotated[list[str], typer.Option(help="A labelled picture set, as format:folder; may be repeated.")],
    mapping: Annotated[Path, typer.Option(help="YAML: what each label means, see dataset/distant/mapping.py.")],
    out: Annotated[Path, typer.Option(help="The folder to write, for `distant.labeller` of params.yaml.")],
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Learn to tell attribute values from pictures, and say how well on held-out ones."""
    paths = layout()
    from facetmill.params import load_params

    # A wrong key is told before torch is imported.
    params = load_params(paths.root / "params.yaml", changes or ()).distant.training
    from facetmill.dataset.distant.train import train_labeller

    show(train_labeller(labels, mapping, out, params, say), as_json)


@app.command("judge")
def distant_judge(
    labeller: Annotated[Path, typer.Option(help="A folder that `facetmill distant train` wrote.")],
    data: Data = None,
    catalogue: Catalogue = None,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("distant-quality.json"),
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """How far a labeller agrees with the values that people gave, by attribute, and how often it abstains."""
    paths = layout()
    from facetmill.dataset.distant.judge import judge
    from facetmill.dataset.distant.labeller import load_labeller
    from facetmill.files import write_json

    with reading(paths, data, catalogue, changes) as (params, products):
        found = judge(load_labeller(labeller), products, params.distant.min_confidence)
    write_json(out, found)
    show(found, as_json)
