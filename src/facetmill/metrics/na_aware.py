"""F1 over attribute slots that may truly be empty, as ExtractGPT and WDC-PAVE report it (Brinkmann et al., 2023).

A slot is an attribute that is a key of the gold record: one that has a value, or that an annotator found to have none.
Attributes of neither kind are not slots, so a value predicted for them costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from facetmill.records import Facet, Product

#: How their prompts let a language model say that there is no value.
NO_VALUE = frozenset({"n/a", "None"})

#: (attribute,) of a slot with a right value, (attribute, value) of one with a wrong value.
Slot = tuple[str] | tuple[str, str]


def slots(product: Product, predicted: Iterable[Facet]) -> tuple[dict[Slot, Facet], dict[Slot, Facet]]:
    """The true slots that have a value, and the slots that were given one; in the letters of the paper's code VC is
    right, and

        precision = VC / (NV + VC + VW)        recall = VC / (VN + VC + VW)

    so a wrong value (VW) costs both, and a slot rightly left empty (NN) counts nowhere.

    The prediction of a slot is its facet of highest confidence, the first of equals (no confidence is below any); it is
    right if it is exactly one of the gold values, case and all, stripped of outer spaces. An attribute in `absent` is
    an empty slot even where it has values too: there "n/a" is the first key of the gold record, which decides.
    """
    true: dict[Slot, Facet] = {}
    accepted: dict[str, set[str]] = {attribute: set() for attribute in product.absent}  # by slot, right values
    for facet in product.facets:
        if facet.attribute not in product.absent:
            accepted.setdefault(facet.attribute, set()).add(facet.value.strip())
            true.setdefault((facet.attribute,), facet)
    best: dict[str, Facet] = {}
    for facet in predicted:
        if facet.attribute not in best or _confidence(facet) > _confidence(best[facet.attribute]):
            best[facet.attribute] = facet
    given: dict[Slot, Facet] = {}
    for attribute, values in accepted.items():
        answer = best.get(attribute)
        if answer is not None and answer.value not in NO_VALUE:
            given[(attribute,) if answer.value in values else (attribute, answer.value)] = answer
    return true, given


def _confidence(facet: Facet) -> float:
    return -1.0 if facet.confidence is None else facet.confidence
