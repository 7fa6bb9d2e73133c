"""Read a pull request as objects of git: nothing of it is checked out, executed, or written under a name of its own.

Only plumbing is called, which runs no hook, filter or text conversion; what it answers is bounded.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pipeline.core.errors import EnvironmentProblem, UserError

__all__ = [
    "ABSENT",
    "Blob",
    "Change",
    "Commits",
    "blob_at",
    "blobs_under",
    "changes_between",
    "commits_of",
    "read_blob",
    "read_blobs",
    "uncommitted",
]

ABSENT: Final = "000000"  # the mode of what is not there
_MOST_BYTES = 64 * 2**20  # a listing of half a million files
_FULL_NAME = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CANDIDATES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


@dataclass(frozen=True)
class Blob:
    """A file in a commit; `mode` is git's: 100644 a plain file, 100755 a program, 120000 a link, 160000 a module."""

    path: str
    mode: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class Change:
    """A path that differs between two commits, with its modes before and after (ABSENT: it is not there)."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Commits:
    """The full names of the commits in question: the base, the head, and where they parted; `called` names the base."""

    base: str
    head: str
    fork: str
    called: str = "base"


def commits_of(repository: Path, base: str | None, head: str) -> Commits:
    """Return the commits that are meant; without a base it is the branch that `origin` calls its own, main or master.

    Raises UserError if there is no such commit, or the two have no commit in common.
    """
    if not _run(repository, "rev-parse", "--git-dir", fine=(0, 128)):
        raise UserError(f"{repository} is in no repository of git", hint="run this where the pull request's branch is")
    names = [base] if base else list(_CANDIDATES)
    called, found = next(((name, commit) for name in names if (commit := _commit(repository, name))), ("", None))
    if found is None:
        given = f"{base!r} is no commit" if base else f"there is none of {', '.join(_CANDIDATES)}"
        raise UserError(
            f"{given} in the repository at {repository}",
            hint="name the branch that the pull request is for: --base origin/main; `git fetch origin main` brings it",
        )
    tip = _commit(repository, head)
    if tip is None:
        raise UserError(f"{head!r} is no commit in the repository at {repository}", hint="`git log --all` lists them")
    fork = _run(repository, "merge-base", found, tip, fine=(0, 1)).decode().strip()
    if not fork:
        raise UserError(
            f"{head!r} and the base have no commit in common",
            hint="a shallow clone does not have it: `git fetch --unshallow`",
        )
    return Commits(found, tip, fork, called)


def changes_between(repository: Path, before: str, after: str) -> list[Change]:
    """Return every path that differs between two commits, in order; a renamed file is one removed and one added."""
    data = _run(
        repository, "diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", "--end-of-options", before, after
    )
    fields = iter(_texts(data))
    return [Change(path, *about.removeprefix(":").split(" ")[:2]) for about, path in zip(fields, fields, strict=True)]


def blobs_under(repository: Path, commit: str, folder: str) -> dict[str, Blob]:
    """Return path -> file of everything below a folder of a commit; {} if there is no such folder."""
    data = _run(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", f"{folder}/")
    return {blob.path: blob for blob in map(_blob, _texts(data))}


def blob_at(repository: Path, commit: str, path: str) -> Blob | None:
    """Return the file at a path of a commit; None if there is none."""
    data = _run(repository, "ls-tree", "-l", "-z", "--full-tree", commit, "--", path)
    found = [blob for blob in map(_blob, _texts(data)) if blob.path == path and blob.mode.startswith("100")]
    return found[0] if found else None


def read_blob(repository: Path, blob: Blob, most: int) -> bytes:
    """Return the bytes of a file. Raises UserError if it has more than `most`."""
    if blob.size_bytes > most:
        raise UserError(f"{blob.path}: has {blob.size_bytes:,} bytes, at most {most:,} are read")
    return _run(repository, "cat-file", "blob", blob.digest, most=most)


def read_blobs(repository: Path, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, bytes]]:
    """Yield files with their bytes, read by one process. Raises UserError if one is not there."""
    with _started(repository, ("cat-file", "--batch"), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for blob in blobs:
            process.stdin.write(f"{blob.digest}\n".encode())
            process.stdin.flush()
            head = _output(process).readline().decode().split()
            if head[1:] != ["blob", str(blob.size_bytes)]:
                raise UserError(f"{blob.path}: git has no such file")
            yield blob, _output(process).read(blob.size_bytes + 1)[:-1]
        process.stdin.close()


def uncommitted(repository: Path, folder: str) -> int:
    """Return how many paths below a folder differ from what is committed, new files included."""
    data = _run(
        repository, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", f":/{folder}/"
    )
    return len(_texts(data))


def _blob(line: str) -> Blob:
    about, _, path = line.partition("\t")
    mode, _, digest, size = about.split()
    return Blob(path, mode, digest, int(size) if size != "-" else 0)


def _texts(data: bytes) -> list[str]:
    """Return texts that end with NUL; bytes that are no UTF-8 stay as surrogates, which no allowed name has."""
    return [part.decode("utf-8", "surrogateescape") for part in data.split(b"\0")[:-1]]


def _commit(repository: Path, name: str) -> str | None:
    found = _run(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", fine=(0, 1, 128)
    )
    full = found.decode().strip()
    return full if _FULL_NAME.fullmatch(full) else None  # a range has two


def _run(repository: Path, *arguments: str, fine: Sequence[int] = (0,), most: int = _MOST_BYTES) -> bytes:
    with _started(repository, arguments) as process:
        data = _output(process).read(most + 1)
        if len(data) > most:
            process.kill()
            raise UserError(f"`git {arguments[0]}` answers with more than {most:,} bytes")
        said = process.stderr.read(4096).decode("utf-8", "replace").strip() if process.stderr else ""
    if process.returncode not in fine:
        raise UserError(f"git {arguments[0]}: {said.splitlines()[0] if said else f'ends with {process.returncode}'}")
    return data


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def _started(
    repository: Path, arguments: Sequence[str], stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    command = ["git", "-C", os.fspath(repository), *arguments]
    try:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **_ENVIRONMENT}
        )
    except FileNotFoundError:
        raise EnvironmentProblem("there is no program `git`", hint="install git") from None
    with process:
        yield process
