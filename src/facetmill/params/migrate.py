"""What settings saved by an earlier Facetmill mean today: an old champion must still load, an old run be repeated.

A field that is added to a config gets its entry in `_ADDED`; one that moves, a line in `migrated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facetmill.params.encoders import KINDS

#: By model, what a field means to a model saved before there was one.
_ADDED: Mapping[str, Mapping[str, Any]] = {
    "dictionary": {"negatives": "all", "places": "shared", "values": "one", "ocr": False, "distractors": []},
    "jave": {"category_attributes": False, "kl_tags": "both", "kl_form": "printed", "tasks": "joint"},
    "bilstm_crf": {"attention_form": "printed"},
    "deflate": {"code_pooling": 1, "precision": "fp32"},
    "jg_ave": {"code_pooling": 1, "precision": "fp32"},
    "mujo_sf": {"text_by": "states", "pack_words": False},
}

#: By model, a field that did the work of another one too, until that got a field of its own.
_SPLIT: Mapping[str, Mapping[str, str]] = {"uls_dram": {"range_threshold": "threshold"}}

#: Encoders were told by keys of the model itself, until they got descriptions of their own.
_TEXT = {
    "encoder": "network",
    "tokenizer": "tokenizer",
    "freeze_encoder": "freeze",
    "hidden_size": "hidden_size",
    "num_layers": "num_layers",
    "keep_layers": "keep_layers",
    "window": "window",
}
_IMAGE = {
    "image_encoder": "network",
    "freeze_image_encoder": "freeze",
    "image_size": "size",
    "image_hidden_size": "hidden_size",
    "image_num_stages": "num_stages",
}


def migrated(key: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The saved config of a model key in today's form; one that has it is returned as it is."""
    config = {**_ADDED.get(key, {}), **saved}
    for name, former in _SPLIT.get(key, {}).items():
        if name not in config and former in config:
            config[name] = config[former]
    for name, fields in (("encoder", _TEXT), ("image_encoder", _IMAGE)):
        if isinstance(config.get(name), str):
            config[name] = {new: config.pop(old) for old, new in fields.items() if old in config}
    for name, kind in KINDS.items():
        if kind == "text" and isinstance(config.get(name), Mapping):
            config[name] = {"frozen_layers": 0, **config[name]}
    return config
