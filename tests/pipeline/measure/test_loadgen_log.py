"""LoadGen's logs as they are read back: recorded ones (written by LoadGen for our worker), and damaged ones."""

import json
from pathlib import Path

import pytest

from pipeline.measure.loadgen_log import DETAIL, MARKER, SUMMARY, Logs, LogUnreadable, parse_run, read_logs

RECORDED = Path(__file__).parent / "loadgen"


def logs(name):
    return read_logs(RECORDED / name)


def with_entry(detail, key, value):
    """The detail log with another value for a key."""
    lines = detail.splitlines()
    for i, line in enumerate(lines):
        if f'"key": "{key}"' in line:
            entry = json.loads(line.removeprefix(MARKER))
            lines[i] = f"{MARKER} {json.dumps({**entry, 'value': value})}"
    return "\n".join(lines)


def test_a_valid_run():
    """A valid SingleStream run gives its early-stopped percentile, throughput and percentiles in ns."""
    run = parse_run(logs("valid"))
    assert (run.scenario, run.validity, run.reasons, run.errors) == ("SingleStream", "VALID", (), ())
    assert (run.queries, run.samples_per_query, run.unit) == (4307, 1, "ns")
    assert run.metric == 49393
    assert run.samples_per_s == 21526.4
    assert run.latency_ns["p90"] == 49133
    assert run.latency_ns["p99.90"] == 110525
    assert run.constraints == {"min_duration": True, "min_queries": True, "early_stopping": True}
    assert run.effective["min_query_count"] == 64
    assert run.early_stopping.startswith("Processed at least 64 queries (4307). Would discard 383")
    assert run.version.startswith("6.0.17")


def test_warnings_are_kept_word_for_word():
    """What LoadGen warned of stands in the result, even of a valid run."""
    (warning,) = parse_run(logs("valid")).warnings
    assert warning.startswith("warning_generic_message: Logging allocation detected")


def test_an_invalid_run_says_why():
    """Every condition that is not met, LoadGen's explanation and its error lines are the reasons."""
    run = parse_run(logs("invalid"))
    assert (run.scenario, run.validity, run.metric) == ("MultiStream", "INVALID", None)
    assert run.reasons[0] == "not met: min queries, not met: early stopping"
    assert "Need to process at least 662 queries for early stopping." in run.reasons[2]
    assert run.errors == run.reasons[3:]
    assert run.errors[0].startswith("error_runtime: IssueQueryThread 0 Ending early: Max test duration reached.")


def test_latencies_of_multi_stream_are_those_of_queries():
    """A query of MultiStream has 8 samples; its latency is that of the whole query."""
    run = parse_run(logs("invalid"))
    assert run.samples_per_query == 8
    assert run.samples_per_s == pytest.approx(8e9 / run.latency_ns["mean"])


def test_an_overloaded_server_misses_its_latency():
    """A Server run over its limit is invalid, and says that latency and early stopping are not met."""
    run = parse_run(logs("server"))
    assert run.constraints["latency"] is False
    assert run.reasons[0] == "not met: early stopping, not met: latency"
    assert run.metric == run.samples_per_s == 380.766


def test_logs_that_disagree_are_refused():
    """A summary that says VALID over a detail log that does not is nobody's log."""
    valid, invalid = logs("valid"), logs("invalid")
    with pytest.raises(LogUnreadable, match=r"mlperf_log_summary\.txt says"):
        parse_run(Logs(valid.summary, invalid.detail))
    forged = with_entry(invalid.detail, "result_validity", "VALID")
    with pytest.raises(LogUnreadable, match="'Result is': 'INVALID'"):
        parse_run(Logs(invalid.summary, forged))


def test_errors_cannot_be_taken_out():
    """The summary counts the errors, so a detail log without them is refused."""
    invalid = logs("invalid")
    detail = invalid.detail.replace('"is_error": true', '"is_error": false')
    with pytest.raises(LogUnreadable, match=r"counts 1 errors, mlperf_log_detail\.txt has 0"):
        parse_run(Logs(invalid.summary, detail))


@pytest.mark.parametrize(
    ("detail", "problem"),
    [
        ("", "has no line"),
        ("something else", "has no line"),
        (f"{MARKER} {{", "line 1: is not JSON"),
        (f"{MARKER} " + "[" * 100_000, "line 1: is not JSON"),
        (f"{MARKER} []", "has no key"),
        (f'{MARKER} {{"key": 1, "value": 2, "metadata": {{}}}}', "has no key"),
        (f'{MARKER} {{"key": "a", "metadata": {{}}}}', "has no key"),
        (f'{MARKER} {{"key": "a", "value": 1, "metadata": {{}}}}', "effective_scenario is missing"),
        ("\n" * 100_001, "more than 100,000 lines"),
    ],
)
def test_what_is_no_log_is_refused(detail, problem):
    """Whatever the file holds, the answer is an error of ours that names it."""
    with pytest.raises(LogUnreadable, match=problem):
        parse_run(Logs(logs("valid").summary, detail))


@pytest.mark.parametrize(("key", "value"), [("result_query_count", "many"), ("early_stopping_met", 1)])
def test_values_of_another_kind_are_refused(key, value):
    """A number is a number and a truth a truth."""
    valid = logs("valid")
    with pytest.raises(LogUnreadable, match=key):
        parse_run(Logs(valid.summary, with_entry(valid.detail, key, value)))


def test_rates_over_no_time_are_missing():
    """C++ prints inf where a rate has no time; it is no number, and no reason to refuse the log."""
    valid = logs("valid")
    detail = valid.detail.replace('"value": 21526.4,', '"value": inf,')
    assert parse_run(Logs(valid.summary, detail)).samples_per_s is None


def test_missing_and_huge_logs_are_refused(tmp_path):
    """A folder without logs, and a log larger than any run writes, are errors that name the file."""
    with pytest.raises(LogUnreadable, match=SUMMARY):
        read_logs(tmp_path)
    (tmp_path / SUMMARY).write_text("")
    with open(tmp_path / DETAIL, "wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(LogUnreadable, match="larger than 64 MiB"):
        read_logs(tmp_path)
