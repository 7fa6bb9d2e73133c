"""`pipeline check-pr` in a repository with a competition: an honest submission, and all that may be tried."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from tests.project import ROOT, Project

Check = Callable[..., Any]

PERSON = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
CUP = "competitions/quick_cup.schema.json"
FIRST = "submissions/ada/first"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *PERSON, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A", "submissions", "competitions")
    git(folder, "commit", "-q", "--allow-empty", "-m", "change")


def edit(path: Path, changes: dict[str, Any]) -> None:
    """Set values of a JSON file by their dotted paths; None removes a key."""
    document = json.loads(path.read_text(encoding="utf-8"))
    for place, value in changes.items():
        *parents, last = place.split(".")
        node = document
        for key in parents:
            node = node[key]
        if value is None:
            del node[last]
        else:
            node[last] = value
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture(scope="module")
def cup(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose branch `main` has a competition that the smoke run keeps, and a list of teams."""
    folder = tmp_path_factory.mktemp("cup") / "cup"
    shutil.copytree(finished.folder / "runs/smoke", folder / "runs/smoke")
    baseline = json.loads((folder / "runs/smoke/submission.json").read_text())["experiment"]["document"]
    (folder / CUP).parent.mkdir()
    shutil.copy(ROOT / "schemas/competitions/tiny_digits.schema.json", folder / CUP)
    changes = {
        "$id": "urn:tinytorch-pipeline:competitions:quick_cup",
        "properties": {"size": {"properties": {"optimized": {"properties": {"stored_bytes": {"maximum": 9000}}}}}},
        "x-competition.baseline.experiment": {key: baseline[key] for key in ("data", "model")},
        "x-competition.protocol.least_processes": 2,
        "x-competition.protocol.least_pairs": 1,
        "x-competition.bounds.attempts": 2,
    }
    edit(folder / CUP, changes)
    git(folder, "init", "-q", "-b", "main")
    (folder / "submissions").mkdir()
    (folder / "submissions/OWNERS").write_text("team-b @grace @edsger\n")
    commit(folder)
    return folder


@pytest.fixture
def work(cup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A branch of it with the smoke run as a submission of ada's, not yet committed; commands run there."""
    folder = tmp_path / "cup"
    shutil.copytree(cup, folder)
    git(folder, "checkout", "-q", "-b", "work")
    hand_in(folder, FIRST)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """A function that runs the command with arguments and an expected exit code, and returns its document."""

    def run(*arguments: str, competition: str | None = "quick_cup", expect: int = 0) -> Any:
        named = ("--competition", competition) if competition else ()
        assert main(["check-pr", "--base", "main", *named, *arguments, "--json"]) == expect
        return json.loads(capsys.readouterr().out)

    return run


def hand_in(folder: Path, name: str) -> Path:
    target = folder / name
    target.mkdir(parents=True)
    for file in ("submission.json", "evidence.safetensors"):
        shutil.copy(folder / "runs/smoke" / file, target / file)
    return target


def change_rules(folder: Path, changes: dict[str, Any]) -> None:
    """Commit other rules on the base, and go back to the branch."""
    git(folder, "stash", "-q", "-u")
    git(folder, "checkout", "-q", "main")
    edit(folder / CUP, changes)
    commit(folder)
    git(folder, "checkout", "-q", "work")
    git(folder, "stash", "pop", "-q")


def codes(found: Any) -> set[str]:
    below = [problem for one in found["submissions"] for problem in one["problems"]]
    return {problem["code"] for problem in [*found["problems"], *below]}


def test_an_honest_submission_is_accepted(work: Path, check: Check) -> None:
    """Computed again, held against the base's rules, with a comment that says so."""
    commit(work)
    found = check("--author", "ada", "--comment", "comment.md")
    assert (found["outcome"], found["team"]) == ("accepted", "ada")
    one = found["submissions"][0]
    assert (one["path"], one["trust"], one["competition"]["name"]) == (
        f"{FIRST}/submission.json",
        "recomputed",
        "quick_cup",
    )
    assert one["place"]["rank"] == 1
    assert (work / "comment.md").read_text() == found["comment"]
    assert "✅ Submission check: accepted" in found["comment"]


def test_a_submission_without_a_competition_is_only_checked(work: Path, check: Check) -> None:
    """Nothing ranks it."""
    commit(work)
    found = check(competition=None)
    assert found["outcome"] == "accepted"
    assert "names no competition" in found["submissions"][0]["notes"][0]


def test_a_tampered_figure_is_refused_with_its_rule(work: Path, check: Check) -> None:
    """The comment shows the place in the submission's own path, not in a temporary one."""
    edit(work / FIRST / "submission.json", {"improvements.speedup": 99.0})
    commit(work)
    found = check(expect=4)
    assert found["outcome"] == "refused"
    assert "R026" in codes(found)
    assert {problem["path"] for problem in found["submissions"][0]["problems"]} == {f"{FIRST}/submission.json"}
    assert "improvements.speedup" in found["comment"]
    assert "/tmp" not in found["comment"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[" * 100_000, "E501"),
        (b"{}", "E502"),
        (b'{"schema_version": 2, "::error::": "@x"}', "E502"),
        (b"\xff", "E501"),
    ],
)
def test_what_is_no_submission_is_refused(work: Path, check: Check, data: bytes, code: str) -> None:
    """With a clear error each."""
    (work / FIRST / "submission.json").write_bytes(data)
    commit(work)
    assert codes(check(expect=4)) == {code}


def test_a_submission_of_the_first_version_is_refused(work: Path, check: Check) -> None:
    """It has no intervals."""
    first = json.loads((work / FIRST / "submission.json").read_text())
    v1 = {key: first[key] for key in ("tinytorch_version", "submission_type", "timestamp", "system_info", "baseline")}
    (work / FIRST / "submission.json").write_text(json.dumps(v1))
    commit(work)
    found = check(expect=4)
    assert "expected what `pipeline run` writes" in found["submissions"][0]["problems"][0]["message"]


def test_a_link_is_not_followed(work: Path, check: Check) -> None:
    """Wherever it leads."""
    (work / FIRST / "evidence.safetensors").unlink()
    (work / FIRST / "evidence.safetensors").symlink_to("/etc/passwd")
    commit(work)
    found = check(expect=4)
    assert codes(found) == {"E532"}
    assert (found["outcome"], found["submissions"][0]["trust"]) == ("refused", "valid")


def test_the_bases_rules_count(work: Path, check: Check) -> None:
    """A change of the competition is refused, and has no effect."""
    edit(work / CUP, {"properties.size.properties.optimized.properties.stored_bytes.maximum": 10})
    commit(work)
    found = check(expect=4)
    assert codes(found) == {"E530"}
    assert found["submissions"][0]["outcome"] == "accepted"


def test_a_broken_limit_is_no_fault_of_form(work: Path, check: Check) -> None:
    """Exit code 3, and the comment has the limit."""
    change_rules(work, {"properties.size.properties.optimized.properties.stored_bytes.maximum": 10})
    commit(work)
    found = check(expect=3)
    assert found["outcome"] == "misses limits"
    assert "`size.optimized.stored_bytes`" in found["comment"]


def test_without_evidence_it_is_not_accepted(work: Path, check: Check) -> None:
    """Where the competition asks for submissions that can be computed again."""
    (work / FIRST / "evidence.safetensors").unlink()
    commit(work)
    assert check(expect=3)["outcome"] == "undecided"


def test_what_waits_for_the_organiser_is_accepted(work: Path, check: Check) -> None:
    """Nobody else can reproduce it."""
    change_rules(work, {"x-competition.verification.level": "reproduced"})
    commit(work)
    found = check()
    assert "pipeline verify" in found["submissions"][0]["notes"][0]


def test_a_copy_is_refused(work: Path, check: Check) -> None:
    """Whether of another team's submission or of evidence alone."""
    git(work, "checkout", "-q", "main")
    commit(work)
    git(work, "checkout", "-q", "-b", "copy")
    copy = hand_in(work, "submissions/eve/mine")
    document = (copy / "submission.json").read_text()
    (copy / "submission.json").write_text(document + " ")
    commit(work)
    found = check("--author", "eve", expect=4)
    assert codes(found) == {"E534"}
    assert f"{FIRST}/evidence.safetensors" in found["comment"]


def test_attempts_are_counted(work: Path, check: Check) -> None:
    """The earlier ones and those of the pull request together."""
    for name in ("submissions/ada/second", "submissions/ada/third"):
        edit(hand_in(work, name) / "submission.json", {"student_name": name})
    commit(work)
    found = check(expect=4)
    assert "E535" in codes(found)
    assert [any("attempt" in p["message"] for p in one["problems"]) for one in found["submissions"]] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("moment", "expect"),
    [("2031-01-01T00:00:00Z", 4), ("2021-01-01T00:00:00+01:00", 4), ("2027-06-01T00:00:00Z", 0), ("today", 2)],
)
def test_the_moment_of_handing_in_counts(work: Path, check: Check, moment: str, expect: int) -> None:
    """Not what a submission says of itself."""
    dates = {"opens": "2026-01-01T00:00:00Z", "closes": "2030-01-01T00:00:00Z"}
    change_rules(work, {"x-competition.dates": dates})
    commit(work)
    check("--handed-in", moment, expect=expect)


@pytest.mark.parametrize(("author", "expect"), [("ada", 0), ("eve", 4), ("grace", 4), ("x y", 2)])
def test_a_team_has_its_own_folder(work: Path, check: Check, author: str, expect: int) -> None:
    """That of somebody else is refused."""
    commit(work)
    check("--author", author, expect=expect)


@pytest.mark.parametrize("name", ["no_such", "../../etc/passwd", "x.json", "/dev/zero"])
def test_a_submission_names_a_competition_of_the_base(work: Path, check: Check, name: str) -> None:
    """No path of a stranger is followed; here the rules notice the change, too."""
    file = work / FIRST / "submission.json"
    edit(file, {"experiment.document.competition": name})
    commit(work)
    found = check(competition=None, expect=4)
    assert found["outcome"] == "refused"


def test_a_malformed_competition_is_the_organisers_mistake(work: Path, check: Check) -> None:
    """It is an error of the command, not of the submission."""
    change_rules(work, {"x-competition": None})
    commit(work)
    assert CUP in check(expect=2)["error"]["problems"][0]["path"]


def test_what_is_printed_is_no_command_to_a_runner(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A workflow's log is read for lines that begin with two colons, and for ##[ anywhere."""
    edit(work / FIRST / "submission.json", {"::error::x": 1, "##[add-path]/tmp": 1, "\n::set-output name=x::y": 1})
    commit(work)
    assert main(["check-pr", "--base", "main"]) == 4
    lines = "".join(capsys.readouterr()).splitlines()
    assert any("error" in line for line in lines)
    assert not [line for line in lines if line.strip().startswith("::") or "##[" in line]


def test_what_is_not_committed_is_said(work: Path, check: Check) -> None:
    """It is not part of the pull request."""
    found = check(expect=4)
    assert any("differ from what is committed" in note for note in found["notes"])


def test_records_are_never_read_where_participants_write(work: Path, check: Check) -> None:
    """They would call their own submissions reproduced."""
    commit(work)
    (work / "submissions/ada/records").mkdir()
    found = check("--verified", "submissions/ada/records", expect=2)
    assert "only an organiser can write" in found["error"]["hint"]
