"""What a pull request may change: new submissions of one team, in that team's own folder, as plain files.

Pure: it looks at names, modes and sizes, never at what the files hold.

    submissions/OWNERS                       which accounts hand in for which team; the organiser's
    submissions/<team>/<any>/submission.json with evidence.safetensors beside it
    submissions/<team>.json                  a submission without evidence
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.core.errors import Problem, UserError
from pipeline.submission.evidence import FILE as EVIDENCE
from pipeline.submission.evidence import MAX_BYTES as MOST_EVIDENCE
from pipeline.submission.pull_request.objects import ABSENT, Blob, Change
from pipeline.submission.read import MAX_BYTES as MOST_SUBMISSION

__all__ = [
    "Entry",
    "MOST_OWNERS_BYTES",
    "MOST_SUBMISSIONS",
    "OWNERS",
    "Proposal",
    "is_submission_name",
    "owners_in",
    "propose",
]

OWNERS = "OWNERS"
MOST_OWNERS_BYTES = 2**20
MOST_SUBMISSIONS = 10  # of one pull request: each is computed again
_MOST_CHANGES = 100
_MOST_BYTES = 2**29  # of all its files together
_DEEPEST = 4  # folders below that of all submissions, the team's included
_SUBMISSION, _NOTES = "submission.json", "README.md"
_MOST_NOTES = 2**16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAIN = "100644"
_KINDS = {"120000": "a link", "160000": "a submodule", "100755": "an executable file", "040000": "a folder"}
# the names of the files of a submission -> how many bytes each may have
_FILES: dict[str, int] = {_SUBMISSION: MOST_SUBMISSION, EVIDENCE: MOST_EVIDENCE, _NOTES: _MOST_NOTES}


@dataclass(frozen=True)
class Entry:
    """A submission that is handed in: its team, its file, and the evidence beside it."""

    team: str
    submission: Blob
    evidence: Blob | None


@dataclass(frozen=True)
class Proposal:
    """What a pull request hands in, and every reason why it may not; `team` is None if it is not one team's."""

    team: str | None
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def propose(
    folder: str,
    changes: Sequence[Change],
    head: Mapping[str, Blob],
    base: Iterable[str],
    owners: Mapping[str, Sequence[str]],
    author: str | None,
) -> Proposal:
    """Return what the changes hand in.

    `head` has the files below `folder` with the changes, `base` the paths without, `owners` is team -> accounts, and
    `author` the account that asks for the changes, None if it is not known: then nobody asks whose folder it is.
    """
    if not changes:
        problem = Problem("E530", folder, "", "found no change, expected a new submission", hint=_WHERE.format(folder))
        return Proposal(None, (), (problem,))
    if len(changes) > _MOST_CHANGES:
        message = f"found {len(changes):,} changed files, expected at most {_MOST_CHANGES}"
        return Proposal(None, (), (Problem("E532", folder, "", message, hint=_SPLIT),))
    known = set(base)
    problems = [problem for change in changes for problem in _of_file(folder, change, head, known)]
    teams = sorted({team for change in changes if (team := _team(folder, change.path))})
    team = teams[0] if len(teams) == 1 else None
    if len(teams) > 1:
        message = f"found changes of {len(teams)} teams, {', '.join(teams[:5])}; expected those of one"
        problems.append(Problem("E531", folder, "", message, hint="one pull request a team"))
    elif team is not None:
        problems += _of_team(folder, team, known, owners, author)
    entries = tuple(_entries(folder, changes, head))
    problems += _of_all(folder, changes, head, entries)
    return Proposal(team, entries, tuple(problems))


def owners_in(text: str, path: str) -> dict[str, tuple[str, ...]]:
    """Return team -> accounts in small letters, from lines such as `team-a @ada @grace`; # begins a comment.

    Raises UserError, with the line, for what is no such line, or a team that is listed twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        team, accounts = words[0], words[1:]
        if not _NAME.fullmatch(team) or not accounts or not all(_is_account(word) for word in accounts):
            raise UserError(
                f"{path}:{number}: found {line.strip()[:80]!r}, expected a team and its accounts", hint="team-a @ada"
            )
        if team.casefold() in map(str.casefold, found):
            raise UserError(f"{path}:{number}: the team {team} is listed twice", hint="give it one line")
        found[team] = tuple(word.removeprefix("@").lower() for word in accounts)
    return found


def is_submission_name(path: str) -> bool:
    """Tell whether a path below the folder of submissions is one that a file of a submission may have."""
    parts = path.split("/")
    name = _SUBMISSION if len(parts) == 1 and path.endswith(".json") else parts[-1]
    return all(map(_NAME.fullmatch, parts)) and len(parts) - 1 <= _DEEPEST and name in _FILES


_WHERE = "a submission goes to {}/<team>/<any name>/submission.json, with evidence.safetensors beside it"
_SPLIT = "hand in fewer at a time"


def _is_account(word: str) -> bool:
    return word.startswith("@") and _NAME.fullmatch(word[1:]) is not None


def _team(folder: str, path: str) -> str | None:
    """Return the team whose file it is: that of the first folder, or of <team>.json; None for no team's."""
    if not path.startswith(f"{folder}/"):
        return None
    first, _, rest = path.removeprefix(f"{folder}/").partition("/")
    name = first if rest else first.removesuffix(".json")
    return name if (rest or first.endswith(".json")) and _NAME.fullmatch(name) else None


def _of_file(folder: str, change: Change, head: Mapping[str, Blob], base: set[str]) -> Iterator[Problem]:
    """Yield what is wrong with one changed path."""
    path = change.path
    if not path.startswith(f"{folder}/"):
        hint = f"leave everything else to a pull request of its own: git checkout BASE -- {path}"
        yield Problem("E530", path, "", f"is outside {folder}/, where alone submissions may change files", hint=hint)
        return
    if _team(folder, path) is None:
        message = "is no team's: the organiser keeps it"
        yield Problem("E530", path, "", message, hint=_WHERE.format(folder))
        return
    name = PurePosixPath(path).name
    if (change.before != ABSENT or path in base) and name != _NOTES:
        verb = "removes" if change.after == ABSENT else "changes"
        message = f"{verb} what was handed in before; that stays as it is, so that attempts are counted"
        yield Problem("E533", path, "", message, hint="hand in a new submission in a folder of another name")
        return
    if change.after == ABSENT:
        return
    if change.after != _PLAIN:
        found = _KINDS.get(change.after, f"mode {change.after[:6]}")
        yield Problem("E532", path, "", f"found {found}, expected a plain file (mode 644)", hint=_HOW)
        return
    yield from _of_name(folder, path, head)


_HOW = "copy the files of a run as they are: cp runs/NAME/{submission.json,evidence.safetensors} ..."


def _of_name(folder: str, path: str, head: Mapping[str, Blob]) -> Iterator[Problem]:
    parts = path.removeprefix(f"{folder}/").split("/")
    name = _SUBMISSION if len(parts) == 1 else parts[-1]
    if not all(_NAME.fullmatch(part) for part in parts):
        message = "has a name of other than ASCII letters, digits and . _ -, or of more than 64 of them"
        yield Problem("E532", path, "", message, hint="rename it")
    elif len(parts) - 1 > _DEEPEST:
        message = f"lies {len(parts) - 1} folders deep, at most {_DEEPEST} are looked at"
        yield Problem("E532", path, "", message, hint=_WHERE.format(folder))
    elif name not in _FILES:
        message = f"found {name!r}, expected one of {', '.join(sorted(_FILES))}"
        yield Problem("E532", path, "", message, hint="leave it out: nobody would look at it")
    elif (size := head[path].size_bytes) > _FILES[name]:
        yield Problem("E532", path, "", f"found {size:,} bytes, expected at most {_FILES[name]:,}", hint=_HOW)


def _of_team(
    folder: str, team: str, base: set[str], owners: Mapping[str, Sequence[str]], author: str | None
) -> Iterator[Problem]:
    """Yield why the author may not hand in for the team, or the team may not be called so."""
    names = {name for path in base if (name := _team(folder, path))} | set(owners)
    if similar := sorted(name for name in names if name != team and name.casefold() == team.casefold()):
        message = f"differs from the team {similar[0]} in small and capital letters only"
        yield Problem("E531", f"{folder}/{team}", "", message, hint="choose another name")
    if author is None or author.lower() in owners.get(team, (team.lower(),)):
        return
    message = (
        f"belongs to {', '.join(owners[team])}, and {author} asks for the change"
        if team in owners
        else f"is neither the account that asks for the change, {author}, nor a team that {folder}/{OWNERS} lists"
    )
    hint = f"use the folder {folder}/{author}, or ask the organiser for a line in {folder}/{OWNERS}: {team} @{author}"
    yield Problem("E531", f"{folder}/{team}", "", message, hint=hint)


def _entries(folder: str, changes: Sequence[Change], head: Mapping[str, Blob]) -> Iterator[Entry]:
    """Yield the submissions among the new plain files that bear the name of one."""
    for change in changes:
        team, path = _team(folder, change.path), PurePosixPath(change.path)
        is_new = change.before == ABSENT and change.after == _PLAIN
        is_bare = str(path.parent) == folder and path.suffix == ".json"
        if team is not None and is_new and (path.name == _SUBMISSION or is_bare):
            evidence = None if is_bare else head.get(str(path.parent / EVIDENCE))
            plain = evidence if evidence is not None and evidence.mode == _PLAIN else None
            yield Entry(team, head[change.path], plain)


def _of_all(
    folder: str, changes: Sequence[Change], head: Mapping[str, Blob], entries: Sequence[Entry]
) -> Iterator[Problem]:
    beside = {PurePosixPath(entry.submission.path).parent for entry in entries}
    for change in changes:
        path = PurePosixPath(change.path)
        if path.name == EVIDENCE and change.after != ABSENT and path.parent not in beside and change.before == ABSENT:
            yield Problem("E532", change.path, "", f"has no new {_SUBMISSION} beside it", hint=_WHERE.format(folder))
    if len(entries) > MOST_SUBMISSIONS:
        message = f"found {len(entries)} submissions, expected at most {MOST_SUBMISSIONS}"
        yield Problem("E532", folder, "", message, hint=_SPLIT)
    total = sum(head[change.path].size_bytes for change in changes if change.path in head)
    if total > _MOST_BYTES:
        yield Problem(
            "E532", folder, "", f"found {total:,} bytes of files, expected at most {_MOST_BYTES:,}", hint=_SPLIT
        )
