"""The same networks elsewhere, in sentences and tables."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report import html, markdown, terminal
from pipeline.report.peers import HEADER, peers
from pipeline.submission.validate import find_problems

HOSTILE = "<b>x</b>|**y**\x1b[31m"
SPEEDS = {"faster": 2.5, "slower": 0.4, "equivalent": 1.001, "inconclusive": 1.03, "noisy": 0.9}


def ratio(estimate: float) -> dict[str, Any]:
    return {
        "estimate": estimate,
        "interval": [estimate * 0.99, estimate * 1.01],
        "confidence": 0.95,
        "method": "made up",
        "per_process": [estimate, estimate],
    }


def outputs(is_same: bool) -> dict[str, Any]:
    return {
        "samples": 256,
        "max_abs_difference": 0.1 if is_same else None,
        "largest_output": 10.0,
        "top1_agreement": 0.99,
        "allowed_difference": 0.1,
        "least_agreement": 0.95,
        "same": is_same,
    }


def comparison(peer: str, network: str, against: str, verdict: str | None, reason: str | None = None) -> dict[str, Any]:
    return {
        "peer": peer,
        "version": "1.2.3",
        "network": network,
        "precision": "int8" if network == "optimized" else "fp32",
        "file_bytes": 2048,
        "outputs": outputs(verdict is not None),
        "reason": reason,
        "against": against,
        "ratio": ratio(SPEEDS[verdict]) if verdict else None,
        "verdict": verdict,
        "adjusted_p_value": 0.001 if verdict in ("faster", "slower") else None,
    }


def record(machine: Any, comparisons: list[dict[str, Any]]) -> dict[str, Any]:
    arm = {"runtime": "any", "n": 100, "median_ns": 12_345.0, "interval_ns": [12_000.0, 13_000.0]}
    names = {c["peer"] if c["network"] == "optimized" else f"{c['peer']} baseline" for c in comparisons if c["ratio"]}
    return {
        "protocol": "paired-clean/1",
        "measured_at": "2026-11-22T00:00:00Z",
        "machine": machine,
        "calibration_samples": 256,
        "batch_size": 1,
        "threads": 1,
        "processes": 4,
        "copies": 3,
        "loops": 20,
        "threshold": 0.02,
        "runtimes": {c["peer"]: {"packages": {c["peer"]: "1.2.3"}, "called": "call(x)"} for c in comparisons},
        "arms": dict.fromkeys(("optimized", "control", "baseline", *names), arm),
        "control": ratio(1.0),
        "noisy": False,
        "comparisons": comparisons,
        "warnings": ["something with numbers"],
        "samples": "0" * 64,
    }


@pytest.fixture
def with_peers(submission: dict[str, Any]) -> dict[str, Any]:
    """A valid submission with one peer for each verdict, one that is not timed, and a baseline."""
    found = [comparison(f"peer_{word}", "optimized", "optimized", word) for word in SPEEDS]
    found += [
        comparison("peer_other", "optimized", "optimized", None, "outputs differ: by a lot"),
        comparison("peer_slower", "baseline", "baseline", "slower"),
        comparison("peer_slower", "baseline", "optimized", "equivalent"),
    ]
    return {**submission, "peers": record(submission["machine"], found)}


def test_the_document_is_valid(with_peers: dict[str, Any]) -> None:
    """The schema knows every part of it."""
    assert find_problems(with_peers) == []


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("reason", {"reason": "although it was timed"}),
        ("verdict", {"verdict": None}),
        ("outputs", {"outputs": None}),
        ("outputs", {"outputs": outputs(False)}),
        ("ratio.interval", {"ratio": {**ratio(2.0), "interval": [0, 3]}}),
        ("ratio.interval", {"ratio": {**ratio(2.0), "interval": [3, 1]}}),
        ("reason", {"ratio": None, "verdict": None}),
    ],
)
def test_a_comparison_that_contradicts_itself_is_refused(
    with_peers: dict[str, Any], place: str, changes: dict[str, Any]
) -> None:
    """What was timed was checked, has a verdict and an interval; what was not has a reason."""
    with_peers["peers"]["comparisons"][0] |= changes
    assert [problem.yaml_path for problem in find_problems(with_peers)] == [f"peers.comparisons[0].{place}"]


def test_sentences_say_who_is_faster(with_peers: dict[str, Any]) -> None:
    """Ratios are turned so that they are above 1; what is not settled is not claimed."""
    assert peers(with_peers).sentences == (
        "peer_faster runs the optimized network 2.50x [2.48, 2.52] slower than tinytorch here",
        "peer_slower runs the optimized network 2.50x [2.48, 2.53] faster than tinytorch here",
        "peer_equivalent runs the optimized network as fast as tinytorch here: it takes 1.001x [0.991, 1.011] the time",
        "whether peer_inconclusive runs the optimized network faster than tinytorch is inconclusive here: "
        "it takes 1.030x [1.020, 1.040] the time",
        "whether peer_noisy runs the optimized network faster than tinytorch is noisy here: "
        "it takes 0.90x [0.89, 0.91] the time",
        "peer_other is not timed with the optimized network: outputs differ: by a lot",
        "peer_slower runs the baseline as fast as tinytorch runs the optimized network here: "
        "it takes 1.001x [0.991, 1.011] the time",
    )


def test_the_table_compares_the_same_network(with_peers: dict[str, Any]) -> None:
    """One row for each runtime and network; what is missing is a dash."""
    rows = peers(with_peers).rows
    assert len(rows) == 7
    assert len(rows[0].texts) + 1 == len(HEADER)
    assert (rows[0].runtime, rows[0].file, rows[0].call) == ("peer_faster 1.2.3", "2.00 KiB", "12.3 µs")
    assert (rows[5].call, rows[5].ratio, rows[5].verdict) == ("–", "–", "–")
    assert [row.tone for row in rows] == ["good", "bad", "", "warn", "warn", "", "bad"]


def test_a_submission_without_peers_says_nothing_of_them(submission: dict[str, Any]) -> None:
    """The part is left out of every layout."""
    assert peers(submission).rows == ()
    texts = (terminal.render(submission), markdown.render(submission), html.render(submission))
    assert not any("elsewhere" in text for text in texts)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_terminal_shows_all(with_peers: dict[str, Any], width: int) -> None:
    """Within the width, with the warnings of this measurement."""
    text = terminal.render(with_peers, width)
    assert "the same networks elsewhere" in text
    assert "something with numbers" in " ".join(text.split())
    shown = text[text.index("the same networks") : text.index("something with")].splitlines()
    assert max(map(len, shown)) <= width


def test_markdown_and_page_show_the_same(with_peers: dict[str, Any]) -> None:
    """Sentences and rows stand in both."""
    assert "- peer\\_slower runs the optimized network 2.50x" in markdown.render(with_peers)
    page = html.render(with_peers)
    assert "<li>peer_slower runs the optimized network 2.50x [2.48, 2.53] faster than tinytorch here</li>" in page
    assert page.count("<td>fp32</td>") == 1


def test_hostile_texts_are_escaped(with_peers: dict[str, Any]) -> None:
    """Names, versions, reasons and warnings are data."""
    comparisons = [{**c, "version": HOSTILE} for c in with_peers["peers"]["comparisons"]]
    comparisons[5]["reason"] = HOSTILE
    attacked = {**with_peers, "peers": {**with_peers["peers"], "comparisons": comparisons, "warnings": [HOSTILE]}}
    assert find_problems(attacked) == []
    assert "\x1b" not in terminal.render(attacked)
    assert "<b>" not in html.render(attacked)
    assert "**y**" not in markdown.render(attacked)
