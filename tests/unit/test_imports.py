"""Importing does nothing, and the command line stays light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "mlflow",
    "prefect",
    "great_expectations",
    "optuna",
    "transformers",
    "dvc",
    "pandas",
    "pyarrow",
    "numba",
)
SHOW_HEAVY = f"import sys, json; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"


def python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_imports_nothing_heavy(tmp_path: Path) -> None:
    assert json.loads(python(f"import facetmill.cli; {SHOW_HEAVY}", tmp_path)) == []


def test_a_sweep_waits_for_no_library_that_its_trials_may_not_need(tmp_path: Path) -> None:
    """Each of its workers would: transformers is for published encoders, scikit-learn for the importances at the end,
    Great Expectations for the gate alone and not for those that read its shards."""
    code = (
        "import sys; from importlib import import_module\n"
        "from facetmill.models import MODELS, module_of\n"
        "for module in map(module_of, MODELS): import_module(module)\n"
        "import facetmill.runs.sweep, facetmill.stages.check\n"
        "print([name for name in ('transformers', 'sklearn', 'great_expectations') if name in sys.modules])"
    )
    assert python(code, tmp_path) == "[]\n"


def test_help_imports_nothing_to_draw_with_and_cuts_no_sentence_off(tmp_path: Path) -> None:
    code = (
        "import sys; from facetmill.cli import main\n"
        "sys.argv = ['facetmill', '--help']\n"
        "try: main()\n"
        "except SystemExit: print([name for name in ('rich', 'pygments', 'markdown_it') if name in sys.modules])"
    )
    shown = " ".join(python(code, tmp_path).split())
    assert shown.endswith("[]")
    assert "..." not in shown.replace("[ARGS]...", "")
    assert "Train on the fixed seeds with params.yaml as it stands, and register the best; nothing live" in shown


def test_a_wrong_params_file_is_told_without_heavy_imports(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("model: jave\n")
    code = (
        "from pathlib import Path\nfrom facetmill.params import load_params\nfrom facetmill.errors import ParamsError\n"
        f"try: load_params(Path('params.yaml'))\nexcept ParamsError: {SHOW_HEAVY}"
    )
    assert json.loads(python(code, tmp_path)) == []


@pytest.mark.timeout(300)
def test_importing_every_module_writes_no_file_and_needs_no_server(root: Path, tmp_path: Path) -> None:
    package = root / "src"
    names = [
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((package / "facetmill").rglob("*.py"))
    ]
    names = [name for name in names if name != "facetmill.serving.model_file"]  # MLflow runs it; it is not imported
    python("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_garbage_is_collected_again_after_unhindered_imports(tmp_path: Path) -> None:
    code = (
        "import gc, weakref\nfrom facetmill.imports import unhindered_imports\n"
        "class Loop: pass\n"
        "def made():\n    loop = Loop(); loop.itself = loop\n    return weakref.ref(loop)\n"
        "try:\n    with unhindered_imports():\n        during = gc.isenabled(); raise ImportError\n"
        "except ImportError: pass\n"
        "later = made(); gc.collect(); print(during, gc.isenabled(), later() is None)"
    )
    assert python(code, tmp_path).split() == ["False", "True", "True"]


def test_modules_imported_meanwhile_are_there_when_the_block_ends(tmp_path: Path) -> None:
    code = (
        "import sys, threading\nfrom facetmill.imports import imported_meanwhile\n"
        "with imported_meanwhile('decimal', 'fractions'): name = threading.current_thread().name\n"
        "print(name, 'fractions' in sys.modules)\n"
        "try:\n    with imported_meanwhile('facetmill.nothing'): print('work is done')\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    assert python(code, tmp_path).split("\n")[:3] == ["MainThread True", "work is done", "facetmill.nothing"]
