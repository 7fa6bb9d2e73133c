"""Pages whose commands are run: `python -m tests.tools.console PAGE…` runs each page's and writes what they print.

A page is worked through from top to bottom in one empty folder. A block ```yaml FILE is written to that file, in one of
```sh every line is run, in a block ```console every line after `$ ` is run and what follows is what it prints. There,
`…` stands for lines left out: as many are kept before and after it as the page has. README is worked through in a
checkout, and what it installs is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.project import ROOT, copy_project

__all__ = ["Shown", "blocks", "missing", "run_page", "skeleton"]

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FIGURE = re.compile(r"[-+−–]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e-?\d+)?")
_DIGEST = re.compile(r"\b(?=\w*\d)[0-9a-f]{12,64}\b")
_WIDTH = "100"
# What these print depends on the machine and on what else it does: each line shown has to be there by its first word,
# but for warnings, what is indented, and points of a sweep, whose marks depend on their times.
_VARIES = (" ", "warning:", "+ ", "* ")
_MEASURED = (
    "run", "plan", "why", "compare", "gate", "history", "leaderboard", "verify", "ablate", "doctor", "sensitivity",
    "export checklist",
)  # fmt: skip
# Whether a speed-up agrees when it is measured again depends on them, too: only then is a submission reproduced, and of
# the best those that are not have a star in the leaderboard.
_OPEN = {"inconclusive:": "reproduced:"}
_STAR = re.compile(r"(?<=[\d=])\*$")
_NOISY = 5  # the exit code of a run that claims nothing of speed, because of what else the machine did


@dataclass(frozen=True)
class Shown:
    """A command of a page, what the page says it prints, and what it printed."""

    command: str
    expected: tuple[str, ...]
    printed: tuple[str, ...]


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield language, file and content of each block of a page."""
    for match in _BLOCK.finditer(text):
        yield match[1], match[2] or "", match[3]


def run_page(text: str, folder: Path, packages: Path = ROOT, installs: bool = False) -> list[Shown]:
    """Work through a page in a folder, with the packages of another. Raises RuntimeError if a ```sh line fails.

    A run on a busy machine is no failure. Lines of ```sh are left out of a page that `installs`.
    """
    shown = []
    for language, file, content in blocks(text):
        if file:
            folder.joinpath(file).parent.mkdir(parents=True, exist_ok=True)
            folder.joinpath(file).write_text(content)
        elif language == "sh" and not installs:
            for line in content.splitlines():
                status, printed = _run(line.partition("  #")[0], folder, packages)
                if status and not (status == _NOISY and "pipeline run " in line):
                    raise RuntimeError(f"{line}\n{printed}")
        elif language == "console":
            for command, expected in _commands(content):
                quiet = f"{command} --quiet" if installs and " run " in command else command
                shown.append(Shown(command, expected, tuple(_run(quiet, folder, packages)[1].splitlines())))
    return shown


def skeleton(lines: Sequence[str]) -> list[str]:
    """Return the lines with every figure and digest as # and spaces, rulers and empty lines left out."""
    bare = (" ".join(_FIGURE.sub("#", _DIGEST.sub("#", line)).replace("─", " ").split()) for line in lines)
    return [line for line in bare if line]


def missing(shown: Shown) -> list[str]:
    """Return what the page shows and the command did not print, in this order."""
    expected, printed = _words(shown.expected, shown), iter(_words(shown.printed, shown))
    return [word for word in expected if word not in printed]


def _words(lines: tuple[str, ...], shown: Shown) -> list[str]:
    if any(f"pipeline {command} " in shown.command for command in _MEASURED):
        words = [line.split()[0] for line in lines if line.strip() and not line.startswith(_VARIES)]
        lines = tuple(_STAR.sub("", _OPEN.get(word, word)) for word in words)
    return [line for line in skeleton(lines) if line != "…"]


def _commands(content: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        command, *expected = part.rstrip("\n").split("\n")
        yield command, tuple(expected)


def _run(command: str, folder: Path, packages: Path) -> tuple[int, str]:
    """Run a line in bash, where `python` is this one; return its exit code and what it wrote, errors included."""
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": here, "PYTHONPATH": str(packages), "COLUMNS": _WIDTH, "NO_COLOR": "1"}
    environment.pop("PIPELINE_STORE", None)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def _shortened(printed: Sequence[str], expected: Sequence[str]) -> list[str]:
    if "…" not in expected:
        return list(printed)
    before = list(expected).index("…")
    after = len(expected) - before - 1
    return [*printed[:before], "…", *(printed[-after:] if after else ())]


def _rewritten(text: str, shown: Sequence[Shown]) -> str:
    results = iter(shown)

    def block(match: re.Match[str]) -> str:
        if match[1] != "console" or match[2]:
            return match[0]
        lines = []
        for _ in _commands(match[3]):
            one = next(results)
            lines += [f"$ {one.command}", *_shortened(one.printed, one.expected)]
        return "```console\n" + "".join(f"{line.rstrip()}\n" for line in lines) + "```"

    return _BLOCK.sub(block, text)


def main() -> None:
    """Write what the commands of the pages print into the pages."""
    for path in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as packages, tempfile.TemporaryDirectory() as folder:
            copy_project(Path(packages))  # which nobody edits meanwhile
            text, installs = path.read_text(), path.name == "README.md" and path.parent.resolve() == ROOT
            shown = run_page(text, Path(packages if installs else folder), Path(packages), installs)
            path.write_text(_rewritten(text, shown))


if __name__ == "__main__":
    main()
