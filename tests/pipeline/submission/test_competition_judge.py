"""Submissions held against a competition: decided at the bound of the interval, and alike by any other validator."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from pipeline.schemas import competition_names, read_schema, schema_names
from pipeline.submission.competition.judge import Finding, judge, overall
from pipeline.submission.competition.limits import place_of
from pipeline.submission.competition.terms import Competition, competition_from, find_competition

Document = dict[str, Any]


def put(document: Document, path: str, value: Any) -> Document:
    *above, last = place_of(path)
    node: Any = document
    for part in above:
        node = node[part]
    node[last] = value
    return document


@pytest.fixture
def entry(submission: Document) -> Document:
    """The sample submission, made an entry of tiny_digits: its data, baseline, steps and protocol."""
    competition = find_competition("tiny_digits")
    submission["experiment"]["document"] |= copy.deepcopy(dict(competition.baseline))
    data = copy.deepcopy(dict(competition.terms["data"]))
    submission["provenance"]["data"] |= data
    for point in submission["selection"]["points"]:
        point["point"] = {"bits": 8}
    return submission


def limited(path: str, limit: Document) -> Competition:
    """tiny_digits with one limit in place of its own."""
    for part in reversed(place_of(path)):
        limit = {"prefixItems": [{}] * part + [limit]} if isinstance(part, int) else {"properties": {part: limit}}
    schema = copy.deepcopy(dict(find_competition("tiny_digits").schema))
    return competition_from({**schema, "properties": limit["properties"]}, "x.json")


def finding(findings: list[Finding], path: str) -> Finding:
    return next(each for each in findings if each.path == path)


def test_an_entry_passes(entry: Document) -> None:
    """Every limit and term is decided, and none against it."""
    findings = judge(find_competition("tiny_digits"), entry, 100_000)
    assert [each for each in findings if each.status != "pass"] == []
    assert overall(findings) == "pass"


# the interval of the test accuracy is [share - 0.02, share + 0.01], that of a ratio 1 % each side
AT_THE_BOUND: list[tuple[str, float, float, str, float, str]] = [
    ("accuracy.optimized.test.accuracy", 0.97, 0.95, "minimum", 0.95, "pass"),
    ("accuracy.optimized.test.accuracy", 0.97, 0.95, "minimum", 0.96, "inconclusive"),
    ("accuracy.optimized.test.accuracy", 0.97, 0.95, "minimum", 0.99, "fail"),
    ("comparisons.speed.speedup.estimate", 1.5, 1.4, "minimum", 1.4, "pass"),
    ("comparisons.speed.speedup.estimate", 1.5, 1.4, "minimum", 1.45, "inconclusive"),
    ("comparisons.speed.speedup.estimate", 1.5, 1.4, "maximum", 1.3, "fail"),
    ("comparisons.accuracy.delta", 0.0, -0.01, "minimum", -0.01, "pass"),
    ("comparisons.accuracy.delta", 0.0, -0.01, "minimum", -0.005, "inconclusive"),
    ("benchmark.comparisons[0].arms.optimized.median_ns", 100.0, 90.0, "maximum", 110.0, "pass"),
    ("benchmark.comparisons[0].arms.optimized.median_ns", 100.0, 90.0, "maximum", 105.0, "inconclusive"),
]


@pytest.mark.parametrize(("path", "figure", "low", "rule", "bound", "status"), AT_THE_BOUND)
def test_a_limit_is_decided_at_the_bound_of_the_interval(
    entry: Document, path: str, figure: float, low: float, rule: str, bound: float, status: str
) -> None:
    """The whole interval keeps it, a part of it, or nothing."""
    parent, _, key = path.rpartition(".")
    interval = {"median_ns": "interval_ns"}.get(key, "interval")
    high = {"accuracy": 0.98}.get(key, 2 * figure - low)
    put(put(entry, path, figure), f"{parent}.{interval}", [low, high])
    found = finding(judge(limited(path, {rule: bound}), entry), path)
    assert (found.status, found.found, found.interval) == (status, figure, (low, high))


@pytest.mark.parametrize(("key", "scale"), [("latency_ms_median", 1e6), ("throughput_samples_per_sec", 1.0)])
def test_the_courses_figures_have_the_intervals_of_the_benchmark(entry: Document, key: str, scale: float) -> None:
    """A limit on a latency in milliseconds is decided by the interval in ns, of one call."""
    comparison = entry["benchmark"]["comparisons"][0]
    comparison |= {"batch_size": 1, "samples_per_query": 2 if scale > 1 else 1}
    arm = comparison["arms"]["optimized"]
    calls = comparison["samples_per_query"]
    arm |= {"interval_ns": [calls * 9e5, calls * 1.2e6], "throughput_interval_per_s": [0.9, 1.2]}
    entry["optimized"]["metrics"][key] = 1.0
    path = f"optimized.metrics.{key}"
    assert finding(judge(limited(path, {"maximum": 1.1}), entry), path).interval == pytest.approx((0.9, 1.2))


def test_a_figure_outside_its_own_interval_is_counted_to_it(entry: Document) -> None:
    """So that what passes here passes in any other validator."""
    path = "accuracy.optimized.test.accuracy"
    put(put(entry, path, 0.5), "accuracy.optimized.test.interval", [0.97, 0.99])
    assert finding(judge(limited(path, {"minimum": 0.9}), entry), path).status == "inconclusive"


def test_what_is_noisy_decides_nothing(entry: Document) -> None:
    """Speed is undecided, size is not."""
    entry["comparisons"]["speed"]["noisy"] = entry["measurement"]["noisy"] = True
    findings = judge(find_competition("tiny_digits"), entry)
    assert finding(findings, "comparisons.speed.speedup.estimate").status == "inconclusive"
    assert finding(findings, "comparisons.size.ratio").status == "pass"
    assert overall(findings) == "inconclusive"


def test_too_few_samples_fail_however_noisy_they_are(entry: Document) -> None:
    """A count is exact."""
    entry["comparisons"]["speed"] |= {"noisy": True, "pairs": 3}
    found = finding(judge(find_competition("tiny_digits"), entry), "comparisons.speed.pairs")
    assert (found.status, found.reason) == ("fail", "measure longer: a larger benchmark.budget_s")


@pytest.mark.parametrize(
    ("verdict", "status"), [("faster", "pass"), ("inconclusive", "inconclusive"), ("slower", "fail")]
)
def test_a_verdict_that_claims_nothing_is_no_failure(entry: Document, verdict: str, status: str) -> None:
    """All-around asks for faster; who cannot tell has not lost."""
    entry["comparisons"]["speed"]["verdict"] = verdict
    findings = judge(find_competition("all_around"), entry)
    assert finding(findings, "comparisons.speed.verdict").status == status


def test_a_percentile_without_an_interval_is_undecided(entry: Document) -> None:
    """Its limit may be kept by luck."""
    path = "benchmark.comparisons[0].arms.optimized.percentiles.p99"
    put(entry, path, 5.0)
    assert finding(judge(limited(path, {"maximum": 10}), entry), path).status == "inconclusive"


def test_a_missing_figure_fails(entry: Document) -> None:
    """Null keeps no limit here, although it keeps every one in JSON Schema."""
    path = "benchmark.comparisons[0].arms.optimized.percentiles.p99"
    assert finding(judge(limited(path, {"type": "number", "maximum": 10}), entry), path).status == "fail"


TERMS: list[tuple[str, Any, str]] = [
    ("provenance.data.digest", "0" * 64, "provenance.data.digest"),
    ("provenance.data.roles.test", "0" * 64, "provenance.data.roles.test"),
    ("provenance.seeds.submitted", 1, "provenance.seeds.submitted"),
    ("measurement.protocol", "fast/1", "measurement.protocol"),
    ("comparisons.speed.processes", 3, "comparisons.speed.processes"),
    ("comparisons.speed.pairs", 99, "comparisons.speed.pairs"),
    ("comparisons.speed.threads", 2, "comparisons.speed.threads"),
    ("comparisons.speed.scenario", "offline", "comparisons.speed.scenario"),
    ("effects[1].use", "distill", "effects[1].use"),
    ("experiment.document.model.train.epochs", 1, "experiment.document.model"),
    ("experiment.document.model.args", {"hidden": ["${width}"]}, "experiment.document.model"),
    ("experiment.document.data.name", "mnist", "experiment.document.data"),
    ("selection.points[0].point", {"model.args.hidden[0]": 8}, "experiment.document.sweep"),
]


@pytest.mark.parametrize(("path", "value", "where"), TERMS)
def test_a_term_that_is_not_kept_fails(entry: Document, path: str, value: Any, where: str) -> None:
    """Data, seed, protocol, samples, steps and the baseline are the competition's."""
    findings = judge(find_competition("tiny_digits"), put(entry, path, value))
    assert [each.path for each in findings if each.status != "pass"] == [where]
    assert overall(findings) == "fail"


def test_where_the_data_lie_does_not_matter(entry: Document) -> None:
    """Their digests say which they are."""
    entry["experiment"]["document"]["data"]["root"] = "/elsewhere"
    assert overall(judge(find_competition("tiny_digits"), entry)) == "pass"


@pytest.mark.parametrize(("moment", "status"), [("2026-01-31T11:59:59Z", "fail"), ("2026-01-31T12:00:00.5Z", "pass")])
def test_dates_are_decided_to_the_second(entry: Document, moment: str, status: str) -> None:
    """A bound is within."""
    schema = copy.deepcopy(dict(find_competition("tiny_digits").schema))
    schema["x-competition"]["dates"] = {"opens": "2026-01-31T12:00:00Z", "closes": "2026-01-31T12:00:00Z"}
    entry["timestamp"] = moment
    assert overall(judge(competition_from(schema, "x.json"), entry)) == status


def test_a_file_that_is_too_large_fails(entry: Document) -> None:
    """By one byte."""
    competition = find_competition("tiny_digits")
    most = competition.terms["bounds"]["submission_bytes"]
    assert [overall(judge(competition, entry, size)) for size in (most, most + 1)] == ["pass", "fail"]


@pytest.mark.parametrize(
    ("trust", "status"), [("valid", "inconclusive"), ("recomputed", "pass"), ("reproduced", "pass")]
)
def test_what_is_not_trusted_enough_is_undecided(entry: Document, trust: str, status: str) -> None:
    """tiny_digits wants figures that were computed again from their samples."""
    assert overall(judge(find_competition("tiny_digits"), entry, trust=trust)) == status


def test_evidence_that_is_too_large_fails(entry: Document) -> None:
    """By one byte of what the submission says; the file is held against that elsewhere."""
    competition = find_competition("tiny_digits")
    entry["evidence"] = {"size_bytes": competition.terms["bounds"]["evidence_bytes"] + 1}
    assert [each.path for each in judge(competition, entry) if each.status == "fail"] == ["evidence.size_bytes"]


def test_data_without_a_digest_pass_nobody(entry: Document) -> None:
    """Until the organiser has entered it."""
    schema = copy.deepcopy(dict(find_competition("tiny_digits").schema))
    schema["x-competition"]["data"]["digest"] = None
    assert overall(judge(competition_from(schema, "x.json"), entry)) == "inconclusive"


@pytest.mark.parametrize("name", competition_names())
def test_a_plain_validator_knows_the_limits(entry: Document, name: str) -> None:
    """It needs the schema files and nothing of ours, and never refuses what passes here."""
    resources = [Resource.from_contents(read_schema(each)) for each in schema_names()]
    registry: Registry[Any] = resources @ Registry()
    schema = read_schema(f"competitions/{name}")
    validator = Draft202012Validator(schema, registry=registry)
    refused = {tuple(error.absolute_path) for error in validator.iter_errors(entry)}
    findings = [each for each in judge(find_competition(name), entry) if each.origin == "properties"]
    assert refused == {place_of(each.path) for each in findings if not _keeps(each)}


def _keeps(found: Finding) -> bool:
    """What JSON Schema asks: whether the figure itself keeps the limit."""
    value, limit = found.found, found.expected
    return {"minimum": lambda: value >= limit, "maximum": lambda: value <= limit, "enum": lambda: value in limit}[
        found.rule
    ]()


def test_a_plain_validator_refuses_what_breaks_a_limit_and_what_is_no_submission(entry: Document) -> None:
    """Both in one schema."""
    resources = [Resource.from_contents(read_schema(each)) for each in schema_names()]
    registry: Registry[Any] = resources @ Registry()
    validator = Draft202012Validator(read_schema("competitions/tiny_digits"), registry=registry)
    assert validator.is_valid(entry)
    assert not validator.is_valid(put(copy.deepcopy(entry), "accuracy.optimized.test.accuracy", 0.9))
    assert not validator.is_valid(put(copy.deepcopy(entry), "benchmark.clock.name", 3))
