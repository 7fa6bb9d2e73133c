"""Decide whether a submission keeps a competition's limits: pass, fail or inconclusive, each with its reason.

A limit passes only if the whole interval of the figure keeps it, and fails only if the whole interval breaks it, so
that a lucky number decides nothing. What is exact, such as a size, is its own interval. Whether the submission is
valid, and its figures are those of its samples, is asked elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pipeline.submission.badge import LEVELS
from pipeline.submission.competition.bounds import bounds_of, doubt_of
from pipeline.submission.competition.limits import Limit, Place, look_up, path_text
from pipeline.submission.competition.terms import Competition

__all__ = ["CHANGED_RULES", "Finding", "STATUSES", "judge", "overall"]

STATUSES = ("fail", "inconclusive", "pass")
CHANGED_RULES = "changed rules"  # the origin of a finding that is no limit, but worth saying
_UNDECIDED = ("inconclusive", "noisy")  # verdicts that claim nothing
_WHERE = ("data.root",)  # the digests say which data they are, wherever they lie
_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
_MORE_TIME = "measure longer: a larger benchmark.budget_s"
_REASONS: dict[Place, str] = {  # what to do about a figure that is exact and breaks its limit
    ("comparisons", "speed", "processes"): f"{_MORE_TIME}, and benchmark.processes as many",
    ("comparisons", "speed", "pairs"): _MORE_TIME,
}


class Finding(NamedTuple):
    """One limit, decided: where it is, what was found and expected, and why it passes or not."""

    status: str
    path: str
    rule: str
    found: Any
    interval: tuple[float, float] | None
    expected: Any
    reason: str
    origin: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {**self._asdict(), "interval": list(self.interval) if self.interval else None}


def judge(
    competition: Competition, document: Mapping[str, Any], size_bytes: int | None = None, trust: str | None = None
) -> list[Finding]:
    """Return one finding for each demand of a competition, for a valid submission of version 2, in a fixed order.

    `size_bytes` is the size of the submission's file and `trust` one of LEVELS, what is known of the submission; what
    hangs on one that is None is not decided.
    """
    findings = [_decide(limit, document) for limit in competition.limits]
    findings += _steps(competition, document)
    findings += _baseline(competition, document)
    findings += _dates(competition, document)
    findings += _named(competition, document)
    if size_bytes is not None:
        findings.append(_size(competition, "submission.json", size_bytes, "submission_bytes"))
    if "evidence" in document:
        findings.append(_size(competition, "evidence.size_bytes", document["evidence"]["size_bytes"], "evidence_bytes"))
    if trust is not None:
        findings.append(_trusted(competition, trust))
    return findings


def overall(findings: Iterable[Finding]) -> str:
    """Return the worst status: fail, inconclusive or pass."""
    return min((finding.status for finding in findings), key=STATUSES.index, default="pass")


def _decide(limit: Limit, document: Mapping[str, Any]) -> Finding:
    found = look_up(document, limit.place)
    if limit.origin.startswith("data.") and limit.expected is None:
        return _finding(limit, found, "inconclusive", "the competition does not say which data are meant")
    if limit.rule == "required":
        return _required(limit, found)
    if found is None and not (limit.rule == "const" and limit.expected is None):
        return _finding(limit, None, "fail", "there is no such value")
    if limit.rule in ("minimum", "maximum") and not isinstance(found, bool) and isinstance(found, int | float):
        return _bounded(limit, found, document)
    if limit.rule in ("const", "enum") and limit.place[-1] == "verdict" and found in _UNDECIDED:
        allowed = limit.expected if limit.rule == "enum" else [limit.expected]
        if found not in allowed:
            return _finding(limit, found, "inconclusive", f"the verdict is {found}")
    return _finding(limit, found, *_exact(limit, found))


def _required(limit: Limit, found: Any) -> Finding:
    missing = [key for key in limit.expected if not isinstance(found, Mapping) or key not in found]
    if missing:
        return _finding(limit, None, "fail", f"missing: {', '.join(missing)}")
    return _finding(limit, None, "pass", "all are there")


def _bounded(limit: Limit, found: float, document: Mapping[str, Any]) -> Finding:
    bounds = bounds_of(document, limit.place)
    low, high = bounds or (found, found)
    kept = [_keeps(limit, value) for value in (low, found, high)]
    status = "pass" if all(kept) else "inconclusive" if any(kept) else "fail"
    if doubt := doubt_of(document, limit.place):
        status, reason = "inconclusive", doubt
    elif bounds is None:
        reason = _REASONS.get(limit.place, "it is exact") if status == "fail" else "it is exact"
    else:
        extent = {"pass": "all of", "inconclusive": "only a part of", "fail": "nothing of"}[status]
        reason = f"{extent} its interval keeps the limit"
    return Finding(
        status, path_text(limit.place), limit.rule, found, bounds and (low, high), limit.expected, reason, limit.origin
    )


def _keeps(limit: Limit, value: float) -> bool:
    return bool(value >= limit.expected if limit.rule == "minimum" else value <= limit.expected)


def _exact(limit: Limit, found: Any) -> tuple[str, str]:
    return ("pass", "as expected") if _CHECKS[limit.rule](found, limit.expected) else ("fail", "it is not as expected")


def _same(found: Any, expected: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but no boolean is a number."""
    return bool(found == expected) and isinstance(found, bool) == isinstance(expected, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of_type(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


_CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "const": _same,
    "enum": lambda found, allowed: any(_same(found, value) for value in allowed),
    "maximum": lambda found, limit: _is_number(found) and found <= limit,
    "minItems": lambda found, least: isinstance(found, list) and len(found) >= least,
    "minimum": lambda found, limit: _is_number(found) and found >= limit,
    "type": _is_of_type,
}


def _finding(limit: Limit, found: Any, status: str, reason: str) -> Finding:
    if isinstance(found, list | dict):
        found = f"{len(found)} {'items' if isinstance(found, list) else 'keys'}"
    return Finding(status, path_text(limit.place), limit.rule, found, None, limit.expected, reason, limit.origin)


def _steps(competition: Competition, document: Mapping[str, Any]) -> list[Finding]:
    """Decide the division: in a closed one, every step that was applied is among the allowed ones."""
    allowed = competition.terms["division"]["steps"]
    if competition.terms["division"]["kind"] == "open":
        return []
    places: list[Place] = [("effects", i, "use") for i in range(len(document["effects"]))]
    return [_decide(Limit(place, "enum", allowed, "division.steps"), document) for place in places]


def _baseline(competition: Competition, document: Mapping[str, Any]) -> list[Finding]:
    """Decide whether the baseline is the competition's: its data and model as in the experiment, varied by no sweep."""
    experiment = document["experiment"]["document"]
    findings = []
    for key, expected in competition.baseline.items():
        limit = Limit(("experiment", "document", key), "const", "the baseline's", f"baseline.experiment.{key}")
        different = [path for path in _differences(experiment.get(key), expected, (key,)) if path not in _WHERE]
        reason = f"different: {', '.join(different[:5])}" if different else "the same as the competition's"
        findings.append(_finding(limit, experiment.get(key), "fail" if different else "pass", reason))
    varied = sorted({name for point in document["selection"]["points"] for name in point["point"] if _reaches(name)})
    if varied:
        limit = Limit(("experiment", "document", "sweep"), "const", "no axis of the baseline", "baseline.experiment")
        findings.append(_finding(limit, ", ".join(varied)[:200], "fail", "the sweep varies the baseline"))
    return findings


def _reaches(axis: str) -> bool:
    return axis.split(".")[0].split("[")[0] in ("data", "model")


def _differences(found: Any, expected: Any, place: Place) -> list[str]:
    """Return the paths at which two values of an experiment differ."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        keys = sorted({*found, *expected})
        return [path for key in keys for path in _differences(found.get(key), expected.get(key), (*place, key))]
    same = json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
    return [] if same else [path_text(place)[:100]]


def _size(competition: Competition, path: str, found: int, bound: str) -> Finding:
    limit = Limit((path,), "maximum", competition.terms["bounds"][bound], f"bounds.{bound}")
    return _finding(limit, found, *_exact(limit, found))


def _trusted(competition: Competition, trust: str) -> Finding:
    """Decide whether enough is known of a submission; that too little is, is no fault of it."""
    enough = list(LEVELS[LEVELS.index(competition.terms["verification"]["level"]) :])
    limit = Limit(("trust",), "enum", enough, "verification.level")
    if trust in enough:
        return _finding(limit, trust, "pass", "as expected")
    return _finding(limit, trust, "inconclusive", f"it is not yet {enough[0]}")


def _named(competition: Competition, document: Mapping[str, Any]) -> list[Finding]:
    """Decide whether the submission was made for this competition, if its experiment names one."""
    limit = Limit(("experiment", "document", "competition"), "const", competition.name, "$id")
    found = look_up(document, limit.place)
    return [] if found is None else [_finding(limit, found, *_exact(limit, found)), *_rules(competition, document)]


def _rules(competition: Competition, document: Mapping[str, Any]) -> list[Finding]:
    """Say whether the submission was made for these rules. That an organiser changed them is no fault of it."""
    stated = document["provenance"].get("competition")
    if stated is None or stated["name"] != competition.name or stated["rules"] == competition.digest:
        return []
    limit = Limit(("provenance", "competition", "rules"), "const", competition.digest, CHANGED_RULES)
    return [_finding(limit, stated["rules"], "pass", "they have changed since; it is held against them as they are")]


def _dates(competition: Competition, document: Mapping[str, Any]) -> list[Finding]:
    findings = []
    claimed = document["timestamp"][:19]  # to the second; the form makes texts compare like moments
    for name, rule in (("opens", "minimum"), ("closes", "maximum")):
        expected = competition.terms["dates"][name]
        if expected is not None:
            kept = claimed >= expected[:19] if rule == "minimum" else claimed <= expected[:19]
            limit = Limit(("timestamp",), rule, expected, f"dates.{name}")
            reason = "within the dates" if kept else f"the competition {name} then"
            findings.append(_finding(limit, document["timestamp"], "pass" if kept else "fail", reason))
    return findings
