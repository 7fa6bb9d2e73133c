"""Records of submissions that were run again: the form of one, and a folder of them as the leaderboard asks for it.

A record is worth what its writer is: it is read only from a folder that whoever decides has named, and it is about the
bytes of one file. Leaves out how a submission is run again (`pipeline.verify`) and compared (`verify_compare`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import ConfigError, Problem, SubmissionInvalid, UserError
from pipeline.submission.read import read_submission
from pipeline.submission.validate import schema_problems

__all__ = ["Check", "OUTCOMES", "is_held", "outcome_of", "read_verification", "read_verifications"]

# The worst first: the outcome of a verification is that of its checks.
OUTCOMES = ("invalid", "differs", "inconclusive", "reproduced")
_SCHEMA = "verification.v1"
_CODE = "E520"
_MOST_BYTES = 2**20
_MOST_FILES = 100_000
_DEEPEST = 4
_LONGEST = 400  # characters of a value or message that a stranger's file may have brought


@dataclass(frozen=True)
class Check:
    """One comparison of what a submission states (`found`) with what came of running it again (`expected`)."""

    id: str
    what: str
    outcome: str
    path: str
    found: Any
    expected: Any
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the record has it."""
        cut = {key: value[:_LONGEST] for key, value in asdict(self).items() if isinstance(value, str)}
        return {**asdict(self), **cut}


# What may be left out of a verification that still reproduces the submitted point: the other points, times of another
# processor, and what other programs measured.
_DISPENSABLE = ("V021", "V040", "V051", "V052")


def is_held(check: str, outcome: str) -> bool:
    """Tell whether a submission may be called reproduced although this check ended so."""
    return outcome in ("same", "within") or (outcome == "skipped" and check in _DISPENSABLE)


def outcome_of(checks: Sequence[Check]) -> str:
    """Return what checks come to together; nothing is reproduced by no checks at all."""
    if any(check.outcome == "differs" for check in checks):
        return "differs"
    return "reproduced" if checks and all(is_held(each.id, each.outcome) for each in checks) else "inconclusive"


def read_verification(path: Path) -> dict[str, Any]:
    """Return the record in a file.

    Raises UserError if it cannot be read, ConfigError with every problem of its form.
    """
    try:
        record = read_submission(path, _MOST_BYTES)
    except SubmissionInvalid as error:
        raise UserError(error.message, code=_CODE, hint=_WRITE) from None
    problems = schema_problems(_SCHEMA, record, str(path), _CODE)
    if not problems and (contradiction := _contradiction(record)):
        problems = [Problem(_CODE, str(path), *contradiction)]
    if problems:
        raise ConfigError(problems)
    return record


def _contradiction(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return (place, message) of what a schema cannot say: nothing is reproduced that a check contradicts."""
    outcome, level = record["outcome"], record["level"]
    if (outcome == "reproduced") != (level == "reproduced"):
        return "level", f"found {level!r} with the outcome {outcome!r}"
    if outcome == "reproduced" and not all(
        is_held(check["id"], check["outcome"]) for check in record["checks"] or [_NONE]
    ):
        return "outcome", "found 'reproduced', although a check does not hold"
    return None


_NONE = {"id": "", "outcome": "inconclusive"}
_WRITE = "`pipeline verify SUBMISSION --record FILE` writes records"


def read_verifications(folder: Path) -> Mapping[str, dict[str, Any]]:
    """Return SHA-256 of a submission's file -> its newest record, from all .json files in a folder, 4 deep at most.

    Of records of the same second the worst counts. Links are not followed. Raises UserError if the folder cannot be
    read or has too many files, ConfigError for a file that is no record: an organiser's folder has nothing else.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in _files(folder):
        record = read_verification(path)
        digest = record["submission"]["digest"]
        if digest not in found or _order(record) > _order(found[digest]):
            found[digest] = record
    return found


def _order(record: Mapping[str, Any]) -> tuple[str, int]:
    return record["finished_at"], -OUTCOMES.index(record["outcome"])


def _files(folder: Path) -> Iterator[Path]:
    """Yield the regular .json files below a folder in the order of their paths."""
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder of verification records", hint=_WRITE)
    found: list[Path] = []
    waiting = [(folder, 1)]
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            raise UserError(f"{here}: cannot be read: {error.strerror}") from error
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and depth < _DEEPEST:
                waiting.append((Path(entry.path), depth + 1))
            elif stat.S_ISREG(mode) and entry.name.endswith(".json"):
                found.append(Path(entry.path))
        if len(found) > _MOST_FILES:
            raise UserError(
                f"{folder}: has more than {_MOST_FILES} records", hint="keep those of one competition there"
            )
    yield from sorted(found)
