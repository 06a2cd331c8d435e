"""Stage `check`: judge the frozen dataset and write the verdict, with a page to read it that draws the dataset.

A dataset that fails still ends this stage well, so that the verdict can be looked at; it is training that refuses it
(`Dataset.require_passed`).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from facetmill.imports import unhindered_imports

with unhindered_imports():
    from facetmill.dataset.store.figures import figures
    from facetmill.dataset.store.version import dataset_version
    from facetmill.errors import FacetmillError
    from facetmill.files import replace_folder, write_json, write_text
    from facetmill.gates.measure import REPORTS
    from facetmill.params import load_params
    from facetmill.params.stages import switched_off
    from facetmill.report.gate_page import render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the frozen dataset")
    parser.add_argument("--reports", type=Path, required=True, help="folder of the other stages' counts")
    parser.add_argument("--out", type=Path, required=True, help="folder of verdict.json and report.html to write")
    paths = parser.parse_args()
    with unhindered_imports():  # of Great Expectations, which the processes that read shards import this file without
        from facetmill.gates.data import check_dataset

    looks_path = Path(os.environ.get("FACETMILL_CACHE", ".facetmill")) / "looks.db"
    try:
        params = load_params(Path("params.yaml"))
        reports = [name for name in REPORTS if name not in switched_off(params)]
        limit = params.dataset.max_bad_share
        verdict = check_dataset(paths.dataset, paths.reports, params.check, limit, looks_path, reports)
        version = dataset_version(paths.dataset)
        with replace_folder(paths.out) as folder:
            write_json(folder / "verdict.json", {**verdict.to_json(), "dataset_version": version})
            drawn = figures(paths.dataset, paths.reports, min_dif=params.saliency.min_dif)
            write_text(folder / "report.html", render(verdict, figures=drawn))
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
