"""Early stopping against MLPerf's LoadGen at work: the same latencies, the same number discarded, the same estimate."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.stats.percentile import early_stopping_estimate, minimum_passing, percentile

pytest.importorskip("mlperf_loadgen")

# SingleStream over so many queries of 1 to 20 µs; LoadGen's trace holds the latency of each.
RUN = """
import sys, time, random
import mlperf_loadgen as lg
folder, count = sys.argv[1], int(sys.argv[2])
wait = random.Random(count)

def issue(queries):
    for query in queries:
        end = time.perf_counter_ns() + wait.randrange(1_000, 20_000)
        while time.perf_counter_ns() < end:
            pass
        lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

settings = lg.TestSettings()
settings.scenario, settings.mode = lg.TestScenario.SingleStream, lg.TestMode.PerformanceOnly
settings.min_duration_ms, settings.min_query_count, settings.max_query_count = 0, count, count
outputs, logs = lg.LogOutputSettings(), lg.LogSettings()
outputs.outdir, outputs.copy_summary_to_stdout = folder, False
logs.log_output, logs.enable_trace = outputs, True
sut, qsl = lg.ConstructSUT(issue, lambda: None), lg.ConstructQSL(16, 16, lambda x: None, lambda x: None)
lg.StartTestWithLogSettings(sut, qsl, settings, logs)
lg.DestroyQSL(qsl)
lg.DestroySUT(sut)
"""


def run(folder: Path, count: int) -> tuple[str, np.ndarray]:
    """Return LoadGen's summary and the latencies in ns that it recorded."""
    subprocess.run([sys.executable, "-c", RUN, str(folder), str(count)], check=True, stdout=subprocess.DEVNULL)
    trace = (folder / "mlperf_log_trace.json").read_text()  # not always valid JSON
    found = re.findall(r'"issue_start_ns":(\d+),"complete_ns":(\d+)', trace)
    latencies = [int(end) - int(start) for start, end in found]
    return (folder / "mlperf_log_summary.txt").read_text(), np.array(latencies, dtype=np.float64)


@pytest.mark.parametrize("count", [64, 300, 3000])
def test_the_estimate_is_loadgens(tmp_path, count):
    """LoadGen's summary names the least queries, how many it discards and the estimate: ours are the same."""
    summary, latencies = run(tmp_path, count)
    assert len(latencies) == count
    discarded = int(re.search(r"Would discard (\d+) highest", summary)[1])
    assert discarded + 1 == max(t for t in range(1, count) if minimum_passing(t, 0.9) + t <= count)
    assert f"Processed at least {minimum_passing(1, 0.9) + 1} queries ({count})" in summary
    for name, p in (("90.0", 0.9), ("99.0", 0.99)):
        estimate = re.search(rf"Early stopping {name}th percentile estimate: (\d+)", summary)
        ours = early_stopping_estimate(latencies, p).value
        assert ours == (None if estimate is None else float(estimate[1]))


def test_percentiles_are_loadgens_or_one_sample_below(tmp_path):
    """LoadGen takes the sample after the share p, we the one that reaches it (nearest rank): neighbours when sorted."""
    summary, latencies = run(tmp_path, 2000)
    ordered = np.sort(latencies)
    for name, p in (("50.00", 0.5), ("90.00", 0.9), ("99.00", 0.99)):
        theirs = float(re.search(rf"^{name} percentile latency \(ns\)\s*: (\d+)", summary, re.MULTILINE)[1])
        assert theirs == ordered[int(2000 * p)]
        assert percentile(latencies, p).value == ordered[int(2000 * p) - 1]
