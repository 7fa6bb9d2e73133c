"""The result of a run as plain text for stdout: what changed, what may be said of it, and what else was tried.

Standard library only, because a run in which nothing has to be done prints this, too. The width decides the layout:
tables, tables without their least columns, or blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report import loadgen
from pipeline.report.generate import GENERATE_HEADER
from pipeline.report.peers import HEADER
from pipeline.report.row import Figure
from pipeline.report.text import Cell, Table, cells_of, paint, printable, wrap
from pipeline.report.view import Point, View, make_view
from pipeline.submission.quantities import quantity

__all__ = ["render"]

_NARROWEST = 40
_WIDEST = 120  # longer lines are hard to read
_MOST_POINTS = 40
_MOST_LAYERS = 3
_MOST_FAILED = 10
_SPEEDUP = GENERATE_HEADER.index("against uncached")
_FRONT = "+ no other point is as good in size, speed-up and validation accuracy, and better in one"


def render(submission: Mapping[str, Any], width: int = 100, colour: bool = False) -> str:
    """Return the report of a valid submission, without a closing line break.

    Lines are at most `width` cells (40 to 120) unless a single word is longer; ANSI colours only with `colour`.
    """
    view = make_view(submission)
    width = min(max(width, _NARROWEST), _WIDEST)
    parts = (
        _title,
        _figures,
        _verdicts,
        _limits,
        _conditions,
        _generating,
        _peers,
        _loadgen,
        _points,
        _failed,
        _steps,
        _training,
        _layers,
        _messages,
        _footer,
    )
    blocks = [list(part(view, width, colour)) for part in parts]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _title(view: View, width: int, colour: bool) -> Iterator[str]:
    yield paint(printable(view.title), "strong", colour)
    yield from wrap(printable(view.subtitle), width, "", "")
    if view.scenario:
        yield from wrap(printable(view.scenario), width, "", "  ")


def _figures(view: View, width: int, colour: bool) -> Iterator[str]:
    """Lay out the table with all intervals, else with those of models and ratios, of models only, or without."""
    rows = [row for row in view.figures if not row.is_detail]
    for models, changes in ((True, "all"), (True, "ratios"), (True, ""), (False, "")):
        cells = [_figure(row, models, changes) for row in rows]
        table = Table(["", "baseline", "optimized", "change"], cells, flows=True)
        if table.fits(width):
            break
    yield from table.lines(width, colour)
    names = {row.name for row in rows}
    for note in view.notes:
        if note.name in names:
            yield from _dim(wrap(printable(note.text), width, "  ", "    "), colour)


def _figure(row: Figure, models: bool, changes: str) -> list[Cell]:
    """Return a row's cells, with the intervals of both models and of "all" changes or "ratios", or without."""
    values = [value.full if models else value.text for value in (row.baseline, row.optimized)]
    is_short = row.change.text.endswith("x")  # a ratio's interval takes little room and matters most
    changed = row.change.full if changes == "all" or (changes == "ratios" and is_short) else row.change.text
    return [Cell(row.name), *map(Cell, values), Cell(changed, row.tone)]


def _verdicts(view: View, width: int, colour: bool) -> Iterator[str]:
    subjects = max((cells_of(verdict.subject) for verdict in view.verdicts), default=0)
    for verdict in view.verdicts:
        text = f"{verdict.word}: {verdict.figure}; {verdict.text}"
        first, *rest = wrap(text, width, f"{verdict.subject:<{subjects}}  ", " " * (subjects + 2))
        yield first.replace(verdict.word, paint(verdict.word, verdict.tone or "strong", colour), 1)
        yield from rest


def _limits(view: View, width: int, colour: bool) -> Iterator[str]:
    """Say of each limit whether it is met; why, where it is not: of a limit that is met the interval says it."""
    for limit in view.limits:
        text = f"goal {limit.status}: {limit.wanted}; measured {limit.measured}"
        first, *rest = wrap(text, width, "", "  ")
        yield first.replace(limit.status, paint(limit.status, limit.tone, colour), 1)
        yield from rest
        if limit.status != "met":
            yield from wrap(printable(limit.reason), width, "  ", "  ")


def _conditions(view: View, width: int, colour: bool) -> Iterator[str]:
    if len(view.conditions) < 2:
        return
    rows = [
        [
            *map(Cell, (row.batch_size, row.threads, row.baseline, row.optimized, row.speedup)),
            Cell(row.verdict, row.tone),
        ]
        for row in view.conditions
    ]
    header = ["batch size", "threads", f"{view.asked}, baseline", "optimized", "speed-up", "verdict"]
    yield from Table(header, rows, optional=(1,), right=(0, 1, 2, 3), flows=True).lines(width, colour)
    for row in view.conditions:
        if row.note:
            yield from _dim(wrap(printable(row.note), width, "  ", "    "), colour)


def _peers(view: View, width: int, colour: bool) -> Iterator[str]:
    if not view.peers.rows:
        return
    yield "the same networks elsewhere"
    for sentence in view.peers.sentences:
        yield from wrap(printable(sentence), width, "  ", "    ")
    rows = [[*(Cell(printable(text)) for text in row.texts), Cell(row.verdict, row.tone)] for row in view.peers.rows]
    yield from Table(HEADER, rows, optional=(3, 2, 4), right=(3, 4), flows=True).lines(width, colour)
    for note in view.peers.notes:
        yield from _dim(wrap(printable(note), width, "  ", "    "), colour)


def _generating(view: View, width: int, colour: bool) -> Iterator[str]:
    if not view.generating.rows:
        return
    yield from wrap(printable(view.generating.title), width, "", "  ")
    rows = [
        [Cell(printable(text), row.tone if place == _SPEEDUP else "") for place, text in enumerate(row.texts)]
        for row in view.generating.rows
    ]
    table = Table(GENERATE_HEADER, rows, optional=(5, 8, 4, 7), right=(2, 3, 4, 5), flows=True)
    yield from table.lines(width, colour)
    for note in (*view.generating.sentences, *view.generating.notes):
        yield from _dim(wrap(printable(note), width, "  ", "    "), colour)


def _loadgen(view: View, width: int, colour: bool) -> Iterator[str]:
    if not view.loadgen.rows:
        return
    yield printable(view.loadgen.title)
    rows = [[*(Cell(printable(text)) for text in row.texts), Cell(row.says, row.tone)] for row in view.loadgen.rows]
    optional, right = (6, 2, 5, 1), (1, 2, 4, 5, 6)
    yield from Table(loadgen.HEADER, rows, optional=optional, right=right, flows=True).lines(width, colour)
    for note in view.loadgen.notes:
        yield from _dim(wrap(printable(note), width, "  ", "    "), colour)


def _points(view: View, width: int, colour: bool) -> Iterator[str]:
    if len(view.points) < 2:
        return
    yield from wrap(f"{view.tried}; {printable(view.reason)}", width, "", "  ")
    header = ["point", "val.", "test", "size", "smaller", "speed-up", "verdict", "misses"]
    rows = [_point(point) for point in _some(view.points)]
    table = Table(header, rows, optional=(4, 7), right=(1, 2, 3, 4), flows=True)
    yield from table.lines(width, colour)
    if len(rows) < len(view.points):
        yield f"  {len(view.points) - len(rows)} more are in the report"
    yield from _dim(wrap(f"* chosen {printable(view.rule)}", width, "  ", "    "), colour)
    if any(point.is_front and not point.is_chosen for point in view.points):
        yield from _dim(wrap(_FRONT, width, "  ", "    "), colour)
    if view.corrected:
        yield from wrap(printable(view.corrected), width, "  ", "    ")
    if view.search:
        yield from _dim(wrap(printable(view.search), width, "  ", "    "), colour)


def _failed(view: View, width: int, colour: bool) -> Iterator[str]:
    if not view.failed:
        return
    yield paint(view.failed_title, "bad", colour)
    for point in view.failed[:_MOST_FAILED]:
        text = f"{printable(point.label)}: {printable(point.node)}: {printable(point.reason)}"
        yield from wrap(text, width, "  ", "    ")
    if len(view.failed) > _MOST_FAILED:
        yield f"  {len(view.failed) - _MOST_FAILED} more are in the report"


def _some(points: tuple[Point, ...]) -> list[Point]:
    """Return all points, or of many the first of those that are worth a look: the chosen one and the front."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    return sorted([point for point in points if point.is_chosen or point.is_front], key=_is_other)[:_MOST_POINTS]


def _is_other(point: Point) -> bool:
    return not point.is_chosen


def _point(point: Point) -> list[Cell]:
    name = f"{'*' if point.is_chosen else '+' if point.is_front else ' '} {printable(point.label)}"
    verdict = f"{point.verdict}{', simulated' if point.is_simulated else ''}"
    return [
        Cell(name, "strong" if point.is_chosen else ""),
        Cell(point.validation),
        Cell(point.test, "bad" if point.accuracy_verdict == "significantly worse" else ""),
        Cell(point.size),
        Cell(point.compression),
        Cell(point.speedup),
        Cell(verdict, point.tone),
        Cell(point.violated, "bad"),
    ]


def _steps(view: View, width: int, colour: bool) -> Iterator[str]:
    rows = [
        [
            Cell(printable(step.name)),
            Cell(printable(step.technique)),
            Cell(step.size.replace("→", "to")),
            Cell(step.macs.replace("→", "to")),
            Cell(step.accuracy),
            Cell("simulated: no speed gained" if step.is_simulated else "", "warn"),
        ]
        for step in view.steps
    ]
    if rows:
        header = ["step", "technique", "stored size", "MACs", "accuracy (test)", ""]
        kept = [place for place in range(len(header)) if place < 4 or any(row[place].text for row in rows)]
        cells = [[row[place] for place in kept] for row in rows]
        yield from Table([header[place] for place in kept], cells, optional=(1,), flows=True).lines(width, colour)
    for step in view.steps:
        if step.given:
            yield from _dim(wrap(printable(f"{step.name} gave {step.given}"), width, "  ", "    "), colour)


def _training(view: View, width: int, colour: bool) -> Iterator[str]:
    told = [
        f"{printable(name)} {epochs} epoch{'' if epochs == '1' else 's'}, loss {loss}, accuracy {accuracy}"
        for name, epochs, loss, accuracy in view.trainings
    ]
    if told:
        yield from wrap(f"training: {'; '.join(told)}".replace("→", "to"), width, "", "  ")
    for health in view.health:
        for obstacle in (found for found in health.obstacles if found.tone):
            first, *rest = wrap(printable(f"{health.training}: {obstacle.text}"), width, "  ", "    ")
            yield first.replace(obstacle.what, paint(obstacle.what, obstacle.tone, colour), 1)
            yield from rest


def _layers(view: View, width: int, colour: bool) -> Iterator[str]:
    slowest = sorted(view.layers, key=lambda layer: -layer.share)[:_MOST_LAYERS]
    if len(view.layers) > 1:  # of a single one there is nothing to tell
        shown = ", ".join(f"{printable(layer.name)} {layer.share_text} ({layer.bound})" for layer in slowest)
        yield from wrap(f"the baseline's time goes to {shown}", width, "", "  ")
    timed = [layer for layer in view.execution.layers if layer.side == "optimized" and layer.share is not None]
    after = sorted(timed, key=lambda layer: -(layer.share or 0))[:_MOST_LAYERS]
    if after:
        shown = ", ".join(
            f"{printable(layer.layer)} {quantity(layer.share, 'share')} ({printable(layer.kernel)})" for layer in after
        )
        yield from wrap(f"the optimized model's time goes to {shown}", width, "", "  ")


def _messages(view: View, width: int, colour: bool) -> Iterator[str]:
    for warning in view.warnings:
        first, *rest = wrap(printable(warning), width, "warning: ", "  ")
        yield paint("warning", "warn", colour) + first.removeprefix("warning")
        yield from rest


def _footer(view: View, width: int, colour: bool) -> Iterator[str]:
    reused = " (reused: nothing was measured in this run)" if view.status == "reused" else ""
    yield from _dim(wrap(printable(view.measured) + reused, width, "", "  "), colour)


def _dim(lines: list[str], colour: bool) -> list[str]:
    return [paint(line, "dim", colour) for line in lines]
