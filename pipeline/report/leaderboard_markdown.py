"""A leaderboard as Markdown, for a repository. Every text of a submission is escaped, and long lists are cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.report.leaderboard import BoardRow, BoardView, make_board_view
from pipeline.report.markdown import escape
from pipeline.submission.badge import markdown_badge

__all__ = ["render"]

_MOST_RANKED, _MOST_OTHERS = 500, 200  # GitHub shows Markdown up to 512 KiB


def render(board: Mapping[str, Any]) -> str:
    """Return the leaderboard as Markdown, ending with a line break."""
    view = make_board_view(board)
    blocks = ["\n".join(part(view)) for part in (_head, _ranked, _notes, _others, _alike, _rules)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(view: BoardView) -> Iterator[str]:
    yield f"# {escape(view.title)}\n"
    yield f"{escape(view.description)}\n"
    yield f"{view.summary}."


def _ranked(view: BoardView) -> Iterator[str]:
    if not view.ranked:
        yield "Nobody is ranked yet."
        return
    shown = view.ranked[:_MOST_RANKED]
    header = ["rank", "team", *view.columns, "trust", "submissions", "remarks"]
    right = {0, *range(2, 2 + len(view.columns))}
    rows = [
        (
            row.rank + ("\\*" if row.awaits else ""),
            escape(row.team),
            *row.scores,
            _badge(row),
            row.attempts,
            ", ".join(row.marks),
        )
        for row in shown
    ]
    yield from _table(header, rows, right)
    if len(view.ranked) > len(shown):
        yield f"\n{len(view.ranked) - len(shown):,} more teams are in leaderboard.csv."


def _notes(view: BoardView) -> Iterator[str]:
    yield from (f"{'' if i == 0 else chr(10)}{escape(note)}" for i, note in enumerate(view.notes))


def _others(view: BoardView) -> Iterator[str]:
    if view.others:
        shown = view.others[:_MOST_OTHERS]
        yield "## Not ranked\n"
        header = ("team", "submission", "state", view.columns[0], "trust", "why")
        rows = [
            (escape(row.team), escape(row.path), row.state, row.scores[0], _badge(row), escape(row.why))
            for row in shown
        ]
        yield from _table(header, rows, {3})
        if len(view.others) > len(shown):
            yield f"\n{len(view.others) - len(shown):,} more are in leaderboard.csv."


def _alike(view: BoardView) -> Iterator[str]:
    alike = [row for row in (*view.ranked, *view.others) if row.likeness]
    if alike:
        yield "## Like another team's\n"
        rows = [(escape(row.team), escape(row.path), escape(text)) for row in alike for text in row.likeness]
        yield from _table(("team", "submission", "what is alike"), rows[:_MOST_OTHERS])
        if len(rows) > _MOST_OTHERS:
            yield f"\n{len(rows) - _MOST_OTHERS:,} more are in leaderboard.csv."


def _rules(view: BoardView) -> Iterator[str]:
    yield "## How it is ranked\n"
    yield from (f"- {escape(rule)}" for rule in view.rules)
    yield from (f"- {markdown_badge(level)}: {escape(meaning)}" for level, meaning in view.badges)
    yield f"- Rules of `{view.name}`: `{view.digest}`"


def _badge(row: BoardRow) -> str:
    return markdown_badge(row.trust) if row.trust else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: set[int] | None = None) -> Iterator[str]:
    """Lay out cells that are escaped already, or made of figures and our own words."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join(' ---: ' if place in (right or ()) else ' --- ' for place in range(len(header)))}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
