"""The table of report formats."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeline.stages.report
from pipeline.core.code import ImportGraph, Source, module_facts
from pipeline.report import REPORTERS, load_reporter
from pipeline.submission.validate import find_problems

ROOT = Path(pipeline.stages.report.__file__).parents[2]


@pytest.mark.parametrize("name", REPORTERS)
def test_every_format_renders_the_same_document_to_the_same_text(name: str, submission: dict[str, Any]) -> None:
    """A pure function of the submission, which it leaves alone."""
    before = repr(submission)
    render = load_reporter(name)
    assert render(submission) == render(submission)
    assert repr(submission) == before


def test_the_table_is_read_without_importing_a_renderer() -> None:
    """Listing formats is cheap."""
    code = "import sys, pipeline.report; print([m for m in sys.modules if m.startswith('pipeline.report.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_code_of_every_stored_report_is_part_of_the_stages_code() -> None:
    """Editing a template renders the reports anew."""

    def facts(module: str) -> Any:
        for path, is_package in (
            (ROOT / f"{module.replace('.', '/')}.py", False),
            (ROOT / module.replace(".", "/") / "__init__.py", True),
        ):
            if module.startswith("pipeline") and path.is_file():
                return module_facts(Source(module, path.read_bytes(), is_package))
        return None

    modules = set(ImportGraph(facts).closure(["pipeline.stages.report"]))
    assert {REPORTERS["html"], REPORTERS["md"], "pipeline.report.page", "pipeline.report.style"} <= modules


def test_the_hostile_sample_is_valid(hostile: dict[str, Any]) -> None:
    """A stranger's submission can look like this and pass the schema."""
    assert find_problems(hostile) == []


def test_extreme_but_valid_figures_are_rendered(submission: dict[str, Any]) -> None:
    """Whatever number the schema allows, no report fails on it."""
    rng, rendered = random.Random(0), 0
    figures = list(numbers(submission))
    for _ in range(30):
        document = json.loads(json.dumps(submission))
        for *parents, last in rng.sample(figures, 3):
            node = document
            for part in parents:
                node = node[part]
            node[last] = rng.choice([0, 1, 10**17, 1e308, -1e308, 5e-324])
        if not find_problems(document):
            rendered += 1
            assert all(load_reporter(name)(document) for name in REPORTERS)
    assert rendered > 5


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every number."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from numbers(item, (*path, key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path
