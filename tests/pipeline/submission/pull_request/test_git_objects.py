"""Reading commits of a pull request without checking anything out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.submission.pull_request.objects import (
    ABSENT,
    Change,
    blob_at,
    blobs_under,
    changes_between,
    commits_of,
    read_blob,
    uncommitted,
)

PERSON = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *PERSON, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a branch `main` and, from its first commit on, a branch `work` that is checked out."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "submissions/a").mkdir(parents=True)
    (tmp_path / "submissions/a/one.txt").write_text("one")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "checkout", "-q", "-b", "work")
    return tmp_path


def commit(folder: Path, message: str = "more") -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def test_changes_are_those_since_the_branches_parted(repository: Path) -> None:
    """What the base got meanwhile is no change of the pull request."""
    (repository / "submissions/a/two ä\n.txt").write_text("two")
    (repository / "link").symlink_to("/etc/passwd")
    (repository / "submissions/a/one.txt").rename(repository / "submissions/a/three.txt")
    commit(repository)
    git(repository, "checkout", "-q", "main")
    (repository / "later.txt").write_text("later")
    commit(repository)
    commits = commits_of(repository, "main", "work")
    assert changes_between(repository, commits.fork, commits.head) == [
        Change("link", ABSENT, "120000"),
        Change("submissions/a/one.txt", "100644", ABSENT),
        Change("submissions/a/three.txt", ABSENT, "100644"),
        Change("submissions/a/two ä\n.txt", ABSENT, "100644"),
    ]


def test_files_are_read_as_they_are_committed(repository: Path) -> None:
    """Neither the work tree nor a filter has a say."""
    (repository / ".gitattributes").write_text("*.txt filter=evil text eol=crlf")
    git(repository, "config", "filter.evil.smudge", "touch hacked")
    (repository / "submissions/a/one.txt").write_text("changed")
    blobs = blobs_under(repository, "work", "submissions")
    blob = blobs["submissions/a/one.txt"]
    assert (list(blobs), blob.mode, blob.size_bytes) == (["submissions/a/one.txt"], "100644", 3)
    assert read_blob(repository, blob, 3) == b"one"
    assert not (repository / "hacked").exists()
    assert uncommitted(repository, "submissions") == 1


def test_a_file_is_never_read_beyond_its_bound(repository: Path) -> None:
    """Its size is known before."""
    blob = blob_at(repository, "main", "submissions/a/one.txt")
    assert blob is not None
    with pytest.raises(UserError, match="has 3 bytes, at most 2"):
        read_blob(repository, blob, 2)


@pytest.mark.parametrize("path", ["submissions/a/none.txt", "submissions/a", "none"])
def test_what_is_no_file_is_none(repository: Path, path: str) -> None:
    """A folder is none, either."""
    assert blob_at(repository, "main", path) is None


@pytest.mark.parametrize("name", ["nowhere", "--help", "main..work", "", "main:submissions", "$(touch x)"])
def test_an_odd_name_of_a_commit_is_an_error(repository: Path, name: str) -> None:
    """It is never taken for an option or a command."""
    with pytest.raises(UserError, match="is no commit"):
        commits_of(repository, "main", name)


def test_histories_without_a_common_commit_are_an_error(repository: Path) -> None:
    """As a shallow clone has them."""
    git(repository, "checkout", "-q", "--orphan", "other")
    commit(repository)
    with pytest.raises(UserError, match="no commit in common"):
        commits_of(repository, "main", "other")


def test_no_repository_is_an_error(tmp_path: Path) -> None:
    """Nothing is found in it."""
    with pytest.raises(UserError, match="is in no repository of git"):
        commits_of(tmp_path, None, "HEAD")


def test_a_repository_without_a_usual_branch_needs_a_base(repository: Path) -> None:
    """The message says which were looked for, and the commits which was found."""
    assert commits_of(repository, None, "work").called == "main"
    git(repository, "branch", "-q", "-m", "main", "trunk")
    with pytest.raises(UserError, match="there is none of origin/HEAD"):
        commits_of(repository, None, "work")
