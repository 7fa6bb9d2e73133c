"""Whether a speed-up that was measured again agrees with the stated one.

The statement is judged by its estimate, which competitions rank by, and by its interval, which says how far another
measurement may be from it. An interval that was made wide on purpose excuses no estimate (`speedup_widest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import quantity
from pipeline.submission.verification import Check
from pipeline.submission.verify_table import TOLERANCES

__all__ = ["Agreement", "agreement", "first_token", "first_token_check", "latency_check", "speed_check"]

_ARMS = ("baseline", "optimized")
_SLACK, _WIDEST = TOLERANCES["speedup_slack"], TOLERANCES["speedup_widest"]


@dataclass(frozen=True)
class Agreement:
    """What one measurement says of a stated ratio: the outcome of a check, and why."""

    outcome: str
    reason: str


def agreement(claimed: Mapping[str, Any], here: Mapping[str, Any]) -> Agreement:
    """Judge a comparison that is stated by one measured here: both have a ratio with its interval, and may be noisy."""
    if here["noisy"]:
        return Agreement("inconclusive", "this machine was too noisy to say anything")
    found, expected = claimed["speedup"], here["speedup"]
    stated, (low, high) = found["estimate"], found["interval"]
    measured, (_, most) = expected["estimate"], expected["interval"]
    if most < low / _SLACK:
        return Agreement("differs", "all that was measured here is below the stated interval")
    if stated > _WIDEST * most:
        return Agreement("differs", f"the stated ratio is more than {_WIDEST:g} times all that was measured here")
    if claimed["noisy"]:
        return Agreement("inconclusive", "the submission itself calls its measurement too noisy to claim anything")
    if measured > high * _SLACK:
        return Agreement("within", "above the stated interval: here it is faster than stated")
    if measured < low / _SLACK:
        return Agreement("inconclusive", "below the stated interval, but the interval measured here reaches into it")
    if stated > _WIDEST * measured:
        return Agreement("inconclusive", "within the stated interval, which is too wide to mean anything")
    return Agreement("within", "within the stated interval")


def speed_check(
    index: int,
    claimed: Mapping[str, Any],
    measured: Sequence[Mapping[str, Any]],
    elsewhere: str,
) -> Check:
    """Return the check of one comparison, measured once or twice; `elsewhere` says what of the machine is another.

    A difference counts only if it was found each time, and on a machine like the one that is stated: elsewhere the
    same models have another ratio.
    """
    path = f"benchmark.comparisons[{index}].speedup"
    return _ratio_check(path, _name("speed-up", claimed), claimed, measured, elsewhere)


def first_token(comparison: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a comparison of texts with the speed-up of its first token as its own, None if it is of something else."""
    texts = comparison.get("generate")
    return {**comparison, "speedup": texts["ttft_speedup"]} if texts else None


def first_token_check(
    index: int, claimed: Mapping[str, Any], measured: Sequence[Mapping[str, Any]], elsewhere: str
) -> Check | None:
    """Return the check of the speed-up of the first token, as `speed_check`; None where no texts are continued."""
    stated, here = first_token(claimed), [first for record in measured if (first := first_token(record))]
    if stated is None or len(here) < len(measured):
        return None
    path = f"benchmark.comparisons[{index}].generate.ttft_speedup"
    return _ratio_check(path, _name("first token", claimed), stated, here, elsewhere)


def _ratio_check(
    path: str, name: str, claimed: Mapping[str, Any], measured: Sequence[Mapping[str, Any]], elsewhere: str
) -> Check:
    found = claimed["speedup"]
    judged = [agreement(claimed, record) for record in measured]
    outcomes = [each.outcome for each in judged]
    chosen = outcomes.index("within") if "within" in outcomes else len(outcomes) - 1
    outcome, reason = judged[chosen].outcome, judged[chosen].reason
    if "within" in outcomes and "differs" in outcomes:
        outcome, reason = "inconclusive", "one measurement agrees, another does not"
    elif outcome == "differs" and outcomes.count("differs") < len(outcomes):
        outcome = "inconclusive"
    if outcome == "differs" and elsewhere:
        outcome, reason = "inconclusive", f"{reason}; but {elsewhere}"
    times = " (measured twice)" if len(measured) > 1 else ""
    message = f"{_shown(found)} stated, {_shown(measured[chosen]['speedup'])} measured here{times}: {reason}"
    return Check("V050", name, outcome, path, _shown(found), _shown(measured[chosen]["speedup"]), message)


def latency_check(
    index: int, claimed: Mapping[str, Any], measured: Sequence[Mapping[str, Any]], elsewhere: str
) -> Check:
    """Return the check of the times themselves, and of a server's rates, which compare only on the stated processor.

    The best of what was measured counts: whatever else runs makes a model slower, never faster.
    """
    factor = TOLERANCES["latency_factor"]
    path, name = f"benchmark.comparisons[{index}].arms", _name("times", claimed)
    best = {arm: min(record["arms"][arm]["median_ns"] for record in measured) for arm in _ARMS}
    times = {arm: (claimed["arms"][arm]["median_ns"], best[arm]) for arm in _ARMS}
    rates = _rates(claimed, measured)
    found, expected = (_told(times, rates, side) for side in (0, 1))
    if elsewhere:
        return Check("V051", name, "skipped", path, found, expected, f"times are not compared: {elsewhere}")
    low = [arm for arm, (stated, here) in times.items() if stated * factor < here]
    low += [f"{arm} server" for arm, (stated, here) in rates.items() if stated > here * factor]
    low += [
        f"{what} ({quantity(stated, 'ns')} stated, {quantity(here, 'ns')} here)"
        for what, (stated, here) in _times_of_texts(claimed, measured).items()
        if stated * factor < here
    ]
    if low:
        message = (
            f"more than {factor:g} times faster than here, the {' and the '.join(low)}: {found} stated, {expected} here"
        )
        if all(record["noisy"] for record in measured):
            return Check("V051", name, "inconclusive", path, found, expected, f"{message}; but it was too noisy here")
        return Check("V051", name, "differs", path, found, expected, message)
    return Check("V051", name, "within", path, found, expected, f"{found} stated, {expected} here")


def _rates(claimed: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return the highest rates of a server as stated and as found here at best, of the models that have both."""
    if not claimed.get("server"):
        return {}
    found = {}
    for arm in _ARMS:
        stated = claimed["server"]["arms"][arm]["rate_per_s"]
        rates = [record["server"]["arms"][arm]["rate_per_s"] for record in measured if record.get("server")]
        here = [rate for rate in rates if rate is not None]
        if stated is not None and here:
            found[arm] = (stated, max(here))
    return found


def _times_of_texts(
    claimed: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[float, float]]:
    """Return the times of texts, to the first token and by token of each kind of cache, as stated and here at best."""
    stated, here = _texts(claimed), [_texts(record) for record in measured]
    found = {}
    for what, time in stated.items():
        best = [times[what] for times in here if what in times]
        if best:
            found[what] = (time, min(best))
    return found


def _texts(comparison: Mapping[str, Any]) -> dict[str, float]:
    texts = comparison.get("generate") or {"arms": {}, "variants": {}}
    first = {f"{arm}'s first token": texts["arms"][arm]["ttft_ns"] for arm in _ARMS if arm in texts["arms"]}
    tokens = {
        f"token of {name}": variant["tpot_ns"]
        for name, variant in texts["variants"].items()
        if variant["tpot_ns"] is not None
    }
    return {**first, **tokens}


def _told(times: Mapping[str, tuple[float, float]], rates: Mapping[str, tuple[float, float]], side: int) -> str:
    """Return what one of two measurements says of both models."""
    text = " and ".join(quantity(pair[side] / 1e6, "ms") for pair in times.values())
    served = " and ".join(quantity(pair[side], "per_s") for pair in rates.values())
    return f"{text} a query{f', {served}' if served else ''}"


def _name(what: str, comparison: Mapping[str, Any]) -> str:
    threads = f"{comparison['threads']} thread{'s' if comparison['threads'] > 1 else ''}"
    return f"{what}, {comparison['scenario']}, batch size {comparison['batch_size']}, {threads}"


def _shown(ratio: Mapping[str, Any]) -> str:
    low, high = ratio["interval"]
    return f"{ratio['estimate']:.3g}x [{low:.3g}, {high:.3g}]"
