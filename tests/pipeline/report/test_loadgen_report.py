"""LoadGen's figures in the reports: its own word, and every reason, beside our verdict."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.report import html, markdown, terminal
from pipeline.report.loadgen import HEADER, loadgen
from pipeline.submission.validate import find_problems

HOSTILE = "<b>x</b>|**y**\x1b[31m"
LAYOUTS = {"terminal": terminal.render, "markdown": markdown.render, "html": html.render}


def run(validity: str = "VALID", **changes: Any) -> dict[str, Any]:
    return {
        "validity": validity,
        "reasons": [] if validity == "VALID" else ["not met: early stopping"],
        "queries": 1234,
        "metric": 250_000,
        "samples_per_s": 4321.0,
        "latency_ns": {"mean": 200_000, "p90": 240_000, "p99.90": 300_000},
        "constraints": {"min_duration": True, "min_queries": True, "early_stopping": validity == "VALID"},
        "early_stopping": "Processed at least 64 queries (1234).",
        "errors": [],
        "warnings": [],
        **changes,
    }


def arm(*runs: dict[str, Any]) -> dict[str, Any]:
    valid = [r["metric"] for r in runs if r["validity"] == "VALID" and not r["errors"]]
    return {
        "runs": list(runs),
        "valid": len(valid),
        "metric": valid[0] if valid else None,
        "range": [min(valid), max(valid)] if valid else None,
    }


def record(baseline: dict[str, Any], optimized: dict[str, Any]) -> dict[str, Any]:
    both = baseline["metric"] is not None and optimized["metric"] is not None
    return {
        "measured_at": "2026-11-22T00:00:00Z",
        "scenario": "SingleStream",
        "batch_size": 1,
        "threads": 1,
        "query_ns": {"baseline": 230_000.0, "optimized": 150_000.0},
        "settings": {
            "min_duration_ms": 2500,
            "max_duration_ms": 10_000,
            "min_query_count": 64,
            "samples_per_query": 1,
            "target_qps": None,
            "target_latency_ns": None,
        },
        "result": {
            "version": "6.0.17 @ 0123456789",
            "unit": "ns",
            "order": ["baseline", "optimized"] * len(baseline["runs"]),
            "arms": {"baseline": baseline, "optimized": optimized},
            "speedup": 1.5 if both else None,
            "speedup_reason": None if both else "a model has no valid run",
        },
        "reason": None,
    }


REFUSED = {**record(arm(run()), arm(run())), "settings": None, "result": None, "reason": "a query takes 45 µs"}


@pytest.fixture
def report(submission: dict[str, Any]) -> Any:
    """Make the submission with these records; they are as its schema and rules ask."""

    def made(*records: dict[str, Any]) -> dict[str, Any]:
        document = {**submission, "loadgen": copy.deepcopy(list(records))}
        assert find_problems(document) == []
        return document

    return made


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_loadgen_there_is_no_section(submission: dict[str, Any], layout: str) -> None:
    """A report of a run that did not ask for LoadGen does not mention it."""
    assert "LoadGen" not in LAYOUTS[layout](submission)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_invalid_run_and_its_reason_are_shown(report: Any, layout: str) -> None:
    """INVALID stands in every layout with LoadGen's reason, and no ratio is made of it."""
    text = LAYOUTS[layout](report(record(arm(run()), arm(run("INVALID"), run("INVALID")))))
    assert "INVALID (2 runs)" in text
    assert "optimized: not met: early stopping" in text
    assert "a model has no valid run" in text


def test_errors_of_a_valid_run_are_shown(report: Any) -> None:
    """LoadGen's errors and warnings stand beside its VALID, each once."""
    troubled = run(errors=["error_runtime: e"], warnings=["warning_generic_message: w"])
    shown = loadgen(report(record(arm(run()), arm(troubled, troubled))))
    assert [row.says for row in shown.rows] == ["VALID (1 run)", "VALID (2 runs, 2 with errors)"]
    assert [row.tone for row in shown.rows] == ["good", "bad"]
    assert shown.notes.count("optimized: error_runtime: e") == 1
    assert "optimized: warning_generic_message: w" in shown.notes


def test_valid_and_invalid_runs_are_counted(report: Any) -> None:
    """Of several runs, each kind is counted, and the figures are those of the valid ones."""
    row = loadgen(report(record(arm(run(), run("INVALID")), arm(run())))).rows[0]
    assert row.says == "1 VALID, 1 INVALID (2 runs)"
    assert row.texts == ("SingleStream", "1", "1", "baseline", "p90 250 µs", "4,321/s", "2,468")
    assert len(row.texts) + 1 == len(HEADER)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_refusal_says_why(report: Any, layout: str) -> None:
    """A condition without a result has its reason in every layout."""
    text = LAYOUTS[layout](report(REFUSED))
    assert "no result" in text
    assert "a query takes 45 µs" in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hostile_lines_are_harmless(report: Any, layout: str) -> None:
    """What a log says is shown as text, whatever it holds."""
    text = LAYOUTS[layout](report(record(arm(run(warnings=[HOSTILE])), arm(run()))))
    assert "\x1b[31m" not in text
    assert "<b>x</b>" not in text or layout == "terminal"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda r: r.update(result=None), "result"),
        (lambda r: r.update(reason="because"), "reason"),
        (lambda r: r["result"].update(speedup=None), "speedup"),
        (lambda r: r["result"]["arms"]["baseline"]["runs"][0].update(validity="INVALID"), "reasons"),
    ],
)
def test_gaps_without_reasons_are_refused(submission: dict[str, Any], change: Any, path: str) -> None:
    """What a schema cannot say: no null without its reason, no reason beside a figure, no INVALID without why."""
    broken = copy.deepcopy(record(arm(run()), arm(run())))
    change(broken)
    problems = find_problems({**submission, "loadgen": [broken]})
    assert any(path in problem.yaml_path for problem in problems)
