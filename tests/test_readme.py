"""README is tested: its YAML blocks are valid, its commands run, its paths exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.project import ROOT, Project
from tests.tools.console import missing, run_page

README = (ROOT / "README.md").read_text()
YAML_BLOCKS = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL_BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in SHELL_BLOCKS
    for line in block.splitlines()
    if line.startswith("python -m pipeline")
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


def test_readme_shows_what_its_commands_print(project: Project) -> None:
    """But for the figures, which are measured for longer than here."""
    file = project.folder / "experiments/prune_quant.yaml"
    file.write_text(file.read_text().replace("budget_s: 5", "budget_s: 0.3").replace("wait_s: 4", "wait_s: 0"))
    shown = run_page(README, project.folder, project.folder, installs=True)
    assert len(shown) >= 2
    for one in shown:
        assert missing(one) == [], f"{one.command}\n" + "\n".join(one.printed)


def test_what_readme_shows_of_a_page_stands_there() -> None:
    """Line by line and in that order; what the page shows is compared with what its commands print."""
    excerpts = re.findall(r"^```text from (\S+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert excerpts
    for page, excerpt in excerpts:
        lines = iter((ROOT / page).read_text().splitlines())
        assert [line for line in excerpt.splitlines() if line not in lines] == []


@pytest.mark.parametrize("page", ["README.md", "pipeline/docs/explanation/where.md"])
def test_paths_that_are_named_exist(page: str) -> None:
    """Places to change, and others, are real files and folders."""
    paths = re.findall(r"`((?:pipeline|tinytorch|schemas|experiments|tests)/[\w./]*)`", (ROOT / page).read_text())
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
