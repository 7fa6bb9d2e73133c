"""The shipped competitions, and what is found in files that nobody could decide."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ConfigError, UserError
from pipeline.schemas import competition_names, schema_path
from pipeline.submission.competition.check import competition_notes, competition_problems
from pipeline.submission.competition.limits import path_text, place_of
from pipeline.submission.competition.terms import competition_from, find_competition, form_problems

Schema = dict[str, Any]


@pytest.fixture
def schema() -> Schema:
    return copy.deepcopy(dict(find_competition("tiny_digits").schema))


def test_the_promised_competitions_are_competition_names() -> None:
    """One that runs on the shipped data, the two known ones, and the course's five events."""
    assert set(competition_names()) == {
        "accuracy_contest",
        "all_around",
        "extreme_compression",
        "extreme_push",
        "latency_sprint",
        "memory_challenge",
        "tiny_digits",
        "wake_vision",
    }


@pytest.mark.parametrize("name", competition_names())
def test_a_shipped_competition_is_clean(name: str) -> None:
    """Its form, its limits and its file's name."""
    competition = find_competition(name)
    assert competition_problems(competition, str(schema_path(f"competitions/{name}"))) == []
    assert competition.name == name


def test_a_competition_is_found_by_its_file_and_in_the_folder(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`competitions/NAME.schema.json` beside the work is enough."""
    path = tmp_path / "competitions/tiny_digits.schema.json"
    path.parent.mkdir()
    path.write_bytes(schema_path("competitions/tiny_digits").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert find_competition(str(path)).digest == find_competition("tiny_digits").digest


def test_an_unknown_competition_is_named_with_the_nearest_one() -> None:
    """A slip of the finger is repaired by the message."""
    with pytest.raises(UserError, match="no competition 'tiny_digit'") as caught:
        find_competition("tiny_digit")
    assert "did you mean 'tiny_digits'" in caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1e999}', '{"a": 1, "a": 2}', "[" * 10_000])
def test_a_file_that_is_no_json_object_is_an_error(text: str, tmp_path: Path) -> None:
    """Bounded and strict, as for submissions."""
    path = tmp_path / "x.schema.json"
    path.write_text(text)
    with pytest.raises(UserError):
        find_competition(str(path))


def changed(schema: Schema, path: str, value: Any) -> Schema:
    *above, last = path.split("/")
    node = schema
    for key in above:
        node = node[key]
    node[last] = value
    return schema


FORM: list[tuple[str, Any, str]] = [
    ("allOf", [{"$ref": "https://example.org/evil"}], "allOf"),
    ("properties/accuracy/pattern", "(a+)+$", "properties.accuracy.pattern"),
    ("properties/accuracy/not", {}, "properties.accuracy.not"),
    ("$id", "urn:tinytorch-pipeline:competitions:../x", "$id"),
    ("x-competition/division", {"kind": "closed", "steps": []}, "x-competition.division.steps"),
    ("x-competition/division", {"kind": "open", "steps": ["prune"]}, "x-competition.division.steps"),
    ("x-competition/dates/opens", "tomorrow", "x-competition.dates.opens"),
    ("x-competition/bounds/submission_bytes", 10**12, "x-competition.bounds.submission_bytes"),
    ("x-competition/ranking/primary/best", "first", "x-competition.ranking.primary.best"),
]


@pytest.mark.parametrize(("path", "value", "where"), FORM)
def test_what_breaks_the_form_is_named_by_its_path(schema: Schema, path: str, value: Any, where: str) -> None:
    """A keyword that is not known to be decidable is refused, references and patterns among them."""
    problems = form_problems(changed(schema, path, value), "x.schema.json")
    assert [problem.yaml_path for problem in problems] == [where]
    with pytest.raises(ConfigError):
        competition_from(schema, "x.schema.json")


def at(path: str, limit: Schema) -> Schema:
    for part in reversed(place_of(path)):
        limit = {"prefixItems": [{}] * part + [limit]} if isinstance(part, int) else {"properties": {part: limit}}
    properties: Schema = limit["properties"]
    return properties


UNDECIDABLE: list[tuple[str, Schema, str]] = [
    ("accuracy.optimised.test.accuracy", {"minimum": 0.9}, "did you mean 'optimized'"),
    ("improvements.speedup", {"minimum": 2}, "limit comparisons.speed.speedup.estimate"),
    ("optimized.metrics.latency_ms_mean", {"maximum": 1}, "limit optimized.metrics.latency_ms_median"),
    ("benchmark.comparisons[0].arms.optimized.percentiles.p99", {"maximum": 1e6}, "may be absent"),
    ("benchmark.comparisons[1].arms.optimized.median_ns", {"maximum": 1e6}, "may be shorter"),
    ("profile.threads", {"maximum": 1}, "profile may be null"),
    ("student_name", {"const": "Ada"}, "student_name may be absent"),
    ("accuracy.optimized.test.accuracy", {"minimum": 85}, "never above 1"),
    ("accuracy.optimized.test.accuracy", {"minimum": 0.9, "maximum": 0.8}, "a minimum above the maximum"),
    ("comparisons.speed.verdict", {"enum": ["fastest"]}, "is never 'fastest'"),
    ("comparisons.speed.verdict", {"minimum": 1}, "is no number"),
]


@pytest.mark.parametrize(("path", "limit", "message"), UNDECIDABLE)
def test_a_limit_that_decides_nothing_is_found(schema: Schema, path: str, limit: Schema, message: str) -> None:
    """JSON Schema alone would let submissions slip through it."""
    competition = competition_from(changed(schema, "properties", at(path, limit)), "x.json")
    problems = competition_problems(competition, "x.json")
    assert any(message in problem.message for problem in problems), problems


def test_a_percentile_that_is_demanded_can_be_limited(schema: Schema) -> None:
    """`required` and `type` close the gaps that the message names."""
    percentiles = {"required": ["p99"], "properties": {"p99": {"type": "number", "maximum": 1e6}}}
    limit = at("benchmark.comparisons[0].arms.optimized.percentiles", percentiles)
    competition = competition_from(changed(schema, "properties", limit), "x.json")
    assert competition_problems(competition, "x.json") == []


TERMS: list[tuple[str, Any, str]] = [
    ("x-competition/ranking/primary/path", "optimized.metrics.latency_ms_median", "speed ranks by its ratio"),
    ("x-competition/ranking/primary/path", "benchmark.comparisons[0].arms.optimized.median_ns", "speed ranks by"),
    ("x-competition/ranking/primary/path", "comparisons.speed.verdict", "is no number"),
    ("x-competition/ranking/primary/path", "nothing.there", "is not in a submission"),
    ("x-competition/division/steps", ["prunes"], "expected one of"),
    ("x-competition/dates", {"opens": "2026-02-01T00:00:00Z", "closes": "2026-01-01T00:00:00Z"}, "after it opens"),
    ("x-competition/data/name", "mnist", "the baseline's data are 'digits'"),
]


@pytest.mark.parametrize(("path", "value", "message"), TERMS)
def test_terms_that_contradict_are_found(schema: Schema, path: str, value: Any, message: str) -> None:
    """Before anybody takes part."""
    problems = competition_problems(competition_from(changed(schema, path, value), "x.json"), "x.json")
    assert [message in problem.message for problem in problems] == [True], problems


def test_a_baseline_that_is_no_experiment_is_an_error(schema: Schema) -> None:
    """It is checked like an experiment file, under its path in the competition."""
    changed(schema, "x-competition/baseline/experiment/model/arch", "mlpp")
    with pytest.raises(ConfigError) as caught:
        competition_from(schema, "x.json")
    assert caught.value.problems[0].yaml_path == "x-competition.baseline.experiment.model.arch"


def test_unknown_data_are_a_note() -> None:
    """The organiser may enter digests later; until then nobody passes."""
    assert any("digests" in note for note in competition_notes(find_competition("wake_vision")))
    assert not any("digests" in note for note in competition_notes(find_competition("tiny_digits")))


@pytest.mark.parametrize("path", ["a", "a.b", "a[0].b", "a.b[12].c[3]"])
def test_a_place_is_written_as_it_is_read(path: str) -> None:
    """Paths in files, messages and code are one notation."""
    assert path_text(place_of(path)) == path
