"""The promotion gates: claims about a candidate, each a pure function of what was measured.

A gate that cannot be measured fails. Every gate is asked even after one has failed, so that a reader sees all reasons.
What is better or worse is decided by the exchange test over test products (`metrics/exchange.py`), never by a point
alone: a challenger that is as good as the champion within noise is not shown to be better, and the champion stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from facetmill.gates.verdict import MAX_EXAMPLES, NOT_MEASURED, Decision, Verdict
from facetmill.judging.champions_test import ChampionsTest
from facetmill.judging.comparison import Latency, Slice
from facetmill.metrics.paired import PairedResult
from facetmill.params import PromotionParams

_EPSILON = 1e-9  # two equal scores may differ by rounding
_LEVEL_OF_SLICES = 0.05
_OF_APPROVAL = ("approval", "approval_days")  # parameters of the promotion that no gate asks for


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of a candidate, and of what it has to beat, on the frozen test split of its own data.

    `no_answer` says why the candidate could not be asked; nothing else was measured then, or its signature alone.
    `against_dictionary` and `against_champion` compare by `promotion.metric`, the candidate first. `seed_scores` are
    the test scores by it of every run of the candidate's training, one a seed. `champion_version` is None, and so is
    what belongs to it, when nothing is live.

    `lost` are the attributes and categories that the champion has and the candidate has not, in words, less those that
    a person gave up. `is_dictionary` says that the candidate is the very dictionary it would be held against.

    All but latency is measured on the `num_unseen` test products that neither was trained on. `candidate_trained_on`
    and `champion_trained_on` count the test products that each was trained on, None where that is not known.
    `champions_test` is measured on the test split that the champion was proved on.
    """

    candidate_version: int | None
    champion_version: int | None
    dataset_version: str
    dataset_passed: bool
    num_products: int
    signature_as_published: bool | None = None
    no_answer: str | None = None
    against_dictionary: PairedResult | None = None
    against_champion: PairedResult | None = None
    slices: tuple[Slice, ...] = ()
    latency: Latency | None = None
    champion_latency: Latency | None = None
    seed_scores: tuple[float, ...] = ()
    lost: tuple[str, ...] | None = None
    is_dictionary: bool = False
    num_unseen: int | None = None
    candidate_trained_on: int | None = None
    champion_trained_on: int | None = None
    champions_test: ChampionsTest | None = None


Gate: TypeAlias = Callable[[Evidence, PromotionParams], Verdict]


def answers(evidence: Evidence, params: PromotionParams) -> Verdict:
    """The candidate, loaded as a server loads it, answered about every test product."""
    required = f"an answer for each of {evidence.num_products} test products"
    if evidence.no_answer is not None:
        said = " ".join(evidence.no_answer.split())  # a traceback has lines, a reason has none
        return _verdict("answers", False, "no answer", required, f"the candidate does not answer: {said}")
    reason = f"the candidate answered for all {evidence.num_products} test products"
    return _verdict("answers", True, "answered", required, reason)


def data_gate_passed(evidence: Evidence, params: PromotionParams) -> Verdict:
    """The dataset that the candidate was trained and scored on passed its own gate."""
    passed = evidence.dataset_passed
    answer = "passed" if passed else "did not pass"
    reason = f"dataset {evidence.dataset_version[:12]} {answer} the data gate"
    return _verdict("data_gate_passed", passed, answer, "passed", reason)


def signature_as_published(evidence: Evidence, params: PromotionParams) -> Verdict:
    """What goes in and what comes out is all that clients of the live model rely on."""
    passed = evidence.signature_as_published
    if passed is None:
        return _not_measured("signature_as_published", "the published signature")
    answer = "the published signature" if passed else "another signature, or none"
    reason = f"the package of candidate {evidence.candidate_version} has {answer}"
    return _verdict("signature_as_published", passed, answer, "the published signature", reason)


def same_catalogue(evidence: Evidence, params: PromotionParams) -> Verdict:
    """The candidate has every attribute and category of the live model, but for those that a person gives up by name:
    what clients filter by does not vanish because somebody trained on other data."""
    gate, required = "same_catalogue", "every attribute and category of the champion that is not given up by name"
    if evidence.champion_version is None and evidence.no_answer is None:
        return _verdict(gate, True, "no champion", required, "there is no champion yet that could lose an attribute")
    if evidence.lost is None:
        return _not_measured(gate, required)
    champion = f"champion {evidence.champion_version}"
    if not evidence.lost:
        return _verdict(gate, True, 0, required, f"the candidate lacks no attribute and no category of {champion}")
    number = len(evidence.lost)
    shown = ", ".join(evidence.lost[:MAX_EXAMPLES]) + (" and more" if number > MAX_EXAMPLES else "")
    reason = f"the candidate lacks {number} of what {champion} answers: {shown}"
    verdict = _verdict(gate, False, number, required, reason)
    return replace(verdict, examples=evidence.lost[:MAX_EXAMPLES])


def enough_unseen_products(evidence: Evidence, params: PromotionParams) -> Verdict:
    """At least `promotion.min_unseen_products` test products are new to both models; the others decide nothing.

    It must be known what the candidate was trained on. Where it is not of the champion, that is said and no more: what
    a champion remembers can only keep a candidate out.
    """
    gate, required = "enough_unseen_products", f"at least {params.min_unseen_products} unseen test products"
    if evidence.num_unseen is None or evidence.candidate_trained_on is None:
        return _not_measured(gate, required)
    known: dict[str, int | None] = {"the candidate": evidence.candidate_trained_on}
    if evidence.champion_version is not None:
        known[f"champion {evidence.champion_version}"] = evidence.champion_trained_on
    said = [f"{name} was trained on {number}" for name, number in known.items() if number]
    said += [f"what {name} was trained on is not known" for name, number in known.items() if number is None]
    reason = f"{evidence.num_unseen} of {evidence.num_products} test products are new to {' and '.join(known)}"
    passed = evidence.num_unseen >= params.min_unseen_products
    return _verdict(gate, passed, evidence.num_unseen, required, "; ".join([reason, *said]))


def beats_dictionary(evidence: Evidence, params: PromotionParams) -> Verdict:
    """The candidate is better than looking values up, or it has learned nothing. While nothing is live this is the
    bar, and `promotion.min_gain` holds here."""
    if evidence.is_dictionary:
        allowed = params.dictionary == "may_go_live"
        reason = f"it is the dictionary itself, and promotion.dictionary is {params.dictionary}"
        return _verdict("beats_dictionary", allowed, params.dictionary, "may_go_live", reason)
    min_gain = params.min_gain if evidence.champion_version is None else 0.0
    return _beats("beats_dictionary", evidence.against_dictionary, "the dictionary", min_gain, params)


def beats_champion(evidence: Evidence, params: PromotionParams) -> Verdict:
    """The candidate is better than the live model, by more than `promotion.min_gain`, on the same products."""
    if evidence.champion_version is None:
        if evidence.no_answer is not None:
            return _not_measured("beats_champion", "a champion, if there is one")
        reason = "there is no champion yet; the dictionary is the bar"
        return _verdict("beats_champion", True, "no champion", "a champion, if there is one", reason)
    other = f"champion {evidence.champion_version}"
    return _beats("beats_champion", evidence.against_champion, other, params.min_gain, params)


def no_slice_worse(evidence: Evidence, params: PromotionParams) -> Verdict:
    """No slice of a kind in `promotion.protected` has become worse than with the champion.

    Worse means both: a loss of more than `promotion.max_slice_loss`, and one that noise does not explain
    (`promotion.significance`, 0.05 where that is null) although so many slices are looked at: the p-values of a
    comparison are made for that, and keep small slices from raising false alarms.
    """
    gate, required = "no_slice_worse", f"no protected slice loses more than {params.max_slice_loss:.3f}"
    if evidence.no_answer is not None:
        return _not_measured(gate, required)
    if evidence.champion_version is None:
        return _verdict(gate, True, "no champion", required, "there is no champion yet that a slice could lose against")
    if not params.protected:
        return _verdict(gate, True, "no slice", required, "promotion.protected names no kind of slices")
    slices = [each for each in evidence.slices if each.kind in params.protected]
    if not slices or not all(math.isfinite(each.difference) for each in slices):
        return _not_measured(gate, required)
    level = _LEVEL_OF_SLICES if params.significance is None else params.significance
    worse = [each for each in slices if each.difference < -params.max_slice_loss - _EPSILON and each.p_value <= level]
    worse.sort(key=lambda each: (each.difference, each.kind, each.name))
    lowest = min(slices, key=lambda each: (each.difference, each.kind, each.name))
    if worse:
        reason = f"{len(worse)} of {len(slices)} protected slices got worse: {_of_slice(worse[0])}"
        return _verdict(gate, False, worse[0].difference, required, reason, worse)
    reason = f"none of {len(slices)} protected slices is shown to be worse; the lowest is {_of_slice(lowest)}"
    return _verdict(gate, True, lowest.difference, required, reason)


def holds_where_champion_was_tested(evidence: Evidence, params: PromotionParams) -> Verdict:
    """On the test split of the champion's own data, where that is other data and still there, the candidate is not
    worse: by `no_slice_worse`'s measure, for the champion has won there, and its successor need not."""
    gate = holds_where_champion_was_tested.__name__
    required = f"loses at most {params.max_slice_loss:.3f} on the champion's own test products"
    found = evidence.champions_test
    if evidence.champion_version is None and evidence.no_answer is None:
        return _verdict(gate, True, "no champion", required, "there is no champion yet that was tested on anything")
    if found is None or (found.paired is not None and not math.isfinite(found.paired.difference)):
        return _not_measured(gate, required)
    champion = f"champion {evidence.champion_version}"
    if found.paired is None:
        return _verdict(gate, True, "nothing to compare", required, f"{champion}: {found.why}")
    level = _LEVEL_OF_SLICES if params.significance is None else params.significance
    passed = found.paired.difference >= -params.max_slice_loss - _EPSILON or found.paired.p_value > level
    word = "not shown to be worse" if passed else "worse"
    reason = (
        f"{params.metric} {found.paired.first:.4f} against {found.paired.second:.4f} of {champion} on "
        f"{found.num_products} test products of the champion's own data: {_gain(found.paired)}, {word}"
    )
    return _verdict(gate, passed, found.paired.difference, required, reason)


def fast_enough(evidence: Evidence, params: PromotionParams) -> Verdict:
    """One request takes no longer than `promotion.max_latency_seconds`, and no more than `promotion.max_latency_ratio`
    times as long as with the champion (95th percentile over products)."""
    gate, p95, limits, required = "fast_enough", _p95(evidence.latency), [], []
    if params.max_latency_seconds is not None:
        limits.append(params.max_latency_seconds)
        required.append(_seconds(params.max_latency_seconds))
    if params.max_latency_ratio is not None and evidence.champion_version is not None:
        champion_p95 = _p95(evidence.champion_latency)
        limits.append(params.max_latency_ratio * champion_p95)
        required.append(f"{params.max_latency_ratio:g} times the champion's {_seconds(champion_p95)}")
    text = f"at most {' and '.join(required)}" if required else "no limit is set"
    if not all(math.isfinite(value) and value > 0 for value in (p95, *limits)):
        return _not_measured(gate, text)
    passed = all(p95 <= limit for limit in limits)
    return _verdict(gate, passed, p95, text, f"one request takes {_seconds(p95)} (p95); allowed: {text}")


def seeds_agree(evidence: Evidence, params: PromotionParams) -> Verdict:
    """The training is better, not one lucky seed: the mean test score over its seeds beats the champion's (the
    dictionary's, while nothing is live)."""
    gate = "seeds_agree"
    if evidence.is_dictionary and evidence.champion_version is None:
        return _verdict(gate, True, "no seed", "a mean over seeds", "a dictionary is counted, not drawn from a seed")
    against, name = evidence.against_dictionary, "the dictionary"
    if evidence.champion_version is not None:
        against, name = evidence.against_champion, f"champion {evidence.champion_version}"
    scores = evidence.seed_scores
    if against is None or not scores or not all(math.isfinite(score) for score in (*scores, against.second)):
        return _not_measured(gate, f"a mean over seeds above that of {name}")
    mean, required = float(np.mean(scores)), f"> {against.second:.4f}"
    passed = mean > against.second + _EPSILON
    spread = f" ({min(scores):.4f} to {max(scores):.4f})" if len(scores) > 1 else ""
    seeds = f"mean of {len(scores)} seeds" if len(scores) > 1 else "the only seed"
    word = "beats" if passed else "does not beat"
    reason = f"{seeds}: {params.metric} {mean:.4f}{spread} {word} {against.second:.4f} of {name}"
    return _verdict(gate, passed, mean, required, reason)


GATES: tuple[Gate, ...] = (
    answers,
    data_gate_passed,
    signature_as_published,
    same_catalogue,
    enough_unseen_products,
    beats_dictionary,
    beats_champion,
    no_slice_worse,
    holds_where_champion_was_tested,
    seeds_agree,
    fast_enough,
)

#: Gates whose answer may be another when asked again, since the machine may have been short of time or memory.
OF_THE_MOMENT = frozenset({answers.__name__, fast_enough.__name__})


def decide(
    evidence: Evidence, params: PromotionParams, given_up: Mapping[str, Sequence[str]] | None = None
) -> Decision:
    """Every gate's verdict, and whether none of them blocks. What was `given_up` for it is kept with its limits."""
    verdicts = tuple(gate(evidence, params) for gate in GATES)
    return Decision(
        accepted=bool(verdicts) and not any(verdict.blocks for verdict in verdicts),
        verdicts=verdicts,
        candidate_version=evidence.candidate_version,
        champion_version=evidence.champion_version,
        limits=limits_of(params, given_up),
    )


def limits_of(params: PromotionParams, given_up: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """What a decision depends on beside the models; whether a person is asked afterwards does not belong to it."""
    limits = {name: value for name, value in asdict(params).items() if name not in _OF_APPROVAL}
    return limits | ({"given_up": dict(given_up)} if given_up else {})


def _beats(gate: str, result: PairedResult | None, other: str, min_gain: float, params: PromotionParams) -> Verdict:
    """Better than another model: the whole interval of the gain is above `min_gain`, or with a significance of null
    the gain itself is. NaN is never better."""
    gain = "gain" if params.significance is None else f"{100 * (1 - params.significance):.4g} % interval of the gain"
    required = f"{gain} above {min_gain:g}"
    if result is None or not all(math.isfinite(value) for value in vars(result).values()):
        return _not_measured(gate, required)
    decisive = result.difference if params.significance is None else result.low
    passed = result.difference > _EPSILON and decisive > min_gain + _EPSILON
    more = f"better by more than {min_gain:g}" if min_gain else "better"
    reason = (
        f"{params.metric} {result.first:.4f} against {result.second:.4f} of {other}: {_gain(result)}, "
        f"{'' if passed else 'not '}shown to be {more}"
    )
    return _verdict(gate, passed, result.difference, required, reason)


def _gain(result: PairedResult | Slice) -> str:
    """A difference as people read it: +0.004 [-0.010, +0.018], p 0.56."""
    return f"{result.difference:+.3f} [{result.low:+.3f}, {result.high:+.3f}], p {result.p_value:.2g}"


def _of_slice(each: Slice) -> str:
    return f"{each.kind} {each.name!r} {_gain(each)}, {each.num_products} products"


def _verdict(
    gate: str, passed: bool, observed: float | str, required: str, reason: str, slices: Sequence[Slice] = ()
) -> Verdict:
    examples = tuple(_of_slice(each) for each in slices[:MAX_EXAMPLES])
    return Verdict(gate, passed, "critical", observed, required, reason, examples)


def _not_measured(gate: str, required: str) -> Verdict:
    return _verdict(gate, False, NOT_MEASURED, required, f"{gate}: could not be measured")


def _p95(latency: Latency | None) -> float:
    return math.nan if latency is None else latency.p95


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
