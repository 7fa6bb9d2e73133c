"""Records of verifications: their form, what they come to, and a folder of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import ConfigError, UserError
from pipeline.submission.verification import Check, outcome_of, read_verification, read_verifications
from pipeline.submission.verify_record import Subject

CHECK = {
    "id": "V030",
    "what": "weights",
    "outcome": "same",
    "path": "provenance.weights.optimized",
    "found": "a" * 64,
    "expected": "a" * 64,
    "message": "the rebuilt model has the same bytes",
}


def make_record(**changes: Any) -> dict[str, Any]:
    """A record of a submission that was reproduced; keyword arguments replace keys."""
    record = {
        "verification_version": 1,
        "submission": {"digest": "0" * 64, "size_bytes": 10_000, "name": "smoke", "evidence": "1" * 64},
        "outcome": "reproduced",
        "level": "reproduced",
        "scope": {"points": "all", "rebuilt": 2, "listed": 2, "measured": True},
        "checks": [dict(CHECK)],
        "speed": {
            "found": {"estimate": 2.0, "interval": [1.9, 2.1]},
            "expected": {"estimate": 2.05, "interval": [2.0, 2.1]},
            "noisy": False,
            "pairs": 120,
        },
        "competition": None,
        "environment": [],
        "machine": {
            "cpu": "Example CPU 9000",
            "architecture": "x86_64",
            "system": "Linux",
            "kernel": "6.1.0",
            "blas": ["openblas 0.3.27"],
            "cores": 2,
        },
        "versions": {"python": "3.11.9"},
        "policy": {"slack": 1.05},
        "finished_at": "2026-01-31T12:00:00Z",
        "seconds": 12.5,
    }
    return copy.deepcopy(record) | changes


def write(folder: Path, name: str, record: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def check(outcome: str, identifier: str = "V030") -> Check:
    return Check(identifier, "weights", outcome, "", "", "", "")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["same", "within"], "reproduced"),
        (["same", "inconclusive"], "inconclusive"),
        (["inconclusive", "differs", "same"], "differs"),
        (["same", "skipped"], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_the_worst_check_decides_the_outcome(outcomes: list[str], expected: str) -> None:
    """One difference is enough, and nothing is reproduced by no checks."""
    assert outcome_of([check(outcome) for outcome in outcomes]) == expected


def test_the_other_points_may_be_skipped() -> None:
    """The submitted point is reproduced without the choice among the others, never without its speed."""
    assert outcome_of([check("same"), check("skipped", "V040")]) == "reproduced"
    assert outcome_of([check("same"), check("skipped", "V050")]) == "inconclusive"


def test_a_record_is_about_the_bytes_of_a_file() -> None:
    """The same document in another layout is another file; what is not valid has no name."""
    document = {"experiment": {"name": "smoke"}, "evidence": {"digest": "1" * 64}}
    one, other = (Subject(json.dumps(document, indent=indent).encode(), document, "valid") for indent in (None, 2))
    assert one.to_json()["digest"] != other.to_json()["digest"]
    assert (one.to_json()["name"], one.to_json()["evidence"]) == ("smoke", "1" * 64)
    assert Subject(one.data, document, None).to_json()["name"] == ""


def test_a_record_is_read(tmp_path: Path) -> None:
    """A record of the right form comes back as it was written."""
    assert read_verification(write(tmp_path, "a.json", make_record())) == make_record()


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"outcome": "fine"}, "outcome"),
        ({"submission": {"digest": "x", "size_bytes": 1, "name": "", "evidence": None}}, "submission.digest"),
        ({"level": "recomputed"}, "level"),
        ({"checks": [{**CHECK, "outcome": "differs"}]}, "outcome"),
        ({"checks": []}, "outcome"),
        ({"more": 1}, "more"),
    ],
)
def test_a_malformed_or_contradictory_record_is_refused(tmp_path: Path, changes: dict[str, Any], where: str) -> None:
    """The problem names the file and the place."""
    path = write(tmp_path, "a.json", make_record(**changes))
    with pytest.raises(ConfigError) as error:
        read_verification(path)
    assert [(problem.path, problem.yaml_path) for problem in error.value.problems] == [(str(path), where)]


def test_a_folder_of_records_is_found_by_digest(tmp_path: Path) -> None:
    """The newest record of a submission counts, wherever in the folder it lies."""
    write(tmp_path, "old.json", make_record(outcome="differs", level="recomputed"))
    write(tmp_path, "team/new.json", make_record(finished_at="2026-02-01T00:00:00Z"))
    other = make_record(submission={"digest": "2" * 64, "size_bytes": 1, "name": "other", "evidence": None})
    write(tmp_path, "other.json", other)
    write(tmp_path, "notes.txt", "not a record")
    found = read_verifications(tmp_path)
    assert {digest: record["outcome"] for digest, record in found.items()} == {
        "0" * 64: "reproduced",
        "2" * 64: "reproduced",
    }


def test_of_records_of_the_same_second_the_worst_counts(tmp_path: Path) -> None:
    """Which file comes first does not matter."""
    for name, outcome, level in (("a", "reproduced", "reproduced"), ("b", "differs", "recomputed")):
        write(tmp_path, f"{name}.json", make_record(outcome=outcome, level=level))
    assert read_verifications(tmp_path)["0" * 64]["outcome"] == "differs"


def test_links_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A record that is only linked to is not there."""
    path = write(tmp_path / "elsewhere", "a.json", make_record())
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.json").symlink_to(path)
    (tmp_path / "records" / "b").symlink_to(path.parent)
    assert read_verifications(tmp_path / "records") == {}


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A misspelt folder is not an empty one."""
    with pytest.raises(UserError, match="no folder of verification records"):
        read_verifications(tmp_path / "nope")
