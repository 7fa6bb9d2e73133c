"""What the arguments about execution come to."""

from __future__ import annotations

import argparse
import os

import pytest

from pipeline.cli.limits import add_limit_arguments, limits_of
from pipeline.core.errors import UserError
from pipeline.execute.executor import EXECUTORS
from pipeline.execute.limits import Limits
from tests.project import Project


def limits(*arguments: str) -> Limits:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_limit_arguments(parser)
    return limits_of(parser.parse_args(arguments))


def test_without_arguments_nodes_are_computed_here_one_after_the_other() -> None:
    """No process is started for what a beginner does."""
    assert limits() == Limits("inline", workers=1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--workers 3", Limits("processes", workers=3)),
        ("--workers 1", Limits("inline", workers=1)),
        ("--timeout 90", Limits("processes", timeout_s=90)),
        ("--timeout 1.5m", Limits("processes", timeout_s=90)),
        ("--timeout 2h", Limits("processes", timeout_s=7200)),
        ("--memory-limit 512M", Limits("processes", memory_limit_bytes=2**29)),
        ("--memory-limit 1.5GiB", Limits("processes", memory_limit_bytes=3 * 2**29)),
        ("--retries 2 --fail-fast", Limits(retries=2, fail_fast=True)),
        ("--keep-going", Limits()),
    ],
)
def test_what_needs_processes_gets_them(arguments: str, expected: Limits) -> None:
    """Several workers, a timeout and a memory limit cannot be had in one process."""
    assert limits(*arguments.split()) == expected


def test_an_executor_without_a_number_uses_every_core() -> None:
    """Of those this process may use."""
    assert limits("--executor", "processes").workers == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("more", ["--workers=2", "--timeout=5", "--memory-limit=1G"])
def test_what_inline_cannot_do_is_refused(more: str) -> None:
    """It would be ignored silently otherwise."""
    with pytest.raises(UserError, match="inline computes one node at a time"):
        limits("--executor", "inline", more)


def test_an_address_belongs_to_dask() -> None:
    """Another executor has no use for it."""
    with pytest.raises(UserError, match="Dask"):
        limits("--executor", "processes", "--scheduler", "tcp://127.0.0.1:8786")


@pytest.mark.parametrize(
    "argument",
    [
        "--workers=0",
        "--workers=-1",
        "--workers=two",
        "--retries=1.5",
        "--timeout=0",
        "--timeout=soon",
        "--timeout=1001h",
        "--memory-limit=1M",
        "--memory-limit=lots",
        "--executor=threads",
    ],
)
def test_a_wrong_value_is_said(argument: str, project: Project) -> None:
    """Exit code 2 and the argument's name, before anything runs."""
    done = project.run("run", "experiments/smoke.yaml", argument, expect=2)
    assert argument.partition("=")[0] in done.stderr


def test_every_executor_can_be_chosen() -> None:
    """The table is what --executor takes."""
    for name in EXECUTORS:
        assert limits("--executor", name).executor == name
