"""Validation of submissions: every problem at once, each with its path, what was found and what was expected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import SubmissionInvalid
from pipeline.submission.validate import check_submission, find_problems, schema_version, validate_file
from pipeline.submission.write import dump_submission

TAMPERED: list[tuple[str, Any, str]] = [
    ("baseline.metrics.accuracy", 1.2, "found 1.2, expected at most 1"),
    ("baseline.metrics.accuracy", "97 %", 'found "97 %", expected a number'),
    ("baseline.metrics.parameter_count", 3.5, "found 3.5, expected a whole number"),
    ("baseline.metrics.latency_ms_mean", 0, "found 0, expected more than 0"),
    ("optimized.metrics.latency_ms_std", -1, "found -1, expected at least 0"),
    ("optimized.techniques_applied", "pruning", 'found "pruning", expected a list'),
    ("improvements.speedup", None, "found null, expected a number"),
    ("improvements.accuracy_delta", True, "found true, expected a number"),
    ("submission_type", "other", 'found "other", expected "capstone_benchmark"'),
    ("timestamp", "yesterday", 'found "yesterday", expected text of the form'),
    ("timestamp", "2026-01-31T12:00:00Z\n", 'found "2026-01-31T12:00:00Z\\n", expected text of the form'),
    ("system_info", [], "found a list of 0 items, expected an object"),
    ("measurement.status", "new", 'found "new", expected one of "fresh", "reused"'),
    ("measurement.noisy", 0, "found 0, expected a boolean"),
    ("provenance.weights.optimized", "abc", 'found "abc", expected text of the form'),
    ("comparisons.speed.verdict", "great", 'found "great", expected one of'),
    ("comparisons.speed.speedup.interval", [1.0], "found a list of 1 items, expected at least 2 items"),
    ("selection.points", [], "found a list of 0 items, expected at least 1 items"),
    ("size.optimized.stored_bytes", 0, "found 0, expected at least 1"),
    ("profile", 7, "found 7, expected an object or null"),
    ("machine.cores.allowed", 0, "found 0, expected at least 1"),
    ("benchmark.comparisons[0].arms.baseline.percentiles.p99", "fast", 'found "fast", expected a number or null'),
    ("selection.points[2].seed", "0", 'found "0", expected a whole number'),
    ("experiment.name", "x" * 501, "expected at most 500 characters"),
]


def put(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one value replaced."""
    changed = json.loads(json.dumps(document))  # parts that are shared in memory are apart in a file
    *parents, last = path.replace("[", ".[").split(".")
    node: Any = changed
    for part in parents:
        node = node[int(part[1:-1])] if part.startswith("[") else node[part]
    node[last] = value
    return changed


@pytest.mark.parametrize(("path", "value", "message"), TAMPERED)
def test_a_tampered_value_is_rejected_with_its_path(
    submission: dict[str, Any], path: str, value: Any, message: str
) -> None:
    """Found and expected are named."""
    problems = find_problems(put(submission, path, value), "s.json")
    assert [(problem.path, problem.yaml_path) for problem in problems] == [("s.json", path)]
    assert message in problems[0].message


def test_all_problems_are_listed_at_once(submission: dict[str, Any]) -> None:
    """Nobody repairs a file one run at a time."""
    broken = submission
    for path, value, _ in TAMPERED[:6]:
        broken = put(broken, path, value)
    with pytest.raises(SubmissionInvalid, match="5 problems") as caught:
        check_submission(broken, "s.json")
    assert len(caught.value.problems) == 5
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("key", ["baseline", "improvements", "provenance", "schema_version", "warnings"])
def test_a_missing_key_is_named(submission: dict[str, Any], key: str) -> None:
    """Without `schema_version` it is a valid submission of version 1."""
    del submission[key]
    expected = [] if key == "schema_version" else [(key, "is missing")]
    assert [(problem.yaml_path, problem.message) for problem in find_problems(submission)] == expected


def test_an_unknown_key_is_named_with_the_nearest_known_one(submission: dict[str, Any]) -> None:
    """A misspelt key never passes silently."""
    submission["measurement"]["stauts"] = "fresh"
    (problem,) = find_problems(submission)
    assert problem.yaml_path == "measurement.stauts"
    assert "did you mean 'status'?" in problem.message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_rejected(submission: dict[str, Any], value: float) -> None:
    """The schema's bounds alone would let NaN pass."""
    problems = find_problems(put(submission, "benchmark.comparisons[0].arms.control.std_ns", value))
    assert "found a number that is not finite, expected a finite one" in {problem.message for problem in problems}


@pytest.mark.parametrize("version", [0, 1, 3, "2", 2.0, True, None, [2]])
def test_only_a_known_version_may_be_claimed(submission: dict[str, Any], version: Any) -> None:
    """Version 1 has no such key."""
    submission["schema_version"] = version
    (problem,) = find_problems(submission)
    assert (problem.code, problem.yaml_path) == ("E503", "schema_version")


def test_the_version_is_detected(submission: dict[str, Any]) -> None:
    """By the key `schema_version`."""
    assert schema_version(submission) == 2
    assert schema_version({"tinytorch_version": "0.1.0"}) == 1


def test_version_1_needs_an_optimized_model_for_improvements(submission: dict[str, Any]) -> None:
    """Improvements over nothing mean nothing."""
    del submission["schema_version"], submission["optimized"]
    assert [problem.yaml_path for problem in find_problems(submission)] == ["optimized"]


def test_a_hostile_file_cannot_fill_the_screen(submission: dict[str, Any]) -> None:
    """At most a hundred problems are listed, each with a short text."""
    submission["warnings"] = [{"x": "y" * 10_000}] * 5000
    problems = find_problems(submission)
    assert len(problems) == 100
    assert max(len(problem.message) for problem in problems) < 200


def test_a_file_is_validated_from_its_bytes(submission: dict[str, Any], tmp_path: Path) -> None:
    """The document comes back; what is wrong is reported under the file's name."""
    path = tmp_path / "s.json"
    path.write_text(dump_submission(submission), encoding="utf-8")
    assert validate_file(path) == submission
    path.write_text(json.dumps({**submission, "timestamp": 3}))
    with pytest.raises(SubmissionInvalid, match="timestamp: found 3, expected a string") as caught:
        validate_file(path)
    assert caught.value.problems[0].path == str(path)


GAPS = [
    ("benchmark.comparisons[0].arms.baseline.percentile_reasons", {}, "arms.baseline.percentiles.p99"),
    ("benchmark.comparisons[0].arms.optimized.percentile_reasons.p50", "why?", "percentile_reasons.p50"),
    ("benchmark.comparisons[0].arms.optimized.percentile_intervals.p90", None, "optimized.percentile_intervals.p90"),
    ("benchmark.comparisons[0].arms.optimized.quantities.frequency_hz", None, "optimized.quantities.frequency_hz"),
    ("benchmark.comparisons[0].arms.optimized.quantity_reasons.frequency_hz", "why?", "quantity_reasons.frequency_hz"),
    ("benchmark.comparisons[0].arms.optimized.peak_rss_bytes", None, "arms.optimized.peak_rss_bytes"),
    ("benchmark.comparisons[0].arms.optimized.peak_rss_reason", "why?", "arms.optimized.peak_rss_reason"),
    ("benchmark.comparisons[0].scenario", "server", "benchmark.comparisons[0].server"),
    ("comparisons.speed.adjusted_p_value", None, "comparisons.speed.adjusted_p_value"),
    ("comparisons.speed.adjusted_p_value_reason", "why?", "comparisons.speed.adjusted_p_value_reason"),
    ("selection.points[1].adjusted_p_value", None, "selection.points[1].adjusted_p_value"),
    ("machine.cpu", None, "machine.cpu"),
    ("machine.missing", {}, "machine."),
    ("profile.machine.cpu", None, "profile.machine.cpu"),
    ("selection.chosen", 99, "selection.chosen"),
    ("selection.tried", 99, "selection.tried"),
    ("selection.points[1].index", 0, "selection.points[1].index"),
]


@pytest.mark.parametrize(("path", "value", "place"), GAPS, ids=[gap[0] for gap in GAPS])
def test_no_figure_is_missing_without_its_reason(submission: dict[str, Any], path: str, value: Any, place: str) -> None:
    """What the schema alone lets pass: a null without a word, a reason without a null, a choice of nothing."""
    problems = find_problems(put(submission, path, value))
    assert problems
    assert all(place in problem.yaml_path for problem in problems)


def test_problems_are_in_the_order_of_paths(submission: dict[str, Any]) -> None:
    """Point 2 comes before point 10."""
    submission["selection"]["points"] = [{**submission["selection"]["points"][0], "seed": "x"} for _ in range(12)]
    places = [problem.yaml_path for problem in find_problems(submission)]
    assert places == [f"selection.points[{i}].seed" for i in range(12)]


def test_a_list_that_is_too_long_is_one_problem(submission: dict[str, Any]) -> None:
    """Its items are not looked at: a file of 16 MiB would keep the processor busy for minutes."""
    submission["selection"]["points"] = [{}] * 100_000
    (problem,) = find_problems(submission)
    assert problem.message == "found a list of 100000 items, expected at most 5000 items"


def test_many_unknown_keys_are_listed_up_to_the_limit(submission: dict[str, Any]) -> None:
    """Without looking for the nearest valid key of each."""
    submission |= {f"key{i}": i for i in range(200_000)}
    assert len(find_problems(submission)) == 100


def test_a_key_without_end_is_cut(submission: dict[str, Any]) -> None:
    """In the path, which is printed."""
    submission["k" * 1_000_000] = 1
    (problem,) = find_problems(submission)
    assert len(problem.yaml_path) < 200


def test_validating_needs_neither_numpy_nor_scipy() -> None:
    """A submission is checked in a fraction of a second, on machines that could not make one."""
    sample = Path(__file__).parents[1] / "report" / "submission.json"
    code = (
        "import sys; from pipeline.cli.main import main; main(['validate', sys.argv[1]]);"
        "print([name for name in ('numpy', 'scipy', 'rich', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(sample)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{sample}: valid submission, version 2", "[]"]
