"""Find the submissions in a folder that strangers fill: bounded, no link followed, nothing opened that is no file.

A team is a folder with any number of submission.json files in it, 4 folders deep at most, each with its evidence beside
it; or a single file TEAM.json. Everything else is left alone.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import UserError
from pipeline.submission.evidence import FILE as EVIDENCE

__all__ = ["DEEPEST", "Found", "MOST_SUBMISSIONS", "find_submissions", "read_file", "team_problem"]

DEEPEST = 4  # folders from the team's to the submission's
MOST_SUBMISSIONS = 50_000
_MOST_LOOKED_AT = 1_000_000  # files and folders of any name
_SUBMISSION = "submission.json"
_LONGEST_TEAM, _LONGEST_PATH = 64, 1100
_TEAM = re.compile(r"\w(?:[\w .+-]*[\w+])?")  # \w knows the letters of all scripts


class Found(NamedTuple):
    """A submission: whose it is, where it lies in the folder (with /), and why it is not read, "" if it is."""

    team: str
    path: str
    problem: str = ""
    has_evidence: bool = False


def find_submissions(folder: Path) -> list[Found]:
    """Return what a folder holds, in the order of the paths.

    Raises UserError if it cannot be read, holds no submission, or too many.
    """
    found: list[Found] = []
    for one in _search(folder):
        found.append(one)
        if len(found) > MOST_SUBMISSIONS:
            raise UserError(f"{folder}: has more than {MOST_SUBMISSIONS} submissions", hint="divide it")
    if not found:
        raise UserError(
            f"{folder}: holds no submission",
            hint=f"a submission is FOLDER/TEAM/.../{_SUBMISSION} with {EVIDENCE} beside it, or FOLDER/TEAM.json",
        )
    return sorted(found, key=lambda one: one.path)


def read_file(path: Path, most: int) -> bytes:
    """Return the first bytes of a file, one more than `most` of a larger one; raises OSError, for a link as well."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is not a regular file")
        return file.read(most + 1)


def team_problem(team: str) -> str:
    """Return why a name is none for a team, "" if it is one."""
    if len(team) > _LONGEST_TEAM or not _TEAM.fullmatch(team) or unicodedata.normalize("NFC", team) != team:
        return f"the team's name is not of letters, digits, spaces, '.', '+', '-' and '_', at most {_LONGEST_TEAM}"
    return ""


def _search(folder: Path) -> Iterator[Found]:
    looked_at = 0
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        entries = _entries(folder, parts)
        looked_at += len(entries)
        if looked_at > _MOST_LOOKED_AT:
            raise UserError(f"{folder}: has more than {_MOST_LOOKED_AT} files and folders", hint="divide it")
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        for entry in entries:
            if entry.name.startswith("."):
                continue
            below = (*parts, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if len(below) <= DEEPEST:
                    waiting.append(below)
            elif _is_submission(parts, entry.name):
                yield _found(below, entry, has_evidence=bool(parts) and EVIDENCE in names)


def _is_submission(parts: tuple[str, ...], name: str) -> bool:
    return name == _SUBMISSION if parts else name.endswith(".json")


def _found(parts: tuple[str, ...], entry: os.DirEntry[str], *, has_evidence: bool) -> Found:
    team = parts[0].removesuffix(".json") if len(parts) == 1 else parts[0]
    problem = team_problem(team)
    if not problem and not all(part.isprintable() for part in parts):
        problem = "its path has characters that cannot be shown"
    if not problem and parts == (_SUBMISSION,):
        problem = f"it lies in the folder of no team, expected TEAM/{_SUBMISSION}"
    if not problem and not entry.is_file(follow_symlinks=False):
        problem = "it is a link or no regular file, expected the file itself"
    return Found(_shown(team), _shown("/".join(parts)), problem, has_evidence and not problem)


def _shown(text: str) -> str:
    """Return a name that can be written anywhere; only names with a problem change."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)[:_LONGEST_PATH]


def _entries(folder: Path, parts: tuple[str, ...]) -> list[os.DirEntry[str]]:
    here = folder.joinpath(*parts)
    try:
        return sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        if parts:
            raise UserError(f"{here}: cannot be read: {error.strerror}") from error
        raise UserError(
            f"{folder}: cannot be read as a folder of submissions: {error.strerror}",
            hint="name the folder of the teams",
        ) from error
