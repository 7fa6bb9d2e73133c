"""The submission document: what it says, and that it is the same for the same inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.submission.build import build
from pipeline.submission.candidate import Candidate
from pipeline.submission.write import dump_submission

Make = Callable[..., Candidate]


def test_the_course_fields_keep_their_meaning(submission: dict[str, Any]) -> None:
    """Means, megabytes of 2**20 bytes, and improvements computed from the fields beside them."""
    baseline, optimized = submission["baseline"]["metrics"], submission["optimized"]["metrics"]
    assert baseline["model_size_mb"] == 1_204_000 / 2**20
    assert baseline["latency_ms_mean"] == pytest.approx(0.061 * 1.02)
    assert optimized["throughput_samples_per_sec"] == pytest.approx(1000 / optimized["latency_ms_mean"])
    assert submission["improvements"] == {
        "speedup": baseline["latency_ms_mean"] / optimized["latency_ms_mean"],
        "compression_ratio": baseline["model_size_mb"] / optimized["model_size_mb"],
        "accuracy_delta": optimized["accuracy"] - baseline["accuracy"],
    }


def test_the_course_fields_are_of_a_call_where_a_query_has_several(
    candidate: Make, spec: dict[str, Any], versions: dict[str, str]
) -> None:
    """A query of 8 samples in calls of 3 is 3 calls: latencies are divided by them, the throughput is of samples."""
    one = candidate(2)
    one.benchmark["comparisons"][0].update(scenario="multi_stream", samples_per_query=8, batch_size=3)
    built = build(spec, [one], versions)
    arm, metrics = one.speed["arms"]["optimized"], built["optimized"]["metrics"]
    assert metrics["latency_ms_mean"] == pytest.approx(arm["mean_ns"] / 3 / 1e6)
    assert metrics["latency_ms_median"] == pytest.approx(arm["median_ns"] / 3 / 1e6)
    assert metrics["throughput_samples_per_sec"] == pytest.approx(8e9 / arm["mean_ns"])
    assert built["selection"]["points"][0]["latency_median_ns"] == pytest.approx(arm["median_ns"] / 3)
    assert built["comparisons"]["speed"]["samples_per_query"] == 8


def test_the_paired_estimate_is_beside_the_courses_speedup(submission: dict[str, Any]) -> None:
    """`comparisons.speed` has the estimate with its interval, control and verdict."""
    speed = submission["comparisons"]["speed"]
    assert speed["speedup"]["estimate"] == 1.92
    assert speed["control"]["interval"][0] < 1 < speed["control"]["interval"][1]
    assert speed["verdict"] == "faster"


def test_the_timestamp_is_that_of_the_measurement(submission: dict[str, Any]) -> None:
    """Building reads no clock."""
    assert submission["timestamp"] == submission["measurement"]["measured_at"] == "2026-01-31T12:00:00Z"


def test_building_twice_gives_the_same_bytes(candidate: Make, spec: dict[str, Any], versions: dict[str, str]) -> None:
    """The document is a function of its inputs."""
    texts = {dump_submission(build(spec, [candidate(i) for i in range(4)], versions)) for _ in range(2)}
    assert len(texts) == 1


def test_every_point_is_listed_with_its_validation_figures(submission: dict[str, Any]) -> None:
    """That the choice was made on validation, and among how many, is visible."""
    selection = submission["selection"]
    assert (selection["split"], selection["tried"], selection["chosen"]) == ("validation", 4, 2)
    assert [point["accuracy"]["validation"]["accuracy"] for point in selection["points"]] == [
        correct / 360 for correct in (353, 352, 350, 318)
    ]
    assert all(record["split"] in ("validation", None) for p in selection["points"] for record in p["constraints"])


def test_constraints_are_decided_on_the_test_split(submission: dict[str, Any]) -> None:
    """The submission reports what the choice has not seen."""
    assert [record["split"] for record in submission["constraints"]] == ["test", None]


def test_steps_that_did_nothing_are_no_techniques(
    candidate: Make, spec: dict[str, Any], versions: dict[str, str]
) -> None:
    """Sparsity 0, 32 bits and 0 epochs are points of a sweep; their effects are still listed."""
    effects = candidate(0).effects
    idle = [{**e, **{k: e[k.replace("_after", "_before")] for k in e if k.endswith("_after")}} for e in effects]
    idle[1]["settings"] = {"epochs": 0}
    submission = build(spec, [candidate(0, effects=(effects[0], *idle[1:]))], versions)
    assert submission["optimized"]["techniques_applied"] == ["structured_prune"]
    assert [effect["id"] for effect in submission["effects"]] == ["prune", "finetune", "quantize"]


def test_warnings_say_where_they_come_from(submission: dict[str, Any]) -> None:
    """Steps' and benchmarks' warnings are saved with the result."""
    assert submission["warnings"] == ["prune: fc_out was left alone: it is the output layer"]


@pytest.mark.parametrize(
    ("goals", "points", "warned"),
    [
        ([{"maximize": "speedup"}], 4, True),
        ([{"metric": "speedup", "at_least": 1.1}, {"minimize": "latency_ms"}], 4, True),
        ([{"maximize": "speedup"}], 1, False),
        ([{"minimize": "size_bytes"}, {"maximize": "speedup"}], 4, False),
        ([{"metric": "speedup", "at_least": 1.1}], 4, False),
    ],
)
def test_a_point_chosen_for_its_speed_is_said_to_be_lucky(
    candidate: Make, spec: dict[str, Any], versions: dict[str, str], goals: list[Any], points: int, warned: bool
) -> None:
    """The best of several measurements looks better than it is; one point, or another wish, has no such luck."""
    submission = build({**spec, "goals": goals}, [candidate(i) for i in range(points)], versions)
    assert any("the best of several measurements" in text for text in submission["warnings"]) == warned


def test_seeds_tried_are_listed(candidate: Make, spec: dict[str, Any], versions: dict[str, str]) -> None:
    """A lucky seed cannot hide its siblings."""
    runs = [candidate(0, index=i, seed=seed) for i, seed in enumerate((3, 1, 2))]
    assert build(spec, runs, versions)["provenance"]["seeds"] == {"submitted": 3, "tried": [1, 2, 3]}


def test_the_sample_of_the_report_tests_is_what_is_built_today(submission: dict[str, Any]) -> None:
    """tests/pipeline/report/submission.json stands for a built submission; this test says when to write it anew."""
    path = Path(__file__).parents[1] / "report" / "submission.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(dump_submission(submission))


def test_the_experiments_digest_can_be_computed_from_the_embedded_document(submission: dict[str, Any]) -> None:
    """By anyone, with a JSON library."""
    text = json.dumps(submission["experiment"]["document"], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert submission["experiment"]["digest"] == submission["provenance"]["experiment"] == digest
