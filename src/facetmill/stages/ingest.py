"""Stage `ingest`: read the rows of one source into shards of products, and count what was not taken."""

from __future__ import annotations

import argparse
from pathlib import Path

from facetmill.dataset.intake.corrections import read_corrections
from facetmill.dataset.intake.ingest import ingest
from facetmill.errors import FacetmillError
from facetmill.params import load_params
from facetmill.sources import SOURCES
from facetmill.sources.base import SourceOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of shards to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file of counts to write")
    paths = parser.parse_args()
    try:
        params = load_params(Path("params.yaml"))
        options = SourceOptions(
            demo=params.demo,
            images=Path(params.dataset.images) if params.dataset.images else None,
            columns=params.dataset.columns,
            ignore=params.dataset.ignore,
            categories=params.dataset.categories,
        )
        report = ingest(
            SOURCES[params.dataset.format],
            Path(params.dataset.path),
            options,
            paths.out,
            paths.report,
            max_bad_share=params.dataset.max_bad_share,
            corrections=read_corrections(Path(params.dataset.corrections)) if params.dataset.corrections else None,
            workers=params.dataset.workers,
        )
        for reason, num in report.noted.items():
            print(f"{reason}: {num:,}, such as {report.examples[reason][0]}")
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
