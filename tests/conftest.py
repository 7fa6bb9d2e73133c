"""Fixtures for everyone: a project in which the smoke experiment has run."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.project import Project, copy_project

# A shell starts what runs in the background with SIGINT ignored, and what is started from here would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which smoke.yaml has run once; copy it before changing anything.

    A run that was too noisy to claim anything says so in all that is made from it: the next project begins anew then.
    """
    for _ in range(5):
        project = copy_project(tmp_path_factory.mktemp("finished"))
        if project.run("run", "experiments/smoke.yaml").returncode == 0:
            break
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, with its store, to change at will."""
    shutil.copytree(finished.folder, tmp_path / "project")
    return Project(tmp_path / "project")
