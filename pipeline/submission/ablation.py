"""What each step of an optimized model contributes, as a document (schemas/ablation.v1.schema.json). Pure.

Each comparison is made as that of a submission is: McNemar's test on the answers to the same items, exact bytes, and
the ratio of times measured in turns, with claims corrected for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.submission.build import speed_record
from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.compare import compare_accuracy, compare_size, speed_verdicts

__all__ = ["VERSION", "build_ablation"]

VERSION = 1
_SPLITS = ("validation", "test")
_COUNTS = ("macs", "nonzero_parameters", "parameters", "stored_bytes")
_NOT_TIMED = "steps are timed alone and left out, not in the order of the recipe"


def build_ablation(spec: Mapping[str, Any], candidates: Sequence[Candidate], aspects: Sequence[str]) -> dict[str, Any]:
    """Return the document: for each step and aspect the comparison of the models without and with it.

    `spec` has the `point`, its `steps` with the place of each comparison among the candidates, and the `runs` with the
    recipes that each compares, and with `whole` the place of the one of nothing with everything.
    """
    whole = candidates[spec["whole"]]
    asked = {step[aspect] for step in spec["steps"] for aspect in aspects}
    timed = [place for place, candidate in enumerate(candidates) if candidate.benchmark and place in asked]
    verdicts = dict(zip(timed, speed_verdicts([candidates[place] for place in timed]), strict=True))
    records = [
        _comparison(candidate, run["recipes"], verdicts.get(place))
        for place, (candidate, run) in enumerate(zip(candidates, spec["runs"], strict=True))
    ]
    return {
        "schema_version": VERSION,
        "point": spec["point"],
        "weights": {"baseline": whole.baseline.weights_digest, "optimized": whole.optimized.weights_digest},
        "whole": _whole(whole, spec["runs"][spec["whole"]]["recipes"]),
        "compared": len(timed),
        "steps": [_step(step, aspects, records) for step in spec["steps"]],
    }


def _step(step: Mapping[str, Any], aspects: Sequence[str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    places = {aspect: step[aspect] for aspect in aspects}
    return {
        "id": step["id"],
        "use": step["use"],
        **{aspect: None if place is None else records[place] for aspect, place in places.items()},
        "reasons": step["reasons"],
    }


def _whole(candidate: Candidate, recipes: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return what all steps did together; the submission says what may be claimed of their speed."""
    speedup = candidate.speed["speedup"]
    return {**_exact(candidate, recipes), "speedup": {key: speedup[key] for key in ("estimate", "interval")}}


def _comparison(
    candidate: Candidate, recipes: Sequence[Sequence[str]], verdict: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        **_exact(candidate, recipes),
        "simulated": candidate.is_simulated,
        "speed": None if verdict is None else _speed(candidate, verdict),
        "speed_reason": _NOT_TIMED if verdict is None else None,
    }


def _exact(candidate: Candidate, recipes: Sequence[Sequence[str]]) -> dict[str, Any]:
    before, after = recipes
    return {
        "before": _model(candidate.baseline, before),
        "after": _model(candidate.optimized, after),
        "accuracy": {split: compare_accuracy(candidate, split) for split in _SPLITS},
        "size": compare_size(candidate),
    }


def _model(model: ModelResult, steps: Sequence[str]) -> dict[str, Any]:
    return {
        "steps": list(steps),
        "weights": model.weights_digest,
        "predictions": model.predictions_digest,
        **{key: model.metrics[key] for key in _COUNTS},
        "accuracy": {split: dict(model.accuracy(split)) for split in _SPLITS},
    }


def _speed(candidate: Candidate, verdict: Mapping[str, Any]) -> dict[str, Any]:
    arms, calls = candidate.speed["arms"], candidate.calls_per_query
    medians = {side: arms[side]["median_ns"] / calls for side in ("baseline", "optimized")}
    return {
        **speed_record(candidate, verdict),
        "latency_median_ns": {"before": medians["baseline"], "after": medians["optimized"]},
        "measured_at": candidate.benchmark["measured_at"],
        "samples": candidate.samples_digest,
    }
