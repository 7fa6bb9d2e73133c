"""Rank the submissions in a folder by a competition's rules; write the leaderboard as Markdown, HTML, JSON and CSV.

Every submission is checked as `pipeline validate --competition` does, in several processes; what was checked before is
remembered in the store. Nothing in a submission is executed. The same submissions give the same files, byte by byte.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import is_live, safe
from pipeline.cli.experiment import add_store_argument, store_folder
from pipeline.cli.tables import table
from pipeline.core.errors import GoalNotMet, UserError
from pipeline.store.objects import write_atomically
from pipeline.submission.badge import BADGES

if TYPE_CHECKING:
    from pipeline.leaderboard import Checked
    from pipeline.report.leaderboard import BoardRow, BoardView

__all__ = ["add_arguments", "answer_of", "configure", "ranked", "records_folder", "run"]

_OUT = "leaderboard"
_MOST_ROWS, _MOST_OTHERS = 50, 20  # on the terminal


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "folder", metavar="FOLDER", help="submissions: TEAM/.../submission.json with evidence beside it"
    )
    parser.add_argument("--competition", metavar="NAME|FILE", required=True, help="whose rules rank them")
    add_arguments(parser)
    parser.add_argument("--out", metavar="DIR", default=_OUT, help=f"where to write the files (default: {_OUT})")
    parser.add_argument(
        "--check", action="store_true", help="write nothing: say whether the files there are up to date (exit code 3)"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `competition rank` has, too."""
    parser.add_argument(
        "--verified", metavar="DIR", help="an organiser's records of `pipeline verify`; never a folder of submissions"
    )
    parser.add_argument(
        "--workers", metavar="N", type=_positive, help="processes that check submissions (default: one for each core)"
    )
    parser.add_argument("--afresh", action="store_true", help="check everything again, whatever is remembered")
    add_store_argument(parser)


def run(args: argparse.Namespace) -> Answer:
    """Write the files, or compare those that are there, and answer with the ranks."""
    out, folder = Path(args.out), Path(args.folder)
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise UserError(
            f"{out} lies in {folder}", hint="what is written there would be taken for a team: choose another"
        )
    document, checked = ranked(args, args.competition)
    files = {name: (out / name, text.encode()) for name, text in _files(document).items()}
    answer = answer_of(document, checked)
    if args.check:
        stale = [str(path) for path, data in files.values() if not _holds(path, data)]
        message = f"not up to date: {', '.join(stale)} (exit code {GoalNotMet.exit_code})" if stale else "up to date"
        code = GoalNotMet.exit_code if stale else 0
        return Answer(answer.text, {**answer.document, "stale": stale, "exit_code": code}, code, safe(message))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, data in files.values():
            write_atomically(path, data)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}", hint="--out names another folder") from error
    written = {name.rpartition(".")[2]: str(path) for name, (path, _) in files.items()}
    lines = [f"{kind:<5} {path}" for kind, path in written.items()]
    return Answer(f"{answer.text}\n\n{safe(chr(10).join(lines))}", {**answer.document, "files": written})


def _files(document: dict[str, Any]) -> dict[str, str]:
    from pipeline.report import leaderboard_html, leaderboard_markdown
    from pipeline.report.leaderboard import board_csv, board_json

    return {
        "LEADERBOARD.md": leaderboard_markdown.render(document),
        "leaderboard.html": leaderboard_html.render(document),
        "leaderboard.json": board_json(document),
        "leaderboard.csv": board_csv(document),
    }


def ranked(args: argparse.Namespace, competition: str) -> tuple[dict[str, Any], Checked]:
    """Return the leaderboard that the arguments ask for, and how many submissions were checked."""
    from pipeline.leaderboard import cores, make_leaderboard
    from pipeline.store.local import LocalStore
    from pipeline.submission.competition.terms import find_competition
    from pipeline.submission.verification import read_verifications

    folder = Path(args.folder)
    rules = find_competition(competition)
    verified = read_verifications(records_folder(args.verified, folder)) if args.verified else {}
    store = None if args.afresh else LocalStore(store_folder(args))
    return make_leaderboard(folder, rules, verified, store, args.workers or cores(), _teller())


def answer_of(document: dict[str, Any], checked: Checked) -> Answer:
    """Return ranks, what has none and why, and the rules, for a terminal; `--json` has the whole document."""
    from pipeline.report.leaderboard import make_board_view

    view = make_board_view(document)
    columns = ["rank", "team", *view.columns, "submissions", "trust", *_likeness_head(view)]
    parts = [f"{view.title}: {view.summary}", ""]
    if view.ranked:
        rows = [_ranked_row(row)[: len(columns)] for row in view.ranked[:_MOST_ROWS]]
        parts.append(table(columns, rows, optional="submissions"))
        parts += _left_out(view.ranked, _MOST_ROWS, "teams")
    else:
        parts.append("nobody is ranked yet")
    parts += ["", *(safe(note) for note in view.notes)] if view.notes else []
    others = [row for row in view.others if row.state != "passed over"]
    if others:
        parts += ["", table(("not ranked", "state", "why"), list(map(_other_row, others[:_MOST_OTHERS])))]
        parts += _left_out(others, _MOST_OTHERS, "submissions")
    noun = "submission" if checked.done == 1 else "submissions"
    parts += ["", *_told(view), f"{checked.done} {noun} checked, {checked.known} of them remembered"]
    return Answer("\n".join(parts), {**document, "checked": checked._asdict()})


def _ranked_row(row: BoardRow) -> tuple[str, ...]:
    rank = f"{row.rank}{'*' if row.awaits else ''}"
    return rank, row.team, *row.scores, row.attempts, _badge(row), ", ".join(row.marks)


def _likeness_head(view: BoardView) -> list[str]:
    return ["like another's"] if any(row.marks for row in view.ranked[:_MOST_ROWS]) else []


def _other_row(row: BoardRow) -> tuple[str, ...]:
    return row.path, row.state, row.why


def _badge(row: BoardRow) -> str:
    return f"{BADGES[row.trust].sign} {row.trust}" if row.trust else ""


def _left_out(rows: Sequence[Any], most: int, name: str) -> list[str]:
    return [f"... and {len(rows) - most:,} more {name}"] if len(rows) > most else []


def _told(view: BoardView) -> list[str]:
    return [*(safe(rule) for rule in view.rules), f"Rules of {view.name}: {view.digest}"]


def records_folder(name: str, submissions: Path) -> Path:
    """Return the folder of an organiser's records. Raises UserError if whoever submits could have put them there."""
    folder, forbidden = Path(name).resolve(), submissions.resolve()
    if folder == forbidden or forbidden in folder.parents or folder in forbidden.parents:
        raise UserError(
            f"--verified {name} and the submissions in {submissions} lie in each other",
            hint="keep records where only an organiser can write",
        )
    return Path(name)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _teller() -> Callable[[int, int], None]:
    if not is_live(sys.stderr):
        return lambda done, total: None

    def tell(done: int, total: int) -> None:
        end = "\r\x1b[K" if done >= total else ""
        print(f"\r{done:,} of {total:,} submissions checked", end=end, file=sys.stderr, flush=True)

    return tell


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"a number from 1 to 256, not {text[:20]!r}")
    return int(text)
