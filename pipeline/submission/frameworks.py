"""A comparison of frameworks as a document (schemas/frameworks.v1.schema.json): built, and checked again. Pure.

What bounds the work follows from the best that any of its processes measured of the machine.
Claims are corrected for the number of pieces of work that were compared (Holm).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.errors import Problem
from pipeline.measure.framework_record import best_balance, bound_by, bounds, difference
from pipeline.stats.compare import claim_p_value, verdict
from pipeline.stats.correction import holm
from pipeline.submission.measured import FRAMEWORKS
from pipeline.submission.validate import schema_problems

__all__ = ["build_frameworks", "frameworks_problems"]

SIGNIFICANCE = 0.05  # of all claims of a document together

_TIMING = ("threads", "processes", "target_ci", "budget_s", "threshold")
_CLAIMS = ("faster", "slower")
_NEAR = 1e-9  # relative: figures that are computed again differ by rounding only


def build_frameworks(head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document of pieces of work in order; `head` says what was asked for, `rows` what was measured."""
    made, best = [], best_balance([row["balance"] for row in rows])
    for case, title, row, said in zip(
        head["cases"], head["titles"], rows, _verdicts(rows, head["threshold"]), strict=True
    ):
        found = {name: value for name, value in row.items() if name != "machine"}
        found |= _bounded(row, best)
        made.append({"op": case["op"], "args": case["args"], "title": title, **found, **said})
    return {
        "format": FRAMEWORKS,
        "schema_version": 1,
        "name": head["name"],
        "description": head["description"],
        "experiment": head["document"],
        "frameworks": {"tinytorch": rows[0]["instruction_set"], "torch": head["torch"]},
        "timing": {name: head[name] for name in _TIMING},
        "machine": rows[0]["machine"],
        "rows": made,
        "counts": _counts(made),
    }


def _bounded(row: Mapping[str, Any], balance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what bounds both sides of a row on a machine that can do so much."""
    limits = bounds(row["work"], balance, is_integer=row["precision"] == "int8")
    sides = {name: {**side, **bound_by(side["median_ns"], limits)} for name, side in row["frameworks"].items()}
    return {"frameworks": sides, "limits": limits}


def frameworks_problems(document: Mapping[str, Any], path: str) -> list[Problem]:
    """Return what is wrong with a document of a stranger: its schema, and figures that do not follow from others."""
    problems = schema_problems("frameworks.v1", document, path, "E502")
    return problems or [
        Problem(path=path, yaml_path=place, code="E504", message=f"is {found}, but {expected} follows from the rest")
        for place, found, expected in _disagreements(document)
    ]


def _disagreements(document: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield place, what stands there and what should, for figures that follow from others in the document."""
    rows, threshold = document["rows"], document["timing"]["threshold"]
    for number, row in enumerate(rows):
        wrong = list(_unlike_itself(row, f"rows[{number}]"))
        yield from wrong
        if wrong:
            return
    for number, (row, said) in enumerate(zip(rows, _verdicts(rows, threshold), strict=True)):
        if _is_unsettled(row["control"], threshold) and not row["noisy"]:
            yield f"rows[{number}].noisy", False, True
        for key, expected in said.items():
            if not _near(row[key], expected):
                yield f"rows[{number}].{key}", row[key], expected
    yield from _other_bounds(rows)
    if document["counts"] != _counts(rows):
        yield "counts", document["counts"], _counts(rows)


def _unlike_itself(row: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield ratios that are not those of their processes, and reasons where something was timed, or none where not."""
    is_timed = "torch" in row["frameworks"]
    if is_timed != (row["ratio"] is not None):
        yield f"{place}.ratio", "null" if is_timed else "there", "the opposite"
    if is_timed != (row["reason"] is None):
        yield f"{place}.reason", row["reason"], None if is_timed else "why PyTorch was not timed"
    precision = "int8" if row["args"].get("bits") == 8 else "fp32"
    if row["precision"] != precision:
        yield f"{place}.precision", row["precision"], precision
    if is_timed:
        kind = "training" if row["op"].startswith("train_") else precision
        differ = difference(row["outputs"], kind) if row["outputs"] else "no outputs were compared"
        if differ:
            yield f"{place}.frameworks.torch", f"timed although {differ}", "no time"
    for name in ("control", *(["ratio"] if row["ratio"] else [])):
        ratio = row[name]
        low, high = ratio["interval"]
        middle = math.exp(statistics.median(math.log(value) for value in ratio["per_process"]))
        if not math.isclose(middle, ratio["estimate"], rel_tol=_NEAR):
            yield f"{place}.{name}.estimate", ratio["estimate"], middle
        if not low <= ratio["estimate"] <= high:
            yield f"{place}.{name}.interval", [low, high], "an interval with the estimate inside"


def _is_unsettled(control: Mapping[str, Any], threshold: float) -> bool:
    """Say whether identical code differed in earnest, as `pipeline.measure.peer_summary.judged` has it."""
    low, high = control["interval"]
    return not low <= 1 <= high and max(control["estimate"], 1 / control["estimate"]) > 1 + threshold


def _other_bounds(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what bounds the work where it does not follow from the work, its time and what was measured."""
    best = best_balance([row["balance"] for row in rows])
    for number, row in enumerate(rows):
        if row["precision"] == "int8" and best["peak_int8_gops"] is None:
            yield f"rows[{number}].balance.peak_int8_gops", None, "a figure: integers are multiplied, and one"
            return
        for where, found, expected in _unequal(row, _bounded(row, best)):
            yield f"rows[{number}].{where}", found, expected


def _unequal(found: Any, expected: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            yield from _unequal(found[key], value, f"{place}.{key}" if place else key)
    elif not _near(found, expected):
        yield place, found, expected


def _verdicts(rows: Sequence[Mapping[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Return verdict and adjusted p-value of each row; the latter is None where nothing is claimed."""
    words = [_word(row, threshold) for row in rows]
    compared = [place for place, word in enumerate(words) if word is not None]
    # Holm over all comparisons that were looked at: those without a claim count with p = 1.
    values = holm([_p_value(rows[place], words[place], threshold) for place in compared])
    adjusted = {place: value for place, value in zip(compared, values, strict=True) if words[place] in _CLAIMS}
    return [
        {
            "verdict": "inconclusive" if adjusted.get(place, 0.0) > SIGNIFICANCE else word,
            "adjusted_p_value": adjusted.get(place),
        }
        for place, word in enumerate(words)
    ]


def _p_value(row: Mapping[str, Any], word: str | None, threshold: float) -> float:
    return claim_p_value(row["ratio"]["per_process"], threshold) if word in _CLAIMS else 1.0


def _near(found: Any, expected: Any) -> bool:
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=_NEAR, abs_tol=1e-300)
    return bool(found == expected)


def _word(row: Mapping[str, Any], threshold: float) -> str | None:
    """Return what a row says by itself; None without a peer."""
    if row["ratio"] is None:
        return None
    low, high = row["ratio"]["interval"]
    return "noisy" if row["noisy"] else verdict((low, high), threshold)


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    words = [row["verdict"] or "not_compared" for row in rows]
    return {word: words.count(word) for word in dict.fromkeys(words)}
