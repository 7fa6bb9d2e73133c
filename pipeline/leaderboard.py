"""Make a competition's leaderboard: check what a folder holds, in several processes, and rank it.

What was found out about a submission is remembered in the store, with the digests of the rules and of the code that
found it out, and the versions of the libraries: an entry from there is the one that would be made again.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import ConfigError
from pipeline.core.keys import digest_bytes, digest_value
from pipeline.execute.modules import CodeDigests
from pipeline.store.local import LocalStore
from pipeline.submission.competition.check import competition_problems
from pipeline.submission.competition.terms import Competition
from pipeline.submission.evidence import FILE as EVIDENCE
from pipeline.submission.evidence import MAX_BYTES as MOST_EVIDENCE
from pipeline.submission.leaderboard.board import board_of
from pipeline.submission.leaderboard.entry import Entry, Reason, entry_from_json, entry_of, entry_to_json, refused
from pipeline.submission.leaderboard.folder import Found, find_submissions, read_file
from pipeline.submission.leaderboard.likeness import HandedIn
from pipeline.submission.read import MAX_BYTES as MOST_SUBMISSION

__all__ = ["Checked", "cores", "make_leaderboard", "rankable"]

_FACTS = "leaderboard"  # what the store remembers under this name
_CODE = "pipeline.submission.leaderboard.entry"
_LIBRARIES = ("numpy", "safetensors")
_CHUNK = 25  # submissions that a process is given at a time: a quarter of a second
_FEW = 100  # submissions that one process checks sooner than others start


@dataclass(frozen=True)
class _Work:
    """What a process needs to know; `by` says which rules and which code make the entries."""

    folder: Path
    competition: Competition
    store: LocalStore | None
    by: str
    now: datetime


class Checked(NamedTuple):
    """How many submissions were checked, and how many of them were known from the store."""

    done: int
    known: int


class _Answer(NamedTuple):
    """The entry of a submission; `name` is what to remember it under, "" if it is known or does not last."""

    entry: Entry
    name: str
    is_known: bool


def rankable(competition: Competition) -> Competition:
    """Return the competition if its limits and its ranking can be decided; raises ConfigError with what cannot."""
    if problems := competition_problems(competition, competition.name):
        raise ConfigError(problems)
    return competition


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_leaderboard(
    folder: Path,
    competition: Competition,
    verifications: Mapping[str, Mapping[str, Any]],
    store: LocalStore | None,
    workers: int,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], Checked]:
    """Return the leaderboard of the submissions in a folder, and how many were checked.

    `verifications` are an organiser's records by the digest of a submission; `tell` is called with how many of how many
    submissions are done. Raises UserError for a folder that cannot be read, ConfigError as `rankable` does.
    """
    found = find_submissions(folder)
    work = _Work(folder, rankable(competition), store, _made_by(competition, store), datetime.now(UTC))
    readable = [one for one in found if not one.problem]
    answers: dict[Found, _Answer] = {}
    for ones, those in _checked(work, readable, workers if len(readable) > _FEW else 1):
        answers.update(zip(ones, those, strict=True))
        tell(len(answers), len(readable))
        if store is not None and (new := {one.name: [work.by, entry_to_json(one.entry)] for one in those if one.name}):
            store.remember(_FACTS, new)
    handed_in = [HandedIn(one.team, one.path, _entry(one, answers)) for one in found]
    known = sum(answer.is_known for answer in answers.values())
    return board_of(competition, handed_in, verifications), Checked(len(found), known)


def _entry(one: Found, answers: Mapping[Found, _Answer]) -> Entry:
    return answers[one].entry if one in answers else refused("", Reason("folder", "$", one.problem))


def _made_by(competition: Competition, store: LocalStore | None) -> str:
    """Return the digest of all that an entry follows from, besides the submission's bytes."""
    if store is None:
        return ""
    libraries = {name: version(name) for name in _LIBRARIES}
    return digest_value(
        [competition.digest, CodeDigests(store).module_digest(_CODE), libraries, sys.version, _machine()]
    )


def _machine() -> list[str]:
    return [sys.platform, platform.machine()]


def _checked(work: _Work, found: Sequence[Found], workers: int) -> Iterator[tuple[Sequence[Found], list[_Answer]]]:
    """Yield submissions, some at a time, with what was found out about them."""
    chunks = [found[start : start + _CHUNK] for start in range(0, len(found), _CHUNK)]
    if workers < 2:
        for chunk in chunks:
            yield chunk, [_check(work, one) for one in chunk]
        return
    lost: list[Sequence[Found]] = []
    pool = _pool(work, min(workers, len(chunks)))
    try:
        futures: dict[Future[list[_Answer]], Sequence[Found]] = {}
        for chunk in chunks:
            try:
                futures[pool.submit(_check_in_process, chunk)] = chunk
            except BrokenProcessPool:  # by a chunk that was handed in a moment ago
                lost.append(chunk)
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                lost.append(futures[future])
    finally:
        pool.shutdown(cancel_futures=True)
    for chunk in lost:
        yield chunk, _alone(work, chunk)


def _alone(work: _Work, chunk: Sequence[Found]) -> list[_Answer]:
    """Check submissions in a process of their own, each in one if that ends the process: that is said of it then."""
    with _pool(work, 1) as pool:
        try:
            return pool.submit(_check_in_process, chunk).result()
        except BrokenProcessPool:
            pass
    if len(chunk) == 1:
        reason = Reason("E700", "$", "to check it ended the process: it may need more memory than there is")
        return [_Answer(refused("", reason), "", False)]
    return [answer for one in chunk for answer in _alone(work, [one])]


def _pool(work: _Work, workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # numpy's threads do not survive a fork
    return ProcessPoolExecutor(workers, context, _begin, (work,))


_at_work: _Work | None = None


def _begin(work: _Work) -> None:
    """Take over what there is to do, in a new process; an interrupt is the first process's business, its end ours."""
    global _at_work
    _at_work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the process that started this one is gone, however it ended: nobody wants an answer any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _check_in_process(found: Iterable[Found]) -> list[_Answer]:
    assert _at_work is not None
    return [_check(_at_work, one) for one in found]


def _check(work: _Work, one: Found) -> _Answer:
    """Return the entry of a submission, from the store if it is there."""
    bounds = work.competition.terms["bounds"]
    path = work.folder / one.path
    try:
        data = read_file(path, min(bounds["submission_bytes"], MOST_SUBMISSION))
        evidence = None
        if one.has_evidence:
            evidence = read_file(path.parent / EVIDENCE, min(bounds["evidence_bytes"], MOST_EVIDENCE))
    except OSError as error:
        reason = Reason("folder", "$", f"cannot be read: {error.strerror}")
        return _Answer(refused("", reason), "", False)
    name = digest_value([work.competition.name, digest_bytes(data), evidence and digest_bytes(evidence)])
    if (known := _recalled(work, name)) is not None:
        return _Answer(known, "", True)
    entry = entry_of(work.competition, data, evidence, work.now)
    return _Answer(entry, name if entry.lasts else "", False)


def _recalled(work: _Work, name: str) -> Entry | None:
    found = work.store.recall(_FACTS, name) if work.store else None
    if not isinstance(found, list) or len(found) != 2 or found[0] != work.by:
        return None
    return entry_from_json(found[1])
