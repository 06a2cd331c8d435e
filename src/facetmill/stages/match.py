"""Stage `match`: find where each facet's value stands in the text."""

from __future__ import annotations

import argparse
from pathlib import Path

from facetmill.dataset.labels.match import match_shards
from facetmill.errors import FacetmillError
from facetmill.files import write_json
from facetmill.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of ingested shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of shards to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file of counts to write")
    paths = parser.parse_args()
    try:
        params = load_params(Path("params.yaml"))
        counts = match_shards(paths.source, paths.out, params.match)
        write_json(paths.report, counts.to_json())
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
