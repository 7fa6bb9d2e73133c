"""What a leaderboard knows of one submission."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.submission.competition.terms import Competition, competition_from
from pipeline.submission.evidence import Evidence
from pipeline.submission.leaderboard.entry import Entry, entry_from_json, entry_of, entry_to_json
from tests.submission_variants import Variant, cup, vary

Template = tuple[dict[str, Any], Evidence]
Make = Callable[..., Entry]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
COURSE = Path(__file__).parents[1] / "historic"


def test_an_honest_submission_passes_and_is_recomputed(make: Make) -> None:
    """With its scores, their intervals, and the answers that are not the baseline's."""
    entry = make(1, flips=3)
    assert (entry.status, entry.level, entry.reasons) == ("pass", "recomputed", ())
    assert entry.scores[0] is not None
    assert entry.scores[0].value == pytest.approx(1.9, rel=0.01)
    assert entry.changes is not None
    assert len(entry.changes) <= 2 * 3 + 5
    assert entry.items == 720
    assert entry.answers is not None
    assert entry.answers.items == 360
    assert abs(entry.answers.right.bit_count() - 347) <= 3


def test_an_entry_survives_json(make: Make) -> None:
    """As the store keeps it."""
    entry = make(1, flips=3)
    assert entry_from_json(json.loads(json.dumps(entry_to_json(entry)))) == entry


def test_a_changed_figure_is_invalid_with_its_rule(template: Template, competition: Competition) -> None:
    """One byte more accurate."""
    data, evidence = vary(*template, Variant(1))
    entry = entry_of(competition, data.replace(b'"correct": 347', b'"correct": 348', 1), evidence, NOW)
    assert (entry.status, entry.level, entry.reasons[0].rule) == ("invalid", None, "R030")


def test_without_its_evidence_it_is_valid_only(template: Template, competition: Competition) -> None:
    """Nothing is known of its answers then."""
    entry = entry_of(competition, vary(*template, Variant(1))[0], None, NOW)
    assert (entry.status, entry.level, entry.changes) == ("pass", "valid", None)


def test_a_broken_limit_fails_with_found_and_expected(template: Template, competition: Competition) -> None:
    """Two thirds of the answers are wrong."""
    entry = entry_of(competition, *vary(*template, Variant(1, flips=200)), NOW)
    assert entry.status == "fail"
    assert entry.reasons[0].path == "accuracy.optimized.test.accuracy"
    assert "expected at least 0.9" in entry.reasons[0].message


def test_an_undecided_score_is_told(template: Template, competition: Competition) -> None:
    """The speed-up's interval lies across the threshold of practical meaning, 2 %."""
    entry = entry_of(competition, *vary(*template, Variant(1, slower=1.869)), NOW)
    assert (entry.status, entry.scores[0]) == ("inconclusive", None)
    assert entry.reasons[0].message == "the verdict on its speed is inconclusive"


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a": 1e999}', b"\xff", b"{" * 500, b'{"schema_version": 3}', b"{}"])
def test_what_is_no_submission_is_invalid(competition: Competition, data: bytes) -> None:
    """It never raises."""
    entry = entry_of(competition, data, None, NOW)
    assert (entry.status, entry.level) == ("invalid", None)
    assert entry.reasons[0].rule.startswith("E50")


def test_what_is_too_large_is_not_read(template: Template) -> None:
    """By the competition's bounds, of either file."""
    terms = {"bounds": {"submission_bytes": 1024, "evidence_bytes": 1024, "attempts": None}}
    small = competition_from(cup(template[0], terms), "cup.schema.json")
    assert entry_of(small, b"[" * 1025, None, NOW).reasons[0].rule == "bounds.submission_bytes"
    assert entry_of(small, b"{}", b"x" * 1025, NOW).reasons[0].rule == "bounds.evidence_bytes"


def test_evidence_that_is_none_is_invalid(template: Template, competition: Competition) -> None:
    """R010: not the file that was named."""
    data, _ = vary(*template, Variant(1))
    assert entry_of(competition, data, b"nothing", NOW).reasons[0].rule == "R010"


@pytest.mark.parametrize("path", sorted(COURSE.glob("*.json")), ids=lambda path: path.stem)
def test_the_courses_format_is_unverified(competition: Competition, path: Path) -> None:
    """Never ranked: it has no intervals."""
    entry = entry_of(competition, path.read_bytes(), None, NOW)
    assert (entry.status, entry.level) == ("unverified", "unverified")


def test_a_moment_in_the_future_does_not_last(template: Template, competition: Competition) -> None:
    """Tomorrow the same file may be fine, so it is not remembered."""
    entry = entry_of(competition, *vary(*template, Variant(1, measured_at="2027-01-01T00:00:00Z")), NOW)
    assert {reason.rule for reason in entry.reasons} == {"R053"}
    assert not entry.lasts


def test_only_the_first_reasons_are_kept(template: Template, competition: Competition) -> None:
    """Of a file with a hundred wrong figures, with how many more there are."""
    data, evidence = vary(*template, Variant(1))
    document = json.loads(data)
    document["benchmark"]["comparisons"][0]["arms"]["optimized"] |= {"median_ns": 1.0, "mean_ns": 1.0, "std_ns": 1.0}
    document["improvements"] |= {"speedup": 99.0, "compression_ratio": 99.0, "accuracy_delta": 0.5}
    entry = entry_of(competition, json.dumps(document).encode(), evidence, NOW)
    assert len(entry.reasons) == 5
    assert entry.more_reasons >= 1
