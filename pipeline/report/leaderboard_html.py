"""A leaderboard as one self-contained HTML page: sortable, light and dark, no request, escaped throughout.

The only script is ours, sorts tables and finds teams, and is named by its digest in the page's security policy, so that
no other one runs. Without it the page shows all the same. Needs jinja2, an extra.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.report.leaderboard import BoardView, make_board_view
from pipeline.report.leaderboard_page import PAGE, SCRIPT, STYLE
from pipeline.report.style import STYLE as REPORT_STYLE
from pipeline.report.template import environment, script_digest
from pipeline.submission.badge import badge_style, html_badge

if TYPE_CHECKING:
    pass

__all__ = ["render"]

_MOST_OTHERS = 2000


class _Bar(NamedTuple):
    """Where an interval and its figure lie in the scale of all, in per cent from the left."""

    at: float
    left: float
    width: float


def render(board: Mapping[str, Any]) -> str:
    """Return the page; raises EnvironmentProblem when jinja2 is not installed."""
    view = make_board_view(board)
    shown = view.others[:_MOST_OTHERS]
    alike = [row for row in (*view.ranked, *view.others) if row.likeness][:_MOST_OTHERS]
    return (
        environment("the HTML leaderboard")
        .from_string(PAGE)
        .render(
            view=view,
            ranked=list(zip(view.ranked, _bars(view), _leads(view), strict=True)),
            others=shown,
            left_out=len(view.others) - len(shown),
            alike=alike,
            badge=html_badge,
            style=REPORT_STYLE + badge_style() + STYLE,
            script=SCRIPT,
            script_digest=script_digest(SCRIPT),
        )
    )


def _leads(view: BoardView) -> list[bool]:
    """Return which ranked rows begin or follow a rank that several share."""
    ranks = ["", *(row.rank for row in view.ranked)]
    return [rank != before and "=" in rank + before for before, rank in itertools.pairwise(ranks)]


def _bars(view: BoardView) -> list[_Bar | None]:
    """Return for each ranked row where its first figure lies, on a logarithmic scale if all are positive."""
    figures = [row.numbers[0] for row in view.ranked]
    bounds = [bound for figure in figures if figure for bound in figure]
    if not bounds:
        return [None] * len(figures)
    scale: Callable[[float], float] = math.log if min(bounds) > 0 and max(bounds) > 4 * min(bounds) else float
    low, high = scale(min(bounds)), scale(max(bounds))
    extent = (high - low) or 1.0
    return [figure and _bar(*(100 * (scale(value) - low) / extent for value in figure)) for figure in figures]


def _bar(at: float, low: float, high: float) -> _Bar:
    return _Bar(round(at, 2), round(low, 2), round(high - low, 2))
