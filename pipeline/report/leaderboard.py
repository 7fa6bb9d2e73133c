"""A leaderboard as people read it: texts of rows, rules and notes, from the document of `submission.leaderboard`.

What Markdown, HTML and the terminal share. Decides nothing. Texts of strangers are as they wrote them: whoever shows
them escapes them.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.text import printable
from pipeline.submission.badge import BADGES
from pipeline.submission.competition.ranking import Score
from pipeline.submission.competition.ranking_figures import score_text
from pipeline.submission.leaderboard.board import STATES

__all__ = ["BoardRow", "BoardView", "board_csv", "board_json", "make_board_view"]

Document = Mapping[str, Any]
_FORMULA = ("=", "+", "-", "@", "\t")  # a spreadsheet computes what begins so
_CODE = re.compile(r"[A-Z]\d{3}")
_STATE_WORDS = {
    "ranked": "ranked",
    "passed_over": "passed over",
    "beyond_attempts": "too many",
    "copy": "copy",
    "inconclusive": "inconclusive",
    "fail": "limit broken",
    "differs": "not reproduced",
    "invalid": "invalid",
    "unverified": "unverified",
}
_TONES = {"fail": "bad", "differs": "bad", "invalid": "bad", "inconclusive": "warn", "beyond_attempts": "warn"}
_LIKE_WORDS = {
    "submission": "same file",
    "samples": "same times",
    "weights": "same weights",
    "tensors": "like weights",
    "predictions": "same answers",
    "answers": "like answers",
}


@dataclass(frozen=True)
class BoardRow:
    """A submission: `rank` is "" for one without, `marks` say in two words each what it has in common with others.

    `scores` are texts and `numbers` what they say, None for a missing one, in the order of the columns.
    """

    rank: str
    team: str
    path: str
    digest: str
    trust: str | None
    state: str
    tone: str
    awaits: bool
    attempts: str
    measured_at: str
    name: str
    techniques: str
    machine: str
    scores: tuple[str, ...]
    numbers: tuple[Score | None, ...]
    why: str
    marks: tuple[str, ...]
    likeness: tuple[str, ...]

    @property
    def figures(self) -> tuple[tuple[str, Score | None], ...]:
        """The texts of the scores with their numbers."""
        return tuple(zip(self.scores, self.numbers, strict=True))


@dataclass(frozen=True)
class BoardView:
    """A leaderboard: `columns` are the names of the figures, `rules` sentences, `others` rows without a rank."""

    name: str
    title: str
    description: str
    summary: str
    columns: tuple[str, ...]
    ranked: tuple[BoardRow, ...]
    others: tuple[BoardRow, ...]
    rules: tuple[str, ...]
    notes: tuple[str, ...]
    badges: tuple[tuple[str, str], ...]
    digest: str


def make_board_view(board: Document) -> BoardView:
    """Return the texts of a leaderboard."""
    terms, counts = board["competition"], board["counts"]
    teams = {team["team"]: team for team in board["teams"]}
    rows = [_row(one, terms, teams) for one in board["submissions"]]
    ranked = tuple(row for row in rows if row.rank)
    return BoardView(
        name=terms["name"],
        title=terms["title"],
        description=terms["description"],
        summary=_summary(counts, len(ranked)),
        columns=tuple(column["name"] for column in terms["columns"]),
        ranked=ranked,
        others=tuple(row for row in rows if not row.rank),
        rules=tuple(_rules(terms)),
        notes=tuple(_notes(board)),
        badges=tuple((badge.level, badge.meaning) for badge in BADGES.values() if counts["trust"][badge.level]),
        digest=terms["rules"],
    )


def board_json(board: Document) -> str:
    """Return the document as text, the same for the same document."""
    return json.dumps(board, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def board_csv(board: Document) -> str:
    """Return a table of all submissions, one a line; what a spreadsheet would compute begins with an apostrophe."""
    columns = board["competition"]["columns"]
    names = [f"{column['name']}{part}" for column in columns for part in ("", " low", " high")]
    header = ["rank", "shared", "team", "state", "trust", *names, "measured_at", "name", "techniques", "machine"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "path", "digest", "reasons", "flags"])
    for one in board["submissions"]:
        scores = one["scores"] or [None] * len(columns)
        figures = [figure for score in scores for figure in _figures(score)]
        cells = [one["rank"], one["shared"], one["team"], one["state"], one["trust"], *figures, one["measured_at"]]
        cells += [one["name"], ", ".join(one["techniques"]), one["machine"], one["path"], one["digest"]]
        cells += ["; ".join(map(_reason, one["reasons"])), "; ".join(map(_flag, one["flags"]))]
        writer.writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _figures(score: Document | None) -> list[Any]:
    return [None] * 3 if score is None else [score["value"], *score["interval"]]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def _row(one: Document, terms: Document, teams: Mapping[str, Document]) -> BoardRow:
    columns = terms["columns"]
    scores = [None if score is None else Score(score["value"], *score["interval"]) for score in one["scores"]]
    scores += [None] * (len(columns) - len(scores))
    return BoardRow(
        rank="" if one["rank"] is None else f"{one['rank']}{'=' if one['shared'] else ''}",
        team=one["team"],
        path=one["path"],
        digest=one["digest"] or "",
        trust=one["trust"],
        state=_STATE_WORDS[one["state"]],
        tone=_TONES.get(one["state"], ""),
        awaits=one["awaits_reproduction"],
        attempts=_attempts(teams[one["team"]], terms["attempts"]),
        measured_at=one["measured_at"] or "",
        name=one["name"],
        techniques=", ".join(one["techniques"]),
        machine=one["machine"],
        scores=tuple(score_text(score, column["unit"]) for score, column in zip(scores, columns, strict=True)),
        numbers=tuple(scores),
        why=_why(one),
        marks=tuple(dict.fromkeys(_LIKE_WORDS[flag["kind"]] for flag in one["flags"])),
        likeness=tuple(_flag(flag) for flag in one["flags"]),
    )


def _attempts(team: Document, most: int | None) -> str:
    return f"{team['attempts']} of {most}" if most is not None else str(team["attempts"])


def _why(one: Document) -> str:
    """Return why a submission has no rank, the first reason in full and how many there are besides."""
    if one["rank"] is not None or not one["reasons"]:
        return "" if one["rank"] is not None else STATES[one["state"]]
    more = len(one["reasons"]) - 1 + one["more_reasons"]
    return _reason(one["reasons"][0]) + (f" (and {more} more)" if more else "")


def _reason(reason: Document) -> str:
    """Return a reason with the rule that `pipeline explain` knows, if it is one, and the place in the submission."""
    parts = [reason["rule"]] if _CODE.fullmatch(reason["rule"]) else []
    parts += [reason["path"]] if reason["path"] not in ("$", "") else []
    return ": ".join([*parts, reason["message"]])


def _flag(flag: Document) -> str:
    return f"{_LIKE_WORDS[flag['kind']]} as {flag['path']} of {flag['team']}: {flag['text']}"


def _summary(counts: Document, ranked: int) -> str:
    states = counts["states"]
    words = _STATE_WORDS | {"fail": "with a limit broken"}
    others = [f"{states[state]:,} {words[state]}" for state in STATES if state != "ranked" and states[state]]
    head = f"{ranked:,} of {_many(counts['teams'], 'team')} ranked, from {_many(counts['submissions'], 'submission')}"
    return f"{head}: {', '.join(others)}" if others else head


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' if count != 1 else ''}"


def _rules(terms: Document) -> list[str]:
    first, *rest = terms["columns"]
    ties = (
        "Teams share a rank (=) as far as their 95 % intervals overlap that of the first of them"
        if terms["ties"] == "overlapping_intervals"
        else "Teams share a rank (=) if their figures are the same"
    )
    then = f"; within a rank they stand in the order of {', '.join(column['name'] for column in rest)}" if rest else ""
    rules = [f"Ranked by {first['name']}, {first['best']} first. {ties}{then}."]
    if any(column["path"].startswith("comparisons.speed") for column in terms["columns"]):
        rules.append(
            "Speed is the ratio to the same baseline, timed side by side on one machine; times of different machines "
            "are never compared."
        )
    if terms["ladder"]["enabled"]:
        sure = f"{terms['ladder']['confidence']:.3g}".rstrip("0")
        rules.append(
            f"A team's later submission counts only if it is significantly better (confidence {sure}) than the one "
            "that counted (Ladder rule, Blum and Hardt 2015)."
        )
    else:
        rules.append("A team's best submission counts.")
    if terms["attempts"] is not None:
        rules.append(f"A team may hand in {_many(terms['attempts'], 'submission')}, in the order they were measured.")
    verification = terms["verification"]
    rules.append(f"Only what is at least {verification['level']} is ranked.")
    if verification["reproduce_best"]:
        rules.append(f"The best {verification['reproduce_best']} are run again before anybody wins.")
    return rules


def _notes(board: Document) -> list[str]:
    waiting = [one["team"] for one in board["submissions"] if one["awaits_reproduction"]]
    notes = []
    if waiting:
        have = "has" if len(waiting) == 1 else "have"
        notes.append(f"Provisional: {len(waiting)} of the best {have} not been run again yet (marked *).")
    if board["counts"]["flagged"]:
        notes.append(
            f"{_many(board['counts']['flagged'], 'submission')} {'is' if board['counts']['flagged'] == 1 else 'are'} "
            "like one of another team. That is an observation: who follows the same recipe gets the same weights."
        )
    return notes
