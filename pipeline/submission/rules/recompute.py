"""Compute the figures of a submission again, by the functions of a run, from its evidence or from its own counts.

With evidence the benchmark, the accuracies and everything that follows from them come from samples and predictions;
without, what follows from the arms' figures and the counts is computed from those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.generation import with_generate
from pipeline.measure.job import ARMS
from pipeline.measure.summary import comparison
from pipeline.stats.accuracy import accuracy_record
from pipeline.stats.compare import claim_p_value
from pipeline.submission.build import figures, point_record, speed_record
from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.compare import SIGNIFICANCE, speed_verdicts
from pipeline.submission.evidence import SIDES, Evidence
from pipeline.submission.goals import CHANGE_OF, LIMITS
from pipeline.submission.metrics import METRICS
from pipeline.submission.rules.agree import Path, disagreements
from pipeline.submission.rules.restore import processes_of, question_of
from pipeline.submission.rules.texts import parity_of
from pipeline.submission.select import constraints_on

__all__ = ["candidate_of", "comparisons_of", "correct_of", "different", "goals_of"]

Correct = Mapping[str, Mapping[str, NDArray[np.bool_]]]
Broken = tuple[str, Path, str]

_MOST_ITEMS = 10**7  # of a split, that are counted without evidence
# Where a value stands -> the rule that it breaks if it differs; the first that fits. "*" is any one part.
_PLACES: tuple[tuple[str, str], ...] = (
    ("benchmark.comparisons.*.arms.*.percentile", "R021"),
    ("benchmark.comparisons.*.arms.*.tail_n", "R021"),
    ("benchmark.comparisons.*.arms.*.throughput", "R022"),
    ("benchmark.comparisons.*.arms", "R020"),
    ("benchmark.comparisons.*.speedup", "R023"),
    ("benchmark.comparisons.*.control", "R023"),
    ("benchmark.comparisons.*.server", "R025"),
    ("benchmark.comparisons.*.generate", "R029"),
    ("benchmark", "R024"),
    ("language", "R037"),
    ("optimized.techniques_applied", "R034"),
    ("baseline", "R026"),
    ("optimized", "R026"),
    ("improvements", "R026"),
    ("comparisons.accuracy", "R031"),
    ("comparisons.size", "R032"),
    ("comparisons.speed", "R027"),
    ("accuracy", "R030"),
    ("constraints", "R040"),
    ("selection", "R041"),
    ("measurement.noisy", "R024"),
    ("measurement", "R053"),
    ("timestamp", "R053"),
    ("system_info", "R055"),
    ("tinytorch_version", "R055"),
)


def comparisons_of(document: Mapping[str, Any], evidence: Evidence) -> list[dict[str, Any]]:
    """Return the benchmark's comparisons computed from samples; memory, counters and sessions are the document's.

    Raises ValueError, with what is wrong, where the evidence has not the form of samples.
    """
    records = document["benchmark"]["comparisons"]
    if len(records) != len(evidence.conditions):
        raise ValueError(f"has {len(evidence.conditions)} comparisons, the submission {len(records)}")
    found = []
    for index, (record, under) in enumerate(zip(records, evidence.conditions, strict=True)):
        arms = record["arms"]
        busy, waited = under.get("busy_before"), under.get("waited_s")
        processes = processes_of(index, evidence)
        if not isinstance(busy, list) or len(busy) != len(processes) or not isinstance(waited, int | float):
            raise ValueError("has no record of what the machine did before")
        if not all(share is None or isinstance(share, int | float) for share in busy):
            raise ValueError("has no record of what the machine did before")
        memory = {
            arm: {"peak_rss_bytes": arms[arm]["peak_rss_bytes"], "how": _how(arms[arm])} for arm in ARMS if arm in arms
        }
        quantities = {arm: {key: arms[arm][key] for key in _QUANTITIES if key in arms[arm]} for arm in ARMS}
        sessions = {arm: arms[arm]["session"] for arm in ARMS if "session" in arms[arm]}
        question = question_of(under)
        computed = comparison(question, processes, busy, memory, quantities, float(waited), sessions)
        if question.scenario == "generate":
            computed = with_generate(
                computed, question, processes, parity_of(index, evidence, question.new_tokens or 0)
            )
        found.append(computed)
    return found


_QUANTITIES = ("quantities", "quantity_reasons")


def _how(arm: Mapping[str, Any]) -> Any:
    return arm["peak_rss_reason"] if arm["peak_rss_bytes"] is None else arm["peak_rss_method"]


def correct_of(document: Mapping[str, Any]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return answers on the test split that have the document's counts; raises ValueError if none have."""
    compared, accuracy = document["comparisons"]["accuracy"], document["accuracy"]
    before, after = (accuracy[side]["test"] for side in SIDES)
    count, lost, won = compared["evaluated"], compared["only_baseline_correct"], compared["only_optimized_correct"]
    both = before["correct"] - lost
    if not both >= 0 <= count - both - lost - won or both + won != after["correct"] or count > _MOST_ITEMS:
        raise ValueError(f"found {lost} and {won} items that one model got right, which the counts of both contradict")
    items = np.arange(count)
    return {"baseline": {"test": items < both + lost}, "optimized": {"test": (items < both) | (items >= count - won)}}


def candidate_of(
    document: Mapping[str, Any],
    benchmark: Sequence[Mapping[str, Any]],
    correct: Correct,
    language: Mapping[str, Any] | None = None,
) -> Candidate:
    """Return the chosen point as it was before it became this document; `language` is its section, computed again."""
    chosen = next(p for p in document["selection"]["points"] if p["index"] == document["selection"]["chosen"])
    provenance, effects = document["provenance"], document["effects"]
    models = {side: _model(document, side, correct[side]) for side in SIDES}
    return Candidate(
        **{name: chosen[name] for name in ("index", "label", "seed", "point")},
        arch=document["baseline"]["model_name"],
        steps=tuple({"id": effect["id"], "use": effect["use"]} for effect in effects),
        baseline=models["baseline"],
        optimized=models["optimized"],
        benchmark={
            "protocol": document["benchmark"]["protocol"],
            "clock": document["benchmark"]["clock"],
            "machine": document["machine"],
            "measured_at": document["measurement"]["measured_at"],
            "comparisons": benchmark,
        },
        samples_digest=provenance["samples"],
        effects=tuple(effects),
        profile=document["profile"],
        data=provenance["data"]["roles"],
        info={},
        language=language,
    )


def _model(document: Mapping[str, Any], side: str, correct: Mapping[str, NDArray[np.bool_]]) -> ModelResult:
    splits = {}
    for split, record in document["accuracy"][side].items():
        counts = (record["correct"], record["evaluated"])
        if split in correct:
            counts = (int(correct[split].sum()), len(correct[split]))
        if not 0 <= counts[0] <= counts[1] or not counts[1]:
            raise ValueError(f"found {counts[0]} correct of {counts[1]} evaluated, which is no accuracy")
        splits[split] = accuracy_record(*counts)
    provenance = document["provenance"]
    metrics = {**document["size"][side], **splits}
    return ModelResult(provenance["weights"][side], provenance["predictions"][side], metrics, correct)


def goals_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the goals of the embedded experiment; raises ValueError if they have no such form."""
    goals = document["experiment"]["document"].get("goals", [])
    if not isinstance(goals, list) or not all(isinstance(goal, dict) for goal in goals):
        raise ValueError("found goals that are no list of objects")
    given: list[Mapping[str, Any]] = [
        {key: value for key, value in goal.items() if value is not None} for goal in goals
    ]
    for goal in given:
        named = [goal[key] for key in ("metric", "minimize", "maximize") if key in goal]
        limits = [goal[key] for key in LIMITS if key in goal]
        are_limits = all(isinstance(limit, int | float) and not isinstance(limit, bool) for limit in limits)
        if len(named) != 1 or named[0] not in list(METRICS) or not are_limits or (limits and "metric" not in goal):
            raise ValueError("found a goal that names no metric, or a limit that is no number")
        if wrong := [kind for kind, metric in CHANGE_OF.items() if kind in goal and named[0] != metric]:
            raise ValueError(f"found {wrong[0]} of something else than {CHANGE_OF[wrong[0]]}")
        if named[0] == "perplexity" and "language" not in document:
            raise ValueError("found a goal for the perplexity of what is no language model")
    return given


def different(document: Mapping[str, Any], chosen: Candidate, *, is_from_evidence: bool) -> Iterator[Broken]:
    """Yield (rule, path, message) for every figure that is not what it was computed to again."""
    goals = goals_of(document)
    versions = document["provenance"]["versions"]
    expected = figures(chosen, goals, versions)
    expected["measurement"]["status"] = document["measurement"]["status"]
    verdict = _verdict(document, chosen)
    expected["comparisons"]["speed"] = speed_record(chosen, verdict)
    warnings = expected.pop("warnings")
    for key, value in expected.items():
        for path, message in disagreements(document[key], value, (key,)):
            yield _rule(path), path, message
    for text in warnings:
        if text not in document["warnings"]:
            yield "R057", ("warnings",), f"found no {text[:200]!r}, expected it"
    if is_from_evidence:
        at = [point["index"] for point in document["selection"]["points"]].index(chosen.index)
        point = point_record(chosen, constraints_on(chosen, goals), verdict)
        for path, message in disagreements(document["selection"]["points"][at], point, ("selection", "points", at)):
            yield _rule(path), path, message


def _verdict(document: Mapping[str, Any], chosen: Candidate) -> dict[str, Any]:
    """Return the verdict on the speed: of a lone point its own, of several as corrected, if that can be so.

    The ratios of other points are not in a submission, so that of Holm's correction only its bounds are known.
    """
    (alone,) = speed_verdicts([chosen])
    count = document["selection"]["tried"]
    if count == 1:
        return alone
    if alone["verdict"] not in ("faster", "slower"):
        return {**alone, "compared": count}
    least = claim_p_value(chosen.speed["speedup"]["per_process"], chosen.speed["threshold"])
    said = document["comparisons"]["speed"]["adjusted_p_value"]
    value = min(max(least, said if said is not None else least), min(1.0, count * least))
    kept = alone["verdict"] if value <= SIGNIFICANCE else "inconclusive"
    return {"verdict": kept, "compared": count, "adjusted_p_value": value, "adjusted_p_value_reason": None}


def _rule(path: Path) -> str:
    parts = [str(part) for part in path]
    return next(rule for place, rule in _PLACES if _fits(place.split("."), parts))


def _fits(place: Sequence[str], parts: Sequence[str]) -> bool:
    """Tell whether a path begins with a place; the place's last part is the beginning of a name."""
    if len(parts) < len(place):
        return False
    *inner, last = zip(place, parts, strict=False)
    return all(one in ("*", other) for one, other in inner) and (last[0] == "*" or last[1].startswith(last[0]))
