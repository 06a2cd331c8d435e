"""What of the code decides a training's result: the model's own file, the loop, and what they import.

The digest is part of a run's identity: while it stands, asking for the same training finds the run that did it, and
once it differs, `reproduce` names the commit to check out. It follows imports inside the package, so adding a model
voids no run of another, and a block that two models share voids the runs of both.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import facetmill
from facetmill.files import hash_json
from facetmill.models import module_of

#: What trains and scores every model.
ENTRIES = ("facetmill.training.fit", "facetmill.training.evaluate")

# Files that list every model. They decide nothing: the values of a run's own section are hashed by themselves.
_LIST_OF_MODELS, _PARAMS = "facetmill.models", "facetmill.params"


@cache
def code_digest(key: str) -> str:
    """Hash of the code that decides what a training of one model gives. Raises `ParamsError` for an unknown key."""
    return digest_of(Path(facetmill.__file__).parent, (module_of(key), *ENTRIES))


def digest_of(package_dir: Path, modules: tuple[str, ...]) -> str:
    """Hash of the source of these modules and of all that they import inside the package at `package_dir`."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _path(package_dir, module)
        if module in found or path is None or module == _LIST_OF_MODELS or f"{module}.".startswith(f"{_PARAMS}."):
            continue
        found[module] = path.read_text(encoding="utf-8")
        waiting += _imported(found[module])
    return hash_json(dict(sorted(found.items())))


@cache
def _imported(source: str) -> tuple[str, ...]:
    """All that a source imports, wherever in the file; what stands below `TYPE_CHECKING` is never run."""
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            waiting += ast.iter_child_nodes(node)
    return tuple(names)


def _path(package_dir: Path, module: str) -> Path | None:
    """The file of a module of the package; None for any other name."""
    package, *parts = module.split(".")
    if package != facetmill.__name__:
        return None
    place = package_dir.joinpath(*parts)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
