"""A chain of four stages of a few lines in a copy of the project: real scheduler, store and executors.

The program that runs it stands for the command: a plan of the product has more stages, and some of them measure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.project import Project, copy_project

# Each stage gives the beginning of what it gets, with a text of its own after it.
_STAGE = '''
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
_TABLE = """
for number in range(4):
    STAGES[f"link{number}"] = StageInfo(f"link{number}", "pipeline.stages.link", 1, {"out": "text"}, "")
"""
_PROGRAM = """
import json, sys
from argparse import Namespace
from pathlib import Path
from pipeline.cli.experiment import open_store
from pipeline.core.event import Outcome
from pipeline.core.keys import digest_bytes
from pipeline.core.plan import Node, Plan, Ref
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import execute_plan
from pipeline.stages import STAGES

def main():
    nodes = []
    for number, (text, keep) in enumerate(json.loads(Path("chain.json").read_text())):
        source = {} if number else {"file": digest_bytes(Path("source.txt").read_bytes())}
        inputs = {"x": Ref(f"{number - 1}", "out")} if number else {}
        spec, code = {"text": text, "keep": keep, **source}, ("pipeline.stages.link",)
        nodes.append(Node(f"{number}", f"link{number}", text, spec, inputs, code, {}, {"out": "text"}))
    oracle = Oracle(open_store(Namespace(store=sys.argv[2])), STAGES)
    plan = Plan(tuple(nodes), (), "3", "3")
    results = execute_plan(plan, oracle, lambda event: None, Limits(sys.argv[1], 2)).values()
    print(json.dumps({
        "ran": [result.node.title for result in results if result.outcome is Outcome.RAN],
        "keys": [result.record.key for result in results],
        "digests": [result.record.outputs["out"].digest for result in results],
    }))

if __name__ == "__main__":
    main()
"""
PLAIN = (("a", 99), ("b", 2), ("c", 99), ("d", 99))  # gives "from a filea", "frb", "frbc", "frbcd"

Links = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Ran:
    """What a run of the chain came to: the texts of the stages that ran, and all keys and digests in order."""

    ran: list[str]
    keys: list[str]
    digests: list[str]


class Chain:
    """A chain in a copy of the project; `executor` takes its stages, `store` is a folder or a URL."""

    def __init__(self, project: Project, executor: str, store: str = ".pipeline") -> None:
        self.project = project
        self._arguments = (executor, store)
        self.set(PLAIN)

    def set(self, links: Links) -> None:
        """Set text and length of each link."""
        (self.project.folder / "chain.json").write_text(json.dumps(links))

    def start(self, log: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start the program in a session of its own; its answer goes to a file, since pipes outlive a kill."""
        with open(self._file(log), "wb") as answer:
            return subprocess.Popen(
                [sys.executable, "chain.py", *self._arguments],
                cwd=self.project.folder,
                env={**os.environ, "PYTHONPATH": str(self.project.folder), **variables},
                stdout=answer,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def forget(self) -> None:
        """Forget who was executed."""
        self._file("executed").write_text("")

    def run(self) -> Ran:
        """Run the program; fail unless the stages' own account of who was executed is the same."""
        self.forget()
        assert self.start("answer").wait(300) == 0, self._file("answer").read_text()
        result = self.answer("answer")
        assert self.executed() == Counter(result.ran)
        return result

    def answer(self, log: str) -> Ran:
        """Return what a program has said to a file."""
        return Ran(**json.loads(self._file(log).read_text()))

    def executed(self) -> Counter[str]:
        """Return how often each stage was executed, by its text, since `run` or `forget` was called last."""
        return Counter(self._file("executed").read_text())

    def object(self, digest: str, store: str = ".pipeline") -> Path:
        """Return the file of a stored output."""
        return self.project.folder / store / "objects" / digest[:2] / digest[2:]

    def _file(self, name: str) -> Path:
        return self.project.folder / name


def copy_with_chain(folder: Path) -> Project:
    """Copy the project and add the stages of the chain, the program, and the file that the first stage reads."""
    project = copy_project(folder)
    table = folder / "pipeline/stages/__init__.py"
    table.write_text(table.read_text() + _TABLE)
    (folder / "pipeline/stages/link.py").write_text(_STAGE)
    (folder / "chain.py").write_text(_PROGRAM)
    (folder / "source.txt").write_text("from a file")
    (folder / "executed").write_text("")
    return project
