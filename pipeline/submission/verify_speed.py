"""Whether a speed-up that was measured again agrees with the stated one.

The statement is judged by its estimate, which competitions rank by, and by its interval, which says how far another
measurement may be from it. An interval that was made wide on purpose excuses no estimate (`speedup_widest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.submission.verification import Check
from pipeline.submission.verify_table import TOLERANCES

__all__ = ["Agreement", "agreement", "latency_check", "speed_check"]

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
    measured: list[Mapping[str, Any]],
    elsewhere: str,
) -> Check:
    """Return the check of one comparison, measured once or twice; `elsewhere` says what of the machine is another.

    A difference counts only if it was found each time, and on a machine like the one that is stated: elsewhere the
    same models have another ratio.
    """
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
    path = f"benchmark.comparisons[{index}].speedup"
    return Check(
        "V050", _name("speed-up", claimed), outcome, path, _shown(found), _shown(measured[chosen]["speedup"]), message
    )


def latency_check(index: int, claimed: Mapping[str, Any], measured: Mapping[str, Any], elsewhere: str) -> Check:
    """Return the check of the times themselves, which compare only on the processor that is stated."""
    factor = TOLERANCES["latency_factor"]
    path = f"benchmark.comparisons[{index}].arms"
    pairs = [
        (arm, claimed["arms"][arm]["median_ns"], measured["arms"][arm]["median_ns"])
        for arm in ("baseline", "optimized")
    ]
    found, expected = (_times([stated for _, stated, _ in pairs]), _times([here for *_, here in pairs]))
    name = _name("times", claimed)
    if elsewhere:
        return Check("V051", name, "skipped", path, found, expected, f"times are not compared: {elsewhere}")
    low = [arm for arm, stated, here in pairs if stated * factor < here]
    if low:
        who = " and the ".join(low)
        message = f"the {who} takes more than {factor:g} times what is stated: {found} stated, {expected} here"
        return Check("V051", name, "differs", path, found, expected, message)
    return Check("V051", name, "within", path, found, expected, f"{found} a query stated, {expected} here")


def _name(what: str, comparison: Mapping[str, Any]) -> str:
    threads = f"{comparison['threads']} thread{'s' if comparison['threads'] > 1 else ''}"
    return f"{what}, {comparison['scenario']}, batch size {comparison['batch_size']}, {threads}"


def _times(values: list[float]) -> str:
    return " and ".join(f"{value / 1e3:.3g} µs" for value in values)


def _shown(ratio: Mapping[str, Any]) -> str:
    low, high = ratio["interval"]
    return f"{ratio['estimate']:.3g}x [{low:.3g}, {high:.3g}]"
