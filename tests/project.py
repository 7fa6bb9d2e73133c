"""A copy of the project in a temporary folder, and the command line run in it as a user would."""

from __future__ import annotations

import compileall
import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "tinytorch")


@functools.cache
def compile_packages() -> None:
    """Compile what is not compiled yet; copies keep the times of their files, by which Python knows its own."""
    for name in PACKAGES:
        compileall.compile_dir(ROOT / name, quiet=2)


@dataclass(frozen=True)
class Project:
    """A checkout's packages, schemas and experiments in a folder of their own."""

    folder: Path

    def run(self, *arguments: str, expect: int | tuple[int, ...] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `python -m pipeline` in the folder; fail with its output when the exit code is another.

        None expects 0, and of `run` 5 as well: what the machine did meanwhile may have been too much for a claim.
        """
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "COLUMNS": "100", "NO_COLOR": "1"}
        environment.pop("PIPELINE_STORE", None)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if expect is None:
            expect = (0, 5) if arguments[:1] == ("run",) else 0
        expected = expect if isinstance(expect, tuple) else (expect,)
        assert done.returncode in expected, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, expect: int | tuple[int, ...] | None = None) -> Any:
        """Run a command with --json and return its one document."""
        return json.loads(self.run(*arguments, "--json", expect=expect).stdout)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} does not contain {old!r}"
        file.write_text(text.replace(old, new))


def copy_project(folder: Path) -> Project:
    """Copy what the command line needs, compiled: else the first command in each copy takes half a second for that.

    Whoever imports from the checkout meanwhile (as `python -O`, too) may write compiled files into it: those that are
    not finished have a name of their own until they are renamed.
    """
    compile_packages()
    for name in (*PACKAGES, "schemas", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(ROOT / "pyproject.toml", folder)  # marks it as a checkout
    return Project(folder)
