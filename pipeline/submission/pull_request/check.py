"""Check a pull request: whether it may change what it changes, and how the submissions that it hands in stand.

Competitions, accounts and earlier submissions are those of the base; of the head only the new submissions are read,
as data. What is checked in a submission is what `validate` checks; that it was measured at all, `verify` shows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError, Problem, SubmissionInvalid, UserError
from pipeline.schemas import COMPETITIONS, SUFFIX, competition_names, schema_path
from pipeline.submission.competition.judge import Finding, judge, overall
from pipeline.submission.competition.limits import look_up
from pipeline.submission.competition.terms import Competition, competition_from
from pipeline.submission.evidence import FILE as EVIDENCE
from pipeline.submission.evidence import MAX_BYTES as MOST_EVIDENCE
from pipeline.submission.measured import UNMEASURED, is_measured
from pipeline.submission.pull_request.changes import (
    MOST_OWNERS_BYTES,
    MOST_SUBMISSIONS,
    OWNERS,
    Entry,
    Proposal,
    owners_in,
    propose,
)
from pipeline.submission.pull_request.objects import (
    Blob,
    Commits,
    blob_at,
    blobs_under,
    changes_between,
    read_blob,
)
from pipeline.submission.read import MAX_BYTES, parse_submission
from pipeline.submission.trust import trust_in
from pipeline.submission.validate import check_submission

__all__ = ["Checked", "OUTCOMES", "Request", "check_pull_request", "outcome_of"]

# the worst first: of a submission, and of a pull request the worst of its submissions'
OUTCOMES = ("refused", "misses limits", "undecided", "accepted")
_OF_STATUS = {"fail": "misses limits", "inconclusive": "undecided", "pass": "accepted"}
_MOST_COMPETITION = 2**20


@dataclass(frozen=True)
class Request:
    """What is asked: which commits, the folder of submissions, who asks when, for which competition (None: theirs)."""

    repository: Path
    commits: Commits
    folder: str
    author: str | None
    handed_in: datetime
    competition: str | None


@dataclass(frozen=True)
class Checked:
    """A submission that is handed in, as far as it could be checked: `trust` is a level, or None if it is invalid."""

    path: str
    team: str
    digest: str
    outcome: str
    trust: str | None = None
    competition: Competition | None = None
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        rules = self.competition and {"name": self.competition.name, "rules": self.competition.digest}
        return {
            "path": self.path,
            "team": self.team,
            "digest": self.digest,
            "outcome": self.outcome,
            "trust": self.trust,
            "competition": rules,
            "findings": [finding.to_json() for finding in self.findings],
            "problems": [problem.to_json() for problem in self.problems],
            "notes": list(self.notes),
        }


def check_pull_request(request: Request, scratch: Path) -> tuple[Proposal, tuple[Checked, ...]]:
    """Return what is handed in, and how each submission stands; its files are copied below the folder `scratch`.

    Raises UserError if the base's list of accounts or a competition of the base cannot be read: that is the
    organiser's to repair, and ConfigError likewise.
    """
    repository, commits = request.repository, request.commits
    head = blobs_under(repository, commits.head, request.folder)
    base = blobs_under(repository, commits.base, request.folder)
    changes = changes_between(repository, commits.fork, commits.head)
    proposal = propose(request.folder, changes, head, base, _owners(request, base), request.author)
    wrong = {problem.path for problem in proposal.problems}
    entries = [
        entry
        for entry in proposal.entries[:MOST_SUBMISSIONS]
        if not wrong & {entry.submission.path, entry.evidence.path if entry.evidence else ""}
    ]
    before = _Before(request, base)
    return proposal, tuple(_checked(request, entry, before, scratch) for entry in entries)


def outcome_of(proposal: Proposal, found: Sequence[Checked]) -> str:
    """Return the outcome of the pull request: one of OUTCOMES."""
    if proposal.problems:
        return "refused"
    return min((checked.outcome for checked in found), key=OUTCOMES.index, default="accepted")


class _Before:
    """What the base holds that submissions are held against, read when it is asked for: mutable, one check's own."""

    def __init__(self, request: Request, base: Mapping[str, Blob]) -> None:
        self._request = request
        self._base = base
        self._competitions: dict[str, Competition] = {}
        self._attempts: dict[str, Counter[str | None]] = {}
        self._path_of = {blob.digest: blob.path for blob in reversed([*base.values()])}

    def copied_from(self, blob: Blob) -> str | None:
        """Return the path at which the base, or an earlier submission of this check, has the very same bytes."""
        return self._path_of.setdefault(blob.digest, blob.path) if blob.size_bytes else None

    def competition(self, name: str) -> Competition:
        """Return the competition of this name as the base has it, else as the tool brings it."""
        if name not in self._competitions:
            self._competitions[name] = _competition(self._request, name)
        return self._competitions[name]

    def attempt(self, team: str, competition: str) -> int:
        """Count a submission of a team; return which one it is, those that name no competition counted for each."""
        if team not in self._attempts:
            self._attempts[team] = Counter(self._names(team))
        counts = self._attempts[team]
        counts[competition] += 1
        return counts[competition] + counts[None]

    def _names(self, team: str) -> Iterator[str | None]:
        folder = self._request.folder
        for path, blob in self._base.items():
            below = path.removeprefix(f"{folder}/")
            if below == f"{team}.json" or (below.startswith(f"{team}/") and path.endswith("/submission.json")):
                yield _named(_parsed(self._request, blob))


def _owners(request: Request, base: Mapping[str, Blob]) -> Mapping[str, Sequence[str]]:
    path = f"{request.folder}/{OWNERS}"
    if path not in base:
        return {}
    text = read_blob(request.repository, base[path], MOST_OWNERS_BYTES).decode("utf-8", "replace")
    return owners_in(text, path)


def _parsed(request: Request, blob: Blob) -> Mapping[str, Any]:
    """Return what an earlier submission holds; {} where that is no bounded JSON object."""
    try:
        return parse_submission(read_blob(request.repository, blob, MAX_BYTES))
    except PipelineError:
        return {}


def _named(document: Mapping[str, Any]) -> str | None:
    name = look_up(document, ("experiment", "document", "competition"))
    return name if isinstance(name, str) else None


def _competition(request: Request, name: str) -> Competition:
    if name.isidentifier() and name.isascii():
        for folder in (COMPETITIONS, f"schemas/{COMPETITIONS}"):
            path = f"{folder}/{name}{SUFFIX}"
            blob = blob_at(request.repository, request.commits.base, path)
            if blob is not None:
                return _competition_in(read_blob(request.repository, blob, _MOST_COMPETITION), f"base:{path}")
        if name in competition_names():
            path = str(schema_path(f"{COMPETITIONS}/{name}"))
            return _competition_in(Path(path).read_bytes(), path)
    raise UserError(
        f"there is no competition {name[:80]!r}: the base has no {COMPETITIONS}/{name[:80]}{SUFFIX}",
        hint=f"competitions that come with the package: {', '.join(competition_names())}",
    )


def _competition_in(data: bytes, path: str) -> Competition:
    try:
        return competition_from(parse_submission(data, _MOST_COMPETITION), path)
    except SubmissionInvalid as error:
        raise UserError(f"{path}: {error.message}", code="E510") from None


def _checked(request: Request, entry: Entry, before: _Before, scratch: Path) -> Checked:
    """Return how one submission stands; what a stranger wrote ends in problems, never in an error."""
    blob = entry.submission
    data = read_blob(request.repository, blob, MAX_BYTES)
    checked = Checked(blob.path, entry.team, hashlib.sha256(data).hexdigest(), "refused")
    copies = tuple(_copies(entry, before))
    file = _copy(request, entry, data, scratch)
    try:
        document = parse_submission(data)
        check_submission(document, str(file))
        if not is_measured(document):
            raise UserError(f"{file}: {UNMEASURED}; expected what `pipeline run` writes")
        trust = trust_in(document, file)
    except PipelineError as error:
        found = error.problems or (Problem(error.code, str(file), "", error.message.removeprefix(f"{file}: ")),)
        own = tuple(problem._replace(path=_path(problem.path, scratch, request)) for problem in found)
        return replace(checked, problems=(*copies, *own))
    placed = _standing(request, replace(checked, trust=trust, problems=copies), document, blob.size_bytes, before)
    return replace(placed, notes=(*_own_code(document), *placed.notes))


def _own_code(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note if code besides this installation had a part in it, without a word of a stranger's."""
    if own := document["provenance"].get("custom_code"):
        yield (
            f"custom code: files or packages besides this installation had a part in it, {len(own)} of them, named in "
            "provenance.custom_code; read that code before you run it again"
        )


def _path(path: str, scratch: Path, request: Request) -> str:
    return path.replace(f"{scratch}/", f"{request.folder}/")


def _copy(request: Request, entry: Entry, data: bytes, scratch: Path) -> Path:
    """Write a submission and its evidence below `scratch`, whose names were all checked; return the submission's."""
    file = scratch / entry.submission.path.removeprefix(f"{request.folder}/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if entry.evidence is not None:
        (file.parent / EVIDENCE).write_bytes(read_blob(request.repository, entry.evidence, MOST_EVIDENCE))
    return file


def _copies(entry: Entry, before: _Before) -> Iterator[Problem]:
    for blob in (entry.submission, entry.evidence):
        source = blob and before.copied_from(blob)
        if blob and source != blob.path and source is not None:
            hint = "hand in a run of your own"
            yield Problem("E534", blob.path, "", f"has the very bytes of {source}", hint=hint)


def _standing(
    request: Request, checked: Checked, document: Mapping[str, Any], size_bytes: int, before: _Before
) -> Checked:
    """Return a valid submission with how it stands in its competition, if it is made for one."""
    name = request.competition or _named(document)
    if name is None:
        note = "its experiment names no competition, so that it is held against none and ranked nowhere"
        return replace(checked, outcome="refused" if checked.problems else "accepted", notes=(note,))
    try:
        competition = before.competition(name)
    except UserError as error:
        if request.competition or error.problems or error.code == "E510":
            raise  # the organiser's mistake
        problem = Problem("E115", checked.path, "experiment.document.competition", error.message, hint=error.hint)
        return replace(checked, problems=(*checked.problems, problem))
    findings = tuple(judge(competition, document, size_bytes, checked.trust))
    problems = (*checked.problems, *_terms(request, checked, competition, before))
    waits = next((finding for finding in findings if _only_waits(finding, checked)), None)
    outcome = "refused" if problems else _OF_STATUS[overall(finding for finding in findings if finding is not waits)]
    notes = (_WAITS,) if waits else ()
    return replace(checked, outcome=outcome, competition=competition, findings=findings, problems=problems, notes=notes)


_WAITS = "every limit is checked but that it is reproduced: the organiser's `pipeline verify` says whether it is"


def _only_waits(finding: Finding, checked: Checked) -> bool:
    """Tell whether this says that a submission is not reproduced yet, which nobody but the organiser can change."""
    return finding.path == "trust" and finding.status == "inconclusive" and checked.trust == "recomputed"


def _terms(request: Request, checked: Checked, competition: Competition, before: _Before) -> Iterator[Problem]:
    """Yield which terms are broken that are not about the submission but about when and how often one is handed in."""
    most = competition.terms["bounds"]["attempts"]
    attempt = before.attempt(checked.team, competition.name)
    if most is not None and attempt > most:
        message = f"found attempt {attempt} of {checked.team}, expected at most {most} in {competition.name}"
        yield Problem("E535", checked.path, "", message)
    dates, moment = competition.terms["dates"], request.handed_in.strftime("%Y-%m-%dT%H:%M:%SZ")
    if dates["opens"] is not None and moment < dates["opens"]:
        yield Problem("E535", checked.path, "", f"handed in at {moment}, and {competition.name} opens {dates['opens']}")
    if dates["closes"] is not None and moment > dates["closes"]:
        yield Problem(
            "E535", checked.path, "", f"handed in at {moment}, and {competition.name} closed {dates['closes']}"
        )
