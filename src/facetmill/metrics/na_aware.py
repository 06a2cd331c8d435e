"""F1 over attribute slots that may truly be empty, as ExtractGPT and WDC-PAVE report it (Brinkmann et al., 2023).

A slot is an attribute that is a key of the gold record: one that has a value, or that an annotator found to have none.
Attributes of neither kind are not slots, so a value predicted for them costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from facetmill.metrics.tally import Tally
from facetmill.records import Facet, Product

#: How their prompts let a language model say that there is no value.
NO_VALUE = frozenset({"n/a", "None"})


def tally_slots(product: Product, predicted: Iterable[Facet]) -> Tally:
    """The slots of one product; in the letters of the paper's code VC is right, and

        precision = VC / (NV + VC + VW)        recall = VC / (VN + VC + VW)

    so a wrong value (VW) costs both, and a slot rightly left empty (NN) counts nowhere.

    The prediction of a slot is its facet of highest confidence, the first of equals (no confidence is below any); it is
    right if it is exactly one of the gold values, case and all, stripped of outer spaces. An attribute that has a value
    is a slot with a value even where `absent` names it too.
    """
    accepted: dict[str, set[str]] = {attribute: set() for attribute in product.absent}
    for facet in product.facets:
        accepted.setdefault(facet.attribute, set()).add(facet.value.strip())
    best: dict[str, Facet] = {}
    for facet in predicted:
        if facet.attribute not in best or _confidence(facet) > _confidence(best[facet.attribute]):
            best[facet.attribute] = facet
    answers = {attribute: best[attribute].value for attribute in accepted if attribute in best}
    answers = {attribute: value for attribute, value in answers.items() if value not in NO_VALUE}
    return Tally(
        correct=sum(value in accepted[attribute] for attribute, value in answers.items()),
        predicted=len(answers),
        gold=sum(bool(values) for values in accepted.values()),
    )


def _confidence(facet: Facet) -> float:
    return -1.0 if facet.confidence is None else facet.confidence
