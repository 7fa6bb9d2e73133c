"""A chain of stages of a few lines, in a module of their own that worker processes import, too."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.event import Event
from pipeline.core.plan import Node, Plan, Ref
from pipeline.core.stage import StageInfo
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.store.local import LocalStore

MODULE = "stages_of_these_tests"
# `spec["do"]` is Python that the stage executes: these tests are about what surrounds a stage.
SOURCE = """
import os, pathlib, signal, sys, time
def execute(spec, inputs):
    here = pathlib.Path(spec["folder"])
    with open(here / "log", "a") as log:
        log.write(f"start {spec['name']}\\n")
    exec(spec.get("do", ""))
    with open(here / "log", "a") as log:
        log.write(f"end {spec['name']}\\n")
    return {"out": "+".join([*(inputs[role] for role in sorted(inputs)), spec["name"]])}
"""
STAGES = {
    name: StageInfo(name, MODULE, 1, {"out": "text"}, "", measures=name == "measure") for name in ("do", "measure")
}


class StageProject:
    """A folder with a store, a log of what started and ended, and nodes that run Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LocalStore(folder / "store")
        self.events: list[Event] = []

    def node(self, name: str, do: str = "", *, after: str = "", stage: str = "do") -> Node:
        """Return a node called `name` that executes `do` after the nodes whose names are the letters of `after`."""
        inputs = {source: Ref(source, "out") for source in after}
        local = {"folder": str(self.folder), "do": do}
        return Node(name, stage, name, {"name": name}, inputs, ("pipeline.core.keys",), local, {"out": "text"}, ())

    def run(
        self, *nodes: Node, limits: Limits, emit: Callable[[Event], None] | None = None, **named: Any
    ) -> dict[str, NodeResult]:
        """Execute a plan of these nodes."""
        plan = Plan(nodes, (), "", "")
        return execute_plan(plan, Oracle(self.store, STAGES), emit or self.events.append, limits, **named)

    def log(self) -> list[str]:
        """Return what started and ended, in order."""
        file = self.folder / "log"
        return file.read_text().splitlines() if file.exists() else []

    def digests(self, results: dict[str, NodeResult]) -> dict[str, str | None]:
        """Return node id -> digest of its output."""
        return {name: r.record.outputs["out"].digest if r.record else None for name, r in results.items()}


def make_stage_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StageProject:
    """Write the module and make it importable, here and in worker processes."""
    (folder / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return StageProject(folder)
