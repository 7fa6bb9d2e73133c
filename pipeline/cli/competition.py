"""Start, check and list competitions, files of limits that submissions are held against, and rank submissions.

`pipeline validate --competition NAME submission.json` says how a submission stands.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, safe
from pipeline.cli.leaderboard import add_arguments, answer_of, ranked
from pipeline.cli.tables import table
from pipeline.core.errors import PipelineError, UserError, render_problems
from pipeline.schemas import COMPETITIONS, SUFFIX, competition_names
from pipeline.store.objects import write_atomically
from pipeline.submission.competition.check import competition_notes, competition_problems
from pipeline.submission.competition.terms import find_competition, renamed

__all__ = ["configure", "run"]

_STARTER = "tiny_digits"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's actions and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="write a competition to start from")
    new.add_argument("name", metavar="NAME", help="its name: small letters, digits and _")
    new.add_argument("--like", metavar="NAME|FILE", default=_STARTER, help=f"which to copy (default: {_STARTER})")
    new.add_argument(
        "--output", metavar="DIR", default=COMPETITIONS, help=f"where to write it (default: {COMPETITIONS})"
    )
    check = actions.add_parser("check", help="check competitions before they are announced")
    check.add_argument("names", metavar="NAME|FILE", nargs="+", help="which")
    actions.add_parser("list", help="list the competitions that come with the package")
    rank = actions.add_parser(
        "rank", help="rank the submissions in a folder (`pipeline leaderboard` writes files, too)"
    )
    rank.add_argument("name", metavar="NAME|FILE", help="whose rules rank them")
    rank.add_argument("folder", metavar="FOLDER", help="submissions: TEAM/.../submission.json with evidence beside it")
    add_arguments(rank)


def run(args: argparse.Namespace) -> Answer:
    """Do what was asked for."""
    return {"check": _check, "list": _list, "new": _new, "rank": _rank}[args.action](args)


def _new(args: argparse.Namespace) -> Answer:
    if not _NAME.fullmatch(args.name):
        raise UserError(
            f"{args.name[:80]!r} is no name for a competition", hint="small letters, digits and _, a letter first"
        )
    path = Path(args.output) / f"{args.name}{SUFFIX}"
    if path.exists():
        raise UserError(f"{path} exists", hint="choose another name, or remove it")
    like = find_competition(args.like)
    schema = renamed(args.like, args.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, schema.encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    text = f"{path}: written, like {like.name}. Edit it, then: pipeline competition check {path}"
    return Answer(safe(text), {"path": str(path), "name": args.name, "like": like.name})


def _check(args: argparse.Namespace) -> Answer:
    rows = [_checked(name) for name in args.names]
    text = "\n".join(row.pop("text") for row in rows)
    return Answer(safe(text), {"competitions": rows}, max(row["exit_code"] for row in rows))


def _checked(name: str) -> dict[str, Any]:
    try:
        competition = find_competition(name)
        problems: tuple[Any, ...] = tuple(competition_problems(competition, name))
    except PipelineError as error:
        if not error.problems:
            raise
        problems, digest, notes = error.problems, None, []
    else:
        digest, notes = competition.digest, competition_notes(competition)
    row = {
        "competition": name,
        "valid": not problems,
        "digest": digest,
        "notes": notes,
        "problems": [problem.to_json() for problem in problems],
    }
    if problems:
        return row | {"exit_code": UserError.exit_code, "text": render_problems(problems, columns(120))}
    lines = [f"{name}: valid competition, rules {digest}", *(f"  note: {note}" for note in notes)]
    return row | {"exit_code": 0, "text": "\n".join(lines)}


def _rank(args: argparse.Namespace) -> Answer:
    return answer_of(*ranked(args, args.name))


def _list(_: argparse.Namespace) -> Answer:
    rows = []
    for name in competition_names():
        competition = find_competition(name)
        rows.append(
            {
                "name": name,
                "ranked by": competition.terms["ranking"]["primary"]["path"],
                "title": competition.title,
                "what": competition.schema["description"],
                "rules": competition.digest,
            }
        )
    shown = [[row["name"], row["ranked by"], row["what"]] for row in rows]
    return Answer(table(["name", "ranked by", "what"], shown), {"competitions": rows})
