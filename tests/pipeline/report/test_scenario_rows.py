"""What reports show of each scenario: its name, the figure it asks for, and dashes with reasons."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.report.headline import headline, scenario_text
from pipeline.report.html import render as html
from pipeline.report.markdown import render as markdown
from pipeline.report.terminal import render as terminal
from pipeline.report.view import make_view
from pipeline.submission.validate import find_problems

OFFLINE = "offline: all samples are there at once, so that no query has a latency of its own"


def changed(submission: dict[str, Any], scenario: str, samples: int, **more: Any) -> dict[str, Any]:
    """Return the submission as that of another scenario."""
    document = copy.deepcopy(submission)
    comparison = document["benchmark"]["comparisons"][0]
    for record in (comparison, document["comparisons"]["speed"]):
        record.update(scenario=scenario, samples_per_query=samples)
    comparison.update(more)
    return document


def arm(rate: float | None, **more: Any) -> dict[str, Any]:
    """Return one arm of a server."""
    return {
        "rate_per_s": rate,
        "interval": None if rate is None else [0.99 * rate, 1.01 * rate],
        "per_process": [rate] * 3,
        "rate_per_s_reason": None if rate else "in 3 of 3 processes there is no rate",
        "p99_ns": 4.5e6 if rate else None,
        "p99_ns_reason": None if rate else "needs 662 samples, has 0",
        "queries": 3000 if rate else 0,
        "over_limit": 12 if rate else 0,
        "limit_status": "met" if rate else "inconclusive",
        "achieved_per_s": rate,
        "most_per_s": 20000.0,
        "trials": 27,
        **more,
    }


def server(baseline: float | None, optimized: float | None, given: float | None = None) -> dict[str, Any]:
    """Return a server's record."""
    arms = {"baseline": arm(baseline), "optimized": arm(optimized), "control": arm(baseline)}
    return {
        "latency_limit_ns": 5e6,
        "rate_per_s": given,
        "percentile": 0.99,
        "confidence": 0.99,
        "queries_per_trial": [1000, 1000, 1000],
        "arms": arms,
    }


def rows(submission: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Return the figures by the name of their row, of a valid submission."""
    assert find_problems(submission) == []
    return {row.name: (row.baseline.text, row.optimized.text, row.change.text) for row in make_view(submission).figures}


def test_single_stream_is_judged_by_p90(submission: dict[str, Any]) -> None:
    """The scenario is named on top of every report."""
    text = "single_stream (one query after the other), judged by p90"
    assert make_view(submission).scenario == text
    assert text in terminal(submission)
    assert text.replace("_", "\\_") in markdown(submission)
    pytest.importorskip("jinja2")
    assert text in html(submission)


def test_multi_stream_is_of_eight_samples(submission: dict[str, Any]) -> None:
    """Rows say that a latency is of 8 samples, and a percentile that is missing has its note."""
    document = changed(submission, "multi_stream", 8)
    found = rows(document)
    assert found["latency of 8, median"] == ("61.0 µs", "31.8 µs", "1.92x")
    assert found["latency of 8, p99"][:2] == ("–", "–")
    assert "– latency of 8, p99: needs 662 samples, has 500" in terminal(document)
    assert headline(document["benchmark"]["comparisons"][0]).reason == "needs 662 samples, has 500"


def test_offline_shows_throughput_with_its_interval_and_one_dash(submission: dict[str, Any]) -> None:
    """The speed-up stands beside the throughput; percentiles are one row with one reason."""
    document = changed(submission, "offline", 256)
    for one in document["benchmark"]["comparisons"][0]["arms"].values():
        one["percentiles"] = dict.fromkeys(one["percentiles"])
        one["percentile_reasons"] = dict.fromkeys(one["percentiles"], OFFLINE)
        one["percentile_intervals"] = {}
        one["percentile_interval_reasons"] = {}
    found = rows(document)
    assert found["throughput"] == ("16,393/s", "31,475/s", "1.92x")
    assert found["pass of 256, median"] == ("61.0 µs", "31.8 µs", "")
    assert found["latency, percentiles"] == ("–", "–", "")
    assert terminal(document).count("– latency") == 1
    asked = headline(document["benchmark"]["comparisons"][0])
    assert (asked.name, asked.baseline) == ("throughput", "16,393/s [16,311, 16,475]")
    assert scenario_text(document["benchmark"]["comparisons"][0]).endswith(
        "in passes of 256 samples), judged by throughput"
    )


def test_a_server_shows_the_highest_rates(submission: dict[str, Any]) -> None:
    """The speed-up stands beside the rates; latencies at different rates are not compared."""
    document = changed(submission, "server", 1, server=server(1000.0, 1920.0))
    document["comparisons"]["speed"]["speedup"]["method"] = "ratio of highest rates by process, …"
    found = rows(document)
    assert found["rate, p99 within 5.00 ms"] == ("1,000/s", "1,920/s", "1.92x")
    assert found["99 % within 5.00 ms"][0] == "met, 12 of 3,000 over"
    assert found["call, median"] == ("61.0 µs", "31.8 µs", "")
    assert found["latency, p90"][2] == ""
    assert "ratio of highest rates" in make_view(document).verdicts[0].text


def test_a_server_at_a_given_rate_shows_whether_the_limit_is_kept(submission: dict[str, Any]) -> None:
    """Latencies at the same rate are compared, the speed-up is that of medians."""
    document = changed(submission, "server", 1, server=server(500.0, 500.0, given=500.0))
    found = rows(document)
    assert found["answered of 500/s"][:2] == ("500/s", "500/s")
    assert found["latency, p50"][2] == "1.92x"
    asked = headline(document["benchmark"]["comparisons"][0])
    assert (asked.name, asked.baseline) == ("p99", "4.50 ms")


def test_a_server_without_a_rate_says_why(submission: dict[str, Any]) -> None:
    """A dash with the reason below the table, and the speed-up where it belongs: beside the calls."""
    document = changed(submission, "server", 1, server=server(None, 1920.0))
    found = rows(document)
    assert found["rate, p99 within 5.00 ms"] == ("–", "1,920/s", "")
    assert found["call, median"][2] == "1.92x"
    assert found["99 % within 5.00 ms"][0] == "–"
    assert "– rate, p99 within 5.00 ms, baseline: in 3 of 3 processes there is no rate" in terminal(document, width=120)
    assert "because there are no rates of both models" in make_view(document).verdicts[0].text


def test_every_condition_shows_what_the_scenario_asks_for(submission: dict[str, Any]) -> None:
    """A table of p90 by batch size and threads, with the reason of a dash below it, in every report."""
    comparisons = submission["benchmark"]["comparisons"]
    other = copy.deepcopy(comparisons[0]) | {"batch_size": 32, "samples_per_query": 32}
    for one in other["arms"].values():
        one["percentiles"]["p90"] = None
        one["percentile_reasons"]["p90"] = "needs 64 samples, has 40"
        one["percentile_intervals"].pop("p90", None)
        one["percentile_interval_reasons"].pop("p90", None)
    comparisons.append(other)
    assert find_problems(submission) == []
    first, second = make_view(submission).conditions
    assert first.baseline.startswith("67.1 µs")
    assert (second.baseline, second.note) == ("–", "– batch size 32, threads 1: needs 64 samples, has 40")
    pytest.importorskip("jinja2")
    for text in (terminal(submission), markdown(submission), html(submission)):
        assert "p90, baseline" in text
        assert "needs 64 samples, has 40" in text
