"""Every scenario through the whole pipeline: run, validate, and what the terminal says."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project

SMOKE = "experiments/smoke.yaml"
QUICK = "{processes: 2, target_ci: 0.5, budget_s: 4, wait_s: 0, "
PLAIN = "outputs: {report: [md]}\n"


def benchmarked(project: Project, section: str) -> tuple[dict[str, Any], str]:
    """Run the smoke experiment with another benchmark section; return its submission and the printed words."""
    path = project.folder / SMOKE
    path.write_text(path.read_text().partition("benchmark:")[0] + f"benchmark: {QUICK}{section}}}\n{PLAIN}")
    shown = project.run("run", SMOKE, expect=(0, 5)).stdout  # on a busy machine it is noisy; nothing here is about that
    project.run("validate", "runs/smoke/submission.json")
    submission: dict[str, Any] = json.loads((project.folder / "runs/smoke/submission.json").read_text())
    return submission, " ".join(shown.split())


def figures(submission: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return batch size, threads and samples of a query of every comparison."""
    comparisons = submission["benchmark"]["comparisons"]
    return [(one["batch_size"], one["threads"], one["samples_per_query"]) for one in comparisons]


def test_single_stream_with_several_batch_sizes(project: Project) -> None:
    """A query is a call; every batch size is a row of a table of p90."""
    submission, shown = benchmarked(project, "batch_sizes: [1, 4]")
    assert figures(submission) == [(1, 1, 1), (4, 1, 4)]
    assert "single_stream (one query after the other), judged by p90" in shown
    assert "p90, baseline" in shown
    for arm in submission["benchmark"]["comparisons"][1]["arms"].values():
        assert arm["throughput_per_s"] == pytest.approx(4e9 / arm["mean_ns"])


def test_multi_stream_counts_queries_of_eight(project: Project) -> None:
    """Eight samples are worked off in calls of the batch size; the course's fields are of one call."""
    submission, shown = benchmarked(project, "scenario: multi_stream, batch_sizes: [1, 32]")
    assert figures(submission) == [(1, 1, 8), (32, 1, 8)]
    arm = submission["benchmark"]["comparisons"][0]["arms"]["baseline"]
    metrics = submission["baseline"]["metrics"]
    assert metrics["latency_ms_mean"] == pytest.approx(arm["mean_ns"] / 8 / 1e6)
    assert metrics["throughput_samples_per_sec"] == pytest.approx(arm["throughput_per_s"])
    assert arm["throughput_per_s"] == pytest.approx(8e9 / arm["mean_ns"])
    assert "latency of 8, median" in shown
    assert "judged by p99" in shown
    assert any("calls are of 8, not 32" in text for text in submission["warnings"])


def test_offline_asks_for_throughput(project: Project) -> None:
    """A query is a pass over a number of samples that the record names, and percentiles are null with the reason.

    Every batch size is measured with every number of threads.
    """
    threads = list(range(1, 1 + min(2, len(os.sched_getaffinity(0)))))
    submission, shown = benchmarked(project, f"scenario: offline, batch_sizes: [4], threads: {threads}")
    assert [found[:2] for found in figures(submission)] == [(4, count) for count in threads]
    assert all(samples % 4 == 0 and samples > 16 for _, _, samples in figures(submission))
    arm = submission["benchmark"]["comparisons"][0]["arms"]["optimized"]
    assert set(arm["percentiles"].values()) == {None}
    assert set(arm["percentile_reasons"].values()) == {
        "offline: all samples are there at once, so that no query has a latency of its own"
    }
    low, high = arm["throughput_interval_per_s"]
    assert low <= arm["throughput_per_s"] <= high
    assert "judged by throughput" in shown
    assert "– latency, percentiles: offline" in shown
    assert len(threads) == 1 or "throughput, baseline" in shown


def test_a_server_is_searched_for_its_rate(project: Project) -> None:
    """Rates or the reason why there are none, and a speed-up that says what it is of."""
    submission, shown = benchmarked(project, "scenario: server, latency_limit_ms: 20, batch_sizes: [4]")
    (comparison,) = submission["benchmark"]["comparisons"]
    server = comparison["server"]
    assert (server["latency_limit_ns"], server["rate_per_s"], server["percentile"]) == (20e6, None, 0.99)
    for arm in server["arms"].values():
        assert (arm["rate_per_s"] is None) == (arm["rate_per_s_reason"] is not None)
        assert len(arm["per_process"]) == comparison["processes"]
        if arm["rate_per_s"] is not None:
            assert 0 < arm["rate_per_s"] <= max(rate for rate in arm["per_process"] if rate is not None)
            assert arm["queries"] >= 662
            assert arm["limit_status"] == "met"
    if all(None not in arm["per_process"] for arm in server["arms"].values()):
        assert comparison["speedup"]["method"].startswith("ratio of highest rates")
    assert "judged by the highest rate with a p99 latency of at most 20.0 ms" in shown
    assert "rate, p99 within 20.0 ms" in shown


def test_a_server_runs_at_a_given_rate(project: Project) -> None:
    """Both models meet the same arrivals; the speed-up is that of median latencies."""
    submission, shown = benchmarked(project, "scenario: server, latency_limit_ms: 50, rate_per_s: 500")
    (comparison,) = submission["benchmark"]["comparisons"]
    server = comparison["server"]
    assert server["rate_per_s"] == 500
    assert {arm["rate_per_s"] for arm in server["arms"].values()} == {500}
    assert len({arm["queries"] for arm in server["arms"].values()}) == 1
    assert comparison["speedup"]["method"].startswith("ratio of median latencies at the given rate")
    assert "judged by the latency at 500/s, of which 99 % should be at most 50.0 ms" in shown


TEXTS = """\
version: 1
name: texts
data: {name: text, path: a.txt, args: {tokenizer: char, context: 24}}
model: {arch: gpt, args: {layers: 1, embed_dim: 16, heads: 2}, train: {epochs: 1, batch_size: 64}}
optimize: [{quantize: {bits: 8}}]
benchmark: {scenario: generate, prompt_tokens: 6, new_tokens: 12, processes: 2, target_ci: 0.5, budget_s: 2, wait_s: 0}
goals: [{metric: tokens_per_second, at_least: 1}, {metric: ttft_ms, at_most: 100000}]
"""


def test_texts_are_continued(project: Project, tmp_path: Path) -> None:
    """Every kind of cache is timed and held against the uncached baseline, in the report, too; forgeries are found."""
    text = "".join(f"line {i % 37} says that {i % 11} is a number\n" for i in range(300))
    (project.folder / "a.txt").write_text(text, encoding="utf-8")
    (project.folder / "experiments/texts.yaml").write_text(TEXTS + PLAIN)
    shown = " ".join(project.run("run", "experiments/texts.yaml", expect=(0, 5)).stdout.split())
    for words in ("judged by tokens per second", "time to first token", "Texts continued by 12 tokens"):
        assert words in shown
    folder = project.folder / "runs/texts"
    assert "recomputed submission" in project.run("validate", str(folder / "submission.json")).stdout
    submission = json.loads((folder / "submission.json").read_text())
    (comparison,) = submission["benchmark"]["comparisons"]
    assert len(comparison["generate"]["variants"]) == 6
    assert comparison["generate"]["variants"]["baseline-float32"]["parity"]["is_same"]
    verified = project.json(
        "verify", "texts", "--root", "text=a.txt", expect=(0, 4, 5)
    )  # whether times agree is not asked for on a busy machine
    found = {(check["id"], check["what"].partition(",")[0]): check["outcome"] for check in verified["checks"]}
    assert found["V036", "tokens"] == "same"
    assert ("V050", "first token") in found
    shutil.copy(folder / "evidence.safetensors", tmp_path)
    comparison["generate"]["variants"]["optimized-int8"]["tokens_per_s"] *= 2
    comparison["generate"]["variants"]["optimized-int8"]["parity"]["equal_tokens"] = 1
    (tmp_path / "submission.json").write_text(json.dumps(submission))
    said = project.run("validate", str(tmp_path / "submission.json"), expect=4)
    assert "R029" in said.stdout + said.stderr
    assert "optimized-int8.tokens_per_s" in said.stdout + said.stderr
