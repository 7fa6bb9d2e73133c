"""The last touch of a run, and the bytes of the file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.submission.stamp import stamp
from pipeline.submission.validate import find_problems
from pipeline.submission.write import dump_submission

CODE = {"train": "0" * 64}


def test_a_stamp_changes_nothing_but_what_the_run_knows(submission: dict[str, Any]) -> None:
    """Status, code and command; the result is valid, and the original is untouched."""
    before = json.dumps(submission)
    stamped = stamp(submission, reused=True, code=CODE, command="python -m pipeline run sample.yaml")
    assert json.dumps(submission) == before
    assert find_problems(stamped) == []
    assert stamped["measurement"].pop("status") == "reused"
    assert stamped["provenance"].pop("code") == CODE
    submission["measurement"].pop("status")
    submission["provenance"].pop("code")
    assert stamped == submission


def test_reused_and_fresh_differ_in_one_word(submission: dict[str, Any]) -> None:
    """A second run changes one line of the file."""
    texts = [dump_submission(stamp(submission, reused=r, code=CODE, command="c")).splitlines() for r in (False, True)]
    differing = [(a, b) for a, b in zip(*texts, strict=True) if a != b]
    assert [(a.strip(), b.strip()) for a, b in differing] == [('"status": "fresh"', '"status": "reused"')]


def test_the_bytes_do_not_depend_on_the_order_of_keys(submission: dict[str, Any]) -> None:
    """Whatever order a store gives back."""
    shuffled = json.loads(json.dumps(submission, sort_keys=True))
    assert dump_submission(shuffled) == dump_submission(submission)


def test_the_courses_fields_come_first_and_the_file_ends_with_a_line_break(submission: dict[str, Any]) -> None:
    """A person who knows the course's format finds it at the top."""
    text = dump_submission(submission)
    assert list(json.loads(text))[:2] == ["tinytorch_version", "submission_type"]
    assert text.endswith("}\n")
    assert json.loads(text) == json.loads(json.dumps(submission))


def test_what_is_no_json_number_is_not_written(submission: dict[str, Any]) -> None:
    """NaN is no JSON."""
    submission["improvements"]["speedup"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        dump_submission(submission)
