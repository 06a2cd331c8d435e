"""Stage `ocr`: read the words on each product's pictures. A picture is read once, whatever the dataset."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from facetmill.dataset.pictures.ocr import read_shards
from facetmill.errors import FacetmillError
from facetmill.files import write_json
from facetmill.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of ingested shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of shards to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON file of counts to write")
    paths = parser.parse_args()
    cache_dir = Path(os.environ.get("FACETMILL_CACHE", ".facetmill")) / "ocr"
    try:
        params = load_params(Path("params.yaml"))
        counts = read_shards(paths.source, paths.out, params.ocr, cache_dir)
        write_json(paths.report, counts.to_json())
    except (FacetmillError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
