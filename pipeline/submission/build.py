"""Build the submission document (schemas/submission.v2.schema.json) from what the stages found out.

Pure: the same candidates and spec give the same document. It holds no clock reading of its own; `timestamp` is when the
submitted run was measured. Every field of version 1, the course's own format, keeps its name and meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.keys import digest_bytes
from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.compare import compare_accuracy, compare_size, speed_verdicts
from pipeline.submission.goals import decide, limits_of
from pipeline.submission.language import language_warnings
from pipeline.submission.metrics import METRICS
from pipeline.submission.select import SPLIT, Choice, choose

__all__ = ["VERSION", "build", "custom_warning", "document_digest", "figures", "point_record", "speed_record"]

VERSION = 2
_MIB = 1024 * 1024  # v1's megabyte
_NS_PER_MS = 1e6
_SPLITS = ("validation", "test")
_SPEED_KEYS = (
    "scenario",
    "batch_size",
    "samples_per_query",
    "threads",
    "processes",
    "pairs",
    "threshold",
    "noisy",
    "speedup",
    "control",
)
_ACCOUNT = ("failed", "search")  # what the selection says besides its points, where there is something to say
_WEIGHT_FIGURES = (
    "bits_per_weight",
    "macs",
    "nonzero_parameters",
    "parameters",
    "stored_bytes",
    "weight_bytes",
    "working_set_bytes",
)


def build(spec: Mapping[str, Any], candidates: Sequence[Candidate], versions: Mapping[str, str]) -> dict[str, Any]:
    """Choose a candidate and return its submission, with what the choice was made from.

    `spec` holds the resolved experiment document (`experiment`), its `name` and `goals`; `versions` names python,
    numpy, package and kernels. Code that is not ours (`custom_code`) is named, and warned of. Points that
    `failed` and how points were found (`search`) are told as they are.
    Raises ValueError if there is no candidate.
    """
    goals = list(spec["goals"])
    choice = choose(candidates, goals)
    verdicts = speed_verdicts(candidates)
    chosen = candidates[choice.index]
    found = figures(chosen, goals, versions)
    return {
        **found,
        "schema_version": VERSION,
        "experiment": _experiment(spec),
        "comparisons": {**found["comparisons"], "speed": speed_record(chosen, verdicts[choice.index])},
        "selection": {
            **_selection(candidates, choice, verdicts),
            **{key: spec[key] for key in _ACCOUNT if key in spec},
        },
        "effects": [
            {"id": step["id"], "use": step["use"], **effect}
            for step, effect in zip(chosen.steps, chosen.effects, strict=True)
        ],
        **({"loadgen": list(chosen.loadgen)} if chosen.loadgen else {}),
        **({"peers": dict(chosen.peers)} if chosen.peers else {}),
        "profile": chosen.profile,
        "machine": chosen.benchmark["machine"],
        "provenance": _provenance(spec, chosen, candidates, versions),
        "warnings": [*map(custom_warning, spec.get("custom_code", ())), *_luck(candidates, goals), *found["warnings"]],
    }


def figures(chosen: Candidate, goals: list[Mapping[str, Any]], versions: Mapping[str, str]) -> dict[str, Any]:
    """Return the parts of a submission that are figures of the chosen point alone, or copies of them."""
    return {
        **_course_part(chosen, versions),
        "measurement": _measurement(chosen),
        "accuracy": {side: _accuracy(model) for side, model in _sides(chosen)},
        "size": {side: {key: model.metrics[key] for key in _WEIGHT_FIGURES} for side, model in _sides(chosen)},
        "benchmark": {key: chosen.benchmark[key] for key in ("protocol", "clock", "comparisons")},
        "comparisons": {"accuracy": compare_accuracy(chosen, "test"), "size": compare_size(chosen)},
        **({"language": dict(chosen.language)} if chosen.language else {}),
        "constraints": [decide(limit, chosen, "test") for limit in limits_of(goals)],
        "warnings": _warnings(chosen),
    }


def _sides(candidate: Candidate) -> tuple[tuple[str, ModelResult], tuple[str, ModelResult]]:
    return ("baseline", candidate.baseline), ("optimized", candidate.optimized)


def _course_part(chosen: Candidate, versions: Mapping[str, str]) -> dict[str, Any]:
    baseline, optimized = (_course_metrics(model, chosen, side) for side, model in _sides(chosen))
    machine = chosen.benchmark["machine"]
    return {
        "tinytorch_version": versions["package"],
        "submission_type": "capstone_benchmark",
        "timestamp": chosen.benchmark["measured_at"],
        "system_info": {
            "platform": f"{machine['system']}-{machine['kernel']}-{machine['architecture']}",
            "python_version": versions["python"],
            "numpy_version": versions["numpy"],
        },
        "baseline": {"model_name": chosen.arch, "metrics": baseline},
        "optimized": {
            "model_name": f"{chosen.arch} {chosen.label or 'optimized'}",
            "metrics": optimized,
            "techniques_applied": [effect["technique"] for effect in chosen.effects if _is_applied(effect)],
        },
        "improvements": {
            "speedup": baseline["latency_ms_mean"] / optimized["latency_ms_mean"],
            "compression_ratio": baseline["model_size_mb"] / optimized["model_size_mb"],
            "accuracy_delta": optimized["accuracy"] - baseline["accuracy"],
        },
    }


def _course_metrics(model: ModelResult, chosen: Candidate, side: str) -> dict[str, Any]:
    arm, calls = chosen.speed["arms"][side], chosen.calls_per_query
    return {
        "parameter_count": model.metrics["parameters"],
        "model_size_mb": model.stored_bytes / _MIB,
        "accuracy": model.accuracy("test")["accuracy"],
        # The course's latencies are of a call: a query of several calls has the mean of theirs.
        "latency_ms_mean": arm["mean_ns"] / calls / _NS_PER_MS,
        "latency_ms_std": arm["std_ns"] / calls / _NS_PER_MS,
        "latency_ms_median": arm["median_ns"] / calls / _NS_PER_MS,
        "throughput_samples_per_sec": chosen.speed["samples_per_query"] * 1e9 / arm["mean_ns"],
    }


def _is_applied(effect: Mapping[str, Any]) -> bool:
    """Return whether a step did anything: sparsity 0, 32 bits and 0 epochs are points of a sweep, not techniques."""
    if effect["technique"] in ("distill", "finetune"):  # which change values, and no size
        return bool(effect["settings"].get("epochs", 1))
    totals = ("stored_bytes", "macs", "parameters", "nonzero")
    return any(effect[f"{name}_before"] != effect[f"{name}_after"] for name in totals)


def _experiment(spec: Mapping[str, Any]) -> dict[str, Any]:
    document = spec["experiment"]
    return {
        "name": spec["name"],
        "description": document.get("description") or "",
        "digest": document_digest(document),
        "document": document,
    }


def document_digest(document: Mapping[str, Any]) -> str:
    """Return the digest that the experiment itself has: anyone can compute it again from the embedded document."""
    return digest_bytes(json.dumps(document, sort_keys=True).encode())


def _measurement(chosen: Candidate) -> dict[str, Any]:
    return {
        "status": "fresh",  # `stamp` says whether this run measured or found the measurement
        "measured_at": chosen.benchmark["measured_at"],
        "protocol": chosen.benchmark["protocol"],
        "noisy": chosen.speed["noisy"],
    }


def _accuracy(model: ModelResult) -> dict[str, Any]:
    return {split: dict(model.accuracy(split)) for split in _SPLITS}


def speed_record(chosen: Candidate, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison in speed: the primary one's figures with what may be said of them among all points."""
    return {**{key: chosen.speed[key] for key in _SPEED_KEYS}, **verdict}


def _selection(
    candidates: Sequence[Candidate], choice: Choice, verdicts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    points = zip(candidates, choice.constraints, verdicts, strict=True)
    return {
        "split": SPLIT,
        "rule": choice.rule,
        "reason": choice.reason,
        "tried": len(candidates),
        "chosen": candidates[choice.index].index,
        "points": [point_record(candidate, constraints, verdict) for candidate, constraints, verdict in points],
    }


def point_record(candidate: Candidate, constraints: list[dict[str, Any]], verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the selection says of one point."""
    speed = candidate.speed
    return {
        "index": candidate.index,
        "label": candidate.label,
        "seed": candidate.seed,
        "point": candidate.point,
        "simulated": candidate.is_simulated,
        "weights": candidate.optimized.weights_digest,
        "baseline_accuracy": {
            split: candidate.baseline.accuracy(split)["accuracy"] for split in ("validation", "test")
        },
        "accuracy": {split: _point_accuracy(candidate, split) for split in _SPLITS},
        **({"perplexity": _point_perplexity(candidate.language)} if candidate.language else {}),
        "stored_bytes": candidate.optimized.stored_bytes,
        "compression_ratio": candidate.compression_ratio,
        "latency_median_ns": speed["arms"]["optimized"]["median_ns"] / candidate.calls_per_query,
        "speedup": {key: speed["speedup"][key] for key in ("estimate", "interval")},
        **verdict,
        "constraints": constraints,
    }


def _point_perplexity(language: Mapping[str, Any]) -> dict[str, float]:
    return {split: language["optimized"][split]["perplexity"] for split in _SPLITS}


def _point_accuracy(candidate: Candidate, split: str) -> dict[str, Any]:
    record, comparison = candidate.optimized.accuracy(split), compare_accuracy(candidate, split)
    return {
        "accuracy": record["accuracy"],
        "interval": record["interval"],
        "p_value": comparison["p_value"],
        "verdict": comparison["verdict"],
    }


def _provenance(
    spec: Mapping[str, Any], chosen: Candidate, candidates: Sequence[Candidate], versions: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "command": f"python -m pipeline run {spec['name']}.yaml",
        "experiment": document_digest(spec["experiment"]),
        "code": None,  # as the command, the run's own business: see `stamp`
        **({"custom_code": list(spec["custom_code"])} if "custom_code" in spec else {}),
        "data": {
            "name": chosen.info["name"],
            "digest": chosen.info["digest"],
            "classes": len(chosen.info["classes"]),
            "counts": chosen.info["counts"],
            "roles": dict(chosen.data),
        },
        "weights": {side: model.weights_digest for side, model in _sides(chosen)},
        **_tensors(chosen),
        "predictions": {side: model.predictions_digest for side, model in _sides(chosen)},
        "samples": chosen.samples_digest,
        "seeds": {"submitted": chosen.seed, "tried": sorted({candidate.seed for candidate in candidates})},
        "versions": dict(versions),
    }


def custom_warning(code: Mapping[str, Any]) -> str:
    """Return the warning that says of a file or package in `provenance.custom_code` what it brought."""
    return (
        f"custom code: {', '.join(code['brings'])} of {code['name']} (digest {code['digest'][:12]}) is no part of "
        "tinytorch-pipeline; whoever runs it again has to have it, and to trust it"
    )


def _tensors(chosen: Candidate) -> dict[str, Any]:
    """Return the digest of each tensor of the stored models, where they were taken."""
    found = {side: model.metrics.get("tensors") for side, model in _sides(chosen)}
    return {"tensors": found} if all(found.values()) else {}


def _luck(candidates: Sequence[Candidate], goals: list[Mapping[str, Any]]) -> list[str]:
    """Return a warning if the point was chosen for its measured speed: the best of several measurements is a lucky one.

    Simulated with six processes that differ by 0.85 %: the best of 10 equal points looks 0.5 % faster than it is, and
    its interval holds the truth in 83 % instead of 95 %; of 30 points 0.7 % and 66 %.
    """
    wished = [goal[wish] for goal in goals for wish in ("minimize", "maximize") if wish in goal]
    points = len({json.dumps(candidate.point, sort_keys=True) for candidate in candidates})
    if points < 2 or not wished or METRICS[wished[0]].kind != "speed":  # later wishes decide ties of the first only
        return []
    return [
        f"selection: chosen for {wished[0]} among {points} measured points: the best of several measurements is a "
        "lucky one, which its interval does not count; measure the point alone to quote it"
    ]


def _warnings(chosen: Candidate) -> list[str]:
    """Return every step's and every comparison's warnings, each with where it comes from, without repetition."""
    found = [
        f"{step['id']}: {text}"
        for step, effect in zip(chosen.steps, chosen.effects, strict=True)
        for text in effect["warnings"]
    ]
    comparisons = chosen.benchmark["comparisons"]
    for comparison in comparisons:
        condition = f" (batch size {comparison['batch_size']}, threads {comparison['threads']})"
        where = f"benchmark{condition if len(comparisons) > 1 else ''}"
        found += [f"{where}: {text}" for text in comparison["warnings"]]
    return list(dict.fromkeys([*found, *language_warnings(chosen.language)]))
