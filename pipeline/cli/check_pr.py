"""Check a pull request that hands in submissions, as its workflow does: what it changes, and how each one stands.

The commits of HEAD are held against the base, whose competitions and list of teams (submissions/OWNERS) count. Nothing
of them is executed or checked out. Exit codes: 4 something has to change, 3 a limit is missed or undecided.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, safe
from pipeline.cli.experiment import add_store_argument, store_folder
from pipeline.cli.leaderboard import records_folder
from pipeline.core.errors import GoalNotMet, SubmissionInvalid, UserError, render_problems
from pipeline.leaderboard import cores, make_leaderboard
from pipeline.report.pull_request import OUTCOMES, comment, is_told
from pipeline.store.local import LocalStore
from pipeline.store.objects import write_atomically
from pipeline.submission.competition.standing import found_and_expected
from pipeline.submission.pull_request.changes import Proposal
from pipeline.submission.pull_request.check import Checked, Request, check_pull_request, outcome_of
from pipeline.submission.pull_request.objects import commits_of, uncommitted
from pipeline.submission.pull_request.place import Ranked, lay_out, place_in
from pipeline.submission.verification import read_verifications

__all__ = ["configure", "run"]

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}(\[bot\])?")
_EXIT_CODES = {
    "refused": SubmissionInvalid.exit_code,
    "misses limits": GoalNotMet.exit_code,
    "undecided": GoalNotMet.exit_code,
    "accepted": 0,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--base", metavar="REF", help="the branch that it is for (default: origin's, main or master)")
    parser.add_argument("--head", metavar="REF", default="HEAD", help="the pull request's last commit (default: HEAD)")
    parser.add_argument(
        "--competition", metavar="NAME", help="the competition (default: the one that each submission names)"
    )
    parser.add_argument(
        "--submissions",
        metavar="DIR",
        default="submissions",
        help="the repository's folder of submissions (default: submissions)",
    )
    parser.add_argument("--author", metavar="ACCOUNT", help="who asks: then the team's folder has to be theirs")
    parser.add_argument(
        "--handed-in", metavar="TIME", help="when, as 2026-11-30T12:00:00Z (default: now); the dates count then"
    )
    parser.add_argument("--no-rank", action="store_true", help="do not say where it would rank")
    parser.add_argument("--verified", metavar="DIR", help="an organiser's records of `pipeline verify`, to rank by")
    parser.add_argument("--comment", metavar="FILE", help="write the comment in Markdown here, too")
    add_store_argument(parser)


def run(args: argparse.Namespace) -> Answer:
    """Answer with how the pull request stands; `--comment` writes the comment."""
    request = _request(args)
    with tempfile.TemporaryDirectory(prefix="check-pr-") as scratch:
        proposal, found = check_pull_request(request, Path(scratch))
        notes = list(_notes(args, request))
        places = _places(args, request, found, Path(scratch), notes)
    outcome = outcome_of(proposal, found)
    text = comment(request, proposal, found, places)
    if args.comment:
        _write(Path(args.comment), text)
    document = {
        "outcome": outcome,
        "base": request.commits.base,
        "head": request.commits.head,
        "team": proposal.team,
        "problems": [problem.to_json() for problem in proposal.problems],
        "submissions": [{**checked.to_json(), "place": _document(places.get(checked.path))} for checked in found],
        "notes": notes,
        "comment": text,
    }
    lines = [*_lines(request, proposal, found, places), *(f"note: {note}" for note in notes)]
    code = _EXIT_CODES[outcome]
    message = f"{outcome} (exit code {code}): {OUTCOMES[outcome][1]}" if code else ""
    return Answer(_inert(safe("\n".join(lines))), document, code, message)


def _places(
    args: argparse.Namespace, request: Request, found: Sequence[Checked], scratch: Path, notes: list[str]
) -> dict[str, Ranked]:
    """Return path -> place among the base's submissions of those that could be merged; add why, if there is none."""
    fine = [checked for checked in found if checked.competition and checked.outcome in ("accepted", "undecided")]
    if not fine or args.no_rank:
        return {}
    if problem := lay_out(request, scratch):
        notes.append(f"nothing is ranked: {problem}")
        return {}
    verified = read_verifications(records_folder(args.verified, Path(request.folder))) if args.verified else {}
    boards: dict[str, dict[str, Any]] = {}
    places = {}
    for checked in fine:
        assert checked.competition is not None
        name = checked.competition.name
        if name not in boards:
            store = LocalStore(store_folder(args))
            boards[name], _ = make_leaderboard(scratch, checked.competition, verified, store, cores())
        places[checked.path] = place_in(boards[name], checked.path.removeprefix(f"{request.folder}/"))
    return places


def _document(place: Ranked | None) -> dict[str, Any] | None:
    return place.to_json() if place else None


def _request(args: argparse.Namespace) -> Request:
    folder = args.submissions.rstrip("/")
    if not _FOLDER.fullmatch(folder):
        raise UserError(f"--submissions is a folder of the repository, not {args.submissions[:80]!r}")
    if args.author is not None and not _ACCOUNT.fullmatch(args.author):
        raise UserError(f"--author is the name of an account, not {args.author[:80]!r}")
    repository = Path.cwd()
    commits = commits_of(repository, args.base, args.head)
    return Request(repository, commits, folder, args.author, _moment(args.handed_in), args.competition)


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--handed-in is a moment such as 2026-11-30T12:00:00Z, not {text[:40]!r}") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _notes(args: argparse.Namespace, request: Request) -> Iterator[str]:
    if args.author is None:
        yield "whose folder it is was not asked; --author ACCOUNT asks"
    if args.head == "HEAD" and (count := uncommitted(request.repository, request.folder)):
        where = f"{count} path(s) below {request.folder}/"
        yield f"{where} differ from what is committed, and were not looked at: commit them first"


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _lines(
    request: Request, proposal: Proposal, found: Sequence[Checked], places: Mapping[str, Ranked]
) -> Iterator[str]:
    """Yield the answer for a terminal."""
    outcome = outcome_of(proposal, found)
    count = len(proposal.entries)
    handed_in = f"{proposal.team or 'no single team'}, {count} submission{'' if count == 1 else 's'}"
    yield f"{handed_in}: {outcome} (against {request.commits.called}, {request.commits.base[:12]})"
    for checked in found:
        rules = (
            f" in {checked.competition.name} (rules {checked.competition.digest[:12]})" if checked.competition else ""
        )
        yield f"{checked.path}: {checked.outcome}{rules}, {checked.trust or 'not valid'}"
        told = [finding for finding in checked.findings if is_told(finding)]
        yield from (f"  {finding.status:<12}  {finding.path}: {found_and_expected(finding)}" for finding in told)
        if place := places.get(checked.path):
            yield f"  would rank: {place.text}"
            yield from (f"  not ranked: {why}" for why in place.why if place.rank is None)
            yield from (f"  like another team's: {likeness}" for likeness in place.likeness)
        yield from (f"  {note}" for note in checked.notes)
    problems = [*proposal.problems, *(problem for checked in found for problem in checked.problems)]
    if problems:
        yield render_problems(problems, columns(120))


def _inert(text: str) -> str:
    """Return the text so that no line of it is a command to the runner of a workflow, which reads what is printed."""
    lines = [re.sub(r"^(\s*):(?=:)", r"\1: ", line).replace("##[", "## [") for line in text.split("\n")]
    return "\n".join(lines)
