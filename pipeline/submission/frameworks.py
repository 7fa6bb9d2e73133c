"""A comparison of frameworks as a document (schemas/frameworks.v1.schema.json): built, and checked again. Pure.

What bounds the work follows from the best that any of its processes measured of the machine.
Claims are corrected for their number (Holm), over all pieces of work of the document.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.errors import Problem
from pipeline.measure.framework_record import best_balance, bound_by, bounds
from pipeline.stats.compare import claim_p_value, holm, verdict
from pipeline.submission.validate import schema_problems

__all__ = ["FORMAT", "build_frameworks", "frameworks_problems", "is_frameworks"]

FORMAT = "frameworks"
SIGNIFICANCE = 0.05  # of all claims of a document together

_TIMING = ("threads", "processes", "target_ci", "budget_s", "threshold")
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
        "format": FORMAT,
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


def is_frameworks(document: Any) -> bool:
    """Say whether a document claims to be of this format."""
    return isinstance(document, Mapping) and document.get("format") == FORMAT


def frameworks_problems(document: Mapping[str, Any], path: str) -> list[Problem]:
    """Return what is wrong with a document of a stranger: its schema, and figures that do not follow from others."""
    problems = schema_problems("frameworks.v1", document, path, "E502")
    return problems or [
        Problem(path=path, yaml_path=place, code="E504", message=f"is {found}, but {expected} follows from the rest")
        for place, found, expected in _disagreements(document)
    ]


def _disagreements(document: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield place, what stands there and what should, for figures that follow from others in the document."""
    rows = document["rows"]
    for number, row in enumerate(rows):
        ratio, place = row["ratio"], f"rows[{number}].ratio"
        if (ratio is None) != ("torch" not in row["frameworks"]):
            yield place, "null" if ratio is None else "there", "the opposite"
            return
        if ratio is None:
            continue
        low, high = ratio["interval"]
        middle = math.exp(statistics.median(math.log(value) for value in ratio["per_process"]))
        if not math.isclose(middle, ratio["estimate"], rel_tol=_NEAR):
            yield f"{place}.estimate", ratio["estimate"], middle
        if not low <= ratio["estimate"] <= high:
            yield f"{place}.interval", [low, high], "an interval with the estimate inside"
            return
    for number, (row, said) in enumerate(zip(rows, _verdicts(rows, document["timing"]["threshold"]), strict=True)):
        if row["verdict"] != said["verdict"]:
            yield f"rows[{number}].verdict", row["verdict"], said["verdict"]
    if document["counts"] != _counts(rows):
        yield "counts", document["counts"], _counts(rows)


def _verdicts(rows: Sequence[Mapping[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Return verdict and adjusted p-value of each row; the latter is None where nothing is claimed."""
    words = [_word(row, threshold) for row in rows]
    claims = [place for place, word in enumerate(words) if word in ("faster", "slower")]
    values = holm([claim_p_value(rows[place]["ratio"]["per_process"], threshold) for place in claims])
    adjusted = dict(zip(claims, values, strict=True))
    return [
        {
            "verdict": "inconclusive" if adjusted.get(place, 0.0) > SIGNIFICANCE else word,
            "adjusted_p_value": adjusted.get(place),
        }
        for place, word in enumerate(words)
    ]


def _word(row: Mapping[str, Any], threshold: float) -> str | None:
    """Return what a row says by itself; None without a peer."""
    if row["ratio"] is None:
        return None
    low, high = row["ratio"]["interval"]
    return "noisy" if row["noisy"] else verdict((low, high), threshold)


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    words = [row["verdict"] or "not_compared" for row in rows]
    return {word: words.count(word) for word in dict.fromkeys(words)}
