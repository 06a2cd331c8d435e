"""`make bench`: run every benchmark and write results/bench.json.

Each `bench_*.py` has `rows() -> list[dict]` of `name, ours, peer, ratio, target, met, note`: a ratio against a named
peer or limit, measured interleaved in one run, medians of five. Absolute times of these machines mean nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run, such as match; all without a name")
    names = parser.parse_args().names
    results_path = HERE / "results" / "bench.json"
    rows = []
    for path in sorted(HERE.glob("bench_*.py")):
        if not names or path.stem.removeprefix("bench_") in names:
            print(f"{path.stem} ...", flush=True)
            rows.extend(load(path).rows())
    results_path.parent.mkdir(exist_ok=True)
    results_path.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        state = {True: "met", False: "MISSED", None: "not judged"}[row["met"]]
        print(f"{row['name']}: ratio {row['ratio']} (target {row['target']}) {state}  {row['note']}")
    print(f"wrote {results_path}")


if __name__ == "__main__":
    main()
