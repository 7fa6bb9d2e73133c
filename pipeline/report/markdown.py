"""The report as Markdown with tables, for pull requests and repositories. Every text of the submission is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.report import loadgen
from pipeline.report.ablation import HEADER as HEADER_OF_STEPS
from pipeline.report.execution import EXECUTION_HEADER
from pipeline.report.generate import GENERATE_HEADER
from pipeline.report.health import ACTIVITY_HEADER, GRADIENT_HEADER
from pipeline.report.peers import HEADER
from pipeline.report.text import printable
from pipeline.report.view import View, make_view

__all__ = ["escape", "render"]

# What has a meaning anywhere in a line, and what has one at the start of a paragraph only.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_START = re.compile(r"^\s*(?=[-+=:]|\d+[.)])(\d*)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}  # @name would notify a person


def render(submission: Mapping[str, Any], ablation: Mapping[str, Any] | None = None) -> str:
    """Return the report of a valid submission, with its ablation if there is one, ending with a line break."""
    view = make_view(submission, ablation)
    parts = (
        _head,
        _verdicts,
        _answers,
        _figures,
        _limits,
        _conditions,
        _generating,
        _peers,
        _loadgen,
        _points,
        _failed,
        _steps,
        _contributions,
        _trainings,
        _health,
        _execution,
        _layers,
        _warnings,
        _facts,
    )
    blocks = ["\n".join(part(view)) for part in parts]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(view: View) -> Iterator[str]:
    yield f"# {escape(view.title)}"
    for text in (view.subtitle, view.description, view.scenario, view.measured):
        if text:
            yield f"\n{_paragraph(text)}"


def _verdicts(view: View) -> Iterator[str]:
    rows = [(verdict.subject, f"**{verdict.word}**", verdict.figure, escape(verdict.text)) for verdict in view.verdicts]
    if rows:
        yield "## Verdicts\n"
        yield from _table(("", "verdict", "figure", "why"), rows)


def _answers(view: View) -> Iterator[str]:
    for answer in view.answers:
        yield f"**{answer.question}** {escape(' '.join(answer.sentences))}\n"
        if answer.command:
            yield f"`{answer.command.replace('`', ' ')}`\n" if answer.command.isprintable() else ""


def _figures(view: View) -> Iterator[str]:
    yield "## Baseline and optimized\n"
    rows = [(row.name, row.baseline.full, row.optimized.full, row.change.full) for row in view.figures]
    yield from _table(("", "baseline", "optimized", "change"), rows)
    if view.techniques:
        yield f"\nTechniques: {escape(', '.join(view.techniques))}."
    for note in view.notes:
        yield f"\n{escape(note.text)}"


def _limits(view: View) -> Iterator[str]:
    if view.limits:
        yield "## Goals\n"
        rows = [(f"**{limit.status}**", limit.wanted, limit.measured, escape(limit.reason)) for limit in view.limits]
        yield from _table(("status", "goal", "measured", "why"), rows)


def _conditions(view: View) -> Iterator[str]:
    if len(view.conditions) > 1:
        yield "## Batch sizes and threads\n"
        header = ("batch size", "threads", f"{view.asked}, baseline", f"{view.asked}, optimized", "speed-up", "verdict")
        rows = [(c.batch_size, c.threads, c.baseline, c.optimized, c.speedup, c.verdict) for c in view.conditions]
        yield from _table(header, rows)
        yield from (f"\n{escape(condition.note)}" for condition in view.conditions if condition.note)


def _peers(view: View) -> Iterator[str]:
    if view.peers.rows:
        yield "## The same networks elsewhere\n"
        yield from (f"- {escape(sentence)}" for sentence in view.peers.sentences)
        yield ""
        yield from _table(HEADER, [(*map(escape, row.texts), row.verdict) for row in view.peers.rows])
        yield from (f"\n{escape(note)}" for note in view.peers.notes)


def _generating(view: View) -> Iterator[str]:
    if view.generating.rows:
        yield f"## {escape(view.generating.title)}\n"
        yield from (f"- {escape(sentence)}" for sentence in view.generating.sentences)
        yield ""
        yield from _table(GENERATE_HEADER, [tuple(map(escape, row.texts)) for row in view.generating.rows])
        yield from (f"\n{escape(note)}" for note in view.generating.notes)


def _loadgen(view: View) -> Iterator[str]:
    if view.loadgen.rows:
        yield f"## {escape(view.loadgen.title)}\n"
        yield from _table(loadgen.HEADER, [(*map(escape, row.texts), f"**{row.says}**") for row in view.loadgen.rows])
        yield ""
        yield from (f"- {escape(note)}" for note in view.loadgen.notes)


def _points(view: View) -> Iterator[str]:
    if len(view.points) < 2:
        return
    yield f"## {view.tried} tried\n"
    yield f"Submitted: {escape(view.reason)}. Chosen {escape(view.rule)}.\n"
    if view.corrected:
        yield f"{_paragraph(view.corrected)}.\n"
    if view.search:
        yield f"{_paragraph(view.search)}.\n"
    header = ("", "point", "validation", "test", "size", "smaller", "speed-up", "verdict", "misses")
    rows = [
        (
            "**→**" if point.is_chosen else "",
            escape(point.label),
            point.validation,
            point.test,
            point.size,
            point.compression,
            point.speedup,
            f"{point.verdict}, simulated" if point.is_simulated else point.verdict,
            escape(point.violated),
        )
        for point in view.points
    ]
    yield from _table(header, rows)


def _failed(view: View) -> Iterator[str]:
    if view.failed:
        yield f"## {view.failed_title}\n"
        rows = [(escape(point.label), escape(point.node), escape(point.reason)) for point in view.failed]
        yield from _table(("point", "failed at", "why"), rows)


def _steps(view: View) -> Iterator[str]:
    if view.steps:
        yield "## Steps\n"
        header = ("step", "technique", "settings", "stored size", "parameters", "MACs", "accuracy (test)", "speed")
        rows = [
            (
                escape(step.name),
                escape(step.technique),
                escape(step.settings),
                step.size,
                step.parameters,
                step.macs,
                step.accuracy,
                "simulated: no speed gained" if step.is_simulated else "executed",
            )
            for step in view.steps
        ]
        yield from _table(header, rows)


def _contributions(view: View) -> Iterator[str]:
    if view.contributions:
        yield "## What each step contributes"
        for aspect in view.contributions.aspects:
            yield f"\n**{aspect.name}**: {aspect.meaning}\n"
            rows = [(escape(row.step), *row.texts[1:]) for row in aspect.rows]
            yield from _table(HEADER_OF_STEPS, rows)
        yield ""
        yield from (f"- {escape(text)}" for text in (*view.contributions.findings, *view.contributions.notes))


def _trainings(view: View) -> Iterator[str]:
    if view.trainings:
        yield "## Training\n"
        rows = [(escape(name), *figures) for name, *figures in view.trainings]
        yield from _table(("training", "epochs", "loss", "validation accuracy"), rows)


def _health(view: View) -> Iterator[str]:
    for health in view.health:
        yield f"### Inside the training{f' of {escape(health.training)}' if len(view.health) > 1 else ''}\n"
        yield f"{_paragraph(health.looked)}.\n"
        yield from (f"- {escape(obstacle.text)}" for obstacle in health.obstacles)
        if not health.obstacles:
            yield "Nothing was found that hinders learning."
        for header, rows in ((ACTIVITY_HEADER, health.activity), (GRADIENT_HEADER, health.gradients)):
            yield ""
            yield from _table(header, [tuple(map(escape, row)) for row in rows])


def _execution(view: View) -> Iterator[str]:
    if view.execution.layers:
        yield "## How the models ran\n"
        yield from (f"- {escape(sentence)}" for sentence in view.execution.sentences)
        yield ""
        yield from _table(EXECUTION_HEADER, [tuple(map(escape, row.texts)) for row in view.execution.layers])


def _layers(view: View) -> Iterator[str]:
    if view.layers:
        yield "## Where the time goes\n"
        yield f"{_paragraph(view.profile_note)}\n"
        header = (
            "layer",
            "kind",
            "computed by",
            "time",
            "share",
            "parameters",
            "MACs",
            "weights",
            "FLOP/byte",
            "bound by",
        )
        rows = [
            (
                escape(layer.name),
                escape(layer.kind),
                escape(layer.kernel),
                layer.time,
                layer.share_text,
                layer.parameters,
                layer.macs,
                layer.weights,
                layer.intensity,
                layer.bound,
            )
            for layer in view.layers
        ]
        yield from _table(header, rows)


def _warnings(view: View) -> Iterator[str]:
    if view.warnings:
        yield "## Warnings\n"
        yield from (f"- {escape(warning)}" for warning in view.warnings)


def _facts(view: View) -> Iterator[str]:
    for title, facts in (("Machine", view.machine), ("Noise", view.noise), ("Provenance", view.provenance)):
        if facts:
            yield f"{'' if title == 'Machine' else chr(10)}## {title}\n"
            yield from _table(("", ""), [(escape(name), escape(value)) for name, value in facts])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay out cells that are escaped already, or made of figures and our own words."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _paragraph(text: str) -> str:
    """Return a text that starts a line, so that it cannot start a list, a heading or a code block."""
    return _START.sub(r"\1\\", escape(text).strip())


def escape(text: str) -> str:
    """Return the text so that Markdown shows it as it is, on one line."""
    safe = _SPECIAL.sub(r"\\\1", printable(text))
    return "".join(_ENTITIES.get(char, char) for char in safe)
