"""Stage `saliency`: say in the schema which attributes the picture tells; switched off, pass the dataset on."""

from __future__ import annotations

import argparse
from pathlib import Path

from facetmill.dataset.pictures.passing import pass_on_dataset
from facetmill.errors import FacetmillError
from facetmill.files import replace_folder, write_json
from facetmill.imports import unhindered_imports
from facetmill.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of the split dataset")
    parser.add_argument("--out", type=Path, required=True, help="folder of the frozen dataset to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file of counts to write")
    paths = parser.parse_args()
    try:
        params = load_params(Path("params.yaml")).saliency
        if params.seeds is None:
            with replace_folder(paths.out) as folder:
                num_products = pass_on_dataset(paths.source, folder)
            write_json(paths.report, {"num_products": num_products, "slots": []})
            return
        with unhindered_imports():
            from facetmill.dataset.saliency.ascribe import ascribe
        write_json(paths.report, ascribe(paths.source, paths.out, params, print))
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
