"""Submissions of the course's format: valid, unverified, and brought to version 2 without inventing anything."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.cli.main import main
from pipeline.core.errors import SubmissionInvalid
from pipeline.report.terminal import render
from pipeline.schemas import read_schema
from pipeline.submission.measured import is_measured
from pipeline.submission.migrate import SCHEMA, migrate
from pipeline.submission.read import parse_submission
from pipeline.submission.trust import trust_in
from pipeline.submission.validate import check_submission, find_problems
from pipeline.submission.write import dump_submission

HISTORIC = sorted((Path(__file__).parent / "historic").glob("*.json"))
COURSE, BASELINE_ONLY, EXTENDED = HISTORIC


def migrated(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return migrate(parse_submission(data), data)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {path: value}
    return {k: v for key, item in items for k, v in leaves(item, (*path, key)).items()}


@pytest.mark.parametrize("path", HISTORIC, ids=lambda path: path.stem)
def test_a_historic_submission_is_valid_and_unverified(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it was handed in; nothing is recomputed, and that is said."""
    assert main(["validate", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"{path}: unverified submission, version 1\n" in said
    assert "nothing to check its figures against" in said
    assert trust_in(parse_submission(path.read_bytes()), path) == "unverified"


@pytest.mark.parametrize("path", HISTORIC, ids=lambda path: path.stem)
def test_what_is_migrated_is_valid_for_any_validator(path: Path) -> None:
    """By the schema alone, and by ours; it is a submission that no run wrote, and no document of submission.v2."""
    document = json.loads(dump_submission(migrated(path)))
    assert list(Draft202012Validator(read_schema(SCHEMA)).iter_errors(document)) == []
    assert not Draft202012Validator(read_schema("submission.v2")).is_valid(document)
    check_submission(document)
    assert not is_measured(document)
    assert trust_in(document, path) == "unverified"
    assert "unverified" in render(document)


@pytest.mark.parametrize("path", HISTORIC, ids=lambda path: path.stem)
def test_nothing_is_lost_and_nothing_invented(path: Path) -> None:
    """Every value of version 1 is where it was, or under `kept`; whatever else is there is null with a reason."""
    before, after = leaves(json.loads(path.read_bytes())), migrated(path)
    about = after.pop("migrated")
    found, kept = leaves(after), leaves(about["kept"])
    moved = ("timestamp",)
    assert before == {k: v for k, v in {**found, **kept}.items() if k in before and k != moved} | {
        moved: kept.get(moved, before[moved])
    }
    added = {k: v for k, v in found.items() if k not in before}
    assert added.pop(("schema_version",)) == 2
    assert set(added.values()) == {None}
    assert set(about["missing"]) == {".".join(k) for k, v in found.items() if v is None}


def test_a_time_without_a_zone_is_not_guessed() -> None:
    """It is null and kept as it was; with a zone it becomes the same moment in UTC."""
    course = migrated(COURSE)
    assert course["timestamp"] is None
    assert course["migrated"]["kept"]["timestamp"] == "2025-03-02 09:15:00"
    assert "without a time zone" in course["migrated"]["missing"]["timestamp"]
    assert migrated(EXTENDED)["timestamp"] == "2026-01-31T12:30:00.125Z"
    document = {**json.loads(COURSE.read_bytes()), "timestamp": "2025-02-31T00:00:00Z"}
    assert "no moment" in migrate(document, b"")["migrated"]["missing"]["timestamp"]


def test_keys_of_the_submitters_own_are_kept_where_they_stood() -> None:
    """Version 2 allows no others, so that they move below `kept`."""
    kept = migrated(EXTENDED)["migrated"]["kept"]
    assert kept == {
        "team": {"name": "Ada & co", "hours": [3, 5.5]},
        "system_info": {"cpu": "M2"},
        "baseline": {"metrics": {"notes": None}},
    }


def test_migrating_is_deterministic(tmp_path: Path) -> None:
    """The same file gives the same bytes."""
    first, second = (dump_submission(migrated(COURSE)) for _ in range(2))
    assert first == second


def test_a_null_without_a_reason_is_refused() -> None:
    """And so is a reason for what is there, a figure in a section that version 1 cannot have, and another source."""
    document = migrated(COURSE)
    broken = copy.deepcopy(document)
    del broken["migrated"]["missing"]["benchmark"]
    broken["migrated"]["missing"]["baseline"] = "no reason"
    places = [(problem.yaml_path, problem.message) for problem in find_problems(broken)]
    assert places == [
        ("benchmark", "found null, expected its reason in migrated.missing.benchmark"),
        ("migrated.missing.baseline", "found a reason, expected none: nothing is null there"),
    ]
    with pytest.raises(SubmissionInvalid, match="warnings: found a list of 0 items, expected null"):
        check_submission({**document, "warnings": []})


def test_the_command_writes_a_file_or_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both the same; an existing file stays, a submission of version 2 is refused."""
    out = tmp_path / "new.json"
    assert main(["migrate", str(EXTENDED), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: unverified submission, version 2, migrated from {EXTENDED}" in said
    assert "under migrated.kept: baseline, system_info, team" in said
    assert main(["migrate", str(EXTENDED)]) == 0
    assert capsys.readouterr().out == out.read_text("utf-8")
    assert main(["migrate", str(EXTENDED), "--out", str(out)]) == 2
    assert main(["migrate", str(out)]) == 2
    assert "is of version 2 already" in capsys.readouterr().err
    assert main(["validate", str(out)]) == 0
    assert f"{out}: unverified submission, version 2 migrated from version 1" in capsys.readouterr().out


def test_what_would_not_be_read_again_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key of the submitter's own that is nested as deep as can be read is too deep below `kept`."""
    document = json.loads(COURSE.read_bytes())
    document["own"] = json.loads("[" * 62 + "]" * 62)
    path = tmp_path / "deep.json"
    path.write_text(json.dumps(document))
    assert main(["validate", str(path)]) == 0
    assert main(["migrate", str(path)]) == 4
    assert "migrated, it is nested 65 deep" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compare", "gate", "competition"])
def test_an_unverified_submission_is_compared_with_nothing(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no intervals; the message says what it is."""
    path = tmp_path / "migrated.json"
    path.write_text(dump_submission(migrated(COURSE)), "utf-8")
    arguments = {
        "compare": ["compare", str(path), str(path)],
        "gate": ["gate", str(path), "--against", str(path), "--max-drop", "1%"],
        "competition": ["validate", "--competition", "tiny_digits", str(path)],
    }
    assert main(arguments[command]) == 2
    out, err = capsys.readouterr()
    assert "is unverified, in the course's format (version 1) or migrated from it" in out + err


@pytest.mark.parametrize("name", ["csv", "html", "json", "md"])
def test_a_report_says_what_is_known(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In every format that needs no picture, and nothing of what version 1 does not have."""
    path = tmp_path / "migrated.json"
    path.write_text(dump_submission(migrated(COURSE)), "utf-8")
    assert main(["report", str(path), "--format", name, "--out", "-"]) == 0
    assert "50.0 %" in capsys.readouterr().out
    assert main(["report", str(path), "--format", "svg", "--out", "-"]) == 2


def test_it_is_listed_and_never_ranked_or_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The leaderboard names it as unverified; there is no experiment that `verify` could run."""
    path = tmp_path / "submissions/ada.json"
    path.parent.mkdir()
    path.write_text(dump_submission(migrated(COURSE)), "utf-8")
    arguments = ["--competition", "tiny_digits", "--afresh", "--workers", "1", "--out", str(tmp_path / "out")]
    assert main(["leaderboard", str(path.parent), *arguments]) == 0
    assert "1 unverified" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 2
    assert "does not say how to run it again" in capsys.readouterr().err
