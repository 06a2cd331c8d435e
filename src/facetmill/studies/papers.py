"""What each study asks, and the papers' tables as plain data: which models, and which of their settings are otherwise.

A row takes all it does not name from params.yaml, so `--set` and the presets of papers work as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Variant:
    """A row: a model and what it has otherwise than params.yaml, by the names in its section there."""

    name: str
    key: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PaperTable:
    """`name` is the command's, `asks` what it answers, `bar` the row over which the gain of the others is taken.
    `metric` is what is scored by unless the command says otherwise."""

    name: str
    asks: str
    bar: str
    variants: tuple[Variant, ...]
    metric: Literal["pair_f1", "value_f1"] = "value_f1"


SYSTEMS = "Every system on one data set: is it worth more than a dictionary and a plain baseline?"
SUBSETS = "How little can a model learn from, in nested subsets of what there is (table 9 of JAVE's paper)?"
TRANSFER = "What is left of a model on other data than it was trained on (table 8 of JAVE's paper)?"


def _encoders(*, freeze: bool) -> dict[str, Any]:
    return {"encoder": {"freeze": freeze}, "image_encoder": {"freeze": freeze}}


#: What M4C lacks of PAM.
_M4C = {"category": "none", "vocabulary": "shared", "vocabulary_vectors": "learned", "edit_weight": 0.0}


PAPER_TABLES: tuple[PaperTable, ...] = (
    PaperTable(
        name="baselines",
        asks="What are JAVE and M-JAVE worth beside those that their paper compares them with (table 3 of it)?",
        bar="Joint-BERT",
        variants=(
            Variant("WSM", "dictionary", {"places": "claimed", "values": "all", "min_reliability": 0.0}),
            Variant("Sep-BERT", "joint_bert", {"tasks": "separate"}),
            Variant("RNN-LSTM", "slot_gated", {"context": "none"}),
            Variant("Attn-BiRNN", "slot_gated", {"context": "attention"}),
            Variant("Slot-Gated", "slot_gated", {"context": "gated"}),
            Variant("Joint-BERT", "joint_bert", {"tasks": "joint"}),
            Variant("JAVE (LSTM)", "jave", {"encoder": {"network": "bilstm"}}),
            Variant("JAVE (BERT)", "jave"),
            Variant("M-JAVE (LSTM)", "m_jave", {"encoder": {"network": "bilstm"}}),
            Variant("M-JAVE (BERT)", "m_jave"),
        ),
    ),
    PaperTable(
        name="relations",
        asks="What is it worth to JAVE that attributes and values are learned together (table 5 of its paper)?",
        bar="JAVE",
        variants=(
            Variant("JAVE", "jave"),
            Variant("w/o MTL", "jave", {"tasks": "separate"}),
            Variant("w/o AttrPred", "jave", {"use_attributes": False}),
            Variant("w/o KL", "jave", {"kl_weight": 0.0}),
            Variant("UB attribute", "jave", {"tasks": "values_given"}),
            Variant("UB value", "jave", {"tasks": "attributes_given"}),
        ),
    ),
    PaperTable(
        name="vision",
        asks="What is each way worth in which M-JAVE looks at the picture (table 6 of its paper)?",
        bar="M-JAVE",
        variants=(
            Variant("M-JAVE", "m_jave"),
            Variant("w/o visual", "m_jave", {"global_attention": False, "regional_attention": False}),
            Variant("w/o global CrossMAtt", "m_jave", {"global_attention": False}),
            Variant("w/o regional CrossMAtt", "m_jave", {"regional_attention": False}),
            Variant("w/o global gate", "m_jave", {"global_gate": False}),
            Variant("w/o regional gate", "m_jave", {"regional_gate": False}),
        ),
    ),
    PaperTable(
        name="wrong-values",
        asks="How much is wrong where a model is asked for each attribute by its name (section 4.3 of JAVE's paper)?",
        bar="JAVE",
        variants=(
            Variant("JAVE", "jave"),
            Variant("ScalingUp", "su_opentag"),
            Variant("ScalingUp, negatives: 0", "su_opentag", {"negatives": 0}),
        ),
    ),
    PaperTable(
        name="uls-ladder",
        asks="What does each step add, from a fine-tuned text encoder to ULS-DRAM (its paper's ablation)?",
        bar="ULS-VL",
        variants=(
            Variant("ULS-L", "uls_dram", {"vision": "none", "range": "none"}),
            Variant("ULS-L+PAR", "uls_dram", {"vision": "none", "range": "proto"}),
            Variant("ULS-VL", "uls_dram", {"vision": "joined", "range": "none"}),
            Variant("+Self-Attn", "uls_dram", {"vision": "joined", "range": "none", "self_attention": True}),
            Variant("+PAR", "uls_dram", {"vision": "joined", "range": "proto"}),
            Variant("+TIR", "uls_dram", {"vision": "tir", "range": "none"}),
            Variant("+TIR+PAR", "uls_dram", {"vision": "tir", "range": "proto"}),
            Variant("M-JAVE", "m_jave", _encoders(freeze=True)),
            Variant("M-JAVE under ULS", "m_jave", _encoders(freeze=False)),
        ),
    ),
    PaperTable(
        name="uls-range",
        asks="How should an attribute in ULS-DRAM's range guide its tags (its paper's three policies)?",
        bar="+TIR",
        variants=(
            Variant("+TIR", "uls_dram", {"vision": "tir", "range": "none"}),
            Variant("+DyN-AR", "uls_dram", {"vision": "tir", "range": "dynet"}),
            Variant("+BERT-AR", "uls_dram", {"vision": "tir", "range": "bert"}),
            Variant("+Proto-AR", "uls_dram", {"vision": "tir", "range": "proto"}),
        ),
    ),
    PaperTable(
        name="uls-threshold",
        asks="Above which probability should an attribute be in ULS-DRAM's range (figure 8 of its paper)?",
        bar="0.5",
        variants=tuple(Variant(str(tau), "uls_dram", {"range_threshold": tau}) for tau in (0.4, 0.5, 0.6, 0.7)),
    ),
    PaperTable(
        name="pam",
        asks="What is PAM worth beside those that its paper compares it with (table 4 of it)?",
        bar="PAM",
        metric="pair_f1",
        variants=(
            Variant("BiLSTM-CRF", "bilstm_crf", {"attention_size": None}),
            Variant("OpenTag", "bilstm_crf", {"attention_size": 100}),
            Variant("BUTD", "butd"),
            Variant("M4C", "pam", {**_M4C, "copies": ["ocr"]}),
            Variant("M4C full", "pam", _M4C),
            Variant("PAM text-only", "pam", {"ocr": "none", "objects": "none"}),
            Variant("PAM", "pam"),
            Variant("WM", "dictionary", {"match": "rarest", "min_reliability": 0.0, "ocr": True}),
        ),
    ),
    PaperTable(
        name="pam-inputs",
        asks="What are title, picture and pack worth to PAM (table 5 of its paper)?",
        bar="PAM",
        metric="pair_f1",
        variants=(
            Variant("PAM", "pam"),
            Variant("w/o text", "pam", {"text": False}),
            Variant("w/o image", "pam", {"objects": "none"}),
            Variant("w/o OCR", "pam", {"ocr": "none"}),
        ),
    ),
    PaperTable(
        name="pam-parts",
        asks="What is each part of PAM worth (tables 6 and 7 of its paper, and two parts that these leave out)?",
        bar="PAM",
        metric="pair_f1",
        variants=(
            Variant("PAM", "pam"),
            Variant("w/o target sequence", "pam", {"category": "none"}),
            Variant("auxiliary category task", "pam", {"category": "auxiliary"}),
            Variant("w/o dynamic vocabulary", "pam", {"vocabulary": "shared"}),
            Variant("w/o edit distance", "pam", {"edit_weight": 0.0}),
            Variant("learned word vectors", "pam", {"vocabulary_vectors": "learned"}),
        ),
    ),
)
