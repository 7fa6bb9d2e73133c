"""Two commands at once, whose sweeps overlap: what both need is computed once, also when one of them is killed."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import killing
from tests.killing import nodes_of, outputs_of
from tests.project import Project, copy_project

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found by /proc")

SWEEP = """
name: {name}
data: {{name: synthetic, args: {{size: 4, classes: 3, train: 60, validation: 20, test: 20}}}}
model: {{arch: mlp, args: {{hidden: [8]}}, train: {{epochs: 1}}}}
vars: {{bits: 8}}
optimize:
  - prune: {{sparsity: 0.25}}
  - quantize: {{bits: "${{bits}}"}}
sweep: {{grid: {{bits: {bits}}}}}
benchmark: {{processes: 2, target_ci: 0.9, budget_s: 0.1, wait_s: 0}}
outputs: {{report: [md]}}
"""
BITS = {"left": [8, 4], "right": [4, 32]}
KILLS = 10


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two files whose sweeps have a point in common."""
    project = copy_project(tmp_path_factory.mktemp("two"))
    for name, bits in BITS.items():
        (project.folder / f"{name}.yaml").write_text(SWEEP.format(name=name, bits=bits))
    return project


def start_both(project: Project, *workers: str) -> dict[str, subprocess.Popen[bytes]]:
    killing.forget(project)
    return {name: killing.start(project, "run", f"{name}.yaml", *workers, log=name) for name in BITS}


def check_both(project: Project) -> None:
    """Nothing is damaged, what both have is the same, and neither has anything left to do."""
    killing.check_sound(project)
    outputs = [outputs_of(project, name) for name in BITS]
    common = outputs[0].keys() & outputs[1].keys()
    # data, train, prune, evaluate after it, evaluate baseline; quantize and evaluate of the point in common
    assert len(common) == 7
    assert [outputs[0][node] for node in common] == [outputs[1][node] for node in common]
    for name in BITS:
        project.run("run", f"{name}.yaml", expect=(0, 5))
        assert {node["outcome"] for node in nodes_of(project, name)} == {"cached"}


def test_what_both_need_is_computed_once(arena: Project) -> None:
    """Every key is executed by one of them, and both end with the same results."""
    for name, process in start_both(arena).items():
        assert process.wait(killing.PATIENCE_S) in (0, 5), killing.said(arena, name)
    ran = Counter(node["key"] for name in BITS for node in nodes_of(arena, name) if node["outcome"] == "ran")
    assert set(ran.values()) == {1}
    assert ran.keys() == {node["key"] for name in BITS for node in nodes_of(arena, name)}
    check_both(arena)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_one_of_them_may_be_killed_at_any_moment(arena: Project, number: int) -> None:
    """The other one takes over what it held (a lock dies with its process), the killed one completes the next time."""
    workers = ("--workers", "2") if number % 2 else ()
    draw = random.Random(f"two {number}")
    processes = start_both(arena, *workers)
    victim, other = draw.sample(sorted(BITS), 2)
    try:
        processes[victim].wait(draw.uniform(0.1, 5))
    except subprocess.TimeoutExpired:
        killing.kill(processes[victim], draw.choice(("group", "command")))
    assert processes[other].wait(killing.PATIENCE_S) in (0, 5), killing.said(arena, other)
    processes[victim].wait()
    killing.wait_until_alone(arena)
    made = {node["key"] for node in nodes_of(arena, other)}
    arena.run("run", f"{victim}.yaml", expect=(0, 5))
    again = [node["label"] for node in nodes_of(arena, victim) if node["outcome"] == "ran" and node["key"] in made]
    assert again == []
    check_both(arena)
