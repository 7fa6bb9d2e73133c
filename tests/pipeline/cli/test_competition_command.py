"""`pipeline competition` and `validate --competition` at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.schemas import schema_path
from pipeline.submission.competition.named import rules_named
from pipeline.submission.competition.terms import find_competition

SUBMISSION = Path(__file__).parents[1] / "report/submission.json"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> Any:
    assert main([*arguments, "--json"]) == expect
    return json.loads(capsys.readouterr().out)


def test_list_names_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    """With what ranks, and the digest of the rules."""
    rows = answer(capsys, "competition", "list")["competitions"]
    assert {"name": "tiny_digits", "ranked by": "comparisons.size.ratio"}.items() <= rows[-2].items()


def test_new_writes_a_valid_competition_once(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """It is found by its name from then on, and never overwritten."""
    assert main(["competition", "new", "my_cup"]) == 0
    checked = answer(capsys_cleared(capsys), "competition", "check", "my_cup")["competitions"][0]
    assert (checked["valid"], checked["problems"]) == (True, [])
    assert main(["competition", "new", "my_cup"]) == 2
    assert (folder / "competitions/my_cup.schema.json").is_file()


def capsys_cleared(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


def test_new_keeps_the_layout_of_what_it_copies(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Only the identifier and the title are other ones, wherever they stand; what looks like them further in stays."""
    schema = json.loads(schema_path("competitions/tiny_digits").read_text())
    names = {key: schema.pop(key) for key in ("$id", "title")}
    schema["description"] = 'Has a "title": "mine" in its text, é and {"$id": 1}.'
    lines = [f"{json.dumps(key)} :\t{json.dumps(value, ensure_ascii=False)}" for key, value in (schema | names).items()]
    text = "{\n  " + ",\r\n  ".join(lines) + " }"
    (folder / "mine.json").write_bytes(text.encode())
    assert main(["competition", "new", "my_cup", "--like", "mine.json"]) == 0
    expected = text.replace(names["$id"], "urn:tinytorch-pipeline:competitions:my_cup").replace("Tiny digits", "My cup")
    assert (folder / "competitions/my_cup.schema.json").read_bytes() == (expected + "\n").encode()
    checked = answer(capsys_cleared(capsys), "competition", "check", "my_cup")["competitions"][0]
    assert (checked["valid"], checked["problems"]) == (True, [])


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "A", "", "a" * 65, "a.b"])
def test_new_takes_names_that_stay_in_the_folder(name: str, folder: Path) -> None:
    """Nothing is written for any other."""
    assert main(["competition", "new", name]) == 2
    assert list(folder.iterdir()) == []


def test_check_lists_the_problems_of_a_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Exit code 2, each with its path."""
    main(["competition", "new", "my_cup"])
    path = folder / "competitions/my_cup.schema.json"
    schema = json.loads(path.read_text())
    schema["properties"] = {"improvements": {"properties": {"speedup": {"minimum": 2}}}}
    path.write_text(json.dumps(schema))
    checked = answer(capsys_cleared(capsys), "competition", "check", str(path), expect=2)["competitions"][0]
    assert [problem["yaml_path"] for problem in checked["problems"]] == ["improvements.speedup"]


def test_validate_says_how_a_submission_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 for one that does not pass; the file itself is valid."""
    row = answer(capsys, "validate", "--competition", "tiny_digits", str(SUBMISSION), expect=3)["files"][0]
    assert row["valid"]
    assert row["competition"]["status"] == "fail"
    assert {"path", "found", "expected", "interval", "status", "reason"} <= row["competition"]["findings"][0].keys()


def test_the_text_names_path_found_and_expected(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a limit, and the digest of the rules that were applied."""
    assert main(["validate", "--competition", "wake_vision", str(SUBMISSION)]) == 3
    shown = capsys.readouterr().out
    assert "competition wake_vision: FAIL (rules " in shown
    assert "pass  size.optimized.stored_bytes: found " in shown
    assert "FAIL  provenance.data.name: found digits, expected exactly image_folder" in shown


def test_an_experiment_is_held_against_nothing(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Only submissions have figures."""
    main(["init", "x.yaml"])
    row = answer(capsys_cleared(capsys), "validate", "--competition", "tiny_digits", "x.yaml")["files"][0]
    assert "competition" not in row


def test_an_unknown_competition_is_a_mistake_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is validated then."""
    error = answer(capsys, "validate", "--competition", "tiny", str(SUBMISSION), expect=2)["error"]
    assert "no competition" in error["message"]


def made_for(name: str, folder: Path) -> str:
    """The sample submission, as if its experiment named a competition."""
    submission = json.loads(SUBMISSION.read_text())
    submission["experiment"]["document"]["competition"] = name
    (folder / "submission.json").write_text(json.dumps(submission))
    return "submission.json"


def test_a_submission_is_held_against_what_it_is_made_for(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Without --competition, the one that its experiment names."""
    row = answer(capsys, "validate", made_for("all_around", folder), expect=3)["files"][0]
    assert row["competition"]["name"] == "all_around"


def test_a_submission_for_another_competition_fails(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Whatever its figures are."""
    row = answer(capsys, "validate", "--competition", "tiny_digits", made_for("all_around", folder), expect=3)["files"][
        0
    ]
    findings = {each["path"]: each["status"] for each in row["competition"]["findings"]}
    assert findings["experiment.document.competition"] == "fail"


def test_rules_that_changed_are_said(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """The submission names the rules that it was made for; it is held against those of today, which is no fault."""
    path = folder / made_for("all_around", folder)
    submission = json.loads(path.read_text())
    rules = rules_named(submission["experiment"]["document"])
    assert rules is not None
    for digest, count in ((rules["rules"], 0), ("0" * 64, 1)):
        submission["provenance"]["competition"] = {"name": "all_around", "rules": digest}
        path.write_text(json.dumps(submission))
        assert main(["validate", "submission.json"]) == 3
        assert capsys.readouterr().out.count("they have changed since; it is held against them as they are") == count


def test_rules_are_those_of_a_competition_that_is_known_here(folder: Path) -> None:
    """No stranger's path is followed, and a file that is none has no rules."""
    named = rules_named({"competition": "all_around"})
    assert named == {"name": "all_around", "rules": find_competition("all_around").digest}
    for name in (None, 5, "../x", "nowhere"):
        assert rules_named({"competition": name}) is None
    (folder / "competitions").mkdir()
    (folder / "competitions/broken.schema.json").write_text("{")
    assert rules_named({"competition": "broken"}) is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "/dev/zero", "x.json", "", "no_such_competition"])
def test_no_path_in_a_submission_is_followed(capsys: pytest.CaptureFixture[str], folder: Path, name: str) -> None:
    """It names a competition that is known here, or nothing."""
    row = answer(capsys, "validate", made_for(name, folder), expect=2)["files"][0]
    assert "competition" not in row
