"""What decides a result: a model's own file and what it imports, and nothing of any other model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import facetmill
from facetmill.errors import ParamsError
from facetmill.models import MODELS, module_of
from facetmill.runs.code_digest import ENTRIES, code_digest, digest_of


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's source; who changes it puts it back."""
    source, copy = Path(facetmill.__file__).parent, tmp_path_factory.mktemp("copy") / "facetmill"
    return Path(shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__")))


def digests(package: Path) -> dict[str, str]:
    return {key: digest_of(package, (module_of(key), *ENTRIES)) for key in MODELS}


@contextmanager
def added(package: Path, name: str, line: str) -> Iterator[None]:
    """A file with a line more, or a new one of this line, during the block."""
    path = package / name
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + line)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)


def changed_by(package: Path, name: str, line: str = "\nTHRESHOLD = 0.25\n") -> set[str]:
    """The models whose digest differs once a line is added to a file."""
    before = digests(package)
    with added(package, name, line):
        after = digests(package)
    return {key for key in MODELS if before[key] != after[key]}


def test_the_copy_has_the_digests_of_the_package(package: Path) -> None:
    assert digests(package) == {key: code_digest(key) for key in MODELS}


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("models/late.py", set()),  # a new model
        ("models/__init__.py", set()),  # and its entry
        ("params/models.py", set()),  # and its section
        ("models/parts/joint.py", {"jave", "m_jave", "uls_dram"}),
        ("models/jave.py", {"jave", "m_jave"}),
        ("models/m_jave.py", {"m_jave"}),
        ("models/uls_dram.py", {"uls_dram"}),
        ("models/parts/pairs.py", {"uls_dram", "su_opentag", "aveqa"}),
        ("models/parts/asked_model.py", {"su_opentag", "aveqa"}),
        ("models/parts/candidates.py", {"mujo_sf", "butd", "mae_model"}),
        ("models/dictionary.py", set(MODELS)),
        ("models/parts/writer.py", {"deflate", "jg_ave"}),
        (
            "encoders/vision.py",
            {"jave", "m_jave", "uls_dram", "mujo_sf", "deflate", "pam", "jg_ave", "butd", "mae_model"},
        ),
        ("encoders/word_vectors.py", {"pam"}),
        ("metrics/score.py", set(MODELS)),
        ("training/fit.py", set(MODELS)),
        ("training/loop.py", set(MODELS)),
        ("compute/phase.py", set(MODELS)),
        ("report/review_page.py", set()),
    ],
)
def test_a_change_counts_for_the_models_that_import_it(package: Path, name: str, models: set[str]) -> None:
    assert changed_by(package, name) == models


def test_imports_inside_functions_count_and_those_for_type_checkers_do_not(package: Path) -> None:
    late = "\ndef late() -> None:\n    import facetmill.models.late\n"
    typed = "\nif TYPE_CHECKING:\n    from facetmill.models import typed\n"
    with (
        added(package, "models/late.py", "WIDTH = 1\n"),
        added(package, "models/typed.py", "WIDTH = 1\n"),
        added(package, "models/mujo_sf.py", late),
        added(package, "models/mujo_sf.py", typed),
    ):
        assert changed_by(package, "models/late.py") == {"mujo_sf"}
        assert changed_by(package, "models/typed.py") == set()


def test_an_unknown_key_has_no_digest() -> None:
    with pytest.raises(ParamsError, match=r"unknown key 'bert'; there are dictionary"):
        code_digest("bert")


def test_no_dvc_stage_depends_on_models(root: Path) -> None:
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    assert not [dep for stage in stages.values() for dep in stage["deps"] if dep.startswith("src/facetmill/models")]


def test_asking_for_the_models_imports_none() -> None:
    program = (
        "import sys\nfrom facetmill.models import MODELS, summary_of\n"
        "assert all(summary_of(key) for key in MODELS)\n"
        "assert not {'torch', 'facetmill.models.base'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
