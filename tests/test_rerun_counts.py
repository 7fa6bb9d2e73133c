"""How many stages of a chain of four run again after a change: as many as have to, with every executor.

The chain is four stages of a few lines in a copy of the project, taken through the real scheduler, store and executors
by a program that stands for the command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, copy_project

# Each stage gives the beginning of what it gets, with a text of its own after it.
STAGE = '''
"""A link of a chain."""

from pathlib import Path

__all__ = ["execute"]


def execute(spec, inputs):
    """Return the input's beginning and the text."""
    before = inputs["x"] if "x" in inputs else Path("source.txt").read_text()
    with open("executed", "a") as file:
        file.write(spec["text"])
    return {"out": before[: spec["keep"]] + spec["text"]}
'''
TABLE = """
for number in range(4):
    STAGES[f"link{number}"] = StageInfo(f"link{number}", "pipeline.stages.link", 1, {"out": "text"}, "")
"""
PROGRAM = """
import json, sys
from pathlib import Path
from pipeline.core.keys import digest_bytes
from pipeline.core.plan import Node, Plan, Ref
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import execute_plan
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore

def main():
    nodes = []
    for number, (text, keep) in enumerate(json.loads(Path("chain.json").read_text())):
        source = {} if number else {"file": digest_bytes(Path("source.txt").read_bytes())}
        inputs = {"x": Ref(f"{number - 1}", "out")} if number else {}
        spec, code = {"text": text, "keep": keep, **source}, ("pipeline.stages.link",)
        nodes.append(Node(f"{number}", f"link{number}", text, spec, inputs, code, {}, {"out": "text"}))
    oracle = Oracle(LocalStore(Path(".pipeline")), STAGES)
    results = execute_plan(Plan(tuple(nodes), (), "3", "3"), oracle, lambda event: None, Limits(sys.argv[1], 2))
    print(json.dumps([[result.outcome.value, result.record.outputs["out"].digest] for result in results.values()]))

if __name__ == "__main__":
    main()
"""
PLAIN = [["a", 99], ["b", 2], ["c", 99], ["d", 99]]


class Chain:
    """A project in which the chain has run once."""

    def __init__(self, project: Project, executor: str) -> None:
        self.project = project
        self._executor = executor
        self.set(PLAIN)
        (project.folder / "source.txt").write_text("from a file")

    def set(self, links: list[list[Any]]) -> None:
        """Set text and length of each link."""
        (self.project.folder / "chain.json").write_text(json.dumps(links))

    def start(self) -> subprocess.Popen[str]:
        """Start the program."""
        return subprocess.Popen(
            [sys.executable, "chain.py", self._executor],
            cwd=self.project.folder,
            env={**os.environ, "PYTHONPATH": str(self.project.folder)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self) -> tuple[int, list[str]]:
        """Run the program; return how many stages were executed, by the stages' own account, and all digests."""
        executed = self.project.folder / "executed"
        executed.write_text("")
        process = self.start()
        results = json.loads(process.communicate()[0])
        assert len(executed.read_text()) == sum(outcome == "ran" for outcome, _ in results)
        return len(executed.read_text()), [digest for _, digest in results]

    def object(self, digest: str) -> Path:
        """Return the file of a stored output."""
        return self.project.folder / ".pipeline/objects" / digest[:2] / digest[2:]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the stages of the chain."""
    project = copy_project(tmp_path_factory.mktemp("chain"))
    table = project.folder / "pipeline/stages/__init__.py"
    table.write_text(table.read_text() + TABLE)
    (project.folder / "pipeline/stages/link.py").write_text(STAGE)
    (project.folder / "chain.py").write_text(PROGRAM)
    return project


@pytest.fixture(params=["inline", "processes"], scope="module")
def chain(copied: Project, request: pytest.FixtureRequest) -> Chain:
    """A chain that has run once; each test leaves it as it found it."""
    chain = Chain(copied, request.param)
    subprocess.run(["rm", "-rf", copied.folder / ".pipeline"], check=True)
    assert chain.run()[0] == 4
    return chain


def test_nothing_to_do(chain: Chain) -> None:
    """None of four."""
    assert chain.run()[0] == 0


def test_a_parameter_changed_and_flipped_back(chain: Chain) -> None:
    """Three of four: the stage with the parameter, and what follows; none when it is as it was."""
    _, before = chain.run()
    chain.set([["a", 99], ["x", 2], *PLAIN[2:]])
    assert chain.run()[0] == 3
    chain.set(PLAIN)
    assert chain.run() == (0, before)


def test_a_change_that_gives_the_same_bytes(chain: Chain) -> None:
    """One of four: the third stage keeps all three letters it gets, whether it may keep 99 or 98."""
    _, before = chain.run()
    chain.set([*PLAIN[:2], ["c", 98], PLAIN[3]])
    assert chain.run() == (1, before)
    chain.set(PLAIN)
    assert chain.run() == (0, before)


def test_a_touched_file(chain: Chain) -> None:
    """None of four: times are not content."""
    os.utime(chain.project.folder / "source.txt", (1, 1))
    os.utime(chain.project.folder / "pipeline/stages/link.py", (1, 1))
    assert chain.run()[0] == 0


def test_an_edited_comment(chain: Chain) -> None:
    """None of four: comments are not code."""
    chain.project.edit("pipeline/stages/link.py", "    before =", "    # what came\n    before =")
    assert chain.run()[0] == 0
    chain.project.edit("pipeline/stages/link.py", "    # what came\n", "")


def test_a_deleted_intermediate(chain: Chain) -> None:
    """One of four, since there was no other copy: the stage that made it; what follows has nothing to do."""
    _, before = chain.run()
    chain.object(before[1]).unlink()
    assert chain.run() == (1, before)
    assert chain.object(before[1]).read_text() == "frb"


def test_a_damaged_intermediate_that_is_needed(chain: Chain) -> None:
    """Two of four: the stage that has to read it, and the one that makes it again."""
    _, before = chain.run()
    path = chain.object(before[1])
    path.chmod(0o644)
    path.write_text("???")
    chain.set([*PLAIN[:2], ["c", 97], PLAIN[3]])
    assert chain.run() == (2, before)
    assert path.read_text() == "frb"
    chain.set(PLAIN)
    assert chain.run() == (0, before)


def test_two_runs_at_once_execute_every_stage_once(chain: Chain) -> None:
    """Four, for both together: who comes second waits, and takes what the other made."""
    chain.set([[text.upper(), keep] for text, keep in PLAIN])
    (chain.project.folder / "executed").write_text("")
    processes = [chain.start() for _ in range(2)]
    results = [json.loads(process.communicate()[0]) for process in processes]
    assert sorted((chain.project.folder / "executed").read_text()) == ["A", "B", "C", "D"]
    assert [digest for _, digest in results[0]] == [digest for _, digest in results[1]]
    assert sorted(outcome for result in results for outcome, _ in result) == ["cached"] * 4 + ["ran"] * 4
    chain.set(PLAIN)
