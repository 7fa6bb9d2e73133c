"""A comparison of frameworks for a terminal and as Markdown. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.frameworks import HEADER, FrameworksView, make_frameworks_view
from pipeline.report.markdown import escape
from pipeline.report.text import Cell, Table, paint, printable, wrap

__all__ = ["render_markdown", "render_terminal"]

_NARROWEST, _WIDEST = 40, 140
_MOST_WARNINGS = 6


def render_terminal(document: Mapping[str, Any], width: int = 100, colour: bool = False) -> str:
    """Return the comparison as text, without a closing line break."""
    view = make_frameworks_view(document)
    width = min(max(width, _NARROWEST), _WIDEST)
    blocks = [list(part(view, width, colour)) for part in (_title, _sentences, _rows, _rates, _notes)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _title(view: FrameworksView, width: int, colour: bool) -> Iterator[str]:
    yield paint(printable(view.title), "strong", colour)
    yield from wrap(printable(view.subtitle), width, "", "")


def _sentences(view: FrameworksView, width: int, colour: bool) -> Iterator[str]:
    for sentence in view.sentences:
        yield from wrap(printable(sentence), width, "", "  ")


def _rows(view: FrameworksView, width: int, colour: bool) -> Iterator[str]:
    rows = [
        [Cell(printable(text), row.tone if place == 4 else "") for place, text in enumerate(row.texts)]
        for row in view.rows
    ]
    yield from Table(HEADER, rows, optional=(2, 6, 5), right=(1, 2), flows=True).lines(width, colour)


def _rates(view: FrameworksView, width: int, colour: bool) -> Iterator[str]:
    for row in view.rows:
        if row.rate:
            yield from wrap(printable(f"{row.title}: {row.rate}"), width, "", "  ")


def _notes(view: FrameworksView, width: int, colour: bool) -> Iterator[str]:
    more = len(view.warnings) - _MOST_WARNINGS
    warnings = [f"warning: {text}" for text in view.warnings[:_MOST_WARNINGS]]
    warnings += [f"{more} more warnings are in the report"] if more > 0 else []
    for note in (*view.notes, *warnings):
        for line in wrap(printable(note), width, "  ", "    "):
            yield paint(line, "dim", colour)


def render_markdown(document: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown with a table; every text is escaped."""
    view = make_frameworks_view(document)
    lines = [f"# {escape(view.title)}", "", escape(view.subtitle), ""]
    if view.description:
        lines += [escape(view.description), ""]
    lines += [f"- {escape(sentence)}" for sentence in view.sentences]
    lines += ["", *_table(HEADER, [row.texts for row in view.rows])]
    if rated := [(row.title, row.rate) for row in view.rows if row.rate]:
        lines += ["", "## Per second, tinytorch and PyTorch", "", *_table(("work", "rate"), rated)]
    detail = [(row.title, row.outputs or row.reason, row.kernels) for row in view.rows]
    lines += ["", "## Outputs and kernels", "", *_table(("work", "outputs", "computed by"), detail)]
    lines += ["", "## How", "", *(f"- {escape(note)}" for note in view.notes)]
    if view.warnings:
        lines += ["", "## Warnings", "", *(f"- {escape(text)}" for text in view.warnings)]
    lines += ["", "## Machine", "", *_table(("", ""), view.machine)]
    return "\n".join(lines) + "\n"


def _table(header: tuple[str, ...], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(escape, row))} |"
