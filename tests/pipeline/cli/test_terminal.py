"""The real command on a real terminal: a live view that rests while something is measured, and goes in the end."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

from tests.project import Project

SMOKE = "experiments/smoke.yaml"


def on_terminal(project: Project, *arguments: str) -> str:
    """Run a command with stderr on a terminal of its own; return what was written there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(project.folder), "COLUMNS": "120", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "pipeline", *arguments]
    with subprocess.Popen(
        command, cwd=project.folder, env=environment, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        while part := _read(ours):
            written += part
        os.close(ours)
        assert process.wait() in (0, 5)  # too noisy is no failure here
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says when the other side is closed
        return b""


def test_the_view_is_drawn_once_for_a_measurement(project: Project) -> None:
    """And once more for what its stage says while it waits; nothing is written in between."""
    written = on_terminal(project, "run", SMOKE, "--force", "profile", "--until", "profile")
    lines = (project.folder / "runs/smoke/events.jsonl").read_text().splitlines()
    said = sum(json.loads(line)["event"] == "node_said" for line in lines)
    assert written.count("this view rests until it is measured") == 1 + said
    assert "ran      profile baseline" in written
    assert written.endswith("\x1b[2K")  # the view is gone


def test_nothing_to_do_writes_nothing(project: Project) -> None:
    """Not even an escape sequence."""
    assert on_terminal(project, "run", SMOKE) == ""
