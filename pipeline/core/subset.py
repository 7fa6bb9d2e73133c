"""A part of a plan: what `--until STAGE` and `--only POINT` ask for, with all that feeds it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.plan import Plan, RunNodes

__all__ = ["Asked", "EVERYTHING", "ancestors", "check_stages", "choose", "nodes_of"]


class Asked(NamedTuple):
    """What a run is asked to do: up to a stage, some points only, stages computed again, measurements made again."""

    until: str | None = None
    only: tuple[str, ...] = ()
    force: frozenset[str] = frozenset()
    fresh: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"until": self.until, "only": list(self.only), "force": sorted(self.force), "fresh": self.fresh}


EVERYTHING = Asked()


def choose(plan: Plan, until: str | None = None, only: Sequence[str] = ()) -> frozenset[str] | None:
    """Return the ids of the nodes that are asked for and of all that feed them; None for the whole plan.

    `until` names the stage that is the last one; `only` has points by their number, label or a part of it ("bits=8"
    means every point that has it). What needs all points (submit, report) is left out with `only`. Raises UserError for
    what the plan has not.
    """
    if until is None and not only:
        return None
    chosen = frozenset(node.id for node in plan.nodes)
    if only:
        chosen = frozenset(node for text in only for run in _points(plan, text) for node in nodes_of(run))
    if until is not None:
        check_stages(plan, [until])
        chosen = frozenset(node for node in chosen if plan.node(node).stage == until)
        if not chosen:
            raise UserError(f"the stage {until} belongs to no single point", hint="leave out --only or --until")
    return ancestors(plan, chosen)


def check_stages(plan: Plan, stages: Iterable[str]) -> None:
    """Raise UserError for a stage that no node of the plan has."""
    known = list(dict.fromkeys(node.stage for node in plan.nodes))
    for stage in stages:
        if stage not in known:
            near = difflib.get_close_matches(stage, known, n=1)
            guess = f"did you mean '{near[0]}'? " if near else ""
            raise UserError(f"no node has the stage '{stage}'", hint=f"{guess}stages here: {', '.join(known)}")


def ancestors(plan: Plan, nodes: Iterable[str]) -> frozenset[str]:
    """Return these ids and those of every node that feeds one of them, directly or not."""
    found = set(nodes)
    for node in reversed(plan.nodes):
        if node.id in found:
            found.update(ref.node for ref in node.inputs.values())
    return frozenset(found)


def nodes_of(run: RunNodes) -> frozenset[str]:
    """Return the ids of one point's nodes."""
    values = (value for name, value in run._asdict().items() if name not in ("run", "steps", "evaluate_steps"))
    return frozenset([*(value for value in values if isinstance(value, str)), *run.steps, *run.evaluate_steps])


def _points(plan: Plan, text: str) -> list[RunNodes]:
    """Return the points that a text names: by number, counted from 1, or by words that their labels have."""
    if not plan.runs:
        raise UserError("this experiment has no points", hint="leave out --only")
    words = set(text.split())
    if text.isdecimal() and 1 <= int(text) <= len(plan.runs):
        return [plan.runs[int(text) - 1]]
    named = [run for run in plan.runs if words and words <= set(run.run.label.split())]
    if not named:
        labels = [run.run.label for run in plan.runs if run.run.label]
        near = difflib.get_close_matches(text, labels, n=3, cutoff=0.2)
        like = f"; like it: {', '.join(near)}" if near else ""
        raise UserError(f"there is no point '{text}'", hint=f"points are numbered 1 to {len(plan.runs)}{like}")
    return named
