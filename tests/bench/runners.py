"""Nothing to do: a fully cached run of the main job against peers with a finished chain of four trivial stages.

A peer is measured when its command is on PATH (`pip install doit dvc snakemake` in an environment of its own); all take
turns in one run. Ours checks 28 nodes and prints a result table, the peers check four files.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.bench.startup import finished_job, interleave, ratio, seconds
from tests.bench.target import Target

_STAGE = """import sys
open(sys.argv[2], "w").write("".join(open(name).read() for name in sys.argv[3:]) + sys.argv[1])
"""
_CHAIN = (("profile", ""), ("optimize", "profile"), ("benchmark", "optimize"), ("submit", "benchmark"))


def run(*, quick: bool = False) -> list[Target]:
    """Measure what is installed; raises FileNotFoundError when no peer is."""
    if not any(map(shutil.which, _PEERS)):
        raise FileNotFoundError(f"none of {', '.join(_PEERS)} is on PATH: pip install doit dvc snakemake, anywhere")
    with tempfile.TemporaryDirectory() as scratch:
        commands = {"ours": finished_job(Path(scratch))}
        folders = {"ours": None}
        for name, (make, command) in _PEERS.items():
            if shutil.which(name):
                folder = Path(scratch, name)
                folder.mkdir()
                (folder / "stage.py").write_text(_STAGE)
                make(folder)
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
                commands[name], folders[name] = command, folder
        samples = interleave(commands, 5 if quick else 20, folders)
    ours = samples.pop("ours")
    figures = [seconds("ours, nothing to do with 28 nodes", ours, 0.5)]
    for name, theirs in samples.items():
        figures.append(seconds(f"{name}, nothing to do with 4 stages", theirs, float("inf")))
        figures.append(ratio(f"ours against {name}", ours, theirs, 1.0))
    return figures


def _command(name: str, source: str) -> str:
    return f"python stage.py {name} {name}.txt" + (f" {source}.txt" if source else "")


def _doit(folder: Path) -> None:
    tasks = "".join(
        f"def task_{name}():\n    return dict(actions=[{_command(name, source)!r}], targets=['{name}.txt'], "
        f"file_dep={[f'{source}.txt', 'stage.py'] if source else ['stage.py']!r})\n"
        for name, source in _CHAIN
    )
    (folder / "dodo.py").write_text(tasks)


def _snakemake(folder: Path) -> None:
    rules = "".join(
        f"rule {name}:\n    input: {', '.join(repr(f) for f in ([f'{source}.txt'] if source else []) + ['stage.py'])}\n"
        f"    output: '{name}.txt'\n    shell: '{_command(name, source)}'\n"
        for name, source in reversed(_CHAIN)
    )
    (folder / "Snakefile").write_text(rules)


def _dvc(folder: Path) -> None:
    stages = ""
    for name, source in _CHAIN:
        needs = ", ".join([*([f"{source}.txt"] if source else []), "stage.py"])
        stages += f"  {name}: {{cmd: {_command(name, source)}, deps: [{needs}], outs: [{name}.txt]}}\n"
    (folder / "dvc.yaml").write_text(f"stages:\n{stages}")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


_PEERS = {
    "doit": (_doit, ["doit"]),
    "snakemake": (_snakemake, ["snakemake", "-c1", "-q", "all"]),
    "dvc": (_dvc, ["dvc", "repro", "-q"]),
}
