"""The same chains for other runners: each as its own documentation has it, with as little around the stages as it can.

A stage takes what the one before wrote and a number of its own. A runner is used if its command is on PATH; joblib has
none, and is used if the `python` on PATH can import it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True)
class Peer:
    """A runner: `make` writes its files for so many chains into a folder, `command` brings them up to date.

    `environment` is what its process gets besides ours: the folder of its commands comes first on PATH.
    """

    make: Callable[[Path, int], None]
    command: Sequence[str]
    is_there: Callable[[], bool]

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of its process."""
        program = shutil.which(self.command[0])
        folder = str(Path(program).parent) if program else ""
        return {**ours, "PATH": f"{folder}:{ours['PATH']}"}


_DOIT = """from pathlib import Path
from doit.tools import config_changed
DOIT_CONFIG = {{"default_tasks": ["chain"], "verbosity": 0, "reporter": "zero"}}
STAGES = ("profile", "optimize", "benchmark", "submit")

def run(before, number, target):
    text = Path(before).read_text() if before else ""
    Path(target).write_text(f"{{text}} {{number}}")

def task_chain():
    for number in range({chains}):
        before = ""
        for stage in STAGES:
            target = f"{{stage}}.{{number}}"
            yield {{"name": target, "actions": [(run, [before, number, target])], "targets": [target],
                   "file_dep": [before] if before else [], "uptodate": [config_changed(str(number))]}}
            before = target
"""
_JOBLIB = """from joblib import Memory
memory = Memory("cache", verbose=0)

@memory.cache
def profile(before, number):
    return f"{{before}} {{number}}"

@memory.cache
def optimize(before, number):
    return f"{{before}} {{number}}"

@memory.cache
def benchmark(before, number):
    return f"{{before}} {{number}}"

@memory.cache
def submit(before, number):
    return f"{{before}} {{number}}"

for number in range({chains}):
    text = ""
    for stage in (profile, optimize, benchmark, submit):
        text = stage(text, number)
"""
_SNAKEMAKE = """rule all:
    input: expand("submit.{{number}}", number=range({chains}))
rule profile:
    output: "profile.{{number}}"
    shell: "echo {{wildcards.number}} > {{output}}"
rule optimize:
    input: "profile.{{number}}"
    output: "optimize.{{number}}"
    shell: "cat {{input}} > {{output}}; echo {{wildcards.number}} >> {{output}}"
rule benchmark:
    input: "optimize.{{number}}"
    output: "benchmark.{{number}}"
    shell: "cat {{input}} > {{output}}; echo {{wildcards.number}} >> {{output}}"
rule submit:
    input: "benchmark.{{number}}"
    output: "submit.{{number}}"
    shell: "cat {{input}} > {{output}}; echo {{wildcards.number}} >> {{output}}"
"""
_REDUN = """from redun import task
redun_namespace = "chains"

@task()
def profile(before: str, number: int) -> str:
    return f"{{before}} {{number}}"

@task()
def optimize(before: str, number: int) -> str:
    return f"{{before}} {{number}}"

@task()
def benchmark(before: str, number: int) -> str:
    return f"{{before}} {{number}}"

@task()
def submit(before: str, number: int) -> str:
    return f"{{before}} {{number}}"

@task()
def main() -> list[str]:
    return [submit(benchmark(optimize(profile("", number), number), number), number) for number in range({chains})]
"""
_DVC = """stages:
  profile:
    foreach: [{numbers}]
    do: {{cmd: 'echo ${{item}} > p.${{item}}', outs: ['p.${{item}}']}}
  optimize:
    foreach: [{numbers}]
    do: {{cmd: 'cat p.${{item}} > o.${{item}}', deps: ['p.${{item}}'], outs: ['o.${{item}}']}}
  benchmark:
    foreach: [{numbers}]
    do: {{cmd: 'cat o.${{item}} > b.${{item}}', deps: ['o.${{item}}'], outs: ['b.${{item}}']}}
  submit:
    foreach: [{numbers}]
    do: {{cmd: 'cat b.${{item}} > s.${{item}}', deps: ['b.${{item}}'], outs: ['s.${{item}}']}}
"""


def _writes(name: str, text: str) -> Callable[[Path, int], None]:
    def make(folder: Path, chains: int) -> None:
        numbers = ", ".join(map(str, range(chains)))
        (folder / name).write_text(text.format(chains=chains, numbers=numbers))

    return make


def _make_dvc(folder: Path, chains: int) -> None:
    _writes("dvc.yaml", _DVC)(folder, chains)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _on_path(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _has_joblib() -> bool:
    python = shutil.which("python")
    return bool(python) and not subprocess.run([python, "-c", "import joblib"], capture_output=True).returncode


PEERS = {
    "doit": Peer(_writes("dodo.py", _DOIT), ["doit"], _on_path("doit")),
    "joblib": Peer(_writes("chains.py", _JOBLIB), ["python", "chains.py"], _has_joblib),
    "snakemake": Peer(_writes("Snakefile", _SNAKEMAKE), ["snakemake", "-c1", "-q", "all"], _on_path("snakemake")),
    "redun": Peer(_writes("workflow.py", _REDUN), ["redun", "run", "workflow.py", "main"], _on_path("redun")),
    "dvc": Peer(_make_dvc, ["dvc", "repro", "-q"], _on_path("dvc")),
}
