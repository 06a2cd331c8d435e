"""Every model by its key: the file, the section in params.yaml, the run name and the test id."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from facetmill.errors import ParamsError

if TYPE_CHECKING:
    from facetmill.models.base import Model

#: Key -> "module:Class", imported when it is asked for: no model pays for what another needs.
MODELS: dict[str, str] = {
    "dictionary": "facetmill.models.dictionary:Dictionary",
    "jave": "facetmill.models.jave:Jave",
    "m_jave": "facetmill.models.m_jave:MJave",
    "uls_dram": "facetmill.models.uls_dram:UlsDram",
    "mujo_sf": "facetmill.models.mujo_sf:MujoSf",
    "deflate": "facetmill.models.deflate:Deflate",
    "pam": "facetmill.models.pam:Pam",
    "tagger": "facetmill.models.baselines.tagger:Tagger",
    "bilstm_crf": "facetmill.models.baselines.bilstm_crf:BiLstmCrf",
    "joint_bert": "facetmill.models.baselines.joint_bert:JointBert",
    "slot_gated": "facetmill.models.baselines.slot_gated:SlotGated",
    "su_opentag": "facetmill.models.baselines.su_opentag:SuOpenTag",
    "aveqa": "facetmill.models.baselines.aveqa:Aveqa",
    "jg_ave": "facetmill.models.baselines.jg_ave:JgAve",
    "butd": "facetmill.models.baselines.butd:Butd",
    "mae_model": "facetmill.models.baselines.mae_model:MaeModel",
}


def model_class(key: str) -> type[Model]:
    """The class of a model key. Raises `ParamsError` for an unknown one."""
    found: type[Model] = getattr(import_module(module_of(key)), MODELS[key].partition(":")[2])
    return found


def module_of(key: str) -> str:
    """The module of a model key, by its full name. Raises `ParamsError` for an unknown one."""
    if key not in MODELS:
        raise ParamsError(f"model: unknown key {key!r}; there are {', '.join(MODELS)}")
    return MODELS[key].partition(":")[0]


def summary_of(key: str) -> str:
    """The first line of a model's file, which is not imported for it."""
    spec = find_spec(module_of(key))
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
