"""Which submissions lie in a folder that strangers fill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.submission.leaderboard.folder import DEEPEST, Found, find_submissions, read_file, team_problem


def put(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("{}")


def test_teams_are_folders_or_files(tmp_path: Path) -> None:
    """In the order of their paths; evidence counts beside a submission only."""
    put(
        tmp_path,
        "b/1/submission.json",
        "b/1/evidence.safetensors",
        "a.json",
        "b/submission.json",
        "c/x/y/submission.json",
    )
    assert find_submissions(tmp_path) == [
        Found("a", "a.json"),
        Found("b", "b/1/submission.json", "", True),
        Found("b", "b/submission.json"),
        Found("c", "c/x/y/submission.json"),
    ]


def test_everything_else_is_left_alone(tmp_path: Path) -> None:
    """Other names, hidden folders, and what lies too deep."""
    deep = "/".join(["a"] * (DEEPEST + 1))
    put(tmp_path, "a/submission.json", "a/notes.json", ".git/submission.json", "README.md", f"{deep}/submission.json")
    assert [one.path for one in find_submissions(tmp_path)] == ["a/submission.json"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link to a submission is told, a link to a folder is no folder."""
    put(tmp_path, "out/a/submission.json", "in/a/submission.json")
    os.symlink(tmp_path / "out/a/submission.json", tmp_path / "in/b.json")
    os.symlink(tmp_path / "out/a", tmp_path / "in/c")
    os.symlink(tmp_path / "out/a/submission.json", tmp_path / "in/a/evidence.safetensors")
    found = {one.path: one for one in find_submissions(tmp_path / "in")}
    assert found.keys() == {"a/submission.json", "b.json"}
    assert "link" in found["b.json"].problem
    assert not found["a/submission.json"].has_evidence


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    """They are no files."""
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "submission.json")
    (one,) = find_submissions(tmp_path)
    assert "no regular file" in one.problem


@pytest.mark.parametrize("team", ["ada", "Zoë", "team-1", "C++", "Ada Lovelace", "量子", "a.b"])
def test_names_of_teams(team: str) -> None:
    """Letters of all scripts."""
    assert team_problem(team) == ""


@pytest.mark.parametrize(
    "team", ["", "-x", "x ", "a|b", "<b>", "@all", "a\nb", "a\x1b[2J", "x" * 65, "e\u0301", "=1+1", "\udcff"]
)
def test_names_that_are_none(team: str) -> None:
    """What could drive a terminal, a page or a spreadsheet, or look like another."""
    assert team_problem(team) != ""


def test_an_odd_name_is_shown_harmlessly(tmp_path: Path) -> None:
    """It is listed, and not read."""
    put(tmp_path, "a\x1b[2J/submission.json")
    (one,) = find_submissions(tmp_path)
    assert one.team == "a\ufffd[2J"
    assert one.problem


def test_a_submission_of_no_team_is_told(tmp_path: Path) -> None:
    """It lies beside the teams' folders."""
    put(tmp_path, "submission.json")
    (one,) = find_submissions(tmp_path)
    assert "no team" in one.problem


@pytest.mark.parametrize("name", ["empty", "nothing"])
def test_a_folder_without_submissions_is_the_users_mistake(tmp_path: Path, name: str) -> None:
    """With what is expected."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as raised:
        find_submissions(tmp_path / name)
    assert raised.value.hint


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """One byte more says that there is more; a link is none."""
    (tmp_path / "x").write_bytes(b"12345")
    os.symlink(tmp_path / "x", tmp_path / "y")
    assert read_file(tmp_path / "x", 3) == b"1234"
    with pytest.raises(OSError, match="symbolic"):
        read_file(tmp_path / "y", 3)
