"""README is tested: its YAML blocks are valid, its commands run, its paths exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.project import ROOT, Project

README = (ROOT / "README.md").read_text()
YAML_BLOCKS = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL_BLOCKS = re.findall(r"^```(?:sh|console)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.removeprefix("$ ").partition("  #")[0].strip()
    for block in SHELL_BLOCKS
    for line in block.splitlines()
    if line.removeprefix("$ ").startswith("python -m pipeline")
]
# The main job as a whole is run by the wheel test and by .ci/run; here `run` works on the quick experiment.
QUICK = [("experiments/prune_quant.yaml", "experiments/smoke.yaml"), (" prune_quant", " smoke")]


def test_readme_shows_yaml_and_commands() -> None:
    """There is something to test."""
    assert YAML_BLOCKS
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("block", YAML_BLOCKS)
def test_a_yaml_block_is_a_valid_experiment(block: str, finished: Project, tmp_path: Path) -> None:
    """What a reader copies out of README passes `validate`."""
    file = tmp_path / "block.yaml"
    file.write_text(block)
    finished.run("validate", str(file))


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_a_command_runs(command: str, project: Project) -> None:
    """What a reader types works as it stands."""
    command = command.replace("runs/prune_quant", "runs/smoke")
    if " plan " not in command:
        for name, quick in QUICK:
            command = command.replace(name, quick)
    words = [
        name
        for word in shlex.split(command)[3:]
        for name in (sorted(map(str, project.folder.glob(word))) if "*" in word else [word])
    ]
    project.run(*words)


def test_paths_in_the_map_exist() -> None:
    """The table of places to change names real files and folders."""
    paths = re.findall(r"`((?:pipeline|tinytorch|schemas|experiments|tests)/[\w./]*)`", README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
