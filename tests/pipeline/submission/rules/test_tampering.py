"""A cheater changes one thing and computes every digest again: each change breaks a rule, and the rule is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipeline.core.keys import digest_bytes
from pipeline.store.codecs import arrays as codec
from pipeline.submission.build import document_digest
from pipeline.submission.evidence import SIDES, reference_to
from pipeline.submission.rules.table import RULES
from pipeline.submission.trust import broken
from pipeline.submission.validate import find_problems

Arrays = dict[str, np.ndarray]
Change = Callable[[dict[str, Any], Arrays], None]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OTHER = "0" * 64
COMPARED = "benchmark.comparisons[0]"
BASELINE, OPTIMIZED = f"{COMPARED}.arms.baseline", f"{COMPARED}.arms.optimized"


def scaled(factor: float) -> Callable[[Any], Any]:
    return lambda value: [item * factor for item in value] if isinstance(value, list) else value * factor


def more(by: float) -> Callable[[Any], Any]:
    return lambda value: value + by


# (rule, place in the submission, the new value or what makes it of the old one)
IN_THE_DOCUMENT: list[tuple[str, str, Any]] = [
    ("R020", f"{OPTIMIZED}.median_ns", scaled(0.9)),
    ("R020", f"{OPTIMIZED}.mean_ns", scaled(0.9)),
    ("R020", f"{OPTIMIZED}.std_ns", scaled(0.5)),
    ("R020", f"{OPTIMIZED}.interval_ns", scaled(0.99)),
    ("R020", f"{OPTIMIZED}.cold_ns", scaled(0.5)),
    ("R020", f"{OPTIMIZED}.n", more(100)),
    ("R020", f"{BASELINE}.median_ns", scaled(1.1)),
    ("R021", f"{OPTIMIZED}.tail_n", more(10_000)),
    ("R021", f"{OPTIMIZED}.percentiles.p50", scaled(0.99)),
    ("R021", f"{OPTIMIZED}.percentiles.p90", scaled(0.9)),
    ("R021", f"{OPTIMIZED}.percentiles.p99", scaled(0.9)),
    ("R021", f"{OPTIMIZED}.percentile_intervals.p90", scaled(0.99)),
    ("R021", f"{OPTIMIZED}.percentile_reasons.p99\\.9", "there was no time"),
    ("R022", f"{OPTIMIZED}.throughput_per_s", scaled(1.1)),
    ("R022", f"{OPTIMIZED}.throughput_interval_per_s", scaled(1.01)),
    ("R023", f"{COMPARED}.speedup.estimate", scaled(1.01)),
    ("R023", f"{COMPARED}.speedup.interval", scaled(1.001)),
    ("R023", f"{COMPARED}.speedup.per_process[2]", scaled(1.01)),
    ("R023", f"{COMPARED}.speedup.confidence", 0.99),
    ("R023", f"{COMPARED}.speedup.method", "median"),
    ("R023", f"{COMPARED}.control.estimate", 1.0),
    ("R023", f"{COMPARED}.control.interval", [0.9999, 1.0001]),
    ("R024", f"{COMPARED}.verdict", "equivalent"),
    ("R024", f"{COMPARED}.noisy", True),
    ("R024", f"{COMPARED}.pairs", more(50)),
    ("R024", f"{COMPARED}.dropped", 0),
    ("R024", f"{COMPARED}.processes", 12),
    ("R024", f"{COMPARED}.loops", more(1)),
    ("R024", f"{COMPARED}.threshold", 0.001),
    ("R024", f"{COMPARED}.batch_size", 2),
    ("R024", f"{COMPARED}.threads", 2),
    ("R024", f"{COMPARED}.steady_state", "not_reached"),
    ("R024", f"{COMPARED}.warnings", []),
    ("R026", "optimized.metrics.latency_ms_mean", scaled(0.5)),
    ("R026", "optimized.metrics.latency_ms_median", scaled(0.5)),
    ("R026", "optimized.metrics.latency_ms_std", scaled(0.5)),
    ("R026", "optimized.metrics.throughput_samples_per_sec", scaled(2.0)),
    ("R026", "optimized.metrics.accuracy", scaled(1.01)),
    ("R026", "optimized.metrics.model_size_mb", scaled(0.5)),
    ("R026", "optimized.metrics.parameter_count", more(-100)),
    ("R026", "baseline.metrics.latency_ms_mean", scaled(2.0)),
    ("R026", "baseline.metrics.accuracy", scaled(0.9)),
    ("R026", "improvements.speedup", scaled(1.5)),
    ("R026", "improvements.compression_ratio", scaled(2.0)),
    ("R026", "improvements.accuracy_delta", 0.0),
    ("R027", "comparisons.speed.speedup.estimate", scaled(1.1)),
    ("R027", "comparisons.speed.verdict", "equivalent"),
    ("R027", "comparisons.speed.adjusted_p_value", 1e-30),
    ("R027", "comparisons.speed.compared", 1),
    ("R030", "accuracy.optimized.test.accuracy", scaled(1.02)),
    ("R030", "accuracy.optimized.test.correct", more(5)),
    ("R030", "accuracy.optimized.test.interval", scaled(1.01)),
    ("R030", "accuracy.optimized.validation.correct", more(5)),
    ("R030", "accuracy.baseline.test.correct", more(-5)),
    ("R031", "comparisons.accuracy.p_value", 0.9),
    ("R031", "comparisons.accuracy.delta", 0.01),
    ("R031", "comparisons.accuracy.interval", [-0.001, 0.02]),
    ("R031", "comparisons.accuracy.only_optimized_correct", more(3)),
    ("R031", "comparisons.accuracy.verdict", "significantly better"),
    ("R032", "comparisons.size.ratio", scaled(2.0)),
    ("R032", "comparisons.size.optimized_bytes", more(-100)),
    ("R032", "comparisons.size.verdict", "larger"),
    ("R032", "size.optimized.bits_per_weight", 2.0),
    ("R032", "size.optimized.weight_bytes", more(-100)),
    ("R033", "size.optimized.stored_bytes", more(-100)),
    ("R033", "size.baseline.stored_bytes", more(1000)),
    ("R033", "size.optimized.macs", more(-100)),
    ("R033", "effects[0].stored_bytes_after", more(-100)),
    ("R033", "effects[0].parameters_before", more(-100)),
    ("R033", "effects[0].layers[0].macs_after", more(500)),
    ("R034", "optimized.techniques_applied", ["quantize", "magnitude_prune"]),
    ("R034", "optimized.techniques_applied", []),
    ("R040", "constraints", []),
    ("R040", "constraints[0].limit", 0.5),
    ("R040", "constraints[1].measured", 9.0),
    ("R040", "constraints[0].status", "not_met"),
    ("R040", "constraints[0].split", "validation"),
    ("R040", "experiment.document.goals[1].at_least", 1.1),
    ("R041", "selection.points[1].stored_bytes", more(-1)),
    ("R041", "selection.points[1].compression_ratio", scaled(2.0)),
    ("R041", "selection.points[1].speedup.estimate", scaled(1.001)),
    ("R041", "selection.points[1].accuracy.validation.accuracy", 0.99),
    ("R041", "selection.points[1].accuracy.test.p_value", 0.99),
    ("R041", "selection.points[1].latency_median_ns", scaled(0.5)),
    ("R041", "selection.points[1].constraints[0].measured", 0.0),
    ("R041", "selection.points[0].speedup.interval", [3.0, 4.0]),
    ("R041", "selection.points[0].compared", 1),
    ("R041", "selection.points[0].accuracy.validation.accuracy", 0.9811),
    ("R041", "selection.points[0].accuracy.test.interval", scaled(0.999)),
    ("R042", "selection.points[0].constraints[0].split", "test"),
    ("R043", "selection.chosen", 0),
    ("R043", "selection.points[0].stored_bytes", 500),
    ("R043", "selection.rule", "the one that looks best"),
    ("R043", "selection.reason", "the best"),
    ("R043", "experiment.document.goals[2]", {"maximize": "accuracy"}),
    ("R050", "experiment.name", "another"),
    ("R051", "selection.points[1].weights", OTHER),
    ("R051", "provenance.weights.optimized", OTHER),
    ("R052", "provenance.data.counts.test", 3600),
    ("R053", "timestamp", "2026-01-01T00:00:00Z"),
    ("R053", "measurement.measured_at", "2026-01-01T00:00:00Z"),
    ("R053", "measurement.protocol", "paired-clean/2"),
    ("R054", "provenance.seeds.submitted", 8),
    ("R054", "provenance.seeds.tried", [1, 7]),
    ("R054", "experiment.document.seeds", [1]),
    ("R055", "system_info.numpy_version", "0.1"),
    ("R055", "system_info.platform", "Windows"),
    ("R055", "machine.numpy", "0.1"),
    ("R055", "tinytorch_version", "9.9.9"),
    ("R057", "warnings", []),
    ("R036", "training[0].id", "nobody"),
    ("R036", "training", lambda found: found * 2),
    ("R058", "provenance.competition", {"name": "tiny_digits", "rules": OTHER}),
    ("R035", "effects[0].accuracy.test.accuracy", scaled(0.99)),
    ("R035", "effects[0].accuracy.validation.interval", scaled(0.99)),
    ("R035", "effects[0].accuracy.test.change", more(0.01)),
    ("R035", "effects[0].accuracy.validation.change_interval", scaled(0.0)),
    ("R028", "experiment.document.benchmark.processes", 3),
    ("R028", "experiment.document.benchmark.threshold", 0.5),
    ("R028", "experiment.document.benchmark.batch_sizes", [64]),
]


def put(document: dict[str, Any], place: str, value: Any) -> None:
    """Set the value at a path, or what a function makes of it."""
    parts: list[Any] = []
    for part in place.replace("\\.", "\0").split("."):
        name, *indexes = part.replace("]", "").split("[")
        parts += [name.replace("\0", "."), *map(int, indexes)]
    for part in parts[:-1]:
        document = document[part]
    document[parts[-1]] = value(document[parts[-1]]) if callable(value) else value


def faster(document: dict[str, Any], arrays: Arrays) -> None:
    for number in range(6):
        name = f"samples.0.optimized.{number}.wall_ns"
        arrays[name] = arrays[name] // 2


def set_conditions(name: str, change: Callable[[Any], Any]) -> Change:
    def changed(document: dict[str, Any], arrays: Arrays) -> None:
        conditions = json.loads(arrays["conditions"].tobytes())
        conditions[0][name] = change(conditions[0][name])
        arrays["conditions"] = np.frombuffer(json.dumps(conditions, sort_keys=True).encode(), np.uint8)

    return changed


def asked(**changes: Any) -> Change:
    return set_conditions("question", lambda question: {**question, **changes})


def set_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def changed(document: dict[str, Any], arrays: Arrays) -> None:
        arrays[name] = np.ascontiguousarray(change(arrays[name]))

    return changed


def copied(source: str, target: str) -> Change:
    def changed(document: dict[str, Any], arrays: Arrays) -> None:
        arrays[target] = arrays[source].copy()

    return changed


def left_out(name: str) -> Change:
    def changed(document: dict[str, Any], arrays: Arrays) -> None:
        del arrays[name]

    return changed


def same_roles(document: dict[str, Any], arrays: Arrays) -> None:
    roles = document["provenance"]["data"]["roles"]
    roles["test"] = roles["train"]


def both_labels(document: dict[str, Any], arrays: Arrays) -> None:
    for side in SIDES:
        arrays[f"predictions.{side}.test_labels"] = arrays["predictions.optimized.test"].copy()


def in_the_future(document: dict[str, Any], arrays: Arrays) -> None:
    document["timestamp"] = document["measurement"]["measured_at"] = "2027-01-01T00:00:00Z"


WALL, TAIL = "samples.0.optimized.{}.wall_ns", "samples.0.optimized.{}.tail_ns"
IN_THE_EVIDENCE: dict[str, tuple[str, Change]] = {
    "faster samples": ("R023", faster),
    "one process slower": ("R020", set_array(WALL.format(3), lambda a: a * 2)),
    "fewer rows": ("R011", set_array(WALL.format(3), lambda a: a[:-1])),
    "floats": ("R011", set_array(WALL.format(3), lambda a: a.astype(np.float64))),
    "negative times": ("R011", set_array(WALL.format(3), lambda a: -a)),
    "an array left out": ("R011", left_out("samples.0.optimized.3.cpu_ns")),
    "an array more": ("R011", copied("samples.0.order.0", "samples.0.order.9")),
    "a foreign array": ("R011", copied("samples.0.order.0", "weights")),
    "drops kept": ("R011", set_array("samples.0.optimized.2.kept", np.ones_like)),
    "a process twice": ("R012", copied(WALL.format(0), WALL.format(1))),
    "tails twice": ("R012", copied(TAIL.format(0), TAIL.format(1))),
    "one arm as another": ("R012", copied("samples.0.baseline.0.wall_ns", "samples.0.control.0.wall_ns")),
    "times that stand still": ("R012", set_array(WALL.format(3), lambda a: np.full_like(a, a[0]))),
    "samples of a few ticks": ("R013", set_array(WALL.format(3), lambda a: a // 100)),
    "CPU time beyond the wall clock": ("R013", set_array("samples.0.optimized.3.cpu_ns", lambda a: a * 3)),
    "tails without the slowest": ("R021", set_array(TAIL.format(3), lambda a: np.sort(a)[:-20])),
    "no warm-up": ("R015", set_conditions("warmup_windows", lambda values: [0, *values[1:]])),
    "warm-up left out": ("R011", set_conditions("warmup_windows", lambda values: values[1:])),
    "slower samples of the baseline": (
        "R015",
        set_array("samples.0.baseline.3.wall_ns", lambda a: a * 50),
    ),
    "more loops": ("R024", set_conditions("loops", lambda values: [value * 2 for value in values])),
    "narrower numbers": ("R011", set_array(WALL.format(3), lambda a: a.astype(np.int32))),
    "a scenario that is none": ("R011", asked(scenario=["single_stream"])),
    "a question about nothing": ("R011", asked(samples_per_query=0)),
    "loops that are none": ("R011", set_conditions("loops", lambda values: [0 for _ in values])),
    "too many rows": ("R011", set_array(WALL.format(3), lambda a: np.resize(a, 30_000))),
    "a process left out": ("R011", set_conditions("loops", lambda values: values[1:])),
    "quiet before": ("R024", set_conditions("busy_before", lambda values: [0.0] * len(values))),
    "steady in words only": ("R024", set_conditions("steady", lambda values: [False] * len(values))),
    "cold calls": ("R020", set_conditions("cold_ns", lambda values: [value // 2 for value in values])),
    "unseen load": ("R024", set_conditions("gauges", lambda values: [{**v, "stolen": 0.5} for v in values])),
    "another seed of the bootstrap": ("R028", asked(seed=8)),
    "another threshold": ("R028", asked(threshold=0.5)),
    "predictions of more items right": (
        "R030",
        copied("predictions.optimized.test_labels", "predictions.optimized.test"),
    ),
    "validation answers": ("R030", copied("predictions.baseline.validation", "predictions.optimized.validation")),
    "labels of one model": ("R011", copied("predictions.optimized.test", "predictions.optimized.test_labels")),
    "labels of both models": ("R030", both_labels),
    "fewer items": ("R011", set_array("predictions.optimized.test", lambda a: a[:300])),
    "classes that do not exist": ("R011", set_array("predictions.optimized.test", lambda a: a + 90)),
    "test data that were trained on": ("R052", same_roles),
    "a moment to come": ("R053", in_the_future),
}


def seal(document: dict[str, Any], arrays: Arrays) -> bytes:
    """Compute every digest again, as a cheater would, and return the file of evidence."""
    document["evidence"] = reference_to(arrays)
    provenance = document["provenance"]
    document["experiment"]["digest"] = document_digest(document["experiment"]["document"])
    provenance["experiment"] = document["experiment"]["digest"]

    def digest(prefix: str) -> str:
        named = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        return digest_bytes(codec.encode(named))

    provenance["samples"] = digest("samples.")
    provenance["predictions"] = {side: digest(f"predictions.{side}.") for side in SIDES}
    return codec.encode(arrays)


def rules_broken(document: dict[str, Any], data: bytes | None) -> set[str]:
    found = list(broken(document, data, NOW))
    for rule, _, message in found:  # R011 and R040 say what form is missing
        assert rule in ("R011", "R040") or "expected" in message or "no such value" in message, (rule, message)
    return {rule for rule, _, _ in found}


def test_an_honest_submission_breaks_no_rule(honest: tuple[dict[str, Any], Arrays]) -> None:
    """Neither with its evidence nor without; the digests are already those that a seal gives."""
    document, arrays = honest
    before = json.dumps(document, sort_keys=True)
    data = seal(document, arrays)
    assert json.dumps(document, sort_keys=True) == before
    assert find_problems(document) == []
    assert list(broken(document, data, NOW)) == []
    assert list(broken(document, None, NOW)) == []


@pytest.mark.parametrize(("rule", "place", "value"), IN_THE_DOCUMENT, ids=[row[1] for row in IN_THE_DOCUMENT])
def test_a_changed_figure_is_rejected(rule: str, place: str, value: Any, honest: tuple[dict[str, Any], Arrays]) -> None:
    """The schema may allow it; the rule that it breaks is named."""
    document, arrays = honest
    put(document, place, value)
    data = seal(document, arrays)
    assert find_problems(document) == []
    assert rule in rules_broken(document, data)
    assert rule in RULES


@pytest.mark.parametrize("name", IN_THE_EVIDENCE)
def test_changed_evidence_is_rejected(name: str, honest: tuple[dict[str, Any], Arrays]) -> None:
    """Whatever else stays as it was."""
    document, arrays = honest
    rule, change = IN_THE_EVIDENCE[name]
    change(document, arrays)
    data = seal(document, arrays)
    assert find_problems(document) == []
    assert rule in rules_broken(document, data)
    assert rule in RULES


@pytest.mark.parametrize("name", ["evidence", "samples", "predictions", "experiment"])
def test_a_digest_that_is_not_computed_again_is_rejected(name: str, honest: tuple[dict[str, Any], Arrays]) -> None:
    """Of the file, of its parts and of the experiment."""
    document, arrays = honest
    data = seal(document, arrays)
    provenance = document["provenance"]
    places = {
        "evidence": ("R010", document["evidence"], "digest"),
        "samples": ("R014", provenance, "samples"),
        "predictions": ("R014", provenance["predictions"], "optimized"),
        "experiment": ("R050", provenance, "experiment"),
    }
    rule, record, key = places[name]
    record[key] = OTHER
    assert rules_broken(document, data) == {rule}


@pytest.mark.parametrize("cut", [0, 7, 100, 5000])
def test_a_damaged_file_of_evidence_is_rejected(cut: int, honest: tuple[dict[str, Any], Arrays]) -> None:
    """Its digest differs, and it may not be read at all."""
    document, arrays = honest
    assert rules_broken(document, seal(document, arrays)[:cut]) == {"R010", "R011"}
