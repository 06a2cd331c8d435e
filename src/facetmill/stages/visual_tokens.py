"""Stage `visual_tokens`: read each product's first picture as discrete codes; without a codebook, only say so."""

from __future__ import annotations

import argparse
from pathlib import Path

from facetmill.errors import FacetmillError
from facetmill.files import write_json
from facetmill.imports import unhindered_imports
from facetmill.params import load_params
from facetmill.perception.visual_tokens import write_nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the frozen dataset")
    parser.add_argument("--out", type=Path, required=True, help="folder of codes and codebook to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file of counts to write")
    paths = parser.parse_args()
    try:
        params = load_params(Path("params.yaml")).visual_tokens
        if params.codebook is None:
            write_json(paths.report, write_nothing(paths.out))
            return
        with unhindered_imports():
            from facetmill.dataset.pictures.tokenizing import tokenize
        write_json(paths.report, tokenize(paths.dataset, paths.out, params, print))
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
