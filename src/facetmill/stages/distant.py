"""Stage `distant`: add what a labeller sees in products' pictures; without a labeller, pass the products on."""

from __future__ import annotations

import argparse
from pathlib import Path

from facetmill.dataset.pictures.passing import pass_on
from facetmill.errors import FacetmillError
from facetmill.files import write_json
from facetmill.imports import unhindered_imports
from facetmill.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of matched shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of shards to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file of counts to write")
    paths = parser.parse_args()
    try:
        params = load_params(Path("params.yaml")).distant
        if params.labeller is None:
            write_json(paths.report, {"num_products": pass_on(paths.source, paths.out), "num_added": 0})
            return
        with unhindered_imports():
            from facetmill.dataset.distant.annotate import annotate_shards
        labeller_dir = Path(params.labeller)
        counts = annotate_shards(paths.source, paths.out, labeller_dir, params.min_confidence, params.workers)
        write_json(paths.report, counts.to_json())
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
