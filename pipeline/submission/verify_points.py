"""The points of a sweep as they were rebuilt, beside those listed, and whether the rule chooses the submitted one.

Speeds of other points are not measured again: where the choice hangs on them, they are taken as stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.experiment import Experiment
from pipeline.core.plan import TIMED_METRICS
from pipeline.submission.candidate import Candidate
from pipeline.submission.compare import compare_accuracy
from pipeline.submission.rules.agree import disagreements
from pipeline.submission.select import choose, constraints_on
from pipeline.submission.verification import Check
from pipeline.submission.verify_compare import SPLITS, Case
from pipeline.submission.verify_experiment import unlike_listed
from pipeline.submission.verify_table import TOLERANCES

__all__ = ["compare_points"]

Goals = list[Mapping[str, Any]]
_MOST_TOLD = 10  # of points that differ, by themselves


def compare_points(case: Case, experiment: Experiment, goals: Goals, *, only_submitted: bool) -> Iterator[Check]:
    """Yield the checks of the list of points, of each point that differs, and of the choice."""
    wrong = [
        Check("V021", "points", "differs", path, found, expected, f"{path}: found {found}, expected {expected}")
        for path, found, expected in unlike_listed(case.document, experiment)
    ]
    listed = len(case.document["selection"]["points"])
    if only_submitted:
        yield from wrong or [_skipped("V021", "points", f"the other points ({listed - 1}) were not asked for")]
        yield _skipped("V040", "choice", "the other points were not asked for")
        return
    timeless = [goal for goal in goals if not TIMED_METRICS & set(map(str, goal.values()))]
    wrong += _other_points(case, timeless)
    yield from wrong[:_MOST_TOLD]
    if len(wrong) > _MOST_TOLD:
        more = f"{len(wrong) - _MOST_TOLD} more points differ"
        yield Check("V021", "points", "differs", "selection.points", listed, listed, more)
    if not wrong:
        count = len(case.rebuilt.points)
        how = "the same accuracies and sizes" if case.is_exact else "accuracies and sizes within the tolerances"
        outcome = "same" if case.is_exact else "within"
        failed = len(case.document["selection"].get("failed", ()))
        told = f"all {count} points of the experiment, with {how}" if count > 1 else "the only point that has a result"
        told += f"; {failed} more {'fails' if failed == 1 else 'fail'} here, too" if failed else ""
        yield Check("V021", "points", outcome, "selection.points", listed, count, told)
    yield _choice(case, goals, timeless, held=not wrong)


def _other_points(case: Case, goals: Goals) -> list[Check]:
    found = []
    for i, point in enumerate(case.document["selection"]["points"]):
        place = f"selection.points[{i}]"
        if point["index"] not in case.rebuilt.points:
            reason = case.rebuilt.errors.get(point["index"])
            if reason:
                message = f"{place}: found a result, but building it again failed: {reason}"
                found.append(Check("V021", "points", "differs", place, "a result", "none", message))
            continue
        candidate = case.rebuilt.points[point["index"]]
        if not case.is_exact:
            found += _unlike(point, candidate, place)
            continue
        expected = _figures(candidate, goals)
        stated = {key: point[key] for key in expected}
        stated["constraints"] = [one for one in point["constraints"] if one["metric"] not in TIMED_METRICS]
        if wrong := list(disagreements(stated, expected)):
            path, message = wrong[0]
            where = ".".join(map(str, path))
            if where == "weights":
                message = f"found {stated['weights'][:16]}…, expected {expected['weights'][:16]}…"
            text = f"{place}.{where}: {message}"
            found.append(Check("V021", "points", "differs", f"{place}.{where}", message, "", text))
    for i, entry in enumerate(case.document["selection"].get("failed", ())):
        if entry["index"] in case.rebuilt.points:
            place = f"selection.failed[{i}]"
            message = f"{place}: found a failure ({entry['reason'][:120]}), but here the point has a result"
            found.append(Check("V021", "points", "differs", place, "a failure", "a result", message))
    return found


def _figures(candidate: Candidate, goals: Goals) -> dict[str, Any]:
    """Return what a submission's list says of a point, but for what was measured."""
    splits = {}
    for split in SPLITS:
        record, comparison = candidate.optimized.accuracy(split), compare_accuracy(candidate, split)
        splits[split] = {
            "accuracy": record["accuracy"],
            "interval": record["interval"],
            "p_value": comparison["p_value"],
            "verdict": comparison["verdict"],
        }
    return {
        "simulated": candidate.is_simulated,
        "weights": candidate.optimized.weights_digest,
        "baseline_accuracy": {split: candidate.baseline.accuracy(split)["accuracy"] for split in SPLITS},
        "accuracy": splits,
        "stored_bytes": candidate.optimized.stored_bytes,
        "compression_ratio": candidate.compression_ratio,
        "constraints": constraints_on(candidate, goals),
    }


def _unlike(point: Mapping[str, Any], candidate: Candidate, place: str) -> Iterator[Check]:
    """Yield what of a point is beyond the tolerances."""
    for split in SPLITS:
        found, expected = point["accuracy"][split]["accuracy"], candidate.optimized.accuracy(split)["accuracy"]
        if abs(found - expected) > TOLERANCES["accuracy_points"]:
            path = f"{place}.accuracy.{split}"
            message = f"{path}: found {found:.2%}, expected {expected:.2%}"
            yield Check("V021", "points", "differs", path, found, expected, message)
    found, expected = point["stored_bytes"], candidate.optimized.stored_bytes
    if abs(found - expected) > TOLERANCES["size_share"] * expected:
        path = f"{place}.stored_bytes"
        yield Check("V021", "points", "differs", path, found, expected, f"{path}: found {found}, expected {expected}")


def _choice(case: Case, goals: Goals, timeless: Goals, *, held: bool) -> Check:
    """Check the choice: by the rebuilt figures alone where no goal is about time."""
    chosen = case.document["selection"]["chosen"]
    if len(timeless) < len(goals):
        if not held:
            return Check("V040", "choice", "inconclusive", "selection.chosen", chosen, None, "points are not as stated")
        message = "follows from the rebuilt accuracies and sizes, and from the speeds of the other points as stated"
        if len(case.rebuilt.points) == 1:
            message = "the only point"
        return Check("V040", "choice", "within", "selection.chosen", chosen, chosen, message)
    candidates = _in_order(case.rebuilt.points)
    choice = choose(candidates, goals)
    index, rule = candidates[choice.index].index, case.document["selection"]["rule"]
    if index == chosen:
        return Check("V040", "choice", "same", "selection.chosen", chosen, index, choice.reason)
    if not case.is_exact:
        message = f"found {chosen}; here {index} is chosen, from figures that differ within the tolerances"
        return Check("V040", "choice", "within", "selection.chosen", chosen, index, message)
    message = f"found {chosen}, expected {index}: {rule}"
    return Check("V040", "choice", "differs", "selection.chosen", chosen, index, message)


def _in_order(points: Mapping[int, Candidate]) -> Sequence[Candidate]:
    return [points[index] for index in sorted(points)]


def _skipped(identifier: str, name: str, message: str) -> Check:
    return Check(identifier, name, "skipped", "selection", None, None, message)
